"""Pipe transports: reading, writing, flow control, closing."""

from __future__ import annotations

import asyncio
import errno
import gc
import io
import os
import socket

import pytest

from support.pipes import drain_pipe, fill_pipe, read_pipe, write_pipe
from support.protocols import Raises, Recorder
from support.sockets import polled

pytestmark = pytest.mark.timeout(30)


async def test_a_pipe_is_read_to_its_end():
    async with read_pipe() as (_, protocol, writers):
        os.write(writers[0], b"some ")
        await protocol.bytes_received(5)
        os.write(writers[0], b"data")
        assert await protocol.bytes_received(9) == b"some data"
        os.close(writers.pop())
        assert await protocol.lost is None
        assert protocol.events == ["made", "data", "eof", "lost"]


async def test_what_waits_in_a_pipe_is_read(loop):
    read_end, write_end = os.pipe()
    os.write(write_end, b"early")
    os.close(write_end)
    _, protocol = await loop.connect_read_pipe(Recorder, io.FileIO(read_end, "r"))
    assert await protocol.lost is None
    assert protocol.received == b"early"
    assert protocol.events == ["made", "data", "eof", "lost"]


async def test_the_end_of_a_pipe_closes_it_whatever_eof_received_answers():
    async with read_pipe() as (transport, protocol, writers):
        protocol.keep_open = True
        os.close(writers.pop())
        assert await protocol.lost is None
        assert transport.is_closing()


async def test_reading_a_pipe_can_be_paused():
    async with read_pipe() as (transport, protocol, writers):
        assert transport.is_reading()
        transport.resume_reading()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        os.write(writers[0], b"data")
        await polled()
        assert protocol.events == ["made"]
        transport.resume_reading()
        assert transport.is_reading()
        assert await protocol.bytes_received(4) == b"data"
        transport.close()
        assert not transport.is_reading()
        transport.resume_reading()
        transport.pause_reading()
        assert not transport.is_reading()


async def test_a_reading_transport_closes_its_pipe_once():
    async with read_pipe() as (transport, protocol, _):
        pipe = transport.get_extra_info("pipe")
        assert isinstance(transport, asyncio.ReadTransport)
        assert not isinstance(transport, asyncio.WriteTransport)
        assert transport.get_protocol() is protocol
        transport.close()
        transport.close()
        assert transport.is_closing()
        assert not protocol.lost.done()
        assert await protocol.lost is None
        assert pipe.closed
        assert protocol.events == ["made", "lost"]


async def test_the_protocol_of_a_pipe_can_be_changed():
    async with read_pipe() as (transport, first, writers):
        second = Recorder()
        transport.set_protocol(second)
        os.write(writers[0], b"data")
        assert await second.bytes_received(4) == b"data"
        transport.set_protocol(first)


async def test_an_error_in_data_received_is_reported(loop_errors):
    error = LookupError()
    async with read_pipe(Raises("data_received", error, Recorder)) as (_, protocol, writers):
        os.write(writers[0], b"data")
        await protocol.bytes_received(4)
        await polled()
        (context,) = loop_errors
        loop_errors.clear()
        assert context["exception"] is error


async def test_a_pipe_is_written():
    async with write_pipe() as (transport, protocol, reader):
        assert isinstance(transport, asyncio.WriteTransport)
        assert isinstance(transport, asyncio.Transport)
        for data in (b"bytes ", bytearray(b"bytearray "), memoryview(b"memoryview"), b""):
            transport.write(data)
        transport.writelines([b" and", b" lines"])
        transport.close()
        assert await drain_pipe(reader) == b"bytes bytearray memoryview and lines"
        assert await protocol.lost is None
        assert protocol.events == ["made", "lost"]


@pytest.mark.parametrize("ending", ["close", "write_eof"])
async def test_close_and_write_eof_send_what_was_written(ending):
    async with write_pipe() as (transport, protocol, reader):
        assert transport.can_write_eof()
        size = await fill_pipe(transport)
        transport.write(b"the end")
        getattr(transport, ending)()
        assert transport.is_closing()
        assert not protocol.lost.done()
        assert (await drain_pipe(reader))[size:] == b"the end"
        assert await protocol.lost is None


async def test_abort_discards_what_was_not_sent():
    async with write_pipe() as (transport, protocol, reader):
        size = await fill_pipe(transport)
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        assert await protocol.lost is None
        assert len(await drain_pipe(reader)) < size


async def test_a_pipe_without_reader_ends_the_transport():
    async with write_pipe() as (_, protocol, reader):
        reader.close()
        assert await protocol.lost is None
        assert protocol.events == ["made", "lost"]


async def test_a_pipe_whose_reader_leaves_loses_what_waits():
    async with write_pipe() as (transport, protocol, reader):
        await fill_pipe(transport)
        reader.close()
        assert isinstance(await protocol.lost, BrokenPipeError)
        assert transport.get_write_buffer_size() == 0


async def test_a_write_to_a_pipe_without_reader_is_no_error_of_the_caller():
    async with write_pipe() as (transport, protocol, reader):
        reader.close()
        transport.write(b"nobody listens")
        assert isinstance(await protocol.lost, BrokenPipeError)


async def test_repeated_writes_after_the_end_are_logged(caplog):
    async with write_pipe() as (transport, protocol, _):
        transport.close()
        for _ in range(7):
            transport.write(b"ignored")
        await protocol.lost
        messages = [record.getMessage() for record in caplog.records]
        assert set(messages) == {"pipe closed by peer or os.write(pipe, data) raised exception."}
        assert len(messages) in (2, 3)


async def test_writing_to_a_pipe_is_paused_and_resumed():
    async with write_pipe() as (transport, protocol, reader):
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
        transport.set_write_buffer_limits(high=1_000_000)
        size = await fill_pipe(transport)
        transport.write(bytes(1_000_000))
        assert protocol.events == ["made", "pause"]
        await drain_pipe(reader, size + 1_000_000)
        await polled()
        assert protocol.events == ["made", "pause", "resume"]
        assert transport.get_write_buffer_size() == 0


async def test_a_pipe_can_be_left_to_its_object(loop):
    read_end, write_end = (io.FileIO(fd, mode) for fd, mode in zip(os.pipe(), "rw"))
    with read_end, write_end:
        reader, _ = await loop.connect_read_pipe(Recorder, read_end)
        writer, _ = await loop.connect_write_pipe(Recorder, write_end)
        reader.pause_reading()
        loop._remove_reader(write_end.fileno())  # asyncio's own watches for the other end's closing
        reader._pipe = writer._pipe = None
        assert "closed" in repr(reader)
        await polled()
        del reader, writer
        gc.collect()  # without a ResourceWarning
        write_end.write(b"still open")
        assert read_end.read(20) == b"still open"


# asyncio's transport, half made, fails once more when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
def test_a_closed_pipe_is_refused(loop, method):
    closed = socket.socket()
    closed.close()
    with pytest.raises(OSError) as caught:
        loop.run_until_complete(getattr(loop, method)(asyncio.Protocol, closed))
    assert (type(caught.value), caught.value.args) == (OSError, (errno.EBADF, "Bad file descriptor"))
