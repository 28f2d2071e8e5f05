"""add_reader callback

A byte goes round through a socket pair: a poll, a callback, a recv and a send per turn of the loop.
"""

from __future__ import annotations

import asyncio
import socket

from harness.model import Timed

ORDER = 51
GRID = {"callbacks": [10_000]}


def prepare(loop: asyncio.AbstractEventLoop, callbacks: int) -> Timed:
    readable, writer = socket.socketpair()
    readable.setblocking(False)
    left = 0

    def on_readable() -> None:
        nonlocal left
        left -= 1
        data = readable.recv(1)
        if left:
            writer.send(data)
        else:
            loop.stop()

    def run() -> int:
        nonlocal left
        left = callbacks
        loop.add_reader(readable, on_readable)
        writer.send(b"x")
        loop.run_forever()
        loop.remove_reader(readable)
        return callbacks

    def close() -> None:
        readable.close()
        writer.close()

    return Timed(run, close)
