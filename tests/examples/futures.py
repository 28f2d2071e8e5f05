"""Futures: a result that somebody else provides, now, later, or from another thread."""

import asyncio
import threading
from collections.abc import Generator


class Doubled:
    """Awaitable of our own making."""

    def __init__(self, future: asyncio.Future[int]) -> None:
        self._future = future

    def __await__(self) -> Generator[object, None, int]:
        value = yield from self._future
        return 2 * value


async def main() -> None:
    loop = asyncio.get_running_loop()

    ready: asyncio.Future[str] = asyncio.Future()
    ready.set_result("at once")
    print(await ready)

    later: asyncio.Future[str] = loop.create_future()
    later.add_done_callback(lambda future: print("callback:", future.result()))
    loop.call_later(0.05, later.set_result, "later")
    print(await later)

    number: asyncio.Future[int] = loop.create_future()
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(number.set_result, 21))
    thread.start()
    print(await Doubled(number))
    thread.join()

    failed: asyncio.Future[None] = loop.create_future()
    failed.set_exception(LookupError("nobody provides this"))
    try:
        await failed
    except LookupError as error:
        print("failed:", error)

    given_up: asyncio.Future[None] = loop.create_future()
    given_up.cancel()
    print("cancelled:", given_up.cancelled())


if __name__ == "__main__":
    asyncio.run(main())
