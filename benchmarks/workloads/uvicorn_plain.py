"""uvicorn (httptools), plain text, {connections} connections

The smallest ASGI application; no access log.
"""

from __future__ import annotations

import asyncio
from typing import Any

from harness.model import Load, Served
from harness.serving import listening_socket

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
    import httptools  # noqa: F401  (uvicorn would fall back to another parser without a word)
    import uvicorn

    listener, address = listening_socket()
    config = uvicorn.Config(
        application, http="httptools", lifespan="off", log_level="error", access_log=False, backlog=1024
    )
    server = uvicorn.Server(config)
    serving = loop.create_task(server.serve(sockets=[listener]))

    async def started() -> None:
        while not server.started:
            await asyncio.sleep(0.01)

    loop.run_until_complete(started())

    def close() -> None:
        server.force_exit = server.should_exit = True
        loop.run_until_complete(serving)

    return Served(address, Load("http", connections), close)
