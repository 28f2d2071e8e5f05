"""One measurement in a fresh process: ``python -m harness.child '<Task as JSON>'`` prints a Measurement."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from harness import catalogue, loops, programs
from harness.catalogue import Workload
from harness.loops import LoopFactory
from harness.measure import measure_limit, measure_sampled, measure_served, measure_timed, measure_weighed
from harness.model import LIMIT, Address, Measurement, Served, Task, Timed, Weighed


def measure(task: Task) -> Measurement:
    workload = catalogue.load(task.workload)
    if task.loop == LIMIT:
        load = workload.limit(task.parameters)
        if load is None:
            raise LookupError("no C program shows this row's limit")
        return measure_limit(load, task)

    programs.pin(task.server_core)
    programs.allow_descriptors()
    new_loop = loops.resolve(task.loop).load()
    loop = new_loop()
    asyncio.set_event_loop(loop)
    with failing_on_reports(loop):
        return _measure_on(loop, new_loop, workload, task)


@contextmanager
def failing_on_reports(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """What the loop reports stops it, or a callback that fails would leave the work waiting for ever."""
    reported: list[object] = []

    def note_and_stop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        reported.append(context.get("exception") or context.get("message"))
        loop.stop()

    loop.set_exception_handler(note_and_stop)
    try:
        yield
    finally:
        if reported:
            raise RuntimeError(f"the loop reported {reported[0]!r}")


def _measure_on(
    loop: asyncio.AbstractEventLoop, new_loop: LoopFactory, workload: Workload, task: Task
) -> Measurement:
    with ExitStack() as helpers:

        def server(kind: str = "tcp", tls: bool = False) -> Address:
            return helpers.enter_context(programs.limit_server(task.load_core, kind, tls))[0]

        offers: dict[str, Callable[[], object]] = {
            "new_loop": lambda: new_loop,
            "loop_spec": lambda: loops.resolve(task.loop),
            "echo_server": server,
            "http_server": lambda: server("http"),
            "https_server": lambda: server("http", tls=True),
            **{name: partial(task.services.__getitem__, name) for name in catalogue.SERVICES},
        }
        work = workload.prepare(loop, offers, task.parameters)
        if isinstance(work, Timed):
            result = measure_timed(work, task.seconds)
        elif isinstance(work, Weighed):
            result = measure_weighed(work)
        elif isinstance(work, Served):
            result = measure_served(loop, work, task)
        else:
            result = measure_sampled(work, task.seconds)
        loop.set_exception_handler(None)  # from here on, only the clean-up can fail
        work.close()
    loop.close()
    return result


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    try:
        result = measure(task)
    except ModuleNotFoundError as error:
        result = Measurement(error=f"{error.name} is not installed")
    except Exception as error:  # whatever goes wrong on a loop belongs into its cell
        result = Measurement(error=f"{type(error).__name__}: {error}".splitlines()[0])
    print(json.dumps(result.to_json()), flush=True)


if __name__ == "__main__":
    main()
