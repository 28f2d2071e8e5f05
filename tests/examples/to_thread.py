"""to_thread: a blocking function in a thread, with its arguments, its context and its errors."""

import asyncio
import contextvars
import threading
import time

user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


def blocking(seconds: float, *, greeting: str) -> str:
    time.sleep(seconds)
    where = "main" if threading.current_thread() is threading.main_thread() else "another"
    return f"{greeting} {user.get()}, from {where} thread"


def broken() -> None:
    raise RuntimeError("broken in its thread")


async def main() -> None:
    user.set("Grace")
    print(await asyncio.to_thread(blocking, 0.05, greeting="Hello"))

    # Both must be in their threads at the same time to get past the barrier.
    barrier = threading.Barrier(2, timeout=30)
    await asyncio.gather(asyncio.to_thread(barrier.wait), asyncio.to_thread(barrier.wait))
    print("two threads at once")

    try:
        await asyncio.to_thread(broken)
    except RuntimeError as error:
        print("caught:", error)


if __name__ == "__main__":
    asyncio.run(main())
