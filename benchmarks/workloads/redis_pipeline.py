"""redis, a pipeline of {pairs} SET and GET

redis-py's asyncio client on a real Redis, one pipeline at a time; counted in pipelines.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 106
GRID = {"pairs": [10, 1, 100]}
PIPELINES = 50


def prepare(loop: asyncio.AbstractEventLoop, redis: str, pairs: int) -> Timed:
    from redis.asyncio import Redis

    client = Redis.from_url(redis)

    async def talk() -> None:
        for _ in range(PIPELINES):
            async with client.pipeline(transaction=False) as pipeline:
                for number in range(pairs):
                    pipeline.set(f"key {number}", b"value")
                    pipeline.get(f"key {number}")
                answers = await pipeline.execute()
            if answers[1] != b"value":
                raise RuntimeError(f"not what was set: {answers}")

    def run() -> int:
        loop.run_until_complete(talk())
        return PIPELINES

    return Timed(run, close=lambda: loop.run_until_complete(client.aclose()))
