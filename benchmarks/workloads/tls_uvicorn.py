"""uvicorn (httptools) over TLS, {connections} connections

As uvicorn, plain text, with a certificate.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_uvicorn
from workloads.uvicorn_plain import application

ORDER = 86
GRID = {"connections": [32, 1]}


def prepare(loop: asyncio.AbstractEventLoop, connections: int) -> Served:
    return serve_uvicorn(loop, application, Load("http", connections, tls=True))
