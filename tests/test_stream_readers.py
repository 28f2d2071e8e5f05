"""What arrives for a StreamReader: veloop puts it into the reader's buffer itself, unless anything of what
asyncio would run for it was replaced, or stands in the way; then it calls ``data_received()``.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import sys
import textwrap
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from support.sockets import polled, socket_pair

pytestmark = pytest.mark.timeout(30)

FAILED = "Fatal error: protocol.data_received() call failed."


@contextlib.asynccontextmanager
async def stream(
    protocol_type: Any = asyncio.StreamReaderProtocol,
    reader_type: Any = asyncio.StreamReader,
    **options: Any,
) -> AsyncIterator[tuple[Any, Any, Any]]:
    """A reader, its transport, and the plain socket at the other end."""
    loop = asyncio.get_running_loop()
    near, far = socket_pair("unix")
    reader = reader_type(loop=loop, **options)
    transport, protocol = await loop.create_connection(lambda: protocol_type(reader, loop=loop), sock=near)
    with far:
        try:
            yield reader, transport, far
        finally:
            transport.abort()
            while not protocol._closed.done():
                await asyncio.sleep(0)
            # A patched method of an instance refers to it.
            vars(reader).clear()
            vars(protocol).pop("data_received", None)


@contextlib.contextmanager
def calls() -> Iterator[Counter[str]]:
    """How often which function of asyncio.streams is entered."""
    counted: Counter[str] = Counter()

    def count(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_globals is vars(asyncio.streams):
            counted[frame.f_code.co_name] += 1

    sys.setprofile(count)
    try:
        yield counted
    finally:
        sys.setprofile(None)


AS_IT_IS_KNOWN = {
    asyncio.StreamReaderProtocol.data_received: """
        def data_received(self, data):
            reader = self._stream_reader
            if reader is not None:
                reader.feed_data(data)
    """,
    asyncio.StreamReaderProtocol._stream_reader.fget: """
        @property
        def _stream_reader(self):
            if self._stream_reader_wr is None:
                return None
            return self._stream_reader_wr()
    """,
    asyncio.StreamReader.feed_data: """
        def feed_data(self, data):
            assert not self._eof, 'feed_data after feed_eof'

            if not data:
                return

            self._buffer.extend(data)
            self._wakeup_waiter()

            if (self._transport is not None and
                    not self._paused and
                    len(self._buffer) > 2 * self._limit):
                try:
                    self._transport.pause_reading()
                except NotImplementedError:
                    self._transport = None
                else:
                    self._paused = True
    """,
    asyncio.StreamReader._wakeup_waiter: """
        def _wakeup_waiter(self):
            '''Wakeup read*() functions waiting for data or EOF.'''
            waiter = self._waiter
            if waiter is not None:
                self._waiter = None
                if not waiter.cancelled():
                    waiter.set_result(None)
    """,
}


@pytest.mark.parametrize("function", AS_IT_IS_KNOWN, ids=lambda function: function.__name__)
def test_asyncio_does_what_is_done_in_its_place(function):
    """If this fails, cpp/io/stream_reader.cpp has to follow."""
    now, known = (
        ast.dump(ast.parse(textwrap.dedent(source)))
        for source in (inspect.getsource(function), AS_IT_IS_KNOWN[function])
    )
    assert now == known


@pytest.mark.native_only
async def test_a_plain_reader_is_fed_without_python():
    async with stream() as (reader, _, far):
        with calls() as counted:
            far.send(b"one")
            assert await reader.read(10) == b"one"
            far.send(b"two\n")
            assert await reader.readline() == b"two\n"
        assert counted["read"] and counted["readline"]
        assert not counted.keys() & {"data_received", "feed_data", "_wakeup_waiter", "_stream_reader"}


async def test_data_waits_for_a_reader():
    async with stream() as (reader, _, far):
        for piece in (b"one", b"two", b"three"):
            far.send(piece)
            await polled()
        assert bytes(reader._buffer) == b"onetwothree"
        assert await reader.read(4) == b"onet"
        far.send(b"!")
        await polled()
        assert await reader.read(100) == b"wothree!"


async def test_lines_and_counts_are_put_together_from_pieces():
    async with stream() as (reader, _, far):

        async def arrive(*pieces: bytes) -> None:
            for piece in pieces:
                far.send(piece)
                await polled()

        sending = asyncio.create_task(arrive(b"li", b"ne\nab", b"cdef", b"gh--", b"rest"))
        assert await reader.readline() == b"line\n"
        assert await reader.readexactly(5) == b"abcde"
        assert await reader.readuntil(b"--") == b"fgh--"
        assert await reader.readexactly(4) == b"rest"
        await sending
        far.close()
        assert await reader.read() == b""


@pytest.mark.parametrize("limit", [10, 10.0, 2**100])
async def test_reading_pauses_above_twice_the_limit(limit):
    async with stream(limit=limit) as (reader, transport, far):
        far.send(bytes(15))
        await polled()
        far.send(bytes(5))
        await polled()
        assert len(reader._buffer) == 20
        assert transport.is_reading() and not reader._paused
        far.send(b"!")
        await polled()
        assert len(reader._buffer) == 21
        assert reader._paused == (limit == 10)
        assert transport.is_reading() == (limit > 10)
        assert len(await reader.readexactly(15)) == 15
        assert transport.is_reading() and not reader._paused


async def test_a_limit_that_is_set_later_counts():
    async with stream() as (reader, transport, far):
        far.send(bytes(50))
        await polled()
        reader._limit = 25
        far.send(b"!")
        await polled()
        assert not transport.is_reading() and reader._paused


async def test_a_reader_without_a_transport_pauses_nothing():
    async with stream(limit=10) as (reader, transport, far):
        reader._transport = None
        far.send(bytes(50))
        await polled()
        assert len(reader._buffer) == 50
        assert transport.is_reading() and not reader._paused


async def test_a_cancelled_waiter_is_left_alone(loop):
    async with stream() as (reader, _, far):
        reader._waiter = waiter = loop.create_future()
        waiter.cancel()
        far.send(b"data")
        await polled()
        assert waiter.cancelled()
        assert reader._waiter is None
        assert bytes(reader._buffer) == b"data"
        assert await reader.read(10) == b"data"


async def test_a_read_can_be_cancelled_while_data_comes():
    async with stream() as (reader, _, far):
        reading = asyncio.create_task(reader.read(10))
        await polled()
        far.send(b"data")
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await reader.read(10) == b"data"


async def test_a_waiter_that_is_done_is_an_error(loop, loop_errors):
    async with stream() as (reader, transport, far):
        reader._waiter = loop.create_future()
        reader._waiter.set_result(None)
        far.send(b"data")
        await polled()
        assert transport.is_closing()
        assert reader._waiter is None
        assert bytes(reader._buffer) == b"data"
        error = loop_errors.pop()
        assert error["message"] == FAILED
        assert isinstance(error["exception"], asyncio.InvalidStateError)


class OddWaiter:
    woken = False

    def cancelled(self) -> bool:
        return False

    def set_result(self, result: None) -> None:
        self.woken = True


async def test_a_waiter_need_not_be_a_future():
    async with stream() as (reader, _, far):
        reader._waiter = waiter = OddWaiter()
        far.send(b"data")
        await polled()
        assert waiter.woken
        assert reader._waiter is None


async def test_a_memory_view_of_the_buffer_ends_the_connection(loop_errors):
    async with stream() as (reader, transport, far):
        far.send(b"one")
        await polled()
        with memoryview(reader._buffer) as view:
            far.send(b"two")
            await polled()
            assert bytes(view) == b"one"
        assert transport.is_closing()
        error = loop_errors.pop()
        assert error["message"] == FAILED
        assert isinstance(error["exception"], BufferError)
        assert isinstance(reader.exception(), BufferError)


async def test_data_after_an_exception_is_kept():
    async with stream() as (reader, _, far):
        reader.set_exception(OSError("broken"))
        far.send(b"data")
        await polled()
        assert bytes(reader._buffer) == b"data"
        with pytest.raises(OSError, match="broken"):
            await reader.read(10)


async def test_an_exception_wakes_who_waits():
    async with stream() as (reader, _, far):
        reading = asyncio.create_task(reader.read(10))
        await polled()
        reader.set_exception(OSError("broken"))
        far.send(b"data")
        with pytest.raises(OSError, match="broken"):
            await reading
        await polled()
        assert bytes(reader._buffer) == b"data"


@pytest.mark.skipif(not __debug__, reason="asyncio asserts it")
async def test_data_after_the_end_is_an_error(loop_errors):
    async with stream() as (reader, transport, far):
        reader.feed_eof()
        far.send(b"data")
        await polled()
        assert transport.is_closing()
        error = loop_errors.pop()
        assert error["message"] == FAILED
        assert str(error["exception"]) == "feed_data after feed_eof"


@pytest.mark.parametrize("name", ["_buffer", "_limit", "_eof"])
async def test_a_missing_attribute_is_asyncios_error(name, loop_errors):
    async with stream() as (reader, transport, far):
        before = getattr(reader, name)
        delattr(reader, name)
        far.send(b"data")
        await polled()
        setattr(reader, name, before)
        assert transport.is_closing()
        error = loop_errors.pop()
        assert error["message"] == FAILED
        assert isinstance(error["exception"], AttributeError)


async def test_data_for_a_reader_that_is_gone_is_dropped(loop):
    near, far = socket_pair("unix")
    transport, protocol = await loop.create_connection(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), loop=loop), sock=near
    )
    with far:
        far.send(b"data")
        await polled()
        assert protocol._stream_reader is None
        assert not transport.is_closing()
        transport.abort()
        await protocol._closed


async def test_another_reader_gets_the_rest(loop):
    async with stream() as (reader, transport, far):
        far.send(b"one")
        await polled()
        other = asyncio.StreamReader(loop=loop)
        transport.get_protocol()._stream_reader_wr = weakref.ref(other)
        far.send(b"two")
        assert await other.read(10) == b"two"
        assert await reader.read(10) == b"one"


async def test_another_protocol_gets_the_rest(loop):
    class Other(asyncio.Protocol):
        got = b""

        def data_received(self, data: bytes) -> None:
            self.got += data

    async with stream() as (reader, transport, far):
        protocol, other = transport.get_protocol(), Other()
        far.send(b"one")
        await polled()
        transport.set_protocol(other)
        far.send(b"two")
        await polled()
        transport.set_protocol(protocol)
        far.send(b"three")
        await polled()
        assert other.got == b"two"
        assert await reader.read(10) == b"onethree"


# ---- what is replaced -----------------------------------------------------------------------------------


class Noting(asyncio.StreamReader):
    got: Any = ()

    def feed_data(self, data: bytes) -> None:
        self.got += (data,)
        super().feed_data(data)


class NotingProtocol(asyncio.StreamReaderProtocol):
    got: Any = ()

    def data_received(self, data: bytes) -> None:
        self.got += (data,)
        super().data_received(data)


async def test_a_reader_of_a_derived_class_sees_what_comes():
    async with stream(reader_type=Noting) as (reader, _, far):
        far.send(b"data")
        assert await reader.read(10) == b"data"
        assert reader.got == (b"data",)


async def test_a_protocol_of_a_derived_class_sees_what_comes():
    async with stream(NotingProtocol) as (reader, transport, far):
        far.send(b"data")
        assert await reader.read(10) == b"data"
        assert transport.get_protocol().got == (b"data",)


async def test_the_class_of_a_reader_can_change():
    async with stream() as (reader, _, far):
        far.send(b"one")
        await polled()
        reader.__class__ = Noting
        far.send(b"two")
        await polled()
        assert reader.got == (b"two",)
        assert await reader.read(10) == b"onetwo"


METHODS = [
    (asyncio.StreamReader, "feed_data"),
    (asyncio.StreamReader, "_wakeup_waiter"),
    (asyncio.StreamReaderProtocol, "data_received"),
]
each_method = pytest.mark.parametrize(
    ("owner", "name"), METHODS, ids=[f"{owner.__name__}.{name}" for owner, name in METHODS]
)


@each_method
async def test_a_method_replaced_on_the_class_is_called(owner, name, monkeypatch):
    original = getattr(owner, name)
    seen = []

    def replacement(self: Any, *arguments: Any) -> Any:
        seen.append(arguments)
        return original(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, replacement)
        async with stream() as (reader, _, far):
            far.send(b"before")
            assert await reader.read(10) == b"before"
            assert len(seen) == 1
    seen.clear()
    async with stream() as (reader, _, far):
        far.send(b"original")
        assert await reader.read(10) == b"original"
        assert not seen
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, replacement)
            far.send(b"after")
            assert await reader.read(10) == b"after"
            assert len(seen) == 1
        far.send(b"original")
        assert await reader.read(10) == b"original"
        assert len(seen) == 1


@each_method
async def test_a_method_replaced_on_an_instance_is_called(owner, name):
    async with stream() as (reader, transport, far):
        far.send(b"original")
        assert await reader.read(10) == b"original"
        patched = reader if owner is asyncio.StreamReader else transport.get_protocol()
        original = getattr(patched, name)
        seen = []

        def replacement(*arguments: Any) -> Any:
            seen.append(arguments)
            return original(*arguments)

        setattr(patched, name, replacement)
        far.send(b"replaced")
        assert await reader.read(10) == b"replaced"
        assert len(seen) == 1
        delattr(patched, name)
        far.send(b"original")
        assert await reader.read(10) == b"original"
        assert len(seen) == 1


async def test_the_property_that_finds_the_reader_can_be_replaced(loop, monkeypatch):
    async with stream() as (reader, _, far):
        other = asyncio.StreamReader(loop=loop)
        far.send(b"one")
        await polled()
        with monkeypatch.context() as patched:
            patched.setattr(asyncio.StreamReaderProtocol, "_stream_reader", other)
            far.send(b"two")
            assert await other.read(10) == b"two"
        assert await reader.read(10) == b"one"


async def test_attributes_can_be_watched(monkeypatch):
    async with stream() as (reader, _, far):
        seen = []

        def watch(self: Any, name: str) -> Any:
            seen.append(name)
            return object.__getattribute__(self, name)

        with monkeypatch.context() as patched:
            patched.setattr(asyncio.StreamReader, "__getattribute__", watch, raising=False)
            far.send(b"data")
            await polled()
            assert "feed_data" in seen
        assert await reader.read(10) == b"data"
