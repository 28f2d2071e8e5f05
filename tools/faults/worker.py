"""Runs one program on one loop, each time with another fault, each time in a fork; each is a line of JSON.

    python -m tools.faults.worker LOOP PROGRAM [--every N | --only CASE | --kind FAULT]

The first run, in this process, is only for what a process does once; the second, in a fork, has no fault and
shows which calls and awaits there are.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from asyncio import constants
from collections.abc import Iterator
from dataclasses import asdict, astuple
from pathlib import Path

from tools.faults import programs
from tools.faults.cases import Case, cases_of
from tools.faults.injection import Call, Injector
from tools.faults.run import Cancellation, Outcome, run

# A run that is still there after so many times its limit is killed.
MUCH_LONGER = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("loop", choices=programs.LOOPS)
    parser.add_argument("program", choices=programs.PROGRAMS)
    parser.add_argument("--every", type=int, default=1, help="only every Nth case")
    parser.add_argument("--only", help="only the case of this name")
    parser.add_argument("--kind", help="only cases with this fault")
    parser.add_argument("--limit", type=float, default=0.7, help="seconds that a program may take")
    options = parser.parse_args()
    vars(constants)["ACCEPT_RETRY_DELAY"] = 0.01
    vars(subprocess)["_USE_VFORK"] = False  # so that fork() is seen
    worker = Worker(options.loop, options.program, options.limit)
    plain = worker.first_runs()
    print(plain.to_json(), flush=True)
    for number, case in enumerate(cases_of(plain)):
        if options.program.startswith("sock_") and case.error == "EAGAIN":
            continue  # Where sock_*() wait for edges, the kernel does not say it of what is there.
        if options.only or options.kind:
            wanted = case.name == options.only or "/".join(case.kind) == options.kind
        else:
            wanted = number % options.every == 0
        if wanted:
            print(worker.fork(case).to_json(), flush=True)


class Worker:
    """Runs the program in forks of this process."""

    def __init__(self, loop: str, program: str, limit: float) -> None:
        self.injector = Injector()
        self.program = programs.PROGRAMS[program]
        self._make_loop = programs.LOOPS[loop]
        self.limit = limit

    def first_runs(self) -> Case:
        # When a loop first waits, which the program may or may not do, libuv opens a pipe for the process.
        with contextlib.closing(self._make_loop()) as loop:
            loop.run_until_complete(asyncio.sleep(0.001))
        self.perform(Case())
        while threading.active_count() > 1:
            time.sleep(0.001)
        gc.collect()
        gc.freeze()
        return self.fork(Case())

    def fork(self, case: Case) -> Case:
        """The case as a fork of this process runs it."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self.report(case, writing)
        os.close(writing)
        with open(reading, "rb") as answer:
            text = answer.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == -signal.SIGALRM:
            case.outcome.hung = True
        elif status != 0 or not text:
            case.crashed = signal.Signals(-status).name if status < 0 else f"exit code {status}"
        else:
            answered = json.loads(text)
            case.happened = answered.pop("happened")
            calls = [Call(*call) for call in answered.pop("calls")]
            if not case.name:
                case.calls = calls
            case.outcome = Outcome(**answered)
        return case

    def report(self, case: Case, pipe: int) -> None:
        """In the fork: runs the case, answers, and is gone."""
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, MUCH_LONGER * self.limit)
            outcome, calls, happened = self.perform(case)
            answer = {"happened": happened, "calls": [astuple(call) for call in calls], **asdict(outcome)}
            with open(pipe, "wb") as out:
                out.write(json.dumps(answer).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def perform(self, case: Case) -> tuple[Outcome, list[Call], bool]:
        """Runs the program with the case's fault in this process."""
        cancellation = None if case.function else Cancellation(case.task, case.nth, case.error)
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            world = programs.World(Path(folder))
            self.injector.prepare()
            with contextlib.ExitStack() as stack:
                world.setup = stack
                program = self.program(world)
                before = open_descriptors()
                outcome = run(program, self.make_loop, cancellation, self.limit, self.region(case))
                outcome.events = world.events
                gc.collect()
                outcome.leaks = sorted(self.injector.name_of(one) for one in open_descriptors() - before)
                outcome.leaks += [
                    f"closed: {one}" for one in sorted(before - open_descriptors() - world.given)
                ]
        calls, happened = self.injector.calls()
        for call in calls:
            # A close() that is told EBADF closes what is not its own; anything else uses what was closed.
            # Taking a closed number out of the set is neither; selectors do it, too.
            if call.error == errno.EBADF and call.function != "epoll_ctl":
                (outcome.closed_twice if call.function == "close" else outcome.stale_uses).append(str(call))
        if cancellation is not None and case.task:
            happened = cancellation.happened
        return outcome, calls, happened

    def make_loop(self) -> asyncio.AbstractEventLoop:
        loop = self._make_loop()
        self.injector.loop_made()
        return loop

    @contextlib.contextmanager
    def region(self, case: Case) -> Iterator[None]:
        """Where calls count."""
        self.injector.begin(case.calls[0] if case.calls else None, case.error)
        try:
            yield
        finally:
            self.injector.end()


def open_descriptors() -> set[int]:
    return {number for name in os.listdir("/proc/self/fd") if is_open(number := int(name))}


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
