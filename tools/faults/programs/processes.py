"""Programs with child processes, signals, threads, and loops that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading

from tools.faults.programs.world import Main, Program, World

CAT = "/bin/cat"


def subprocess_pipes(world: World) -> Main:
    """A child with pipes for all three."""

    async def main() -> None:
        with world.telling("parent"):
            pipe = asyncio.subprocess.PIPE
            child = await asyncio.create_subprocess_exec(CAT, stdin=pipe, stdout=pipe, stderr=pipe)
            try:
                output, errors = await child.communicate(b"hello")
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
                raise
            world.tell("child", f"{output!r} {errors!r} {child.returncode}")

    return main


def subprocess_exit(world: World) -> Main:
    """A child that is only waited for."""

    async def main() -> None:
        with world.telling("parent"):
            child = await asyncio.create_subprocess_shell("exit 3")
            world.tell("child", str(await child.wait()))

    return main


def signals(world: World) -> Main:
    """add_signal_handler."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        finished = loop.create_future()

        def caught() -> None:
            world.tell("signal", "caught")
            finished.set_result(None)

        with world.telling("signals"):
            loop.add_signal_handler(signal.SIGUSR1, caught)
            try:
                os.kill(os.getpid(), signal.SIGUSR1)
                await finished
            finally:
                world.tell("signal", f"removed {loop.remove_signal_handler(signal.SIGUSR1)}")

    return main


def threads(world: World) -> Main:
    """call_soon_threadsafe, and functions in other threads."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        finished = loop.create_future()
        waiting = threading.Event()

        def from_elsewhere() -> None:
            waiting.wait()
            loop.call_soon_threadsafe(finished.set_result, "from elsewhere")

        thread = threading.Thread(target=from_elsewhere)
        thread.start()
        try:
            loop.call_later(0.005, waiting.set)
            world.tell("thread", await finished)
            world.tell("executor", str(await asyncio.to_thread(sum, [1, 2])))
        finally:
            waiting.set()
            thread.join()

    return main


def loops(world: World) -> Main:
    """Loops that are made, run and closed in another thread, and timers."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with world.telling("timers"):
            fired: list[int] = []
            for number in range(5):
                loop.call_later(0.001 * number, fired.append, number)
            loop.call_later(60, fired.append, -1).cancel()
            await asyncio.sleep(0.006)
            world.tell("timers", str(fired))
        with world.telling("another"):
            other = type(loop)()
            try:
                other.call_soon(world.tell, "another", "never called")
            finally:
                other.close()

    return main


PROGRAMS: tuple[Program, ...] = (subprocess_pipes, subprocess_exit, signals, threads, loops)
