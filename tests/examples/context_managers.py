"""Asynchronous context managers: set-up and clean-up that wait, in the right order, errors or not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType


class Connection:
    async def __aenter__(self) -> "Connection":
        await asyncio.sleep(0.01)
        print("connected")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.sleep(0.01)
        print(f"disconnected, error: {error!r}")


@asynccontextmanager
async def numbered(number: int) -> AsyncIterator[int]:
    print(f"open {number}")
    try:
        yield number
    finally:
        await asyncio.sleep(0)
        print(f"close {number}")


async def main() -> None:
    async with Connection() as connection:
        print("using a", type(connection).__name__)

    try:
        async with Connection():
            raise ValueError("broken")
    except ValueError as error:
        print("it was", error)

    async with AsyncExitStack() as stack:
        print("sum:", sum([await stack.enter_async_context(numbered(number)) for number in (1, 2, 3)]))

    lock = asyncio.Lock()
    async with lock:
        print("locked:", lock.locked())
    print("locked:", lock.locked())


if __name__ == "__main__":
    asyncio.run(main())
