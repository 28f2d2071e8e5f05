"""run_in_executor() on a plain thread pool, without the concurrent.futures.Future that nobody looks at.

asyncio submits the call, and chains the future that it gets to one of its own: two futures, a condition and
four callbacks for one result. Here the pool's worker finds an item that hands the result to the loop in one
step. Whatever else can happen (an exception, a pool that breaks or is shut down) goes the way it goes in
asyncio: see ``WorkItem.future``.

Only what is exactly a ThreadPoolExecutor, as the standard library made it, is served. Everything else, and
debug mode, is left to asyncio. So is a new Python whose submit() is not one of those that we know, and a
part that somebody replaced, even if that was before this module was imported.
"""

from __future__ import annotations

import concurrent.futures
from asyncio import events, futures
from concurrent.futures import thread

from ._hooks import is_own

TYPE_CHECKING = False  # importing typing takes a tenth of a program's start
if TYPE_CHECKING:
    import asyncio
    from typing import Any

_thread: Any = thread
_pool_type: Any = thread.ThreadPoolExecutor
_futures: Any = futures

# Every name that ThreadPoolExecutor.submit() uses. We do what it does: if that changes, we must not.
_COMMON = (
    "_shutdown_lock _global_shutdown_lock _broken _shutdown RuntimeError _base Future _WorkItem _work_queue "
    "put _adjust_thread_count"
)
_BEFORE_314 = frozenset(f"{_COMMON} BrokenThreadPool".split())
_SINCE_314 = frozenset(f"{_COMMON} BROKEN _resolve_work_item_task".split())

_submit: Any = _pool_type.submit
_work_item: Any = getattr(thread, "_WorkItem", None)
_run: Any = getattr(_work_item, "run", None)
_chain_future: Any = getattr(futures, "_chain_future", None)
_names = frozenset(getattr(getattr(_submit, "__code__", None), "co_names", ()))
# From 3.14 on the pool makes a task of a call, and a worker runs it in a context of its own.
_WITH_TASKS = _names == _SINCE_314
if (
    _names not in (_BEFORE_314, _SINCE_314)
    or getattr(_work_item, "__module__", None) != thread.__name__
    or not all(is_own(function, thread) for function in (_submit, _work_item.__init__, _run))
    or not is_own(_chain_future, futures)
    or not (hasattr(futures, "_copy_future_state") and hasattr(futures, "_set_result_unless_cancelled"))
):
    _submit = None  # no submit() is this one

# Whether asyncio passes on what ends in the loop's own thread at once (from 3.14 on), or by a callback.
_AT_ONCE = _submit is not None and any(
    "_get_running_loop" in getattr(constant, "co_names", ()) for constant in _chain_future.__code__.co_consts
)


class WorkItem:
    """A call that waits in a thread pool's queue, and the loop's future that its result is for."""

    __slots__ = ("_loop", "_target", "_task")

    def __init__(self, loop: Any, target: asyncio.Future[Any], task: Any) -> None:
        self._loop = loop
        self._target = target
        self._task = task

    def run(self, context: Any = None) -> None:
        """Make the call, in a thread of the pool."""
        if self._target.cancelled():
            return
        try:
            result = self._task[0](*self._task[1]) if context is None else context.run(self._task)
        except BaseException as exception:
            self.future.set_exception(exception)
            del self  # This frame belongs to the exception's traceback.
        else:
            try:
                self._loop.call_soon_threadsafe(_futures._set_result_unless_cancelled, self._target, result)
            except Exception:  # A closed loop takes nothing: asyncio's way knows what to do.
                self.future.set_result(result)

    @property
    def future(self) -> concurrent.futures.Future[Any]:
        """A concurrent future whose end ends the loop's: for whoever ends this item in another way.

        A pool that breaks, or is shut down, asks the items in its queue for it.
        """
        source: concurrent.futures.Future[Any] = concurrent.futures.Future()
        source.add_done_callback(self._pass_on)
        return source

    def _pass_on(self, source: concurrent.futures.Future[Any]) -> None:
        if _AT_ONCE and events._get_running_loop() is self._loop:
            _futures._copy_future_state(source, self._target)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_futures._copy_future_state, source, self._target)


def submit(loop: Any, executor: Any, func: Any, args: tuple[Any, ...]) -> asyncio.Future[Any] | None:
    """Have a worker of the pool make the call. None if asyncio has to: it also words what is refused."""
    pool = loop._default_executor if executor is None else executor
    if (
        type(pool) is not _pool_type
        or _pool_type.submit is not _submit
        or "submit" in pool.__dict__
        or _thread._WorkItem is not _work_item
        or _work_item.run is not _run
        or _futures._chain_future is not _chain_future
        or loop._debug
        or loop._closed
        or (executor is None and loop._executor_shutdown_called)
    ):
        return None
    task = pool._resolve_work_item_task(func, args, {}) if _WITH_TASKS else (func, args)
    target: asyncio.Future[Any] = loop.create_future()
    with pool._shutdown_lock, _thread._global_shutdown_lock:
        if pool._broken or pool._shutdown or _thread._shutdown:
            return None
        pool._work_queue.put(WorkItem(loop, target, task))
        pool._adjust_thread_count()
    return target
