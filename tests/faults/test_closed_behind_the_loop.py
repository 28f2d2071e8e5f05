"""Descriptors that are closed while the loop watches them: their numbers may be anybody's at once.

The loser of Happy Eyeballs is the usual case. asyncio trips over some of them when the number comes back.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.descriptors import none_leaked
from support.protocols import Recorder
from support.sockets import full_address, polled


@pytest.mark.native_only
def test_it_never_ends_the_process():
    """Every way of watching, and whoever comes next; the loop goes on, and whoever comes is left alone."""
    program = Path(__file__).with_name("closed_behind.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", program, "veloop"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=program.parent.parent,
        env={**os.environ, "PYTHONPATH": ":".join([str(program.parent.parent), *sys.path])},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.endswith("survived\n")


@pytest.mark.parametrize("delay", [0.0, 0.001])
async def test_the_loser_of_happy_eyeballs_leaves_its_number_to_anybody(loop, delay):
    """Attempts that lose are cancelled while they are watched; the next round gets their numbers."""
    with none_leaked(), full_address() as full:
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in (full, server.sockets[0].getsockname())
        ]

        async def both(*_arguments, **_options):
            return addresses

        loop.getaddrinfo = both
        for _ in range(30):
            transport, protocol = await loop.create_connection(
                Recorder, "two.example", 80, happy_eyeballs_delay=delay
            )
            assert transport.get_extra_info("peername") == addresses[1][4]
            transport.close()
            assert await protocol.lost is None
        server.close()
        await server.wait_closed()
        await polled()
