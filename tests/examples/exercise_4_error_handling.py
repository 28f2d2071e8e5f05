"""Exercise 4, error handling: one of three tasks fails, gather returns its exception as a result."""

import asyncio


async def fetch(name: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    if name == "orders":
        raise ConnectionError(f"no answer for {name}")
    return f"{name} fetched"


async def main() -> None:
    results = await asyncio.gather(
        fetch("users", 0.15), fetch("orders", 0.05), fetch("prices", 0.1), return_exceptions=True
    )
    for result in results:
        match result:
            case ConnectionError():
                print("handled:", result)
            case BaseException():
                raise result
            case _:
                print(result)


if __name__ == "__main__":
    asyncio.run(main())
