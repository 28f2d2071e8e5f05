"""Signals: asyncio's own ``add_signal_handler``, with a wake-up pair that is made when first needed."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, TypeVarTuple

from . import _native
from ._hooks import Hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Ts = TypeVarTuple("_Ts")

# On Linux the native core sees that a signal interrupted its wait. libuv restarts such a wait, so where it
# waits, Python's wake-up descriptor must end it.
_NEEDS_WAKEUP = _native.POLLER == "uv"


class Signals(Hooks):
    """The signal methods of the loop."""

    def add_signal_handler(self, sig: int, callback: Callable[[*_Ts], object], *args: *_Ts) -> None:
        """Call ``callback(*args)`` in the loop when ``sig`` arrives (``asyncio.loop.add_signal_handler``).

        Raises TypeError for a coroutine function, ValueError for a number that is no signal, RuntimeError
        if the signal cannot be caught or this is not the main thread.
        """
        self._check_closed()  # type: ignore[attr-defined]
        self._open_signal_pair()
        super().add_signal_handler(sig, callback, *args)

    def _signal_wakeup(self) -> contextlib.AbstractContextManager[None]:
        if _NEEDS_WAKEUP and threading.current_thread() is threading.main_thread():
            return self._wakeup_fd()
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _wakeup_fd(self) -> Iterator[None]:
        """Let signals end the wait, unless somebody else already listens for them."""
        self._open_signal_pair()
        assert self._csock is not None
        fd = self._csock.fileno()
        previous = signal.set_wakeup_fd(fd)
        if previous not in (-1, fd):
            signal.set_wakeup_fd(previous)
        try:
            yield
        finally:
            if previous == -1 and not self._signal_handlers:  # type: ignore[attr-defined]
                signal.set_wakeup_fd(-1)
