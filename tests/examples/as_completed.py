"""as_completed: results as they come, the quickest first."""

import asyncio


async def cook(dish: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return dish


async def main() -> None:
    orders = [cook("roast", 0.5), cook("soup", 0.3), cook("bread", 0.1)]
    for next_dish in asyncio.as_completed(orders):
        print("served:", await next_dish)

    try:
        for next_dish in asyncio.as_completed([cook("salad", 0.05), cook("stew", 60)], timeout=0.4):
            print("served:", await next_dish)
    except TimeoutError:
        print("the kitchen has closed")


if __name__ == "__main__":
    asyncio.run(main())
