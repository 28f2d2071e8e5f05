"""gather: several coroutines at once, their results in the order in which they were given."""

import asyncio


async def square(number: int) -> int:
    # The larger the number, the sooner the answer: the results keep their order all the same.
    await asyncio.sleep(0.4 - 0.1 * number)
    print(f"{number} squared")
    return number * number


async def main() -> None:
    results = await asyncio.gather(square(1), square(2), square(3))
    print(results)


if __name__ == "__main__":
    asyncio.run(main())
