"""HTTP with aiohttp: requests at the same time over one session, JSON, an error, a timeout."""

import asyncio
import time

import aiohttp

DATA = [f"https://api.example.com/data{number}" for number in (1, 2, 3)]
PAGES = ["https://example.com", "https://python.org", "https://httpbin.org/get"]


async def timed_json(session: aiohttp.ClientSession, url: str) -> tuple[dict[str, object], float]:
    start = time.monotonic()
    async with session.get(url) as response:
        return await response.json(), time.monotonic() - start


async def show_status(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as response:
        print(f"{url} -> {response.status}")
        return len(await response.read())


async def main() -> None:
    async with aiohttp.ClientSession() as session:
        start = time.monotonic()
        answers = await asyncio.gather(*(timed_json(session, url) for url in DATA))
        total = time.monotonic() - start
        for data, _ in answers:
            print(data)
        print("at the same time:", total < sum(seconds for _, seconds in answers))

        sizes = await asyncio.gather(*(show_status(session, url) for url in PAGES))
        print("all pages have content:", all(sizes))

        try:
            await session.get("https://example.com/missing", raise_for_status=True)
        except aiohttp.ClientResponseError as error:
            print("refused:", error.status)

        try:
            await session.get("https://httpbin.org/delay/10", timeout=aiohttp.ClientTimeout(total=0.2))
        except TimeoutError:
            print("timed out")


if __name__ == "__main__":
    asyncio.run(main())
