"""What datagram and pipe transports hold, and for how long; what becomes of them when their loop closes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import os
import socket
import sys
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from support.descriptors import is_open, none_leaked
from support.protocols import DatagramRecorder, Recorder
from support.sockets import polled

pytestmark = pytest.mark.timeout(30)

KINDS = ("datagram", "read_pipe", "write_pipe")


class Plain(asyncio.Protocol):
    """Keeps nothing."""


class PlainDatagrams(asyncio.DatagramProtocol):
    """Keeps nothing."""


@dataclass
class Open:
    """A transport, its protocol, the number of its descriptor, and the other end (None for datagrams)."""

    transport: Any
    protocol: Any
    number: int
    other: int | None

    def close_other(self) -> None:
        if self.other is not None:
            os.close(self.other)
            self.other = None


async def make(kind: str, plain: bool = False) -> Open:
    loop = asyncio.get_running_loop()
    if kind == "datagram":
        datagrams = PlainDatagrams if plain else DatagramRecorder
        transport, protocol = await loop.create_datagram_endpoint(datagrams, ("127.0.0.1", 0))
        return Open(transport, protocol, transport.get_extra_info("socket").fileno(), None)
    factory: Any = Plain if plain else Recorder
    read_end, write_end = os.pipe()
    if kind == "read_pipe":
        transport, protocol = await loop.connect_read_pipe(factory, io.FileIO(read_end, "r"))
        return Open(transport, protocol, read_end, write_end)
    transport, protocol = await loop.connect_write_pipe(factory, io.FileIO(write_end, "w"))
    return Open(transport, protocol, write_end, read_end)


@contextlib.contextmanager
def resource_warnings() -> Iterator[list[str]]:
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(warning.message) for warning in caught if warning.category is ResourceWarning]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_finished_transport_holds_nothing_and_is_freed(kind):
    with none_leaked():
        opened = await make(kind)
        opened.transport.close()
        assert await opened.protocol.lost is None
        protocol_gone = weakref.ref(opened.protocol)
        transport_gone = weakref.ref(opened.transport)
        opened.protocol.transport = None
        opened.protocol = None
        gc.collect()
        assert protocol_gone() is None
        assert opened.transport.get_protocol() is None
        opened.transport = None
        gc.collect()
        assert transport_gone() is None
        opened.close_other()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_open_transport_is_kept_by_its_loop(kind):
    opened = await make(kind)
    alive = weakref.ref(opened.transport)
    opened.transport = opened.protocol.transport = None
    gc.collect()
    assert alive() is not None
    alive().close()
    await opened.protocol.lost
    opened.close_other()


@pytest.mark.parametrize("kind", ["datagram", "read_pipe"])
async def test_a_paused_transport_in_a_cycle_is_collected(kind):
    opened = await make(kind, plain=True)
    opened.transport.pause_reading()
    opened.transport.get_protocol().mine = opened.transport
    gone = weakref.ref(opened.transport)
    with resource_warnings() as texts:
        opened.transport = opened.protocol = None
        gc.collect()
    gc.collect()  # The warning that was recorded held it; Python 3.15 keeps the weak reference until the end.
    assert gone() is None
    assert any("unclosed transport" in text for text in texts)
    assert not is_open(opened.number)
    opened.close_other()


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_can_be_closed_while_a_transport_is_open(loop_factory, kind):
    with none_leaked():
        loop = loop_factory()
        opened = loop.run_until_complete(make(kind, plain=True))
        loop.close()
        assert not opened.transport.is_closing()
        assert repr(opened.transport).startswith("<")
        with resource_warnings() as texts:
            opened.transport = opened.protocol = None
            gc.collect()
        assert any("unclosed transport" in text for text in texts)
        assert not is_open(opened.number)
        opened.close_other()


@pytest.mark.native_only
@pytest.mark.parametrize("kind", KINDS)
def test_closing_a_transport_after_its_loop_frees_its_descriptor(loop_factory, kind):
    with none_leaked(), resource_warnings():
        loop = loop_factory()
        opened = loop.run_until_complete(make(kind, plain=True))
        loop.close()
        opened.transport.close()
        opened.transport = opened.protocol = None
        gc.collect()
        assert not is_open(opened.number)
        opened.close_other()


@pytest.mark.parametrize("kind", KINDS)
def test_a_transport_whose_loop_never_ran_again_is_freed(loop_factory, kind):
    """connection_lost() was scheduled, and the loop closed before it could be called."""
    with none_leaked():
        with resource_warnings():  # A warning that was recorded holds its transport.
            loop = loop_factory()
            opened = loop.run_until_complete(make(kind, plain=True))
            gone = weakref.ref(opened.transport)
            opened.transport.close()
            loop.close()
            opened.transport = opened.protocol = None
            gc.collect()
        gc.collect()
        assert gone() is None
        assert not is_open(opened.number)
        opened.close_other()


@pytest.mark.parametrize("ending", ["abort", "close"])
async def test_datagrams_that_wait_are_given_back(loop, ending):
    near, far = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    far.bind(f"\0veloop-given-back-{os.getpid()}")
    near.connect(far.getsockname())
    near.setblocking(False)
    with far:
        with contextlib.suppress(BlockingIOError):
            while True:
                near.send(b"filler")
        transport, protocol = await loop.create_datagram_endpoint(DatagramRecorder, sock=near)
        data = [bytes([number]) * 100 for number in range(5)]
        before = [sys.getrefcount(each) for each in data]
        for each in data:
            transport.sendto(each)
        del each
        assert [sys.getrefcount(each) for each in data] > before
        getattr(transport, ending)()
        far.setblocking(False)
        while not protocol.lost.done():
            with contextlib.suppress(BlockingIOError):
                far.recv(1000)
            await polled(1)
        gc.collect()
        assert [sys.getrefcount(each) for each in data] == before


async def test_a_pipe_gives_back_what_it_could_not_write():
    opened = await make("write_pipe")
    data = bytearray(1_000_000)
    opened.transport.write(data)
    data.append(1)  # a buffer that is exported cannot be resized
    chunk = bytes(1000)
    before = sys.getrefcount(chunk)
    opened.transport.write(chunk)
    opened.transport.abort()
    await opened.protocol.lost
    gc.collect()
    assert sys.getrefcount(chunk) == before
    opened.close_other()


@pytest.mark.parametrize("kind", KINDS)
async def test_attributes_and_weak_references_are_had(kind):
    opened = await make(kind)
    opened.transport.mine = "attribute"
    assert opened.transport.mine == "attribute"
    assert weakref.ref(opened.transport)() is opened.transport
    opened.transport.close()
    await opened.protocol.lost
    opened.close_other()


async def test_both_transports_of_a_terminal_may_share_its_descriptor(loop):
    """A serial line or a terminal's controlling end is one descriptor that is read and written."""
    with none_leaked():
        near, far = socket.socketpair()
        far.setblocking(False)
        shared = near.detach()
        reader, reading = await loop.connect_read_pipe(Recorder, io.FileIO(shared, "r", closefd=False))
        far.send(b"to the reader")
        assert await reading.bytes_received(13) == b"to the reader"
        writer, writing = await loop.connect_write_pipe(Recorder, io.FileIO(shared, "w", closefd=False))
        writer.write(b"from the writer")
        assert far.recv(100) == b"from the writer"
        for transport, protocol in ((writer, writing), (reader, reading)):
            transport.close()
            await protocol.lost
        os.close(shared)
        far.close()
