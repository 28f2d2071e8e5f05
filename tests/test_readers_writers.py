"""add_reader and add_writer: watching descriptors that belong to somebody else."""

from __future__ import annotations

import asyncio
import contextvars
import os
import resource
import socket
import sys
from asyncio import selector_events

import pytest

from support.descriptors import none_leaked
from support.protocols import Recorder
from support.sockets import connected, polled, sockets

pytestmark = pytest.mark.timeout(30)
each_side = pytest.mark.parametrize("side", ["reader", "writer"])


def add(loop, side, descriptor, callback, *args):
    return getattr(loop, f"add_{side}")(descriptor, callback, *args)


def remove(loop, side, descriptor):
    return getattr(loop, f"remove_{side}")(descriptor)


class Watch:
    """A callback that counts its calls, and lets a test wait for the first."""

    def __init__(self):
        self.calls = []
        self.called = asyncio.get_running_loop().create_future()

    def __call__(self, *args):
        self.calls.append(args)
        if not self.called.done():
            self.called.set_result(None)


async def test_a_reader_is_called_when_there_is_something_to_read(loop):
    with sockets() as (near, far):
        watch = Watch()
        assert loop.add_reader(near, watch, "an", "argument") is None
        await polled()
        assert watch.calls == []
        far.send(b"x")
        await watch.called
        assert watch.calls[0] == ("an", "argument")
        assert loop.remove_reader(near) is True


async def test_a_writer_is_called_when_there_is_room(loop):
    with sockets("unix") as (near, far):
        while True:
            try:
                near.send(bytes(65536))
            except BlockingIOError:
                break
        watch = Watch()
        assert loop.add_writer(near, watch, 1) is None
        await polled()
        assert watch.calls == []
        while True:
            try:
                far.recv(1 << 20)
            except BlockingIOError:
                break
        await watch.called
        assert watch.calls[0] == (1,)
        assert loop.remove_writer(near) is True


async def test_a_reader_is_called_again_until_all_is_read(loop):
    with sockets() as (near, far):
        chunks = []
        done = loop.create_future()

        def read():
            chunks.append(near.recv(1))
            if len(chunks) == 4:
                done.set_result(None)

        loop.add_reader(near, read)
        far.send(b"data")
        await done
        await polled()
        assert b"".join(chunks) == b"data"
        assert loop.remove_reader(near)


@pytest.mark.parametrize("how", ["close", "shutdown"])
async def test_a_reader_is_called_at_the_end_of_the_stream(loop, how):
    with sockets() as (near, far):
        watch = Watch()
        loop.add_reader(near, watch)
        far.close() if how == "close" else far.shutdown(socket.SHUT_WR)
        await watch.called
        assert near.recv(1) == b""
        loop.remove_reader(near)


async def test_a_writer_is_called_when_the_reader_of_a_pipe_has_gone(loop):
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    while True:
        try:
            os.write(write_end, bytes(4096))
        except BlockingIOError:
            break
    watch = Watch()
    loop.add_writer(write_end, watch)
    os.close(read_end)
    await watch.called
    loop.remove_writer(write_end)
    os.close(write_end)


@each_side
async def test_removing_what_is_not_watched_answers_false(loop, side):
    with sockets() as (near, _):
        assert remove(loop, side, near) is False
        assert remove(loop, side, near.fileno()) is False
        add(loop, side, near, Watch())
        assert remove(loop, side, near) is True
        assert remove(loop, side, near) is False


async def test_reading_and_writing_are_watched_independently(loop):
    with sockets() as (near, far):
        reader, writer = Watch(), Watch()
        loop.add_reader(near, reader)
        assert loop.remove_writer(near) is False
        loop.add_writer(near, writer)
        await writer.called
        assert reader.calls == []
        assert loop.remove_writer(near) is True
        count = len(writer.calls)
        far.send(b"x")
        await reader.called
        await polled()
        assert len(writer.calls) == count
        loop.add_writer(near, writer)
        assert loop.remove_reader(near) is True
        read, written = len(reader.calls), len(writer.calls)
        await polled()
        assert len(reader.calls) == read
        assert len(writer.calls) > written
        assert loop.remove_reader(near) is False
        assert loop.remove_writer(near) is True


@each_side
async def test_a_second_callback_replaces_the_first(loop, side):
    with sockets() as (near, far):
        far.send(b"x")
        first, second = Watch(), Watch()
        add(loop, side, near, first)
        await first.called
        add(loop, side, near, second, 2)
        count = len(first.calls)
        await second.called
        await polled()
        assert len(first.calls) == count
        assert set(second.calls) == {(2,)}
        assert remove(loop, side, near) is True
        assert remove(loop, side, near) is False


async def test_numbers_and_objects_name_the_same_descriptor(loop):
    class HasFileno:
        def __init__(self, number):
            self.number = number

        def fileno(self):
            return self.number

    with sockets() as (near, far):
        watch = Watch()
        loop.add_reader(HasFileno(near.fileno()), watch)
        far.send(b"x")
        await watch.called
        assert loop.remove_reader(near.fileno()) is True
        loop.add_reader(near.fileno(), watch)
        assert loop.remove_reader(near) is True
        assert loop.remove_reader(HasFileno(near.fileno())) is False


def test_the_first_object_of_a_descriptor_is_kept_while_it_is_watched(loop):
    class Ends:
        def __init__(self, number):
            self.number = number

        def fileno(self):
            return self.number

        def __del__(self):
            events.append("gone")
            loop.remove_reader(self.number)

    events = []
    with sockets() as (near, _):
        loop.add_reader(Ends(near.fileno()), events.append)
        loop.add_reader(near.fileno(), events.append)
        loop.add_writer(near.fileno(), events.append)
        assert loop.remove_reader(near.fileno()) is True
        assert events == []
        assert loop.remove_writer(near.fileno()) is True
        assert events == ["gone"]
        assert loop.remove_writer(near.fileno()) is False


@each_side
@pytest.mark.parametrize("wrong", ["text", None, 3.5, object(), [1]])
async def test_things_without_a_descriptor_are_refused(loop, side, wrong):
    with pytest.raises(ValueError, match=r"^Invalid file object: ") as caught:
        add(loop, side, wrong, print)
    assert str(caught.value) == f"Invalid file object: {wrong!r}"
    with pytest.raises(ValueError, match=r"^Invalid file object: "):
        remove(loop, side, wrong)


@each_side
@pytest.mark.parametrize("number", [-1, -5])
async def test_negative_descriptors_are_refused(loop, side, number):
    with pytest.raises(ValueError, match=rf"^Invalid file descriptor: {number}$"):
        add(loop, side, number, print)
    with pytest.raises(ValueError, match=rf"^Invalid file descriptor: {number}$"):
        remove(loop, side, number)


@each_side
async def test_a_closed_socket_is_refused(loop, side):
    sock = socket.socket()
    sock.close()
    with pytest.raises(ValueError, match=r"^Invalid file descriptor: -1$"):
        add(loop, side, sock, print)


@each_side
async def test_a_number_that_is_not_open_is_refused(loop, side):
    number = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        add(loop, side, number, print)
    assert caught.value.errno == 9
    assert remove(loop, side, number) is False


@each_side
async def test_a_number_that_no_descriptor_can_have_is_refused(loop, side):
    with pytest.raises(OverflowError):
        add(loop, side, 1 << 40, print)
    assert remove(loop, side, 1 << 30) is False


@each_side
async def test_a_regular_file_cannot_be_watched(loop, side, tmp_path):
    with (tmp_path / "file").open("w+b") as file:
        with pytest.raises(PermissionError):
            add(loop, side, file, print)
        assert remove(loop, side, file) is False


@each_side
async def test_descriptors_keep_their_blocking_mode(loop, side):
    with sockets(blocking=True) as (near, far):
        far.send(b"x")
        watch = Watch()
        add(loop, side, near, watch)
        await watch.called
        assert os.get_blocking(near.fileno())
        remove(loop, side, near)
        assert os.get_blocking(near.fileno())


@each_side
async def test_a_descriptor_of_a_transport_is_refused(loop, side):
    async with connected() as (transport, protocol, _):
        sock = transport.get_extra_info("socket")
        number = sock.fileno()
        for call in (lambda: add(loop, side, number, print), lambda: remove(loop, side, number)):
            with pytest.raises(RuntimeError) as caught:
                call()
            assert str(caught.value) == f"File descriptor {number} is used by transport {transport!r}"
        with pytest.raises(RuntimeError, match="is used by transport"):
            add(loop, side, sock, print)
        transport.close()
        assert remove(loop, side, number) is False
        await protocol.lost


async def test_the_number_of_a_finished_transport_can_be_watched(loop):
    async with connected() as (transport, protocol, _):
        number = transport.get_extra_info("socket").fileno()
        transport.close()
        await protocol.lost
        near, far = socket.socketpair()
        with near, far:
            assert number in (near.fileno(), far.fileno())
            watch = Watch()
            loop.add_reader(number, watch)
            near.send(b"x")
            far.send(b"x")
            await watch.called
            assert loop.remove_reader(number) is True


@each_side
async def test_a_watched_descriptor_may_be_closed(loop, side):
    with none_leaked(), sockets("unix") as bystander:
        near, far = socket.socketpair()
        number = near.fileno()
        add(loop, side, near, Watch())
        await polled(using=bystander)
        near.close()
        far.close()
        await polled(using=bystander)
        assert remove(loop, side, number) is True
        assert remove(loop, side, number) is False
        await polled(using=bystander)


@pytest.mark.native_only
@each_side
async def test_a_number_can_be_watched_again_after_it_was_closed_and_reused(loop, side):
    """asyncio's own loop answers with FileNotFoundError; libuv's own watchers would end the process."""
    with sockets("unix") as bystander:
        near, far = socket.socketpair()
        number = near.fileno()
        add(loop, side, near, Watch())
        await polled(using=bystander)
        near.close()
        far.close()
        other, other_far = socket.socketpair()
        with other, other_far:
            assert number in (other.fileno(), other_far.fileno())
            other.send(b"x")
            other_far.send(b"x")
            watch = Watch()
            add(loop, side, number, watch)
            await watch.called
            assert remove(loop, side, number) is True


@each_side
async def test_a_number_can_be_watched_again_after_it_was_closed_and_removed(loop, side):
    for _ in range(3):
        near, far = socket.socketpair()
        with far:
            far.send(b"x")
            number = near.fileno()
            watch = Watch()
            add(loop, side, near, watch)
            await watch.called
            near.close()
            assert remove(loop, side, number) is True


async def test_nobody_is_called_for_a_descriptor_that_was_closed_and_reused(loop):
    with sockets("unix") as bystander:
        near, far = socket.socketpair()
        number = near.fileno()
        watch = Watch()
        loop.add_reader(near, watch)
        near.close()
        far.close()
        other, other_far = socket.socketpair()
        with other, other_far:
            assert number in (other.fileno(), other_far.fileno())
            other.send(b"x")
            other_far.send(b"x")
            await polled(using=bystander)
            assert watch.calls == []
            assert loop.remove_reader(number) is True


@each_side
async def test_arguments_may_be_given_by_keyword(loop, side):
    left, right = socket.socketpair()
    with left, right:
        called = loop.create_future()
        right.send(b"x")
        getattr(loop, f"add_{side}")(fd=left, callback=lambda: called.done() or called.set_result(None))
        await called
        assert getattr(loop, f"remove_{side}")(fd=left) is True


@each_side
@pytest.mark.parametrize("prefix", ["", "_"])
def test_wrong_arguments_are_refused(loop, side, prefix):
    method = f"{prefix}add_{side}"
    for arguments, keywords, complaint in [
        ((), {}, "missing 2 required positional arguments: 'fd' and 'callback'"),
        ((0,), {}, "missing 1 required positional argument: 'callback'"),
        ((), {"callback": print}, "missing 1 required positional argument: 'fd'"),
        ((0, print), {"fd": 0}, "got multiple values for argument 'fd'"),
        ((0, print), {"other": 0}, "got an unexpected keyword argument 'other'"),
    ]:
        with pytest.raises(TypeError) as raised:
            getattr(loop, method)(*arguments, **keywords)
        assert str(raised.value) == f"BaseSelectorEventLoop.{method}() {complaint}"
    with pytest.raises(TypeError, match=f"remove_{side}\\(\\) missing 1 required positional argument: 'fd'"):
        getattr(loop, f"{prefix}remove_{side}")()


async def test_asyncios_own_transports_work_on_the_loop(loop):
    left, right = socket.socketpair()
    left.setblocking(False)
    with right:
        protocol = Recorder()
        context = contextvars.copy_context()
        options = {"context": context} if sys.version_info >= (3, 15) else {}
        transport = selector_events._SelectorSocketTransport(loop, left, protocol, **options)
        right.send(b"data")
        assert await protocol.bytes_received(4) == b"data"
        transport.write(b"more")
        assert right.recv(10) == b"more"
        transport.close()
        assert await protocol.lost is None
