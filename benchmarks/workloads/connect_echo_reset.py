"""connect, one echo, reset: CPU on the server

Accepting, making a transport and a protocol, losing the connection; in CPU time, as the client is slower.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_protocol
from workloads.protocol_echo import Echo

ORDER = 66
GRID = {"connections": [10, 1]}


def limit(connections: int) -> Load:
    return Load("connect", connections, size=64, result="server_cpu")


def prepare(loop: asyncio.AbstractEventLoop, connections: int) -> Served:
    return serve_protocol(loop, Echo, limit(connections))
