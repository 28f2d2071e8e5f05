"""The server's callback for the name that a client asks for: it may look, switch, refuse, or fail."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from support.certificates import client_context, limited, named_server_context, server_context
from support.protocols import Recorder
from support.sockets import polled, socket_pair
from support.tls_peer import better_than_asyncio, connecting, facing, loss, peer_for
from support.tls_stories import described, outcome, same_on_asyncio

pytestmark = pytest.mark.timeout(30)
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
each_version = pytest.mark.parametrize("version", [OLD, NEW])
each_way = pytest.mark.parametrize("way", ["direct", "start_tls"])


def answering(answer):
    context = server_context()
    context.sni_callback = answer
    return context


@each_way
@each_version
async def test_the_callback_gets_the_connections_own_object(way, version):
    calls = []
    context = answering(lambda *arguments: calls.append(arguments))
    peer_context = limited(client_context(), version)
    async with facing(Recorder, "server", way=way, context=context, peer_context=peer_context) as (
        protocol,
        peer,
    ):
        ((sslobj, name, initial),) = calls
        assert sslobj is protocol.transport.get_extra_info("ssl_object")
        assert (name, initial) == ("localhost", context)
        await peer.send(b"data")
        assert await protocol.bytes_received(4) == b"data"
    context.sni_callback = None


@each_way
@each_version
async def test_the_callback_switches_the_context(way, version):
    """Another certificate for another name: the client is content with the one, not with the other."""
    other = named_server_context("other.example")
    other.set_alpn_protocols(["of the other"])

    def switch(sslobj, name, _context):
        if name == "other.example":
            sslobj.context = other

    context = answering(switch)
    for name in ("localhost", "other.example"):
        near, far = socket_pair()
        server = limited(client_context(), version)
        with far:
            (_, client), (_, served) = await asyncio.gather(
                connecting("client", far, context=server, server_hostname=name, way=way),
                connecting("server", near, context=context, way=way),
            )
            sslobj = served.transport.get_extra_info("ssl_object")
            assert sslobj.context is (other if name == "other.example" else context)
            served.transport.write(b"welcome")
            assert await client.bytes_received(7) == b"welcome"
            client.transport.write(b"thanks")
            assert await served.bytes_received(6) == b"thanks"
            assert ("DNS", name) in client.transport.get_extra_info("peercert")["subjectAltName"]
            client.transport.close()
            assert await loss(client) is None
            assert await loss(served) is None
    context.sni_callback = None


async def refused(context, way):
    """What the server's side learns, and what its client does."""
    near, far = socket_pair()
    with far:
        peer = peer_for("server", far)
        error, theirs = await asyncio.gather(
            outcome(connecting("server", near, context=context, way=way)), outcome(peer.shake_hands())
        )
        await polled()
        assert near.fileno() == -1
    return error, theirs


def fails(*_arguments):
    raise LookupError("from the callback")


REFUSALS = {
    "an alert": (lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME, "UNRECOGNIZED_NAME"),
    "another alert": (lambda *_: ssl.ALERT_DESCRIPTION_ACCESS_DENIED, "ACCESS_DENIED"),
    "an answer of another type": (lambda *_: "no number", "INTERNAL_ERROR"),
    "an exception": (fails, "HANDSHAKE_FAILURE"),
}


@pytest.mark.native_only
@each_way
@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_callback_refuses(loop, loop_errors, name, way):
    async def scenario():
        error, theirs = await refused(answering(REFUSALS[name][0]), way)
        assert isinstance(theirs, OSError)
        return described(error)

    kind, details = same_on_asyncio(loop, loop_errors, scenario)
    assert kind is ssl.SSLError
    assert details["reason"]


@better_than_asyncio
@each_way
@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_the_client_learns_why(name, way):
    answer, alert = REFUSALS[name]
    _, theirs = await refused(answering(answer), way)
    assert isinstance(theirs, ssl.SSLError)
    assert theirs.reason.endswith(alert)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_server_goes_on_after_it(loop):
    """A callback that fails for one name; the next client is served."""

    def answer(_object, name, _context):
        if name == "127.0.0.1" or name is None:
            raise LookupError("from the callback")

    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=answering(answer))
    address = server.sockets[0].getsockname()
    for _ in range(3):
        error = await outcome(loop.create_connection(Recorder, *address, ssl=client_context()))
        assert error is not None
    transport, client = await loop.create_connection(
        Recorder, *address, ssl=client_context(), server_hostname="localhost"
    )
    transport.close()
    assert await loss(client) is None
    server.close()
    await polled()
    await server.wait_closed()
