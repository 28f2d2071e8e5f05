"""What may be connected as a pipe: sockets, terminals, devices; and who closes it."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import re
import socket
import stat
import tempfile
import tty
import warnings

import pytest

from support.descriptors import is_open, none_leaked
from support.pipes import read_pipe, write_pipe
from support.protocols import Recorder
from support.sockets import polled

pytestmark = pytest.mark.timeout(30)


async def test_a_socket_can_be_connected_as_a_pipe(loop):
    near, far = socket.socketpair()
    with far:
        transport, protocol = await loop.connect_read_pipe(Recorder, near)
        assert transport.get_extra_info("pipe") is near
        far.send(b"data")
        far.shutdown(socket.SHUT_WR)
        assert await protocol.lost is None
        assert protocol.received == b"data"
        assert near.fileno() == -1
    near, far = socket.socketpair()
    with far:
        transport, protocol = await loop.connect_write_pipe(Recorder, near)
        transport.write(b"data")
        assert far.recv(10) == b"data"
        far.close()
        assert await protocol.lost is None
        assert near.fileno() == -1


async def test_a_terminal_can_be_connected(loop):
    try:
        one, other = os.openpty()
    except OSError as exc:
        pytest.skip(f"not to be had on this machine: {exc}")
    tty.setraw(other)
    writer, writing = await loop.connect_write_pipe(Recorder, io.FileIO(other, "w"))
    reader, reading = await loop.connect_read_pipe(Recorder, io.FileIO(one, "r"))
    writer.write(b"line\n")
    assert await reading.bytes_received(5) == b"line\n"
    writer.close()
    assert await writing.lost is None
    assert isinstance(await reading.lost, OSError)  # what Linux says when the other end is closed
    assert reader.is_closing()


async def test_null_can_be_written(loop):
    transport, protocol = await loop.connect_write_pipe(Recorder, io.FileIO(os.devnull, "w"))
    transport.write(bytes(1_000_000))
    assert transport.get_write_buffer_size() == 0
    transport.close()
    assert await protocol.lost is None


async def test_null_cannot_be_watched_for_reading(loop, loop_errors):
    """The kernel offers no notice for it: the transport is made, and its first look at the device fails."""
    transport, protocol = await loop.connect_read_pipe(Recorder, io.FileIO(os.devnull, "r"))
    (context,) = loop_errors
    loop_errors.clear()
    assert isinstance(context["exception"], PermissionError)
    transport.close()
    assert await protocol.lost is None
    assert protocol.events == ["made", "lost"]


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("connect_read_pipe", "Pipe transport is for pipes/sockets only."),
        ("connect_write_pipe", "Pipe transport is only for pipes, sockets and character devices"),
    ],
)
async def test_regular_files_are_refused(loop, method, text):
    with none_leaked(), tempfile.TemporaryFile() as file:
        with pytest.raises(ValueError, match=r".+") as caught:
            await getattr(loop, method)(Recorder, file)
        assert str(caught.value) == text
        assert not file.closed
        assert stat.S_ISREG(os.fstat(file.fileno()).st_mode)


async def test_pipes_become_non_blocking():
    async with read_pipe() as (transport, _, _):
        assert not os.get_blocking(transport.get_extra_info("pipe").fileno())
    async with write_pipe() as (transport, _, _):
        assert not os.get_blocking(transport.get_extra_info("pipe").fileno())


async def test_a_pipe_object_is_closed_once(loop):
    """The number of a closed pipe belongs to whoever gets it next."""
    with none_leaked():
        for method, mode, own in (("connect_read_pipe", "r", 0), ("connect_write_pipe", "w", 1)):
            ends = os.pipe()
            pipe = io.FileIO(ends[own], mode)
            transport, protocol = await getattr(loop, method)(Recorder, pipe)
            transport.close()
            await protocol.lost
            assert pipe.closed
            assert not is_open(ends[own])
            copies = [os.dup(ends[1 - own])]
            while copies[-1] != ends[own]:
                copies.append(os.dup(ends[1 - own]))
            pipe.close()
            transport.close()
            del pipe, transport, protocol
            gc.collect()
            await polled()
            for descriptor in (*copies, ends[1 - own]):
                os.close(descriptor)


@pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
async def test_a_dropped_pipe_transport_warns(loop, method):
    read_end, write_end = os.pipe()
    reading = method == "connect_read_pipe"
    pipe = io.FileIO(read_end, "r") if reading else io.FileIO(write_end, "w")
    transport, _ = await getattr(loop, method)(asyncio.Protocol, pipe)
    assert re.match(r"<\w+ fd=\d+ ", repr(transport))
    del pipe
    if reading:
        transport.pause_reading()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if not reading:
            transport.abort()
            await polled()
        del transport
        gc.collect()
    found = [str(warning.message) for warning in caught if "unclosed transport" in str(warning.message)]
    assert len(found) == int(reading)
    os.close(write_end if reading else read_end)
