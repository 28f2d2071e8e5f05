"""TLS connect + echo

A full handshake, one echo, reset; no session is resumed.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_protocol, server_tls
from workloads.protocol_echo import Echo

ORDER = 82
GRID = {"connections": [10, 1]}


def limit(connections: int) -> Load:
    return Load("connect", connections, size=64, tls=True)


def prepare(loop: asyncio.AbstractEventLoop, connections: int) -> Served:
    return serve_protocol(loop, Echo, limit(connections), server_tls())
