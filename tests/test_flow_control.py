"""Flow control: limits of the write buffer, pause_writing and resume_writing; pausing what is read."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from support.protocols import Calls, Recorder, half_open
from support.sockets import KINDS, both_ends, connected, fill, polled, read_exactly, read_to_end

pytestmark = pytest.mark.timeout(30)
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize(
    ("arguments", "low_and_high"),
    [
        ({}, (16 * 1024, 64 * 1024)),
        ({"high": 1000}, (250, 1000)),
        ({"high": 3}, (0, 3)),
        ({"low": 1000}, (1000, 4000)),
        ({"high": 10, "low": 5}, (5, 10)),
        ({"high": 10, "low": 10}, (10, 10)),
        ({"high": 0}, (0, 0)),
        ({"low": 0}, (0, 0)),
        ({"high": 1 << 40, "low": 1 << 39}, (1 << 39, 1 << 40)),
    ],
)
async def test_limits_follow_from_each_other(arguments, low_and_high):
    async with connected() as (transport, _, _):
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
        transport.set_write_buffer_limits(**arguments)
        assert transport.get_write_buffer_limits() == low_and_high


async def test_limits_may_be_given_by_position():
    async with connected() as (transport, _, _):
        transport.set_write_buffer_limits(100, 50)
        assert transport.get_write_buffer_limits() == (50, 100)


@pytest.mark.parametrize(
    ("high", "low", "shown"),
    [(5, 10, "high (5)"), (None, -1, "high (-4)"), (-1, None, "high (-1)"), (5, -1, None)],
)
async def test_impossible_limits_are_refused(high, low, shown):
    async with connected() as (transport, _, _):
        with pytest.raises(ValueError, match=r"^high \(.*\) must be >= low \(.*\) must be >= 0$") as caught:
            transport.set_write_buffer_limits(high=high, low=low)
        assert shown is None or str(caught.value).startswith(shown)
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)


@each_kind
async def test_writing_is_paused_above_the_high_limit(kind):
    async with connected(kind=kind) as (transport, protocol, _):
        transport.set_write_buffer_limits(high=1 << 24)
        await fill(transport)
        waiting = transport.get_write_buffer_size()
        transport.set_write_buffer_limits(high=waiting + 100)
        transport.write(bytes(100))
        assert protocol.events == ["made"]  # as much as the limit is not above it
        transport.write(b"!")
        assert protocol.events == ["made", "pause"]
        transport.write(bytes(100_000))
        assert protocol.events == ["made", "pause"]


@each_kind
async def test_writing_is_resumed_once_the_buffer_is_low(kind):
    async with connected(kind=kind) as (transport, protocol, far):
        size = await fill(transport)
        transport.write(bytes(1_000_000))
        assert protocol.events == ["made", "pause"]
        sizes = []
        protocol.resume_writing = lambda: sizes.append(transport.get_write_buffer_size())
        assert len(await read_exactly(far, size + 1_000_000)) == size + 1_000_000
        await polled()
        assert len(sizes) == 1
        assert sizes[0] <= 16 * 1024


async def test_writing_is_paused_and_resumed_by_turns():
    async with connected() as (transport, protocol, far):
        transport.set_write_buffer_limits(high=0)
        for _ in range(3):
            size = await fill(transport)
            assert protocol.events[-1] == "pause"
            await read_exactly(far, size)
            await polled()
            assert protocol.events[-1] == "resume"
        assert protocol.events == ["made", *["pause", "resume"] * 3]


async def test_with_a_high_limit_of_zero_all_that_waits_pauses():
    async with connected() as (transport, protocol, far):
        transport.set_write_buffer_limits(high=0)
        transport.write(b"the kernel takes this")
        await polled()
        await read_exactly(far, 21)
        size = await fill(transport)
        assert protocol.events[-1] == "pause"
        await read_exactly(far, size)
        await polled()
        assert protocol.events[-1] == "resume"
        assert transport.get_write_buffer_size() == 0


async def test_lower_limits_pause_at_once():
    async with connected() as (transport, protocol, _):
        transport.set_write_buffer_limits(high=1 << 24)
        await fill(transport)
        assert protocol.events == ["made"]
        transport.set_write_buffer_limits(high=0)
        assert protocol.events == ["made", "pause"]
        transport.set_write_buffer_limits(high=0)
        assert protocol.events == ["made", "pause"]


@pytest.mark.parametrize("ending", ["close", "abort"])
async def test_a_paused_transport_can_be_ended(ending):
    async with connected() as (transport, protocol, far):
        transport.set_write_buffer_limits(high=0)
        await fill(transport)
        getattr(transport, ending)()
        if ending == "close":
            await read_to_end(far)
        assert await protocol.lost is None
        expected = ["made", "pause", "lost"] if ending == "abort" else ["made", "pause", "resume", "lost"]
        assert protocol.events == expected


async def test_data_written_in_resume_writing_is_sent():
    async with connected(Calls("resume_writing", lambda transport: transport.write(b"more"))) as (
        transport,
        _,
        far,
    ):
        transport.set_write_buffer_limits(high=0)
        size = await fill(transport)
        assert (await read_exactly(far, size + 4))[size:] == b"more"
        assert transport.get_write_buffer_size() == 0


async def test_a_transport_can_be_closed_in_resume_writing(on_veloop):
    if not on_veloop and sys.version_info < (3, 14):
        pytest.skip("older asyncio calls connection_lost twice (gh-156512)")
    async with connected(Calls("resume_writing", lambda transport: transport.close())) as (
        transport,
        protocol,
        far,
    ):
        size = await fill(transport)
        transport.write(bytes(200_000))
        assert len(await read_to_end(far)) == size + 200_000
        assert await protocol.lost is None
        assert protocol.events == ["made", "pause", "resume", "lost"]


async def test_a_closing_transport_is_lost_in_the_turn_that_sends_the_last_of_it(loop):
    events = []

    class Schedules(Recorder):
        def resume_writing(self):
            loop.call_soon(events.append, "scheduled")

        def connection_lost(self, exc):
            events.append("lost")
            super().connection_lost(exc)

    async with connected(Schedules) as (transport, protocol, far):
        transport.set_write_buffer_limits(high=0)
        await fill(transport)
        transport.close()
        await read_to_end(far)
        await protocol.lost
        await polled()
        assert events == ["lost", "scheduled"]


async def test_data_written_in_pause_writing_is_sent():
    factory = Calls("pause_writing", lambda transport: transport.write(b"more"))
    async with connected(factory) as (transport, protocol, far):
        size = await fill(transport)
        transport.write(bytes(200_000))
        transport.close()
        assert await read_to_end(far) == bytes(size + 200_000) + b"more"
        assert await protocol.lost is None
        assert protocol.events == ["made", "pause", "resume", "lost"]


async def test_a_transport_can_be_aborted_in_pause_writing():
    async with connected(Calls("pause_writing", lambda transport: transport.abort())) as (
        transport,
        protocol,
        far,
    ):
        size = await fill(transport)
        transport.write(bytes(200_000))
        assert await protocol.lost is None
        assert len(await read_to_end(far)) < size + 200_000
        assert protocol.events == ["made", "pause", "lost"]


async def test_a_new_protocol_hears_of_the_resumption():
    async with connected() as (transport, first, far):
        size = await fill(transport)
        transport.write(bytes(200_000))
        second = Recorder()
        transport.set_protocol(second)
        await read_exactly(far, size + 200_000)
        await polled()
        assert first.events == ["made", "pause"]
        assert second.events == ["resume"]
        transport.set_protocol(first)


@pytest.mark.parametrize("method", ["connection_made", "data_received"])
async def test_reading_can_be_paused_in_each_callback(method):
    factory = Calls(method, lambda transport: transport.pause_reading())
    async with both_ends(factory) as (left, right):
        right.transport.write(b"one")
        if method == "data_received":
            await left.bytes_received(3)
        right.transport.write(b"two")
        await polled()
        assert left.received == (b"one" if method == "data_received" else b"")
        left._action = None
        left.transport.set_protocol(reader := Recorder())
        left.transport.resume_reading()
        await reader.bytes_received(3 if method == "data_received" else 6)
        assert left.received + reader.received == b"onetwo"
        left.transport.set_protocol(left)


@each_kind
async def test_nothing_is_received_while_reading_is_paused(kind):
    async with connected(kind=kind) as (transport, protocol, far):
        assert transport.is_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        far.send(b"data")
        far.shutdown(socket.SHUT_WR)
        await polled()
        assert protocol.events == ["made"]
        transport.resume_reading()
        assert transport.is_reading()
        await protocol.lost
        assert protocol.events == ["made", "data", "eof", "lost"]


async def test_pausing_and_resuming_may_be_repeated():
    async with connected() as (transport, protocol, far):
        transport.resume_reading()
        assert transport.is_reading()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        transport.resume_reading()
        transport.resume_reading()
        assert transport.is_reading()
        far.send(b"data")
        assert await protocol.bytes_received(4) == b"data"


async def test_a_closing_transport_does_not_read():
    async with connected() as (transport, protocol, _):
        transport.close()
        assert not transport.is_reading()
        transport.pause_reading()
        transport.resume_reading()
        assert not transport.is_reading()
        await protocol.lost
        transport.pause_reading()
        transport.resume_reading()
        assert not transport.is_reading()
        assert transport.is_closing()


async def test_a_paused_reader_can_be_closed():
    async with connected() as (transport, protocol, far):
        transport.pause_reading()
        transport.write(b"bye")
        transport.close()
        assert await protocol.lost is None
        assert await read_to_end(far) == b"bye"


async def test_reading_paused_after_the_end_of_the_stream_stays_quiet():
    async with connected(half_open) as (transport, protocol, far):
        far.shutdown(socket.SHUT_WR)
        await protocol.eof
        transport.pause_reading()
        await polled()
        transport.write(b"answer")
        transport.close()
        assert await read_to_end(far) == b"answer"
        assert await protocol.lost is None


async def test_a_slow_reader_holds_back_the_writer():
    async with both_ends() as (left, right):
        right.transport.pause_reading()
        await fill(left.transport)
        left.transport.write(bytes(100_000))
        await polled()
        assert left.events == ["made", "pause"]
        assert right.events == ["made"]
        resumed = asyncio.get_running_loop().create_future()
        left.resume_writing = lambda: resumed.set_result(None)
        right.transport.resume_reading()
        await resumed
        assert left.transport.get_write_buffer_size() <= 16 * 1024
