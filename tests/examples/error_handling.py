"""Error handling: try and except, gather with and without exceptions as results, groups of errors."""

import asyncio


async def operation(number: int) -> str:
    if number == 2:
        raise ValueError(f"operation {number} is broken")
    await asyncio.sleep(0.05)
    return f"operation {number} is fine"


async def failing(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


async def main() -> None:
    try:
        await operation(2)
    except ValueError as error:
        print("caught:", error)
    finally:
        print("finally")

    for result in await asyncio.gather(*map(operation, range(4)), return_exceptions=True):
        print("failed:" if isinstance(result, Exception) else "succeeded:", result)

    try:
        await asyncio.gather(operation(1), operation(2))
    except ValueError as error:
        print("gather raised:", error)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing(KeyError("key")))
            group.create_task(failing(OSError("file")))
    except* KeyError as errors:
        print("group:", errors.exceptions)
    except* OSError as errors:
        print("group:", errors.exceptions)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: print("handler:", repr(context["exception"])))
    loop.call_soon([].pop)
    await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main())
