"""SystemExit and KeyboardInterrupt leave run_forever from wherever they are raised; the loop stays usable."""

import asyncio
import socket
import sys

import pytest

from support.turns import run_once

EXITS = pytest.mark.parametrize("exit_type", [SystemExit, KeyboardInterrupt])


def raiser(exception):
    def callback(*_args):
        raise exception

    return callback


def from_call_soon(loop, callback):
    loop.call_soon(callback)


def from_timer(loop, callback):
    loop.call_later(0.001, callback)


def from_threadsafe(loop, callback):
    loop.call_soon_threadsafe(callback)


def from_done_callback(loop, callback):
    future = loop.create_future()
    future.add_done_callback(callback)
    future.set_result(None)


def from_call_soon_with_arguments(loop, callback):
    loop.call_soon(callback, 1, 2, 3, 4, 5)


SOURCES = [from_call_soon, from_timer, from_threadsafe, from_done_callback, from_call_soon_with_arguments]


@EXITS
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_an_exit_in_a_callback_leaves_the_run(loop, exit_type, source):
    hooks = sys.get_asyncgen_hooks()
    source(loop, raiser(exit_type("leave")))
    with pytest.raises(exit_type, match="leave"):
        loop.run_forever()
    assert not loop.is_running()
    assert asyncio._get_running_loop() is None
    assert sys.get_asyncgen_hooks() == hooks
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


@EXITS
def test_an_exit_in_a_reader_leaves_the_run(loop, exit_type):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        loop.add_reader(ours, raiser(exit_type("leave")))
        with pytest.raises(exit_type, match="leave"):
            loop.run_forever()
        loop.remove_reader(ours)
        assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


@EXITS
def test_an_exit_in_the_main_task_leaves_the_run_and_is_not_logged_again(loop, exit_type):
    async def main():
        await asyncio.sleep(0)
        raise exit_type("leave")

    with pytest.raises(exit_type, match="leave"):
        loop.run_until_complete(main())
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


@EXITS
def test_an_exit_in_another_task_leaves_the_run_and_the_main_task_can_go_on(loop, exit_type):
    async def leave():
        raise exit_type("leave")

    async def main():
        other = asyncio.ensure_future(leave())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return other

    main_task = loop.create_task(main())
    with pytest.raises(exit_type, match="leave"):
        loop.run_until_complete(main_task)
    assert not main_task.done()
    other = loop.run_until_complete(main_task)
    assert isinstance(other.exception(), exit_type)


@EXITS
def test_the_rest_of_the_batch_runs_in_the_next_run_once_and_in_order(loop, exit_type):
    events = []
    loop.call_soon(events.append, 1)
    loop.call_soon(raiser(exit_type("leave")))
    loop.call_soon(events.append, 2)
    loop.call_soon(events.append, 3)
    with pytest.raises(exit_type):
        loop.run_forever()
    assert events == [1]
    loop.call_soon(events.append, 4)
    run_once(loop)
    assert events == [1, 2, 3, 4]


@EXITS
def test_a_stop_before_an_exit_in_one_batch_does_not_stop_the_next_run(loop, exit_type):
    loop.call_soon(loop.stop)
    loop.call_soon(raiser(exit_type("leave")))
    with pytest.raises(exit_type):
        loop.run_forever()
    assert loop.run_until_complete(asyncio.sleep(0.001, "usable")) == "usable"


@EXITS
def test_an_exit_in_the_exception_handler_leaves_the_run(loop, exit_type):
    loop.set_exception_handler(raiser(exit_type("leave")))
    loop.call_soon(raiser(ValueError("first")))
    with pytest.raises(exit_type, match="leave"):
        loop.run_forever()
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


@pytest.mark.parametrize("other", [GeneratorExit, asyncio.CancelledError, BaseException])
def test_other_base_exceptions_go_to_the_exception_handler(loop, loop_errors, other):
    loop.call_soon(raiser(other("reported")))
    run_once(loop)
    assert [type(context.pop("exception")) for context in loop_errors] == [other]
    loop_errors.clear()


class LeavingProtocol(asyncio.Protocol):
    def __init__(self, method, exit_type):
        self.lost = []
        setattr(self, method, raiser(exit_type(f"leave {method}")))

    def connection_lost(self, exc):
        self.lost.append(exc)


class LeavingBufferedProtocol(asyncio.BufferedProtocol):
    def __init__(self, method, exit_type):
        self.buffer = bytearray(100)
        setattr(self, method, raiser(exit_type(f"leave {method}")))

    def get_buffer(self, sizehint):
        return self.buffer


PROTOCOL_METHODS = [
    (LeavingProtocol, "connection_made"),
    (LeavingProtocol, "data_received"),
    (LeavingProtocol, "eof_received"),
    (LeavingProtocol, "connection_lost"),
    (LeavingBufferedProtocol, "get_buffer"),
    (LeavingBufferedProtocol, "buffer_updated"),
]


@EXITS
@pytest.mark.parametrize(
    ("protocol_type", "method"), PROTOCOL_METHODS, ids=lambda value: getattr(value, "__name__", value)
)
def test_an_exit_in_a_protocol_leaves_the_run(loop, exit_type, protocol_type, method):
    ours, theirs = socket.socketpair()
    with theirs:
        connecting = loop.create_task(
            loop.create_connection(lambda: protocol_type(method, exit_type), sock=ours)
        )
        if method != "connection_made":
            transport, _ = loop.run_until_complete(connecting)
        if method == "connection_lost":
            transport.close()
        elif method == "eof_received":
            theirs.shutdown(socket.SHUT_WR)
        elif method != "connection_made":
            theirs.send(b"data")
        with pytest.raises(exit_type, match=f"leave {method}"):
            loop.run_until_complete(asyncio.sleep(10))
        assert not loop.is_running()
        if method == "connection_made":
            transport, _ = loop.run_until_complete(connecting)
        transport.abort()
        assert loop.run_until_complete(asyncio.sleep(0.001, "usable")) == "usable"
