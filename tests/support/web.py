"""Web servers of real frameworks, on the running loop and a free loopback port."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from aiohttp import web


def running_loop_family() -> str:
    """``"veloop"`` or ``"asyncio"``: on which of them the caller runs."""
    return type(asyncio.get_running_loop()).__module__.split(".")[0]


@asynccontextmanager
async def aiohttp_server(
    application: web.Application, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serves the application; gives the address of its root."""
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        port = runner.addresses[0][1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


class _Uvicorn(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, *arguments: Any, **options: Any) -> None:
        await super().startup(*arguments, **options)
        self.ready.set()


@asynccontextmanager
async def uvicorn_server(application: Any, **options: Any) -> AsyncIterator[str]:
    """Serves the ASGI application, with uvicorn's C parser; gives the address of its root."""
    config = uvicorn.Config(
        application, host="127.0.0.1", port=0, http="httptools", log_config=None, access_log=False, **options
    )
    server = _Uvicorn(config)
    serving = asyncio.create_task(server.serve())
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        assert server.started, "uvicorn did not start"
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        ready.cancel()
        server.should_exit = True
        await serving
