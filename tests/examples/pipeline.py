"""Pipelines: stages in sequence, stages side by side, and stages joined by queues."""

import asyncio


async def stage(number: int, item: str) -> str:
    await asyncio.sleep(0.02)
    return f"{item} > stage {number}"


async def sequential(item: str) -> str:
    for number in (1, 2, 3):
        item = await stage(number, item)
    return item


async def produce(items: list[str], target: asyncio.Queue[str | None]) -> None:
    for item in items:
        await target.put(item)
    await target.put(None)


async def transform(source: asyncio.Queue[str | None], target: asyncio.Queue[str | None]) -> None:
    while (item := await source.get()) is not None:
        await target.put(await stage(1, item))
    await target.put(None)


async def consume(source: asyncio.Queue[str | None]) -> None:
    while (item := await source.get()) is not None:
        print("queued:", item)


async def main() -> None:
    print("in sequence:", await sequential("order"))
    for result in await asyncio.gather(*(stage(number, "order") for number in (1, 2, 3))):
        print("side by side:", result)

    raw: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1)
    cooked: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1)
    await asyncio.gather(produce(["a", "b", "c"], raw), transform(raw, cooked), consume(cooked))


if __name__ == "__main__":
    asyncio.run(main())
