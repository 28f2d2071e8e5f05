"""TLS bulk receive, {size} writes

A protocol that lets what it is given go. Encrypting on the other side takes about as long: see the CPU time.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_protocol, server_tls

ORDER = 84
GRID = {"connections": [1, 10], "size": [65_536, 4_096]}


class Drain(asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        pass


def limit(connections: int, size: int) -> Load:
    return Load("source", connections, size, tls=True, result="bytes")


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_protocol(loop, Drain, limit(connections, size), server_tls())
