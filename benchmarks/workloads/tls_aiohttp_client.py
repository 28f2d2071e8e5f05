"""aiohttp client over TLS, {connections} connections

As aiohttp client, from a C server that speaks TLS 1.3. Certificates are not verified, connections kept.
"""

from __future__ import annotations

import asyncio

from harness.model import Address, Timed
from workloads.aiohttp_client import fetching

ORDER = 87
GRID = {"connections": [32, 1]}


def prepare(loop: asyncio.AbstractEventLoop, https_server: Address, connections: int) -> Timed:
    return fetching(loop, f"https://{https_server[0]}:{https_server[1]}/", connections, ssl=False)
