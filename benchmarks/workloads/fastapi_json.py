"""FastAPI under uvicorn, {connections} connections

A route with a typed parameter, answered as JSON; no access log.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_uvicorn

ORDER = 102
GRID = {"connections": [32, 1]}


def prepare(loop: asyncio.AbstractEventLoop, connections: int) -> Served:
    import fastapi

    application = fastapi.FastAPI()

    @application.get("/")
    async def hello(times: int = 1) -> dict[str, object]:
        return {"message": "Hello, world!", "times": times}

    return serve_uvicorn(loop, application, Load("http", connections))
