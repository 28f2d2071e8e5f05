"""UDP echo, {connections} x {size}

A DatagramProtocol that sends back what it is given; each connection is a socket of the load generator.
"""

from __future__ import annotations

import asyncio
from typing import Any

from harness.model import Load, Served
from harness.serving import finish_tasks

ORDER = 67
GRID = {"connections": [10, 1], "size": [1_024, 64]}


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.sendto = transport.sendto

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.sendto(data, addr)


def limit(connections: int, size: int) -> Load:
    return Load("echo", connections, size, socket="udp")


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    start = loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    transport, _ = loop.run_until_complete(start)
    address = transport.get_extra_info("sockname")

    def close() -> None:
        transport.close()
        finish_tasks(loop)

    return Served(address, limit(connections, size), close)
