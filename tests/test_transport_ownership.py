"""Who owns the descriptor of a transport: a number that belongs to somebody else by now is left alone."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket

import pytest

from support.descriptors import is_open, none_leaked
from support.protocols import Recorder
from support.sockets import KINDS, SOCKETS, connected, polled, read_to_end, socket_pair, sockets

pytestmark = pytest.mark.timeout(30)
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("action", ["write", "writelines", "close", "abort", "write_eof"])
async def test_a_socket_closed_behind_our_back_is_not_confused_with_the_next(loop, action):
    with sockets("unix") as bystander:
        near, far = socket_pair("unix")
        number = near.fileno()
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        transport.pause_reading()
        await polled(using=bystander)
        near.close()
        other, other_far = socket_pair("unix")
        other.setblocking(False)
        other_far.setblocking(False)
        with far, other, other_far:
            assert number in (other.fileno(), other_far.fileno())
            arguments = {"write": [b"secret"], "writelines": [[b"secret", b"secret"]]}.get(action, [])
            try:
                getattr(transport, action)(*arguments)
            except OSError as exc:
                assert exc.errno == errno.EBADF
                transport.abort()
            if action == "write_eof":
                transport.abort()
            error = await protocol.lost
            assert error is None or error.errno == errno.EBADF
            for sock in (other, other_far):
                with pytest.raises(BlockingIOError):
                    sock.recv(10)
            del transport, near
            protocol.transport = None
            gc.collect()
            await polled(using=bystander)
            other.send(b"still open")
            assert other_far.recv(20) == b"still open"


async def test_a_socket_closed_behind_our_back_receives_nothing_of_the_next(loop):
    with sockets("unix") as bystander:
        near, far = socket_pair("unix")
        number = near.fileno()
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        await polled(using=bystander)
        near.close()
        far.close()
        other, other_far = socket_pair("unix")
        with other, other_far:
            assert number in (other.fileno(), other_far.fileno())
            other.send(b"secret")
            other_far.send(b"secret")
            await polled(using=bystander)
            assert protocol.received == b""
            transport.abort()
            await protocol.lost
            assert other.recv(20) == other_far.recv(20) == b"secret"


@pytest.mark.parametrize("kind", SOCKETS)
async def test_a_socket_that_somebody_else_made_blocking_does_not_stop_the_process(loop, kind):
    """A system call that waited with the GIL would keep the thread that reads from reading."""

    def read():
        size = 0
        while data := far.recv(1 << 16):
            size += len(data)
        return size

    near, far = socket_pair(kind)
    transport, protocol = await loop.create_connection(Recorder, sock=near)
    os.set_blocking(near.fileno(), True)
    with far:
        reading = loop.run_in_executor(None, read)
        transport.write(bytes(10_000_000))
        transport.close()
        assert await reading == 10_000_000
        assert await protocol.lost is None


@each_kind
async def test_an_open_socket_is_closed_exactly_once(kind):
    """Whatever was asked of the transport before: its number is closed with it, and never again."""
    for questions in ([], ["socket"], ["peername", "socket", "socket"]):
        with none_leaked():
            async with connected(kind=kind) as (transport, protocol, _):
                number = transport._sock_fd
                held = [transport.get_extra_info(name) for name in questions]
                transport.close()
                await protocol.lost
                assert not is_open(number)
                copy = os.dup(2)
                while copy != number:
                    os.dup2(copy, number)
                    os.close(copy)
                    copy = number
                transport.close()
                transport.abort()
                protocol.transport = None
                del transport, held
                gc.collect()
                await polled()
                assert is_open(number)
                os.close(number)
                del protocol


async def test_a_detached_socket_is_not_closed(loop):
    """Who detaches the socket below a transport takes the descriptor over."""
    near, far = socket_pair("unix")
    with far:
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        transport.pause_reading()
        number = near.detach()
        with socket.socket(fileno=number) as taken:
            transport.abort()
            await protocol.lost
            await polled()
            taken.send(b"still open")
            assert far.recv(20) == b"still open"


@pytest.mark.parametrize("turns", range(4))
async def test_cancelling_a_connection_closes_the_socket_once(loop, turns):
    with none_leaked():
        near, far = socket_pair("unix")
        task = loop.create_task(loop.create_connection(Recorder, sock=near))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        try:
            transport, protocol = await task
        except asyncio.CancelledError:
            if turns == 0:  # it never began
                near.close()
        else:
            transport.abort()
            await protocol.lost
            del transport, protocol
        await polled()
        assert near.fileno() == -1
        far.close()
        del task


@each_kind
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_was_written_before_an_interruption_has_left(loop, kind, error):
    class Interrupted(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(b"answer")
            raise error

    async def scenario():
        async with connected(Interrupted, kind) as (_, protocol, far):
            far.send(b"question")
            try:
                await asyncio.wait([protocol.lost])
            finally:
                answers.append(far.recv(20))

    answers = []
    task = loop.create_task(scenario())
    with pytest.raises(error):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert answers == [b"answer"]


@each_kind
async def test_what_was_written_before_an_error_has_left(loop_errors, kind):
    class Fails(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(b"answer")
            raise LookupError

    async with connected(Fails, kind) as (_, protocol, far):
        far.send(b"question")
        assert isinstance(await protocol.lost, LookupError)
        loop_errors.clear()
        assert await read_to_end(far) == b"answer"


async def test_what_was_written_before_an_abort_has_left():
    async with connected(kind="unix") as (transport, protocol, far):
        transport.write(b"taken by the kernel at once")
        transport.abort()
        await protocol.lost
        assert await read_to_end(far) == b"taken by the kernel at once"
