"""Timeouts: wait_for, a timeout block, a shielded operation."""

import asyncio


async def operation(name: str, seconds: float) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        print(f"{name}: cancelled")
        raise
    return f"{name}: completed"


async def main() -> None:
    print(await asyncio.wait_for(operation("quick", 0.01), timeout=5))

    try:
        await asyncio.wait_for(operation("slow", 60), timeout=0.05)
    except TimeoutError:
        print("slow: timed out")

    try:
        async with asyncio.timeout(0.05) as limit:
            await operation("inside the block", 60)
    except TimeoutError:
        print(f"the block expired: {limit.expired()}")

    task = asyncio.create_task(operation("shielded", 0.3))
    try:
        await asyncio.wait_for(asyncio.shield(task), timeout=0.05)
    except TimeoutError:
        print("shielded: goes on")
    print(await task)


if __name__ == "__main__":
    asyncio.run(main())
