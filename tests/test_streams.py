"""asyncio's streams over the loop's transports: open_connection, start_server, StreamReader, StreamWriter."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys

import pytest

from support.certificates import client_context, server_context
from support.pythons import since_3_11_7
from support.sockets import fill, polled, reset
from support.streams import connection, echo, sends, serving

pytestmark = pytest.mark.timeout(30)


async def test_data_goes_there_and_back():
    async with connection(echo) as (reader, writer):
        writer.write(b"hello")
        await writer.drain()
        assert await reader.readexactly(5) == b"hello"


async def test_read_answers_what_there_is():
    async with connection(sends(b"one", b"two")) as (reader, _):
        assert await reader.read(2) == b"on"
        assert await reader.read(100) in (b"e", b"etwo")
        await reader.read()
        assert await reader.read() == b""
        assert await reader.read(100) == b""
        assert reader.at_eof()


async def test_read_without_a_limit_reads_to_the_end():
    async with connection(sends(b"one ", b"two ", b"three")) as (reader, _):
        assert await reader.read(0) == b""
        assert await reader.read(-1) == b"one two three"


async def test_lines_are_read():
    async with connection(sends(b"first\nsec", b"ond\n\nlast")) as (reader, _):
        assert await reader.readline() == b"first\n"
        assert await reader.readline() == b"second\n"
        assert await reader.readline() == b"\n"
        assert await reader.readline() == b"last"
        assert await reader.readline() == b""


async def test_lines_can_be_iterated():
    async with connection(sends(b"a\nb", b"b\nccc\n")) as (reader, _):
        assert [line async for line in reader] == [b"a\n", b"bb\n", b"ccc\n"]


async def test_an_exact_count_is_read():
    async with connection(sends(b"12345", b"67890")) as (reader, _):
        assert await reader.readexactly(0) == b""
        assert await reader.readexactly(7) == b"1234567"
        with pytest.raises(asyncio.IncompleteReadError, match="3 bytes read on a total of 5") as caught:
            await reader.readexactly(5)
        assert caught.value.partial == b"890"
        assert caught.value.expected == 5
        with pytest.raises(ValueError, match="size can not be less than zero"):
            await reader.readexactly(-1)


async def test_separators_are_found_across_chunks():
    async with connection(sends(b"one-", b"-two--three")) as (reader, _):
        assert await reader.readuntil(b"--") == b"one--"
        assert await reader.readuntil(b"--") == b"two--"
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await reader.readuntil(b"--")
        assert caught.value.partial == b"three"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
async def test_one_of_several_separators_is_found():
    async with connection(sends(b"a,b;c")) as (reader, _):
        assert await reader.readuntil((b",", b";")) == b"a,"
        assert await reader.readuntil((b",", b";")) == b"b;"


async def test_a_line_beyond_the_limit_is_an_error():
    async with connection(sends(b"x" * 100 + b"\nshort\n"), limit=20) as (reader, _):
        with pytest.raises(ValueError, match=r"chunk (is longer than limit|exceed the limit)"):
            await reader.readline()
        with contextlib.suppress(ValueError):
            while await reader.readline() != b"short\n":
                pass


async def test_a_separator_beyond_the_limit_is_an_error():
    async with connection(sends(b"x" * 100 + b"!"), limit=20) as (reader, _):
        with pytest.raises(asyncio.LimitOverrunError) as caught:
            await reader.readuntil(b"!")
        assert caught.value.consumed > 0
        assert await reader.readexactly(101) == b"x" * 100 + b"!"


async def test_a_reader_stops_its_transport_when_it_holds_enough():
    async def flood(_, writer):
        writer.write(bytes(10_000_000))
        await writer.drain()

    async with connection(flood, limit=1000) as (reader, writer):
        while writer.transport.is_reading():
            await polled()
        held = len(reader._buffer)
        assert 2000 < held < 1_000_000
        await polled()
        assert len(reader._buffer) == held
        assert len(await reader.read()) == 10_000_000


async def test_drain_waits_for_a_slow_reader():
    go = asyncio.Event()

    async def slow(reader, writer):
        await go.wait()
        writer.write(b"%d" % len(await reader.read()))

    async with connection(slow) as (reader, writer):
        size = await fill(writer.transport)
        writer.write(bytes(200_000))
        draining = asyncio.create_task(writer.drain())
        also = asyncio.create_task(writer.drain())
        await polled()
        assert not draining.done()
        go.set()
        await draining
        await also
        writer.write_eof()
        assert int(await reader.read()) == size + 200_000


async def test_drain_reports_a_lost_connection():
    async def leave(_, writer):
        writer.transport.abort()

    async with connection(leave) as (_, writer):
        with pytest.raises(ConnectionError):
            while True:
                writer.write(b"x" * 1000)
                await writer.drain()
                await asyncio.sleep(0)


async def test_drain_reports_a_lost_connection_to_a_writer_that_never_rests():
    async def leave(_, writer):
        writer.transport.abort()

    async with connection(leave) as (reader, writer):
        with contextlib.suppress(ConnectionError):
            await reader.read()
        with pytest.raises(ConnectionError):
            for _ in range(1_000_000):
                writer.write(b"x")
                await writer.drain()


async def test_drain_that_waits_is_ended_by_a_lost_connection(loop):
    listener = socket.create_server(("127.0.0.1", 0))
    _, writer = await asyncio.open_connection(*listener.getsockname())
    accepted, _ = listener.accept()
    await fill(writer.transport)
    writer.write(bytes(200_000))
    draining = asyncio.create_task(writer.drain())
    await polled()
    assert not draining.done()
    reset(accepted)
    listener.close()
    with pytest.raises(ConnectionResetError):
        await draining
    writer.close()
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()


async def test_a_reset_is_raised_to_the_reader(loop):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        accepted, _ = listener.accept()
        reading = asyncio.create_task(reader.read())
        await polled()
        reset(accepted)
        with pytest.raises(ConnectionResetError):
            await reading
        assert isinstance(reader.exception(), ConnectionResetError)
        writer.close()


async def test_wait_closed_waits_for_what_is_unsent():
    go = asyncio.Event()

    async def slow(reader, _):
        await go.wait()
        await reader.read()

    async with connection(slow) as (_, writer):
        await fill(writer.transport)
        writer.close()
        assert writer.is_closing()
        waiting = asyncio.create_task(writer.wait_closed())
        await polled()
        assert not waiting.done()
        go.set()
        await waiting
        await writer.wait_closed()


async def test_a_writer_passes_on_to_its_transport():
    async with connection(echo) as (reader, writer):
        assert writer.can_write_eof()
        assert writer.get_extra_info("peername") == writer.transport.get_extra_info("peername")
        assert writer.get_extra_info("unknown", 3) == 3
        writer.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
        writer.write_eof()
        assert await reader.read() == b"abc"


async def test_a_half_closed_stream_can_be_answered():
    async def answer(reader, writer):
        writer.write(b"%d bytes" % len(await reader.read()))

    async with connection(answer) as (reader, writer):
        writer.write(b"12345")
        writer.write_eof()
        assert await reader.read() == b"5 bytes"


async def test_a_large_exchange_in_both_directions():
    data = bytes(range(256)) * 20_000
    async with connection(echo) as (reader, writer):

        async def send():
            for start in range(0, len(data), 100_000):
                writer.write(data[start : start + 100_000])
                await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        assert await reader.read() == data
        await sending


async def test_unix_streams(tmp_path):
    path = str(tmp_path / "socket")
    done = asyncio.Event()

    async def handle(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()
        done.set()

    server = await asyncio.start_unix_server(handle, path)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"shout\n")
    assert await reader.read() == b"SHOUT\n"
    writer.close()
    await writer.wait_closed()
    await done.wait()
    server.close()
    await server.wait_closed()


@since_3_11_7("leaves it to the task (gh-110894)")
async def test_a_handler_that_fails_is_reported(loop_errors):
    error = LookupError()

    async def fail(reader, writer):
        raise error

    async with connection(fail) as (reader, _):
        assert await reader.read() == b""
        (context,) = loop_errors
        loop_errors.clear()
        assert context["exception"] is error
        assert context["message"] == "Unhandled exception in client_connected_cb"


async def test_a_stream_can_be_upgraded_to_tls():
    done = asyncio.Event()

    async def handler(reader, writer):
        assert await reader.readline() == b"upgrade\n"
        writer.write(b"go\n")
        await writer.start_tls(server_context())
        assert writer.get_extra_info("ssl_object") is not None
        writer.write((await reader.readline()).upper())
        await writer.drain()
        await reader.read()
        done.set()

    async with connection(handler) as (reader, writer):
        writer.write(b"upgrade\n")
        assert await reader.readline() == b"go\n"
        await writer.start_tls(client_context(), server_hostname="localhost")
        writer.write(b"secret\n")
        assert await reader.readline() == b"SECRET\n"
        writer.close()
        await done.wait()


async def test_streams_over_tls():
    async with serving(echo, ssl=server_context()) as address:
        reader, writer = await asyncio.open_connection(
            *address, ssl=client_context(), server_hostname="localhost"
        )
        data = bytes(range(256)) * 1000
        writer.write(data)
        await writer.drain()
        assert await reader.readexactly(len(data)) == data
        writer.close()
        await writer.wait_closed()


async def test_many_streams_at_once():
    async def talk(address, number):
        reader, writer = await asyncio.open_connection(*address)
        for turn in range(5):
            line = b"%d %d\n" % (number, turn)
            writer.write(line)
            assert await reader.readline() == line
        writer.close()
        await writer.wait_closed()

    async with serving(echo) as address:
        await asyncio.gather(*(talk(address, number) for number in range(50)))
