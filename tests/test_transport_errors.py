"""Exceptions raised by the protocol of a stream transport: who hears of them, and how the connection ends."""

from __future__ import annotations

import asyncio
import socket

import pytest

from support.protocols import BufferedRecorder, Raises, Recorder
from support.sockets import KINDS, connected, fill, polled, read_exactly, read_to_end, socket_pair

pytestmark = pytest.mark.timeout(30)
each_kind = pytest.mark.parametrize("kind", KINDS)


class Failure(Exception):
    pass


def take_only(loop_errors):
    """The one context that the loop reported; none is left."""
    (context,) = loop_errors
    loop_errors.clear()
    return context


FATAL = [
    ("data_received", Recorder, "Fatal error: protocol.data_received() call failed."),
    ("eof_received", Recorder, "Fatal error: protocol.eof_received() call failed."),
    ("get_buffer", BufferedRecorder, "Fatal error: protocol.get_buffer() call failed."),
    ("buffer_updated", BufferedRecorder, "Fatal error: protocol.buffer_updated() call failed."),
    ("eof_received", BufferedRecorder, "Fatal error: protocol.eof_received() call failed."),
]


@each_kind
@pytest.mark.parametrize(("method", "base", "message"), FATAL)
async def test_an_error_while_receiving_ends_the_connection(loop_errors, kind, method, base, message):
    error = Failure()
    async with connected(Raises(method, error, base), kind) as (transport, protocol, far):
        if method == "eof_received":
            far.shutdown(socket.SHUT_WR)
        else:
            far.send(b"data")
        assert await protocol.lost is error
        assert take_only(loop_errors) == {
            "message": message,
            "exception": error,
            "transport": transport,
            "protocol": protocol,
        }
        assert protocol.events[-1] == "lost"
        assert transport.get_extra_info("socket").fileno() == -1


@pytest.mark.parametrize(("method", "base", "message"), FATAL)
async def test_an_oserror_while_receiving_ends_the_connection_quietly(loop_errors, method, base, message):
    error = OSError("raised by a protocol")
    async with connected(Raises(method, error, base)) as (_, protocol, far):
        if method == "eof_received":
            far.shutdown(socket.SHUT_WR)
        else:
            far.send(b"data")
        assert await protocol.lost is error
        assert not loop_errors


async def test_an_error_while_receiving_discards_what_was_written(loop_errors):
    error = Failure()
    async with connected(Raises("data_received", error)) as (transport, protocol, far):
        size = await fill(transport)
        far.send(b"data")
        assert await protocol.lost is error
        assert take_only(loop_errors)["exception"] is error
        assert transport.get_write_buffer_size() == 0
        assert len(await read_exactly(far, size)) < size


async def test_an_error_in_connection_made_is_reported_and_the_connection_goes_on(loop_errors):
    error = Failure()
    async with connected(Raises("connection_made", error)) as (transport, protocol, far):
        context = take_only(loop_errors)
        assert context["exception"] is error
        assert context["message"].startswith("Exception in callback ")
        assert "Failing.connection_made" in context["message"]
        assert isinstance(context["handle"], asyncio.Handle)
        assert not transport.is_closing()
        far.send(b"data")
        assert await protocol.bytes_received(4) == b"data"


@each_kind
@pytest.mark.parametrize("ending", ["close", "abort", "peer"])
async def test_an_error_in_connection_lost_is_reported_and_the_socket_is_closed(loop_errors, kind, ending):
    error = Failure()
    async with connected(Raises("connection_lost", error), kind) as (transport, protocol, far):
        sock = transport.get_extra_info("socket")
        if ending == "peer":
            far.shutdown(socket.SHUT_WR)
        else:
            getattr(transport, ending)()
        assert await protocol.lost is None
        context = take_only(loop_errors)
        assert context["exception"] is error
        assert context["message"].startswith("Exception in callback ")
        assert sock.fileno() == -1
        assert await read_to_end(far) == b""


async def test_an_error_in_pause_writing_is_reported_and_writing_goes_on(loop_errors):
    error = Failure()
    async with connected(Raises("pause_writing", error)) as (transport, protocol, far):
        size = await fill(transport)
        transport.write(bytes(200_000))
        assert take_only(loop_errors) == {
            "message": "protocol.pause_writing() failed",
            "exception": error,
            "transport": transport,
            "protocol": protocol,
        }
        transport.close()
        assert len(await read_to_end(far)) == size + 200_000
        assert protocol.events == ["made", "pause", "resume", "lost"]


async def test_an_error_in_resume_writing_is_reported_and_writing_goes_on(loop_errors):
    error = Failure()
    async with connected(Raises("resume_writing", error)) as (transport, protocol, far):
        size = await fill(transport)
        transport.write(bytes(200_000))
        assert len(await read_exactly(far, size + 200_000)) == size + 200_000
        await polled()
        assert take_only(loop_errors) == {
            "message": "protocol.resume_writing() failed",
            "exception": error,
            "transport": transport,
            "protocol": protocol,
        }
        transport.write(b"more")
        assert await read_exactly(far, 4) == b"more"
        assert protocol.events == ["made", "pause", "resume"]


async def test_an_error_handed_over_in_connection_lost_is_the_one_raised_first(loop_errors):
    first, second = Failure("first"), Failure("second")

    class Twice(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()
            raise first

        def connection_lost(self, exc):
            super().connection_lost(exc)
            raise second

    async with connected(Twice) as (_, protocol, far):
        far.send(b"data")
        assert await protocol.lost is first
        assert [context["exception"] for context in loop_errors] == [first, second]
        loop_errors.clear()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("method", ["data_received", "eof_received", "connection_lost"])
def test_an_interruption_in_a_callback_leaves_run_forever(loop, method, error):
    near, far = socket_pair()

    async def connect():
        return await loop.create_connection(Raises(method, error()), sock=near)

    with far:
        transport, protocol = loop.run_until_complete(connect())
        far.send(b"data")
        far.shutdown(socket.SHUT_WR)
        with pytest.raises(error):
            loop.run_forever()
        assert not loop.is_running()
        if not protocol.lost.done():
            transport.abort()
        assert loop.run_until_complete(protocol.lost) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("method", ["get_buffer", "buffer_updated"])
def test_an_interruption_in_a_buffered_protocol_leaves_run_forever(loop, method, error):
    near, far = socket_pair()

    async def connect():
        return await loop.create_connection(Raises(method, error(), BufferedRecorder), sock=near)

    with far:
        transport, protocol = loop.run_until_complete(connect())
        far.send(b"data")
        with pytest.raises(error):
            loop.run_forever()
        transport.abort()
        assert loop.run_until_complete(protocol.lost) is None


async def test_the_loop_hears_of_a_transport_that_fails_without_a_handler_of_its_own(loop, caplog):
    loop.set_exception_handler(None)
    loop.set_debug(False)
    async with connected(Raises("data_received", Failure("seen in the log"))) as (_, protocol, far):
        far.send(b"data")
        await protocol.lost
    (record,) = caplog.records
    assert record.name == "asyncio"
    assert record.levelname == "ERROR"
    text = record.getMessage()
    assert text.startswith("Fatal error: protocol.data_received() call failed.\nprotocol: ")
    assert "\ntransport: <" in text
    assert record.exc_info[0] is Failure
