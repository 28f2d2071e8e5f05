"""Who a datagram came from: the addresses of many peers, given and taken back."""

from __future__ import annotations

import contextlib
import socket
import sys

import pytest

from support.datagrams import ANY, LOCAL, answering, bound, endpoint, name_of
from support.programs import run_program
from support.sockets import needs_ipv6
from support.turns import until

pytestmark = pytest.mark.timeout(30)

FAMILIES = [socket.AF_INET, pytest.param(socket.AF_INET6, marks=needs_ipv6)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [1, 16, 17, 50])
async def test_each_peer_gets_its_own_answers(family, count):
    async with endpoint(answering, local_addr=ANY[family]) as (server, protocol):
        with bound(family, count) as peers:
            names = [peer.getsockname() for peer in peers]
            for turn in range(3):
                protocol.senders.clear()
                for number, peer in enumerate(peers):
                    peer.sendto(b"%d/%d" % (number, turn), name_of(server))
                await until(lambda: len(protocol.senders) == count)
                assert protocol.senders == names
                assert all(type(name) is tuple for name in protocol.senders)
                assert [peer.recv(100) for peer in peers] == [
                    b"%d/%d" % (number, turn) for number in range(count)
                ]
        assert protocol.errors == []


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_sender_can_be_answered_long_after(family):
    """Its tuple, or an equal one, when many others have come since."""
    async with endpoint(answering, local_addr=ANY[family]) as (server, protocol):
        with bound(family, 60) as peers:
            for peer in peers:
                peer.sendto(b"question", name_of(server))
            await until(lambda: len(protocol.senders) == 60)
            for peer in peers:
                assert peer.recv(100) == b"question"
            for number, sender in enumerate(protocol.senders):
                server.sendto(b"%d" % number, sender)
                server.sendto(b"%d again" % number, (*sender,))
            for number, peer in enumerate(peers):
                assert peer.recv(100) == b"%d" % number
                assert peer.recv(100) == b"%d again" % number


async def test_one_tuple_serves_many_datagrams_and_many_transports():
    with bound(socket.AF_INET, 2) as (one, other):
        to_one, to_other = one.getsockname(), other.getsockname()
        async with endpoint(answering, local_addr=LOCAL) as (first, _), endpoint() as (second, _):
            for transport in (first, second, first):
                for _ in range(3):
                    transport.sendto(b"to one", to_one)
                    transport.sendto(b"to one", to_one)
                    transport.sendto(b"to other", to_other)
            assert {one.recv(100) for _ in range(18)} == {b"to one"}
            assert {other.recv(100) for _ in range(9)} == {b"to other"}


async def test_an_object_that_may_change_is_read_each_time():
    class Port(int):
        """Not exactly an int."""

    class Host(str):
        __slots__ = ()

    class Pair(tuple):
        __slots__ = ()

    with bound(socket.AF_INET, 1) as (peer,):
        host, port = peer.getsockname()
        async with endpoint() as (transport, protocol):
            for address in ((host, Port(port)), (Host(host), port), Pair((host, port))):
                for _ in range(2):
                    transport.sendto(b"data", address)
                    assert peer.recv(100) == b"data"
            assert protocol.errors.empty()


async def test_the_tuple_of_a_mistake_stays_one(loop_errors):
    with bound(socket.AF_INET, 1) as (peer,):
        host, port = peer.getsockname()
        async with endpoint() as (transport, protocol):
            transport.sendto(b"data", (host, port))
            transport.sendto(b"data", (host, port + 65536))
            assert isinstance(await protocol.lost, OverflowError)
            loop_errors.clear()


@pytest.mark.parametrize("hook", [False, True])
def test_each_address_is_audited(loop_factory, hook):
    """Whether it had to be read or not; and a hook may end the transport while it looks."""
    source = f"""
import socket, sys
seen = []
hook = {hook}

def audit(event, args):
    if event == "socket.sendto":
        seen.append(args[1])
        if hook and len(seen) == 3:
            transport.abort()

class Recorder(asyncio.DatagramProtocol):
    def error_received(self, error):
        print(type(error).__name__)

async def main():
    global transport
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Recorder, ("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        address = peer.getsockname()
        sys.addaudithook(audit)
        for _ in range(3):
            transport.sendto(b"data", address)
        print(seen == [address] * 3)
        peer.setblocking(False)
        print([peer.recv(10) for _ in range(3)])
    transport.close()
    await asyncio.sleep(0)

run(main())
"""
    status, output, errors = run_program(loop_factory, source)
    assert (status, errors) == (0, "")
    assert output.splitlines() == ["True", str([b"data"] * 3)]


@needs_ipv6
async def test_flows_are_not_mixed_up(loop_errors):
    with bound(socket.AF_INET6, 1) as (peer,):
        port = peer.getsockname()[1]
        async with endpoint(local_addr=ANY[socket.AF_INET6]) as (transport, protocol):
            for flow in (0, 7, 0xFFFFF, 7, 0):
                address = ("::1", port, flow, 0)
                for _ in range(2):
                    transport.sendto(b"flow", address)
                    assert peer.recvfrom(100) == (b"flow", name_of(transport))
            transport.sendto(b"flow", ("::1", port, 0x100000, 0))
            assert isinstance(await protocol.lost, OverflowError)
            loop_errors.clear()


def link_local():
    """An address of this machine that means something only with its scope, and the scope; None without."""
    try:
        with open("/proc/net/if_inet6") as table:
            rows = [line.split() for line in table]
    except OSError:
        return None
    for digits, index, *_ in rows:
        host, scope = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)), int(index, 16)
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            if host.startswith("fe80:"):
                sock.bind((host, 0, 0, scope))
                return host, scope
    return None


@needs_ipv6
async def test_a_scope_belongs_to_the_address(loop):
    found = link_local()
    if found is None:
        pytest.skip("no link-local address here")
    host, scope = found
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind((host, 0, 0, scope))
    async with endpoint(answering, sock=sock) as (server, protocol):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
            peer.bind((host, 0, 0, scope))
            peer.settimeout(10)
            for turn in range(3):
                peer.sendto(b"%d" % turn, sock.getsockname())
                await until(lambda: len(protocol.senders) > turn)
                assert protocol.senders[turn] == peer.getsockname()
                assert protocol.senders[turn][3] == scope
                assert peer.recv(100) == b"%d" % turn
            # The same host in another scope is somebody else.
            server.sendto(b"lost", (host, peer.getsockname()[1], 0, scope + 1000))
            server.sendto(b"found", (host, peer.getsockname()[1], 0, scope))
            assert peer.recv(100) == b"found"
            assert len(protocol.errors) == 1


async def test_addresses_are_given_back():
    with bound(socket.AF_INET, 30) as peers:
        async with endpoint(answering, local_addr=LOCAL) as (server, protocol):
            for peer in peers:
                peer.sendto(b"data", name_of(server))
            await until(lambda: len(protocol.senders) == 30)
            target = peers[0].getsockname()
            server.sendto(b"data", target)
            server.close()
            await protocol.lost
            kept = [(*LOCAL,)]  # a tuple of one holder, as the others should be
            counts = [sys.getrefcount(name) for name in [*kept, *protocol.senders, target]]
            assert counts == counts[:1] * len(counts)
