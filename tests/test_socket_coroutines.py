"""What sock_* and getaddrinfo() return: coroutines like those of `async def`, however they end."""

from __future__ import annotations

import asyncio
import collections.abc
import gc
import inspect
import socket
import types
import warnings
import weakref

import pytest

from support.sockets import polled, sockets

pytestmark = pytest.mark.timeout(30)


class Holder:
    """Something to be part of a cycle, and to be found alive or not."""


def look_up(loop, _sock):
    return loop.getaddrinfo("127.0.0.1", 80)


def receive(loop, sock):
    return loop.sock_recv(sock, 10)


each_maker = pytest.mark.parametrize("make", [receive, look_up])


@each_maker
def test_asyncio_and_inspect_see_a_coroutine(loop, make):
    with sockets() as (near, _):
        coroutine = make(loop, near)
        assert asyncio.iscoroutine(coroutine)
        assert inspect.iscoroutine(coroutine)
        assert inspect.isawaitable(coroutine)
        assert isinstance(coroutine, types.CoroutineType)
        assert isinstance(coroutine, collections.abc.Coroutine)
        assert not isinstance(coroutine, collections.abc.Generator)
        assert coroutine.__qualname__.endswith("." + coroutine.__name__)
        assert repr(coroutine).startswith(f"<coroutine object {coroutine.__qualname__} at 0x")
        assert coroutine.cr_running is False
        coroutine.close()
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


@each_maker
def test_one_that_never_ran_is_reported(loop, make):
    with sockets() as (near, _):
        coroutine = make(loop, near)
        with pytest.warns(
            RuntimeWarning, match=rf"^coroutine '{coroutine.__qualname__}' was never awaited"
        ) as caught:
            del coroutine
            gc.collect()
        assert len(caught) == 1


@each_maker
@pytest.mark.parametrize("end", ["close", "throw"])
def test_one_that_was_ended_is_not_reported(loop, make, end):
    with sockets() as (near, _), warnings.catch_warnings():
        warnings.simplefilter("error")
        coroutine = make(loop, near)
        if end == "close":
            assert coroutine.close() is None
            assert coroutine.close() is None
        else:
            with pytest.raises(KeyError, match="'reason'"):
                coroutine.throw(KeyError("reason"))
        with pytest.raises(RuntimeError, match=r"^cannot reuse already awaited coroutine$"):
            coroutine.send(None)
        del coroutine
        gc.collect()


def test_nothing_happens_before_the_first_step(loop):
    with sockets() as (near, far):
        far.send(b"data")
        loop.sock_recv(near, 10).close()
        assert near.recv(10) == b"data"


def test_the_first_value_must_be_none(loop):
    with sockets() as (near, _):
        coroutine = loop.sock_recv(near, 10)
        with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
            coroutine.send(1)
        coroutine.close()


async def test_stepping_by_hand_ends_with_the_result(loop):
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        for make, expected in [
            (lambda: loop.sock_sendall(far, b"data"), None),
            (lambda: loop.sock_recv(near, 10), b"data"),
            (lambda: loop.sock_sendall(far, b"more"), None),
            (lambda: loop.sock_recvfrom(near, 10), (b"more", None)),
        ]:
            with pytest.raises(StopIteration) as caught:
                make().send(None)
            assert caught.value.value == expected


async def test_a_future_is_what_it_waits_for(loop):
    with sockets() as (near, far):
        coroutine = loop.sock_recv(near, 10)
        future = coroutine.send(None)
        assert asyncio.isfuture(future)
        assert future.get_loop() is loop
        assert future._asyncio_future_blocking is True
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
        far.send(b"data")
        await asyncio.wait([future])
        with pytest.raises(StopIteration) as caught:
            coroutine.send(None)
        assert caught.value.value == b"data"
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


async def test_it_cannot_be_awaited_twice(loop):
    with sockets() as (near, far):
        coroutine = loop.sock_recv(near, 10)
        task = loop.create_task(coroutine)
        await polled()
        with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
            await coroutine
        far.send(b"data")
        assert await task == b"data"
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await coroutine


async def test_a_stranger_exception_leaves_from_where_it_waits(loop):
    with sockets() as (near, far):
        coroutine = loop.sock_recv(near, 10)
        coroutine.send(None)
        with pytest.raises(KeyError, match="'reason'"):
            coroutine.throw(KeyError("reason"))
        loop.remove_reader(near)  # asyncio's would keep on reading
        far.send(b"data")
        assert await loop.sock_recv(near, 10) == b"data"


@pytest.mark.native_only
@pytest.mark.parametrize("end", ["close", "throw", "cancel"])
async def test_the_number_is_free_as_soon_as_a_waiting_call_ends(loop, end):
    for _ in range(3):
        near, far = socket.socketpair()
        near.setblocking(False)
        number = near.fileno()
        coroutine = loop.sock_recv(near, 10)
        future = coroutine.send(None)
        if end == "close":
            coroutine.close()
        elif end == "throw":
            with pytest.raises(KeyError):
                coroutine.throw(KeyError)
        else:
            future.cancel()
            with pytest.raises(asyncio.CancelledError):
                coroutine.send(None)
        near.close()
        far.close()
        near, far = socket.socketpair()
        assert number in (near.fileno(), far.fileno())
        for sock in (near, far):
            sock.setblocking(False)
            assert loop.remove_reader(sock) is False
        task = loop.create_task(loop.sock_recv(near, 10))
        await loop.sock_sendall(far, b"data")
        assert await task == b"data"
        near.close()
        far.close()


@pytest.mark.parametrize("end", ["close", "drop", "cancel"])
async def test_everything_is_let_go_in_the_end(loop, end):
    """Also a cycle: the data that is sent knows the coroutine that sends it."""

    class Data(bytearray):
        __slots__ = ("__weakref__", "owner")

    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        data = Data(4_000_000)
        alive = weakref.ref(data)
        coroutine = loop.sock_sendall(near, data)
        data.owner = coroutine
        if end == "drop":
            with pytest.warns(RuntimeWarning, match="never awaited"):
                del coroutine, data
                gc.collect()
        elif end == "close":
            coroutine.send(None)
            coroutine.close()
            loop.remove_writer(near)
            del coroutine, data
        else:
            task = loop.create_task(coroutine)
            await polled()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            del coroutine, data, task
        await polled()
        gc.collect()
        assert alive() is None


def test_a_loop_that_is_dropped_with_a_waiting_call_is_collected(loop_factory):
    loop = loop_factory()
    holder = Holder()
    loop.holder = holder
    alive = weakref.ref(holder)
    with sockets() as (near, _):
        coroutine = loop.sock_recv(near, 10)
        future = coroutine.send(None)
        future.holder = [loop, coroutine]  # type: ignore[attr-defined]
        loop.close()
        coroutine.close()
        del loop, coroutine, future, holder
        gc.collect()
        assert alive() is None


@pytest.mark.native_only
async def test_a_socket_closed_while_a_call_waits_can_be_replaced(loop):
    """The number goes to another socket, whose calls get their own data; the first call waits for ever.

    asyncio's selector believes that the number is still registered, and the other socket never wakes.
    """
    near, far = socket.socketpair()
    near.setblocking(False)
    number = near.fileno()
    task = loop.create_task(loop.sock_recv(near, 10))
    await polled()
    near.close()
    other, other_far = socket.socketpair()
    with far, other, other_far:
        assert number in (other.fileno(), other_far.fileno())
        other.setblocking(False)
        other_far.setblocking(False)
        for one, another in ((other, other_far), (other_far, other)):
            second = loop.create_task(loop.sock_recv(one, 10))
            await polled()
            another.send(b"data")
            assert await second == b"data"
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exit_leaves_the_loop_from_a_call_that_waited(loop, error):
    class Exiting(socket.socket):
        ready = False

        def recv(self, *args):
            if self.ready:
                self.ready = False
                raise error
            return super().recv(*args)

    near, far = socket.socketpair()
    with Exiting(fileno=near.detach()) as exiting, far:
        exiting.setblocking(False)
        task = loop.create_task(loop.sock_recv(exiting, 10))
        loop.run_until_complete(polled())
        exiting.ready = True
        far.send(b"data")
        with pytest.raises(error):
            loop.run_until_complete(task)
        assert loop.run_until_complete(task) == b"data"


class Wrapped:
    """A socket that is no socket.socket, as tests and libraries make them."""

    def __init__(self, sock):
        self._sock = sock
        self.calls = []

    def __getattr__(self, name):
        if name not in ("fileno", "gettimeout"):
            self.calls.append(name)
        return getattr(self._sock, name)


async def test_the_methods_of_other_objects_are_called(loop):
    with sockets() as (near, far):
        wrapped = Wrapped(near)
        task = loop.create_task(loop.sock_recv(wrapped, 10))
        await polled()
        far.send(b"data")
        assert await task == b"data"
        assert wrapped.calls == ["recv", "recv"]
        await loop.sock_sendall(wrapped, b"back")
        assert far.recv(10) == b"back"
        assert wrapped.calls == ["recv", "recv", "send"]


async def test_large_data_is_sent_through_the_methods_of_other_objects(loop):
    data = bytes(range(256)) * 8_000
    with sockets("unix") as (near, far):
        task = loop.create_task(loop.sock_sendall(Wrapped(near), data))
        received = bytearray()
        while len(received) < len(data):
            received += await loop.sock_recv(far, 65_536)
        assert received == data
        assert await task is None


@pytest.mark.parametrize("size", ["10", 10.5, None, -1])
async def test_sizes_that_are_none_are_refused_as_by_the_socket(loop, size):
    with sockets() as (near, _):
        with pytest.raises((TypeError, ValueError)) as expected:
            near.recv(size)
        with pytest.raises(type(expected.value)) as caught:
            await loop.sock_recv(near, size)
        assert str(caught.value) == str(expected.value)


async def test_no_bytes_are_received_at_once(loop):
    with sockets() as (near, _):
        assert await loop.sock_recv(near, 0) == b""
        assert await loop.sock_recv_into(near, bytearray()) == 0


async def test_data_that_is_none_is_refused_as_by_the_socket(loop):
    with sockets() as (near, _):
        for call, method, value in [
            (loop.sock_sendall, near.send, "text"),
            (loop.sock_recv_into, near.recv_into, b"read only"),
        ]:
            with pytest.raises(TypeError) as expected:
                method(value)
            with pytest.raises(TypeError) as caught:
                await call(near, value)
            assert str(caught.value) == str(expected.value)


async def test_bytes_of_other_items_are_sent_as_bytes(loop):
    with sockets() as (near, far):
        data = memoryview(bytes(range(64)))[::2]
        with pytest.raises(BufferError):
            await loop.sock_sendall(near, data)
        await loop.sock_sendall(near, memoryview(bytes(range(64)))[8:])
        assert far.recv(100) == bytes(range(8, 64))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda loop, sock: loop.sock_recv(sock), "missing 1 required positional argument: 'n'"),
        (lambda loop, sock: loop.sock_recv(sock, 1, 2), "takes 3 positional arguments but 4 were given"),
        (lambda loop, sock: loop.sock_recv(sock, nbytes=1), "got an unexpected keyword argument 'nbytes'"),
        (lambda loop, sock: loop.sock_recv(sock, sock=sock), "got multiple values for argument 'sock'"),
    ],
)
def test_wrong_arguments_are_refused_at_once(loop, call, words):
    with sockets() as (near, _), pytest.raises(TypeError, match=words):
        call(loop, near)


async def test_arguments_have_names(loop):
    with sockets() as (near, far):
        await loop.sock_sendall(sock=far, data=b"data")
        assert await loop.sock_recv(sock=near, n=2) == b"da"
        buffer = bytearray(8)
        assert (await loop.sock_recvfrom_into(near, buf=buffer, nbytes=1))[0] == 1


def test_a_closed_loop_refuses_to_wait(loop_factory):
    loop = loop_factory()
    loop.close()
    with sockets() as (near, far):
        far.send(b"data")
        with pytest.raises(StopIteration) as caught:
            loop.sock_recv(near, 10).send(None)
        assert caught.value.value == b"data"
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            loop.sock_recv(near, 10).send(None)
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            loop.getaddrinfo("127.0.0.1", 80).send(None)
