"""The event loop: the native core first, asyncio's own loop for everything else."""

from __future__ import annotations

from . import _forks, _native
from ._connecting import Connecting
from ._executor import Executors
from ._hooks import Hooks, NativeSelector
from ._processes import Processes
from ._signals import Signals
from ._tls import TLS


class EventLoop(_native.Loop, Connecting, Signals, Processes, Executors, TLS, Hooks):  # type: ignore[misc]
    """A drop-in for asyncio's event loop whose hot half is native.

    Scheduling, timers, polling and stream transports are answered by ``_native.Loop``; every other method
    is that of the running Python's own ``asyncio.SelectorEventLoop``. Made by :func:`veloop.new_event_loop`,
    by :class:`veloop.EventLoopPolicy`, or directly.
    """

    def __init__(self) -> None:
        selector = NativeSelector()
        super().__init__(selector)
        selector._loop = self
        _forks.remember(self)

    def run_forever(self) -> None:
        """Run until :meth:`stop` is called (``asyncio.loop.run_forever``).

        Raises RuntimeError if the loop is closed, already running, or another loop runs in this thread.
        """
        self._run_forever_setup()
        try:
            self._run_turns()
        finally:
            self._run_forever_cleanup()

    def close(self) -> None:
        """Close the loop (``asyncio.loop.close``): what is scheduled is dropped, a second call does nothing.

        Raises RuntimeError if the loop is running.
        """
        if self.is_closed():
            return
        super().close()
        self._close_native()


def new_event_loop() -> EventLoop:
    """Return a new veloop event loop: what ``loop_factory`` arguments want."""
    return EventLoop()
