"""run_in_executor: blocking code in threads and in processes, while the loop goes on."""

import asyncio
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

ticks_enough = threading.Event()


def wait_for_ticks() -> str:
    """Blocks its thread until the loop has shown that it still turns."""
    return "the loop went on" if ticks_enough.wait(timeout=30) else "the loop was blocked"


def sum_of_squares(limit: int) -> tuple[int, int]:
    return sum(number * number for number in range(limit)), os.getpid()


async def tick() -> None:
    for number in (1, 2, 3):
        await asyncio.sleep(0.01)
        print("tick", number)
    ticks_enough.set()


async def main() -> None:
    loop = asyncio.get_running_loop()
    blocking = loop.run_in_executor(None, wait_for_ticks)
    await tick()
    print(await blocking)

    with ThreadPoolExecutor(thread_name_prefix="helper") as threads:
        name = await loop.run_in_executor(threads, lambda: threading.current_thread().name)
        print("thread:", name)

    with ProcessPoolExecutor(max_workers=1) as processes:
        total, process = await loop.run_in_executor(processes, sum_of_squares, 1000)
        print("sum:", total, "- in another process:", process != os.getpid())


if __name__ == "__main__":
    asyncio.run(main())
