"""create_connection: addresses, races between them, failures, cancellation."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys

import pytest

from support.descriptors import none_leaked
from support.protocols import Recorder
from support.sockets import closed, full_address, needs_ipv6, polled, silent_address, socket_pair

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def silent_port():
    """The address of a port that is taken, and does not listen."""
    with silent_address() as address:
        yield address


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_connecting_by_host_and_port(loop, listener, host):
    transport, protocol = await loop.create_connection(Recorder, host, listener.getsockname()[1])
    assert transport.get_extra_info("peername") == listener.getsockname()
    accepted, address = listener.accept()
    with accepted:
        assert transport.get_extra_info("sockname") == address
        accepted.send(b"hello")
        assert await protocol.bytes_received(5) == b"hello"
    await closed(transport, protocol)


@pytest.mark.parametrize("port_type", [int, str])
async def test_the_port_may_be_text(loop, listener, port_type):
    port = port_type(listener.getsockname()[1])
    transport, protocol = await loop.create_connection(Recorder, "127.0.0.1", port)
    await closed(transport, protocol)


@needs_ipv6
async def test_connecting_over_ipv6(loop):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        transport, protocol = await loop.create_connection(Recorder, "::1", listener.getsockname()[1])
        assert transport.get_extra_info("peername") == listener.getsockname()
        await closed(transport, protocol)


async def test_the_family_can_be_chosen(loop, listener):
    port = listener.getsockname()[1]
    transport, protocol = await loop.create_connection(Recorder, "localhost", port, family=socket.AF_INET)
    assert transport.get_extra_info("socket").family == socket.AF_INET
    await closed(transport, protocol)
    with pytest.raises(OSError, match=r".+"):
        await loop.create_connection(Recorder, "127.0.0.1", port, family=socket.AF_INET6)


async def test_the_local_address_can_be_chosen(loop, listener):
    transport, protocol = await loop.create_connection(
        Recorder, *listener.getsockname(), local_addr=("127.0.0.1", 0)
    )
    assert transport.get_extra_info("sockname")[0] == "127.0.0.1"
    await closed(transport, protocol)


async def test_a_local_address_that_is_taken_is_reported(loop, listener, silent_port):
    with none_leaked(), pytest.raises(OSError, match="error while attempting to bind on address") as caught:
        await loop.create_connection(Recorder, *listener.getsockname(), local_addr=silent_port)
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("options", [{}, {"happy_eyeballs_delay": 0.25}, {"interleave": 1}])
async def test_connecting_where_nobody_listens(loop, silent_port, options):
    with none_leaked(), pytest.raises(ConnectionRefusedError) as caught:
        await loop.create_connection(Recorder, *silent_port, **options)
    assert caught.value.errno == errno.ECONNREFUSED
    assert str(caught.value) == f"[Errno 111] Connect call failed {silent_port}"


def resolving_to(loop, monkeypatch, *addresses):
    async def getaddrinfo(host, port, **options):
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in addresses
        ]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("options", [{}, {"happy_eyeballs_delay": 5}, {"interleave": 2}])
async def test_the_next_address_is_tried_after_a_failure(loop, monkeypatch, listener, silent_port, options):
    resolving_to(loop, monkeypatch, silent_port, listener.getsockname())
    transport, protocol = await loop.create_connection(Recorder, "name.test", 1, **options)
    assert transport.get_extra_info("peername") == listener.getsockname()
    await closed(transport, protocol)


async def test_failures_of_several_addresses_are_told_together(loop, monkeypatch, silent_port):
    with silent_address() as second:
        resolving_to(loop, monkeypatch, silent_port, second)
        with pytest.raises(OSError, match=r"^Multiple exceptions: ") as caught:
            await loop.create_connection(Recorder, "name.test", 1)
        text = str(caught.value)
        assert f"Connect call failed {silent_port}" in text
        assert f"Connect call failed {second}" in text


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
async def test_all_failures_can_be_had(loop, monkeypatch, silent_port):
    resolving_to(loop, monkeypatch, silent_port, silent_port)
    with pytest.raises(ExceptionGroup, match="create_connection failed") as caught:
        await loop.create_connection(Recorder, "name.test", 1, all_errors=True)
    assert [type(error) for error in caught.value.exceptions] == [ConnectionRefusedError] * 2


async def test_a_slow_address_is_overtaken(loop, monkeypatch, listener):
    """The first address does not answer: its queue of connections is full."""
    with none_leaked(), full_address() as full:
        resolving_to(loop, monkeypatch, full, listener.getsockname())
        transport, protocol = await loop.create_connection(
            Recorder, "name.test", 1, happy_eyeballs_delay=0.01
        )
        assert transport.get_extra_info("peername") == listener.getsockname()
        await closed(transport, protocol)
        del transport, protocol


async def test_races_many_times_over_leave_nothing_behind(loop, monkeypatch, listener):
    with none_leaked():
        address = listener.getsockname()
        resolving_to(loop, monkeypatch, address, address, address)
        for _ in range(50):
            transport, protocol = await loop.create_connection(
                Recorder, "name.test", 1, happy_eyeballs_delay=0
            )
            await closed(transport, protocol)
        del transport, protocol
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                listener.accept()[0].close()


@pytest.mark.parametrize("turns", range(6))
async def test_connecting_can_be_cancelled_at_each_step(loop, listener, turns):
    with none_leaked():
        task = loop.create_task(loop.create_connection(Recorder, *listener.getsockname()))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        try:
            transport, protocol = await task
        except asyncio.CancelledError:
            pass
        else:
            await closed(transport, protocol)
            del transport, protocol
        del task
        await polled()


async def test_a_given_socket_is_used(loop):
    near, far = socket_pair()
    with far:
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        assert transport.get_extra_info("socket").fileno() == near.fileno()
        assert near.gettimeout() == 0
        await closed(transport, protocol)
        assert near.fileno() == -1


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # older asyncio leaves a socket behind
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_factory_that_raises_fails_the_call(loop, listener, host):
    error = LookupError("no protocol for you")

    def factory():
        raise error

    with pytest.raises(LookupError) as caught:
        await loop.create_connection(factory, host, listener.getsockname()[1])
    assert caught.value is error


async def test_an_unknown_name_is_reported(loop):
    with pytest.raises(socket.gaierror):
        await loop.create_connection(Recorder, "no such host", 1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "host and port was not specified and no sock specified"),
        ({"host": "h", "server_hostname": "h"}, "server_hostname is only meaningful with ssl"),
        ({"port": 1, "ssl": True}, "You must set server_hostname when using ssl without a host"),
        ({"host": "h", "ssl_handshake_timeout": 1}, "ssl_handshake_timeout is only meaningful with ssl"),
        ({"host": "h", "ssl_shutdown_timeout": 1}, "ssl_shutdown_timeout is only meaningful with ssl"),
    ],
)
async def test_arguments_are_checked(loop, arguments, text):
    with pytest.raises(ValueError, match=r".+") as caught:
        await loop.create_connection(Recorder, **arguments)
    assert str(caught.value) == text


async def test_a_socket_excludes_an_address(loop):
    with (
        socket.socket() as sock,
        pytest.raises(ValueError, match=r"^host/port and sock can not be specified at the same time$"),
    ):
        await loop.create_connection(Recorder, "127.0.0.1", 1, sock=sock)


async def test_a_socket_must_be_a_stream(loop):
    with (
        socket.socket(type=socket.SOCK_DGRAM) as sock,
        pytest.raises(ValueError, match=r"^A Stream Socket was expected, got <socket"),
    ):
        await loop.create_connection(Recorder, sock=sock)
