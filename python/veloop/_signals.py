"""Signals: asyncio's own ``add_signal_handler``, with a wake-up pair that is made when first needed."""

from __future__ import annotations

from ._hooks import Hooks

TYPE_CHECKING = False  # importing typing takes a tenth of a program's start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVarTuple

    _Ts = TypeVarTuple("_Ts")


class Signals(Hooks):
    """The signal methods of the loop."""

    def add_signal_handler(self, sig: int, callback: Callable[[*_Ts], object], *args: *_Ts) -> None:
        """Call ``callback(*args)`` in the loop when ``sig`` arrives (``asyncio.loop.add_signal_handler``).

        Raises TypeError for a coroutine function, ValueError for a number that is no signal, RuntimeError
        if the signal cannot be caught or this is not the main thread.
        """
        if not self.is_closed():
            self._open_signal_pair()
        super().add_signal_handler(sig, callback, *args)
