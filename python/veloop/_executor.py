"""run_in_executor(): on a plain thread pool without asyncio's way round (``_thread_pools``)."""

from __future__ import annotations

from asyncio import base_events, futures
from functools import cache

from ._hooks import Hooks, is_own

TYPE_CHECKING = False  # importing typing takes a tenth of a program's start
if TYPE_CHECKING:
    import asyncio
    import concurrent.futures
    from collections.abc import Callable
    from typing import Any, TypeVar, TypeVarTuple

    _T = TypeVar("_T")
    _Ts = TypeVarTuple("_Ts")

_inherited: Any = base_events.BaseEventLoop.run_in_executor
_wrap_future: Any = futures.wrap_future
# Not so if somebody replaced one of them before we came.
_IS_ASYNCIOS = is_own(_inherited, base_events) and is_own(_wrap_future, futures)


@cache
def _submit() -> Any:
    """Imported only now: most programs never use a thread pool, and its modules take time."""
    from ._thread_pools import submit

    return submit


class Executors(Hooks):
    """The executor methods of the loop."""

    def run_in_executor(
        self, executor: concurrent.futures.Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Call ``func(*args)`` in an executor, None being the default one (``asyncio.loop.run_in_executor``).

        Returns a future for its result. Raises RuntimeError if the loop is closed, or the executor shut down.
        """
        inherited: Any = super().run_in_executor
        future: asyncio.Future[_T] | None = None
        if (
            _IS_ASYNCIOS
            and getattr(inherited, "__func__", None) is _inherited
            and futures.wrap_future is _wrap_future
        ):
            future = _submit()(self, executor, func, args)
        if future is None:
            future = inherited(executor, func, *args)
        return future
