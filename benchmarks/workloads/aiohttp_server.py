"""aiohttp server, {connections} connections

A plain-text handler behind the router; no access log.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import listening_socket

ORDER = 101
GRID = {"connections": [32, 1]}


def prepare(loop: asyncio.AbstractEventLoop, connections: int) -> Served:
    from aiohttp import web

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="Hello, world!")

    listener, address = listening_socket()
    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None)

    async def start() -> None:
        await runner.setup()
        await web.SockSite(runner, listener).start()

    loop.run_until_complete(start())
    return Served(address, Load("http", connections), lambda: loop.run_until_complete(runner.cleanup()))
