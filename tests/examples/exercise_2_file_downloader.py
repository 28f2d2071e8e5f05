"""Exercise 2, file downloader: several files at once with aiohttp, each straight to disk in pieces."""

import asyncio
import tempfile
from pathlib import Path

import aiohttp

NAMES = ["alpha.bin", "beta.bin", "gamma.bin", "delta.bin"]


async def download(session: aiohttp.ClientSession, name: str, folder: Path) -> Path:
    target = folder / name
    async with session.get(f"https://example.com/files/{name}", raise_for_status=True) as response:
        with target.open("wb") as file:
            async for piece in response.content.iter_chunked(64 * 1024):
                file.write(piece)
        if response.content_length != target.stat().st_size:
            raise ValueError(f"{name} is incomplete")
    return target


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession() as session:
            downloads = (download(session, name, Path(folder)) for name in NAMES)
            for path in await asyncio.gather(*downloads):
                content = path.read_bytes()
                print(f"{path.name}: {len(content)} bytes, all {set(content.decode())}")


if __name__ == "__main__":
    asyncio.run(main())
