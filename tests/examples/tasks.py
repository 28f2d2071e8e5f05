"""Tasks: they run in the background, have names, can be cancelled, and belong to groups."""

import asyncio


async def worker(name: str, seconds: float) -> str:
    print(f"{name} started")
    await asyncio.sleep(seconds)
    print(f"{name} finished")
    return name.upper()


async def main() -> None:
    slow = asyncio.create_task(worker("slow", 0.3))
    fast = asyncio.create_task(worker("fast", 0.1))
    print("nothing has started yet")
    print("results:", await slow, await fast)

    endless = asyncio.create_task(worker("endless", 3600), name="the endless one")
    endless.add_done_callback(lambda task: print(f"{task.get_name()} is done"))
    await asyncio.sleep(0)
    endless.cancel()
    try:
        await endless
    except asyncio.CancelledError:
        print("cancelled:", endless.cancelled())

    async with asyncio.TaskGroup() as group:
        members = [group.create_task(worker(f"member {number}", 0.1 * number)) for number in (1, 2)]
    print("group:", [member.result() for member in members])


if __name__ == "__main__":
    asyncio.run(main())
