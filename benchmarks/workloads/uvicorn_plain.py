"""uvicorn (httptools), plain text, {connections} connections

The smallest ASGI application; no access log.
"""

from __future__ import annotations

import asyncio
from typing import Any

from harness.model import Load, Served
from harness.serving import serve_uvicorn

ORDER = 100
GRID = {"connections": [32, 1]}
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")],
}
BODY = {"type": "http.response.body", "body": b"Hello, world!"}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send(START)
    await send(BODY)


def prepare(loop: asyncio.AbstractEventLoop, connections: int) -> Served:
    return serve_uvicorn(loop, application, Load("http", connections))
