"""TLS echo, {connections} x {size}

The protocol echo server over TLS 1.3: small messages, and some of four records.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_protocol, server_tls
from workloads.protocol_echo import Echo

ORDER = 80
GRID = {"connections": [10, 1, 100], "size": [1_024, 65_536, 16_384]}
SHOWN = {"size": 2}


def limit(connections: int, size: int) -> Load:
    return Load("echo", connections, size, tls=True)


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_protocol(loop, Echo, limit(connections, size), server_tls())
