"""TLS streams echo, {connections} x {size}

The streams echo server over TLS 1.3, a full record per message.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_streams, server_tls
from workloads.streams_echo import echo

ORDER = 81
GRID = {"connections": [10, 1, 100], "size": [16_384, 1_024]}


def limit(connections: int, size: int) -> Load:
    return Load("echo", connections, size, tls=True)


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_streams(loop, echo, limit(connections, size), server_tls())
