"""run_in_executor(): on a plain thread pool without asyncio's way round (``_thread_pools``)."""

from __future__ import annotations

from functools import cache

from ._hooks import Hooks

TYPE_CHECKING = False  # importing typing takes a tenth of a program's start
if TYPE_CHECKING:
    import asyncio
    import concurrent.futures
    from collections.abc import Callable
    from typing import Any, TypeVar, TypeVarTuple

    _T = TypeVar("_T")
    _Ts = TypeVarTuple("_Ts")


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
        future: asyncio.Future[_T] | None = _submit()(self, executor, func, args)
        return super().run_in_executor(executor, func, *args) if future is None else future
