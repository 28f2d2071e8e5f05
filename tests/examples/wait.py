"""wait: the first result, the rest, and what is still pending after a while."""

import asyncio


async def fetch(name: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return f"{name} fetched"


async def main() -> None:
    tasks = {
        asyncio.create_task(fetch("slow", 60), name="slow"),
        asyncio.create_task(fetch("medium", 0.3), name="medium"),
        asyncio.create_task(fetch("fast", 0.05), name="fast"),
    }
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    print("first:", [task.result() for task in done])
    print("pending:", sorted(task.get_name() for task in pending))

    done, pending = await asyncio.wait(pending, timeout=0.6)
    print("then:", [task.result() for task in done])
    print("after the timeout:", [task.get_name() for task in pending])

    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    print("cancelled:", [task.cancelled() for task in pending])


if __name__ == "__main__":
    asyncio.run(main())
