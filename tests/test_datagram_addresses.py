"""Addresses that datagrams are sent to: plain ones, and those that only Python's socket can read."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest

from support.datagrams import endpoint, name_of
from support.protocols import DatagramRecorder
from support.sockets import needs_ipv6

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", b"127.0.0.1", bytearray(b"127.0.0.1")])
async def test_hosts_may_be_names_and_short_forms(host):
    async with endpoint() as (server, receiver), endpoint() as (client, _):
        client.sendto(b"data", (host, name_of(server)[1]))
        assert (await receiver.datagrams.get())[0] == b"data"


@needs_ipv6
@pytest.mark.parametrize("extra", [(), (0,), (0, 0)])
async def test_flow_and_scope_may_be_left_out(extra):
    async with (
        endpoint(local_addr=("::1", 0)) as (server, receiver),
        endpoint(local_addr=("::1", 0)) as (client, _),
    ):
        client.sendto(b"data", ("::1", name_of(server)[1], *extra))
        data, sender = await receiver.datagrams.get()
        assert data == b"data"
        assert sender == name_of(client)


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (("127.0.0.1", 65536), OverflowError),
        (("127.0.0.1", -1), OverflowError),
        (["127.0.0.1", 9], TypeError),
        ((127, 9), TypeError),
        (("127.0.0.1\0", 9), Exception),
    ],
)
async def test_mistakes_are_told_as_the_socket_tells_them(loop_errors, address, error):
    async with endpoint() as (transport, protocol):
        transport.sendto(b"data", address)
        assert isinstance(await protocol.lost, error)
        loop_errors.clear()


async def test_a_name_that_is_unknown_is_an_error_of_the_network():
    async with endpoint() as (transport, protocol):
        transport.sendto(b"data", ("no-such-host.invalid", 9))
        assert isinstance(await protocol.errors.get(), socket.gaierror)
        assert not transport.is_closing()


@pytest.mark.parametrize("form", [str, os.fsencode])
async def test_paths_are_text_or_bytes(tmp_path, form):
    path = str(tmp_path / "näme")
    async with (
        endpoint(local_addr=path, family=socket.AF_UNIX) as (_, receiver),
        endpoint(family=socket.AF_UNIX) as (client, protocol),
    ):
        client.sendto(b"data", form(path))
        assert await receiver.datagrams.get() == (b"data", None)
        client.sendto(b"data", form("x" * 200))
        assert "too long" in str(await protocol.errors.get())


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="Linux only")
async def test_families_that_only_python_knows(loop):
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)  # type: ignore[attr-defined]
        sock.bind((0, 0))
    except OSError as exc:
        pytest.skip(f"no netlink here: {exc}")
    async with endpoint(sock=sock) as (transport, protocol):
        assert transport.get_extra_info("sockname") == sock.getsockname()
        # RTM_GETLINK (18) as a dump request: the kernel answers with its interfaces.
        header = (20).to_bytes(4, sys.byteorder) + (18).to_bytes(2, sys.byteorder)
        header += (0x301).to_bytes(2, sys.byteorder) + bytes(12)
        transport.sendto(header, (0, 0))
        data, sender = await protocol.datagrams.get()
        assert len(data) > 16
        assert sender[0] == 0


async def test_sending_after_the_end_is_ignored(on_veloop):
    async with endpoint() as (transport, protocol):
        transport.close()
        await protocol.lost
        if not on_veloop:
            pytest.skip("asyncio fails on an attribute of None")
        transport.sendto(b"data", ("127.0.0.1", 9))


async def test_an_error_of_error_received_reaches_whoever_sends():
    class Fails(DatagramRecorder):
        def error_received(self, exc):
            raise LookupError

    async with endpoint(Fails) as (transport, _):
        with pytest.raises(LookupError):
            transport.sendto(bytes(70_000), ("127.0.0.1", 9))
        assert not transport.is_closing()


async def test_a_pair_of_unix_sockets_sends_to_its_peer(loop, on_veloop):
    if not on_veloop:
        pytest.skip("asyncio takes the nameless peer for none")
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with far:
        async with endpoint(sock=near) as (transport, protocol):
            transport.sendto(b"data")
            assert far.recv(100) == b"data"
            far.send(b"answer")
            assert (await protocol.datagrams.get())[0] == b"answer"


async def test_a_descriptor_serves_one_transport(loop):
    if sys.version_info < (3, 13) and not loop.__class__.__module__.startswith("veloop"):
        pytest.skip("older asyncio does not look")
    async with endpoint() as (transport, _):
        sock = transport.get_extra_info("socket")._sock
        with pytest.raises(RuntimeError, match="is used by transport"):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=sock)
