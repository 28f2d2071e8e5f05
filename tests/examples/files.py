"""Files with aiofiles: written and read at the same time, line by line, and a file that is missing."""

import asyncio
import tempfile
from pathlib import Path

import aiofiles


async def write(path: Path, content: str) -> None:
    async with aiofiles.open(path, "w") as file:
        await file.write(content)


async def read(path: Path) -> str:
    async with aiofiles.open(path) as file:
        return await file.read()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"file{number}.txt" for number in (1, 2, 3)]
        await asyncio.gather(*(write(path, f"content of {path.name}\n" * 2) for path in paths))
        contents = await asyncio.gather(*map(read, paths))

        processed = [path.with_name(f"processed_{path.name}") for path in paths]
        pairs = zip(processed, contents, strict=True)
        await asyncio.gather(*(write(path, content.upper()) for path, content in pairs))
        for path in processed:
            async with aiofiles.open(path) as file:
                async for line in file:
                    print(f"{path.name}: {line.rstrip()}")

        try:
            await read(Path(folder) / "missing.txt")
        except FileNotFoundError as error:
            print("no such file:", Path(error.filename).name)


if __name__ == "__main__":
    asyncio.run(main())
