"""What runs under valgrind: ``python -m harness.counted_child '<Order as JSON>'``; see ``counting``."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import sys
from dataclasses import asdict

from harness import catalogue, loops
from harness.child import failing_on_reports
from harness.counting import Counted, Order
from harness.loops import LoopFactory
from harness.model import Parameters, Timed


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    steady = ctypes.CDLL(os.environ["BENCHMARK_STEADY"])
    new_loop = loops.resolve(order.loop).load()
    answers = {
        name: asdict(_in_a_fork(new_loop, name, parameters, steady))
        for name, parameters in order.rows.items()
    }
    print(json.dumps(answers), flush=True)


def _in_a_fork(new_loop: LoopFactory, name: str, parameters: Parameters, steady: ctypes.CDLL) -> Counted:
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        try:
            answer = Counted(os.getpid(), _run(new_loop, name, parameters, steady))
        except Exception as error:
            answer = Counted(os.getpid(), 0, f"{type(error).__name__}: {error}".splitlines()[0])
        os.write(writing, json.dumps(asdict(answer)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(process, 0)
    return Counted(**json.loads(text)) if text else Counted(process, 0, "it crashed")


def _run(new_loop: LoopFactory, name: str, parameters: Parameters, steady: ctypes.CDLL) -> int:
    loop = new_loop()
    asyncio.set_event_loop(loop)
    work = catalogue.load(name).prepare(loop, {"new_loop": lambda: new_loop}, parameters)
    assert isinstance(work, Timed), f"{name} cannot be counted"
    with failing_on_reports(loop):
        work.run()  # warm free lists and specialised bytecode
        gc.collect()
        steady.steady_begin()
        operations = work.run()
        steady.steady_end()
    return operations


if __name__ == "__main__":
    main()
