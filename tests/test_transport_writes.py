"""Writing to a stream transport: what may be written, when, and that every byte arrives in order."""

from __future__ import annotations

import array
import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import weakref

import pytest

from support.protocols import Recorder, half_open
from support.sockets import KINDS, both_ends, connected, fill, polled, read_exactly, read_to_end
from support.turns import run_once

pytestmark = pytest.mark.timeout(60)
each_kind = pytest.mark.parametrize("kind", KINDS)

WRITE_TYPES = (
    "data argument must be a bytes, bytearray, or memoryview object, not {!r}"
    if sys.version_info >= (3, 14)
    else "data argument must be a bytes-like object, not {!r}"
)
FAILED_SEND = "socket.send() raised exception."


@each_kind
@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))])
async def test_bytes_like_objects_are_written(kind, make):
    async with connected(kind=kind) as (transport, _, far):
        transport.write(make(b"some data"))
        transport.close()
        assert await read_to_end(far) == b"some data"


@pytest.mark.parametrize(
    "view",
    [
        memoryview(b"0123456789")[2:5],
        memoryview(b"0123456789").cast("B", (2, 5)),
        memoryview(array.array("b", b"abc")),
        memoryview(b""),
    ],
)
async def test_views_are_written_as_their_bytes(view):
    async with connected() as (transport, _, far):
        transport.write(view)
        transport.close()
        assert await read_to_end(far) == view.tobytes()


async def test_a_view_of_large_items_is_written_whole():
    async with connected() as (transport, _, far):
        view = memoryview(array.array("i", range(100)))
        transport.write(view)
        transport.close()
        assert await read_to_end(far) == view.tobytes()


@pytest.mark.parametrize("method", ["write", "writelines"])
async def test_a_view_with_gaps_does_not_end_up_as_wrong_bytes(method, loop_errors):
    """asyncio's own loop fails the connection (the kernel wants contiguous bytes); sending is fine too."""
    async with connected() as (transport, protocol, far):
        view = memoryview(b"0-1-2-3-")[::2]
        try:
            transport.write(view) if method == "write" else transport.writelines([view])
        except (BufferError, TypeError, ValueError):
            pass
        transport.close()
        await protocol.lost
        assert await read_to_end(far) in (b"", b"0123")
        loop_errors.clear()


@pytest.mark.parametrize("data", [b"", bytearray(), memoryview(b"")])
async def test_nothing_is_written_for_an_empty_object(data):
    async with connected() as (transport, _, far):
        transport.write(data)
        transport.write(b"something")
        transport.close()
        assert await read_to_end(far) == b"something"


@pytest.mark.parametrize("data", ["text", None, 3, [b"x"], array.array("b", b"x")])
async def test_other_types_are_refused(data):
    async with connected() as (transport, protocol, far):
        with pytest.raises(TypeError) as caught:
            transport.write(data)
        assert str(caught.value) == WRITE_TYPES.format(type(data).__name__)
        assert not transport.is_closing()
        transport.write(b"fine")
        assert await read_exactly(far, 4) == b"fine"
        assert protocol.events == ["made"]


@each_kind
@pytest.mark.parametrize(
    "make", [list, tuple, iter, lambda chunks: (bytearray(chunk) for chunk in chunks)], ids=lambda make: None
)
async def test_lines_are_written_in_order(kind, make):
    chunks = [b"one ", b"two ", b"three"]
    async with connected(kind=kind) as (transport, _, far):
        transport.write(b"zero ")
        transport.writelines(make(chunks))
        transport.close()
        assert await read_to_end(far) == b"zero one two three"


async def test_thousands_of_lines_are_written():
    async with connected() as (transport, protocol, far):
        lines = [b"%d\n" % number for number in range(5_000)]
        transport.writelines(lines)
        assert await read_exactly(far, len(b"".join(lines))) == b"".join(lines)
        assert transport.get_write_buffer_size() == 0
        assert not protocol.lost.done()


async def test_large_lines_are_written_after_what_waits():
    async with connected() as (transport, _, far):
        size = await fill(transport)
        transport.writelines([b"a" * 100_000, b"b" * 100_000])
        transport.write(b"c")
        transport.close()
        data = await read_to_end(far)
        assert data[size:] == b"a" * 100_000 + b"b" * 100_000 + b"c"


async def test_writelines_of_nothing_writes_nothing():
    async with connected() as (transport, protocol, far):
        transport.writelines([])
        transport.write(b"x")
        assert await read_exactly(far, 1) == b"x"
        assert protocol.events == ["made"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 joins the lines with b''.join")
async def test_writelines_refuses_text():
    async with connected() as (transport, _, far):
        with pytest.raises(TypeError, match="bytes-like object"):
            transport.writelines(["text"])
        transport.write(b"x")
        assert await read_exactly(far, 1) == b"x"


@each_kind
async def test_fifty_megabytes_reach_a_slow_reader(kind):
    async with both_ends(kind=kind) as (left, right):
        block = bytes(range(256)) * 4096
        for _ in range(50):
            left.transport.write(block)
        left.transport.close()
        for pause in range(1, 20):
            await right.bytes_received(pause << 20)
            right.transport.pause_reading()
            await asyncio.sleep(0)
            right.transport.resume_reading()
        assert await right.lost is None
        assert right.received == block * 50
        assert await left.lost is None


async def test_a_written_bytearray_may_be_changed_afterwards(on_veloop):
    if not on_veloop and sys.version_info >= (3, 12):
        pytest.skip("asyncio's own loop keeps a reference to the caller's buffer since 3.12")
    async with connected() as (transport, _, far):
        size = await fill(transport)
        data = bytearray(b"a" * 100_000)
        transport.write(data)
        transport.write(memoryview(data))
        data[:] = b"b" * 100_000
        data.clear()
        transport.close()
        assert (await read_to_end(far))[size:] == b"a" * 200_000


async def test_what_was_sent_is_not_kept():
    class Data(bytearray):
        pass

    async with connected() as (transport, _, far):
        data = Data(b"a" * 1_000_000)
        alive = weakref.ref(data)
        transport.write(data)
        del data
        assert len(await read_exactly(far, 1_000_000)) == 1_000_000
        await polled()
        gc.collect()
        assert alive() is None
        assert transport.get_write_buffer_size() == 0


@each_kind
async def test_the_end_of_the_stream_follows_the_data(kind):
    async with connected(kind=kind) as (transport, _, far):
        assert transport.can_write_eof() is True
        size = await fill(transport)
        transport.write_eof()
        assert len(await read_to_end(far)) == size
        far.send(b"answer")
        protocol = transport.get_protocol()
        assert await protocol.bytes_received(6) == b"answer"
        assert not transport.is_closing()


async def test_write_eof_may_be_repeated():
    async with connected() as (transport, _, far):
        transport.write_eof()
        transport.write_eof()
        assert await read_to_end(far) == b""
        transport.close()
        transport.write_eof()


@pytest.mark.parametrize("data", [b"more", b""])
async def test_nothing_can_be_written_after_write_eof(data):
    async with connected() as (transport, protocol, far):
        transport.write_eof()
        with pytest.raises(RuntimeError, match=r"^Cannot call write\(\) after write_eof\(\)$"):
            transport.write(data)
        with pytest.raises(TypeError):
            transport.write("text")
        assert await read_to_end(far) == b""
        assert not protocol.lost.done()


async def test_no_lines_can_be_written_after_write_eof():
    method = "writelines" if sys.version_info >= (3, 12) else "write(lines)?"
    async with connected() as (transport, _, _):
        transport.write_eof()
        with pytest.raises(RuntimeError, match=rf"^Cannot call {method}\(\) after write_eof\(\)$"):
            transport.writelines([b"more"])


async def test_what_is_written_while_a_close_waits_is_sent():
    async with connected() as (transport, protocol, far):
        size = await fill(transport)
        transport.close()
        transport.write(b"last")
        assert (await read_to_end(far))[size:] == b"last"
        assert await protocol.lost is None


@pytest.mark.parametrize("ending", ["close", "abort"])
async def test_what_is_written_after_the_end_is_ignored(ending, caplog):
    async with connected() as (transport, protocol, far):
        getattr(transport, ending)()
        transport.write(b"ignored")
        await protocol.lost
        transport.write(b"ignored")
        transport.write_eof()
        assert await read_to_end(far) == b""
        assert transport.get_write_buffer_size() == 0
        assert protocol.events == ["made", "lost"]
        assert not caplog.records


@pytest.mark.parametrize("ending", ["close", "abort"])
async def test_repeated_writes_after_the_end_are_logged(ending, caplog):
    caplog.set_level(logging.WARNING, "asyncio")
    async with connected() as (transport, protocol, _):
        getattr(transport, ending)()
        for _ in range(4):
            transport.write(b"ignored")
        assert not caplog.records
        for _ in range(3):
            transport.write(b"ignored")
        assert [record.getMessage() for record in caplog.records] == [FAILED_SEND] * 3
        assert {(record.name, record.levelname) for record in caplog.records} == {("asyncio", "WARNING")}
        await protocol.lost


async def test_writes_after_a_failed_one_are_logged(caplog):
    caplog.set_level(logging.WARNING, "asyncio")
    async with connected(half_open, "unix") as (transport, protocol, far):
        far.close()
        await protocol.eof
        for _ in range(7):
            transport.write(b"nobody listens")
        assert isinstance(await protocol.lost, BrokenPipeError)
        for _ in range(3):
            transport.write(b"nobody listens")
        messages = [record.getMessage() for record in caplog.records]
        assert set(messages) == {FAILED_SEND}
        assert 4 <= len(messages) <= 5  # one less where a turn's writes are sent together at its end


async def test_a_write_that_fails_is_seen_at_once():
    async with connected(half_open, "unix") as (transport, protocol, far):
        far.close()
        await protocol.eof
        transport.write(b"nobody listens")
        assert transport.is_closing()
        assert isinstance(await protocol.lost, BrokenPipeError)


async def test_a_write_of_a_wrong_type_is_refused_after_the_end():
    async with connected() as (transport, protocol, _):
        transport.close()
        with pytest.raises(TypeError):
            transport.write("text")
        await protocol.lost
        with pytest.raises(TypeError):
            transport.write(None)


async def test_data_written_in_connection_made_is_sent_first():
    class Greeter(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"hello ")

    async with connected(Greeter) as (transport, _, far):
        transport.write(b"world")
        transport.close()
        assert await read_to_end(far) == b"hello world"


async def test_data_written_in_eof_received_is_sent_before_the_end():
    class Farewell(Recorder):
        def eof_received(self):
            self.transport.write(b"farewell")
            return super().eof_received()

    async with both_ends(Farewell) as (left, right):
        right.transport.write_eof()
        assert await right.lost is None
        assert right.received == b"farewell"
        assert left.events == ["made", "eof", "lost"]


async def test_interleaved_writes_of_many_sizes_keep_their_order():
    async with both_ends() as (left, right):
        expected = bytearray()
        for number in range(2_000):
            piece = bytes([number % 256]) * (number * 7 % 1_500)
            expected += piece
            left.transport.write(piece)
            if number % 100 == 0:
                await asyncio.sleep(0)
        left.transport.writelines([b"the", b"end"])
        left.transport.close()
        await right.lost
        assert right.received == expected + b"theend"


@pytest.mark.native_only
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the process's size from /proc")
@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="the sanitizer keeps what is freed")
def test_a_queue_that_is_never_empty_does_not_grow(loop):
    near, far = socket.socketpair()
    far.setblocking(False)
    transport, _ = loop.run_until_complete(loop.create_unix_connection(asyncio.Protocol, sock=near))
    transport.write(bytes(1_000_000))

    def pump(rounds):
        """Writes as much as the peer reads, in small pieces."""
        for _ in range(rounds):
            with contextlib.suppress(BlockingIOError):
                got = len(far.recv(6400))
                for _ in range(got // 100):
                    transport.write(b"x" * 100)
            run_once(loop)
        assert transport.get_write_buffer_size() > 100_000

    def size():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    pump(2000)
    before = size()
    pump(6000)  # 384,000 pieces: 24 bytes each, were their places kept
    grown = size() - before
    transport.abort()
    run_once(loop)
    far.close()
    assert grown < 4_000_000
