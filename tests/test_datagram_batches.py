"""Many datagrams that wait at once: what one of them does is done before the next one is delivered."""

from __future__ import annotations

import contextlib
import contextvars
import socket
import time

import pytest

from support.datagrams import LOCAL, Listener, bound, endpoint, name_of
from support.programs import run_program
from support.sockets import polled
from support.turns import until

pytestmark = pytest.mark.timeout(30)

MANY = 50  # more than are received without a look at other I/O


def numbers(*which):
    return [b"%d" % number for number in range(*which)]


@contextlib.contextmanager
def peer_of(transport):
    """A socket that sends to the transport."""
    with bound() as (peer,):
        peer.connect(name_of(transport))
        yield peer


def send(transport, data):
    """All of it waits in the transport's socket afterwards."""
    with peer_of(transport) as peer:
        for each in data:
            peer.send(each)


@contextlib.asynccontextmanager
async def listening(act=None):
    async with endpoint(lambda: Listener(act), local_addr=LOCAL) as (transport, protocol):
        yield transport, protocol


async def test_all_arrive_in_order():
    async with listening() as (transport, protocol):
        data = numbers(MANY)
        data[7] = b""
        data[9] = bytes(60_000)
        send(transport, data)
        await until(lambda: len(protocol.received) == MANY)
        assert protocol.received == data


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("at", [0, 5])
async def test_nothing_is_delivered_after_the_end(how, at):
    def act(protocol, data):
        if data == b"%d" % at:
            getattr(protocol.transport, how)()

    async with listening(act) as (transport, protocol):
        send(transport, numbers(MANY))
        assert await protocol.lost is None
        await polled()
        assert protocol.received == numbers(at + 1)


async def test_what_was_sent_before_the_end_leaves():
    def act(protocol, data):
        protocol.transport.sendto(data.upper(), protocol.senders[-1])
        if data == b"c":
            protocol.transport.close()
            protocol.transport.sendto(b"after", protocol.senders[-1])

    async with listening(act) as (transport, protocol):
        with peer_of(transport) as peer:
            for data in (b"a", b"b", b"c", b"d"):
                peer.send(data)
            await protocol.lost
            # Without a remote address what is sent between close() and connection_lost() still leaves.
            assert [peer.recv(10) for _ in range(4)] == [b"A", b"B", b"C", b"after"]


async def test_an_exception_is_that_of_one_datagram(loop_errors):
    def act(protocol, data):
        if data in (b"0", b"3", b"20"):
            raise LookupError(data)

    async with listening(act) as (transport, protocol):
        send(transport, numbers(MANY))
        await until(lambda: len(protocol.received) == MANY)
        assert protocol.received == numbers(MANY)
        assert [context["exception"].args for context in loop_errors] == [(b"0",), (b"3",), (b"20",)]
        loop_errors.clear()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_the_rest_where_it_is(loop, error):
    def act(protocol, data):
        if data == b"2":
            raise error

    async def make():
        return await loop.create_datagram_endpoint(lambda: Listener(act), LOCAL)

    transport, protocol = loop.run_until_complete(make())
    send(transport, numbers(6))
    with pytest.raises(error):
        loop.run_forever()
    assert protocol.received == numbers(3)
    loop.run_until_complete(until(lambda: len(protocol.received) == 6))
    assert protocol.received == numbers(6)
    transport.close()
    loop.run_until_complete(protocol.lost)


async def test_reading_can_be_paused_by_any_of_them():
    def act(protocol, data):
        if data in (b"0", b"4"):
            protocol.transport.pause_reading()

    async with listening(act) as (transport, protocol):
        send(transport, numbers(MANY))
        for expected in (1, 5, MANY):
            await until(lambda expected=expected: len(protocol.received) == expected)
            await polled()
            assert protocol.received == numbers(expected)
            assert transport.is_reading() == (expected == MANY)
            transport.resume_reading()


async def test_who_resumes_reading_says_in_which_context():
    name = contextvars.ContextVar("name", default="first")
    seen = []

    def act(protocol, data):
        seen.append(name.get())
        if data == b"1":
            protocol.transport.pause_reading()
            name.set("second")
            protocol.transport.resume_reading()
            name.set("forgotten")

    async with listening(act) as (transport, protocol):
        send(transport, numbers(5))
        await until(lambda: len(protocol.received) == 5)
        assert seen == ["first", "first", "second", "second", "second"]


async def test_what_one_sets_in_the_context_the_next_one_sees():
    last = contextvars.ContextVar("last", default=b"none")
    seen = []

    def act(protocol, data):
        seen.append(last.get())
        last.set(data)

    async with listening(act) as (transport, protocol):
        send(transport, numbers(20))
        await until(lambda: len(protocol.received) == 20)
        assert seen == [b"none", *numbers(19)]


async def test_the_protocol_can_be_changed_by_any_of_them():
    async with listening() as (transport, first):
        second = Listener()
        first.act = lambda _protocol, data: data == b"2" and transport.set_protocol(second)
        send(transport, numbers(MANY))
        await until(lambda: len(second.received) == MANY - 3)
        assert first.received == numbers(3)
        assert second.received == numbers(3, MANY)
        transport.set_protocol(first)


async def test_the_method_can_be_changed_by_any_of_them():
    async with listening() as (transport, protocol):
        later = []

        def change(_protocol, data):
            if data == b"2":
                protocol.datagram_received = lambda data, addr: later.append(data)

        protocol.act = change
        send(transport, numbers(MANY))
        await until(lambda: len(later) == MANY - 3)
        assert protocol.received == numbers(3)


async def test_what_one_schedules_runs_before_the_next(loop):
    events = []

    def act(protocol, data):
        events.append(data)
        if int(data) % 3 == 0:
            loop.call_soon(events.append, "then")

    async with listening(act) as (transport, protocol):
        send(transport, numbers(20))
        await until(lambda: len(protocol.received) == 20)
        expected = []
        for data in numbers(20):
            expected += [data, "then"] if int(data) % 3 == 0 else [data]
        assert events == expected


async def test_a_timer_that_is_due_is_not_kept_waiting(loop):
    events = []

    def act(protocol, data):
        events.append(data)
        if data == b"0":
            loop.call_later(0.001, events.append, "timer")
        time.sleep(0.002)

    async with listening(act) as (transport, protocol):
        send(transport, numbers(10))
        await until(lambda: len(protocol.received) == 10)
        # The poll that follows the first one finds the second before it looks at the timers.
        assert events.index("timer") <= 2


def test_stop_ends_the_run_before_the_next(loop):
    async def make():
        return await loop.create_datagram_endpoint(
            lambda: Listener(lambda _protocol, _data: loop.stop()), LOCAL
        )

    transport, protocol = loop.run_until_complete(make())
    send(transport, numbers(5))
    for expected in range(1, 6):
        loop.run_forever()
        assert protocol.received == numbers(expected)
    transport.close()
    protocol.act = None
    loop.run_until_complete(protocol.lost)


async def test_two_transports_take_turns():
    events = []

    def hear(name):
        return lambda _protocol, data: events.append(name + data.decode())

    async with listening(hear("a")) as (first, _), listening(hear("b")) as (second, _):
        send(first, numbers(MANY))
        send(second, numbers(MANY))
        await until(lambda: len(events) == 2 * MANY)
        turns = [sorted(events[place : place + 2]) for place in range(0, 2 * MANY, 2)]
        assert turns == [[f"a{number}", f"b{number}"] for number in range(MANY)]


async def test_an_error_of_the_network_comes_in_its_place():
    """A connected socket is told of a refusal by whatever it is asked next: sending, or receiving."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(LOCAL)
        events = []

        def act(protocol, data):
            events.append(data)
            if data == b"2":
                peer.close()
                protocol.transport.sendto(b"still there?")

        async with endpoint(lambda: Listener(act), remote_addr=peer.getsockname()) as (transport, protocol):
            protocol.error_received = lambda error: events.append(type(error))
            for data in numbers(6):
                peer.sendto(data, name_of(transport))
            await until(lambda: len(events) == 7)
            assert events == [*numbers(3), ConnectionRefusedError, *numbers(3, 6)]


async def test_unix_datagrams_are_no_different():
    def act(protocol, data):
        if data == b"3":
            protocol.transport.close()

    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    with far:
        async with endpoint(lambda: Listener(act), sock=near) as (_, protocol):
            for data in numbers(8):
                far.send(data)
            assert await protocol.lost is None
            assert protocol.received == numbers(4)


FORKING = """
import os, socket, sys

class Forks(asyncio.DatagramProtocol):
    received = []
    def datagram_received(self, data, addr):
        self.received.append(data)
        if data == b"1":
            self.child = os.fork()
        elif data == b"5":
            done.set_result(None)

async def main():
    global done
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    transport, protocol = await loop.create_datagram_endpoint(Forks, ("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for number in range(6):
            peer.sendto(b"%d" % number, transport.get_extra_info("sockname"))
    await done
    os.waitpid(protocol.child, 0)
    transport.close()

loop = new_event_loop()
try:
    loop.run_until_complete(main())
    print("parent", Forks.received)
    loop.close()
except RuntimeError:
    print("child", Forks.received, flush=True)
    os._exit(0)
"""


@pytest.mark.native_only
def test_a_child_takes_none_of_its_parents_datagrams(loop_factory):
    """asyncio's child would go on with the loop; veloop's ends its run when the callback returns."""
    status, output, errors = run_program(loop_factory, FORKING, "-W", "ignore")
    assert (status, errors) == (0, "")
    assert output.splitlines() == [
        "child [b'0', b'1']",
        "parent [b'0', b'1', b'2', b'3', b'4', b'5']",
    ]
