"""Exercise 3, mixed execution: a blocking computation in an executor while tasks fetch data."""

import asyncio
import threading

import aiohttp

data_arrived = threading.Event()


def count_primes(limit: int) -> int:
    """Blocks until the data is there, so that it surely runs beside the fetching tasks; then computes."""
    if not data_arrived.wait(timeout=30):
        raise TimeoutError("the loop did not fetch while this thread was busy")
    return sum(all(number % divisor for divisor in range(2, number)) for number in range(2, limit))


async def fetch(session: aiohttp.ClientSession, number: int) -> object:
    async with session.get(f"https://api.example.com/data{number}") as response:
        return (await response.json())["value"]


async def main() -> None:
    loop = asyncio.get_running_loop()
    computation = loop.run_in_executor(None, count_primes, 500)
    async with aiohttp.ClientSession() as session:
        print("fetched:", await asyncio.gather(*(fetch(session, number) for number in (1, 2, 3))))
    print("still computing:", not computation.done())
    data_arrived.set()
    print("primes below 500:", await computation)


if __name__ == "__main__":
    asyncio.run(main())
