"""Datagram transports that a test can open and forget."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from support.protocols import DatagramRecorder

LOCAL = ("127.0.0.1", 0)


@contextlib.asynccontextmanager
async def endpoint(
    factory: Callable[[], Any] = DatagramRecorder, **options: Any
) -> AsyncIterator[tuple[Any, Any]]:
    """A datagram transport and its protocol (at a free port, if nothing is said); closed afterwards."""
    loop = asyncio.get_running_loop()
    options = options or {"local_addr": LOCAL}
    transport, protocol = await loop.create_datagram_endpoint(factory, **options)
    try:
        yield transport, protocol
    finally:
        if not protocol.lost.done():
            transport.abort()
        await asyncio.wait([protocol.lost])


def name_of(transport: Any) -> Any:
    """The address that a transport is bound to."""
    return transport.get_extra_info("sockname")
