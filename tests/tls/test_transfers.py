"""Data through TLS: every kind of buffer and write, flow control, files; whole and in order."""

from __future__ import annotations

import asyncio
import random
import ssl

import hypothesis
import pytest
from hypothesis import strategies as st

from support.certificates import client_context, limited, server_context
from support.protocols import BufferedRecorder, Recorder
from support.sockets import polled
from support.tls_peer import better_than_asyncio, each_role, facing, loss

pytestmark = pytest.mark.timeout(60)
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
each_end = pytest.mark.parametrize("role, version", [("client", NEW), ("client", OLD), ("server", NEW)])

KINDS = [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))]


def end(role, version=NEW, factory=Recorder, **options):
    peer_context = client_context() if role == "server" else server_context()
    return facing(factory, role, peer_context=limited(peer_context, version), **options)


@each_end
@pytest.mark.parametrize("size", [1, 7, 100, 16_384, 16_385, 1_000_000])
async def test_a_buffer_of_each_size(role, version, size):
    data = bytes(range(250)) * (400 if size > 7 else 20)
    async with end(role, version, lambda: BufferedRecorder(size)) as (protocol, peer):
        task = asyncio.ensure_future(peer.send(data))
        assert await protocol.bytes_received(len(data)) == data
        await task
        assert max(protocol.hints) <= 1 << 20
        await peer.say_goodbye()
        assert await loss(protocol) is None
        assert protocol.events == ["made", "data", "eof", "lost"]


@each_role
@pytest.mark.parametrize("bad", [memoryview(b"read-only"), None, 5])
async def test_a_buffer_that_is_none(role, bad, loop_errors):
    """The connection ends with the error, which is reported; its text is that of whoever fills the buffer."""

    class Bad(BufferedRecorder):
        good = True

        def get_buffer(self, sizehint):
            return super().get_buffer(sizehint) if self.good else bad

    async with end(role, factory=Bad) as (protocol, peer):
        await peer.send(b"good")
        await protocol.bytes_received(4)
        protocol.good = False
        await peer.send(b"data")
        error = await loss(protocol)
        assert isinstance(error, (TypeError, BufferError))
        assert protocol.events == ["made", "data", "lost"]
        assert [(each["message"], each["exception"]) for each in loop_errors] == [
            ("Fatal error on SSL protocol", error)
        ]
        loop_errors.clear()


@each_end
async def test_every_kind_of_data_can_be_written(role, version):
    expected = bytearray()
    async with end(role, version) as (protocol, peer):
        for number in range(200):
            piece = b"%d;" % number * (number % 7)
            kind = KINDS[number % len(KINDS)]
            if number % 3:
                protocol.transport.write(kind(piece))
                expected += piece
            else:
                protocol.transport.writelines([kind(piece), b"", bytearray(b"|"), memoryview(piece)])
                expected += piece + b"|" + piece
        protocol.transport.writelines([])
        protocol.transport.write(b"")
        protocol.transport.writelines(iter([b"x", b"y"]))
        assert await peer.read_exactly(len(expected) + 2) == expected + b"xy"


@each_role
async def test_a_view_of_wider_items_is_written_whole(role):
    numbers = memoryview(bytearray(range(64))).cast("I")
    async with end(role) as (protocol, peer):
        protocol.transport.write(memoryview(bytearray(64)).cast("B"))
        protocol.transport.write(numbers.cast("B"))
        assert await peer.read_exactly(128) == bytes(64) + bytes(range(64))


@better_than_asyncio
@each_role
@pytest.mark.parametrize("method", ["write", "writelines"])
@pytest.mark.parametrize("size", [100, 3_000_000])
async def test_a_bytearray_may_be_changed_afterwards(role, method, size):
    """asyncio keeps a reference to what waits, and sends what it has become."""
    async with end(role) as (protocol, peer):
        data = bytearray(b"a" * size)
        protocol.transport.write(data) if method == "write" else protocol.transport.writelines([data])
        data[:] = b"b" * size
        data.clear()
        assert await peer.read_exactly(size) == b"a" * size


@each_role
@pytest.mark.parametrize("bad", ["text", None, 5, object(), ["list"]])
async def test_other_types_are_refused_and_leave_no_trace(role, bad):
    async with end(role) as (protocol, peer):
        with pytest.raises(TypeError, match=r"^data: expecting a bytes-like instance, got \w+$"):
            protocol.transport.write(bad)
        assert protocol.transport.get_write_buffer_size() == 0
        protocol.transport.write(b"fine")
        assert await peer.read_exactly(4) == b"fine"


@each_end
async def test_the_marks_are_kept(role, version):
    """pause_writing() above the high one, resume_writing() at the low one, and nothing twice."""
    async with end(role, version) as (protocol, peer):
        transport = protocol.transport
        assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
        transport.set_write_buffer_limits(high=200_000, low=50_000)
        assert transport.get_write_buffer_limits() == (50_000, 200_000)
        total = 0
        while protocol.events[-1] != "pause":
            before = transport.get_write_buffer_size()
            transport.write(bytes(10_000))
            total += 10_000
            assert before < 200_000
        assert transport.get_write_buffer_size() >= 200_000
        received = 0
        while protocol.events[-1] == "pause":
            received += len(await peer.read())
            await polled(1)
        assert transport.get_write_buffer_size() <= 50_000
        received += len(await peer.read_exactly(total - received))
        await polled()
        assert received == total
        assert transport.get_write_buffer_size() == 0
        assert protocol.events == ["made", "pause", "resume"]


@each_role
async def test_limits_that_cannot_be(role):
    async with end(role) as (protocol, _):
        transport = protocol.transport
        for arguments in ({"high": 1, "low": 2}, {"low": -1}, {"high": -1}):
            with pytest.raises(ValueError, match="must be >= "):
                transport.set_write_buffer_limits(**arguments)
        transport.set_write_buffer_limits(low=100)
        assert transport.get_write_buffer_limits() == (100, 400)
        transport.set_write_buffer_limits()
        assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)


@each_role
async def test_a_paused_reader_holds_its_peer_back(role):
    """What is received and not wanted stays small: the peer cannot send on."""
    async with end(role) as (protocol, peer):
        protocol.transport.pause_reading()
        data = bytes(20_000_000)
        task = asyncio.ensure_future(peer.send(data))
        for _ in range(50):
            await polled(1)
        assert not task.done()
        assert protocol.events == ["made"]
        protocol.transport.resume_reading()
        assert len(await protocol.bytes_received(len(data))) == len(data)
        await task


@each_end
@pytest.mark.parametrize("offset, count", [(0, None), (1000, 50_000), (299_000, 5000)])
async def test_a_file_is_sent(loop, tmp_path, role, version, offset, count):
    content = random.Random(1).randbytes(300_000)
    path = tmp_path / "file"
    path.write_bytes(content)
    expected = content[offset:] if count is None else content[offset : offset + count]
    async with end(role, version) as (protocol, peer):
        protocol.transport.write(b"before;")
        with path.open("rb") as file:
            reading = asyncio.ensure_future(peer.read_exactly(len(expected) + 14))
            sent = await loop.sendfile(protocol.transport, file, offset, count)
            assert sent == len(expected)
            assert file.tell() == offset + sent
        protocol.transport.write(b";behind")
        assert await reading == b"before;" + expected + b";behind"
        assert protocol.transport.get_protocol() is protocol


async def test_a_file_goes_no_other_way_than_the_fallback(loop, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    async with end("client") as (protocol, peer):
        with path.open("rb") as file, pytest.raises(RuntimeError, match="fallback is disabled"):
            await loop.sendfile(protocol.transport, file, fallback=False)
        protocol.transport.write(b"x")
        assert await peer.read_exactly(1) == b"x"


SIZES = st.one_of(st.integers(0, 40), st.integers(16_370, 16_400), st.integers(0, 150_000))
PIECES = st.lists(st.tuples(st.sampled_from(["write", "writelines", "turn", "peer"]), SIZES), max_size=25)


@hypothesis.settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    pieces=PIECES,
    role=st.sampled_from(["client", "server"]),
    version=st.sampled_from([OLD, NEW]),
    buffer=st.sampled_from([0, 1, 7, 1000, 70_000]),
)
def test_any_sizes_in_any_order(loop, pieces, role, version, buffer):
    """Both ends write whatever they like; each gets the other's bytes, all of them, in order."""
    rng = random.Random(len(pieces))
    factory = (lambda: BufferedRecorder(buffer)) if buffer else Recorder

    async def exchange():
        outgoing, incoming = bytearray(), bytearray()
        async with end(role, version, factory) as (protocol, peer):
            queue = asyncio.Queue()

            async def say():
                while (data := await queue.get()) is not None:
                    await peer.send(data)

            saying = asyncio.ensure_future(say())
            for what, size in pieces:
                if what == "turn":
                    await asyncio.sleep(0)
                    continue
                data = rng.randbytes(size if what != "peer" or buffer not in (1, 7) else size % 3000)
                if what == "peer":
                    incoming += data
                    queue.put_nowait(data)
                elif what == "write":
                    outgoing += data
                    protocol.transport.write(rng.choice(KINDS)(data))
                else:
                    outgoing += data
                    cut = size // 3
                    protocol.transport.writelines([data[:cut], memoryview(data)[cut:]])
            queue.put_nowait(None)
            assert await peer.read_exactly(len(outgoing)) == outgoing
            await saying
            assert await protocol.bytes_received(len(incoming)) == incoming
            protocol.transport.close()
            assert await peer.read() == b""
            await peer.say_goodbye()
            assert await loss(protocol) is None
            assert protocol.transport.get_write_buffer_size() == 0

    loop.run_until_complete(asyncio.wait_for(exchange(), 20))
