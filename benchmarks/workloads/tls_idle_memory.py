"""memory per idle TLS connection, of {connections}

As memory per idle connection; most of it is OpenSSL's.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_protocol, server_tls
from workloads.protocol_echo import Echo

ORDER = 85
GRID = {"connections": [1_000, 10_000]}
ROUNDS = 1


def limit(connections: int) -> Load:
    return Load("idle", connections, size=64, tls=True, result="server_memory")


def prepare(loop: asyncio.AbstractEventLoop, connections: int) -> Served:
    return serve_protocol(loop, Echo, limit(connections), server_tls())
