"""SystemExit and KeyboardInterrupt leave the loop from wherever they are raised, and nothing is swallowed.

tests/test_exits.py has the callbacks of the loop, test_protocol_methods.py the methods of protocols.
"""

import asyncio
import gc
import signal
import socket
import weakref
from asyncio.log import logger

import pytest

LONG = 20
EXITS = pytest.mark.parametrize("exit_type", [SystemExit, KeyboardInterrupt])


def leave(exit_type):
    def function(*_args, **_keywords):
        raise exit_type("leave")

    return function


def run_until_left(loop, exit_type, coroutine=None):
    loop.call_later(LONG, loop.stop)
    with pytest.raises(exit_type, match="leave"):
        loop.run_until_complete(coroutine or asyncio.sleep(LONG))
    assert not loop.is_running()
    assert asyncio._get_running_loop() is None
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


@EXITS
def test_a_protocol_factory_of_a_client(loop, exit_type):
    near, far = socket.socketpair()
    with near, far:
        run_until_left(loop, exit_type, loop.create_connection(leave(exit_type), sock=near))


@pytest.mark.native_only  # asyncio leaves the connection's socket to the collector, and the exit in a task
@EXITS
def test_a_protocol_factory_of_a_server(loop, exit_type):
    server = loop.run_until_complete(loop.create_server(leave(exit_type), "127.0.0.1", 0))
    with socket.create_connection(server.sockets[0].getsockname(), LONG) as client:
        run_until_left(loop, exit_type)
        assert client.recv(10) == b""
    server.close()


@EXITS
def test_the_end_of_a_servers_connection(loop, exit_type):
    server = loop.run_until_complete(loop.create_server(asyncio.Protocol, "127.0.0.1", 0))
    server._detach = leave(exit_type)
    with socket.create_connection(server.sockets[0].getsockname(), LONG):
        pass
    run_until_left(loop, exit_type)
    server.close()


@EXITS
def test_a_warning_about_writes_that_are_lost(loop, exit_type):
    near, far = socket.socketpair()
    with near, far:
        transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=near))
        transport.abort()
        for _ in range(5):
            transport.write(b"lost")
        logger.addFilter(leave(exit_type))
        try:
            with pytest.raises(exit_type, match="leave"):
                while True:
                    transport.write(b"lost")
        finally:
            for each in logger.filters:
                logger.removeFilter(each)
        loop.run_until_complete(asyncio.sleep(0))


@EXITS
def test_a_function_in_the_executor_raises_where_it_is_awaited(loop, exit_type):
    async def main():
        await loop.run_in_executor(None, leave(exit_type))

    run_until_left(loop, exit_type, main())


@EXITS
def test_a_task_factory(loop, exit_type):
    loop.set_task_factory(leave(exit_type))

    def start():
        coroutine = asyncio.sleep(0)
        try:
            loop.create_task(coroutine)
        finally:
            coroutine.close()

    loop.call_soon(start)
    with pytest.raises(exit_type, match="leave"):
        loop.run_forever()
    loop.set_task_factory(None)
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


@EXITS
def test_a_handler_of_a_signal(loop, exit_type):
    loop.add_signal_handler(signal.SIGUSR1, leave(exit_type))
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    run_until_left(loop, exit_type)
    loop.remove_signal_handler(signal.SIGUSR1)


@EXITS
def test_process_exited(loop, exit_type):
    protocol_type = type("Protocol", (asyncio.SubprocessProtocol,), {"process_exited": leave(exit_type)})

    async def main():
        transport, _ = await loop.subprocess_exec(protocol_type, "true", stdin=None, stdout=None, stderr=None)
        transports.append(transport)
        await asyncio.sleep(LONG)

    transports = []
    run_until_left(loop, exit_type, main())
    transports[0].close()


@EXITS
def test_an_exit_keeps_nothing_alive_once_it_is_forgotten(loop, exit_type):
    class Object:
        pass

    references = []

    def callback():
        held = Object()
        references.append(weakref.ref(held))
        raise exit_type("leave")

    loop.call_soon(callback)
    with pytest.raises(exit_type):
        loop.run_forever()
    assert references[0]() is None


@pytest.mark.native_only  # asyncio keeps the frames of an exit from its exception handler in a cycle
@EXITS
def test_an_exit_from_the_exception_handler_keeps_nothing_alive(loop, exit_type):
    class Object:
        pass

    references = []

    def fails():
        held = Object()
        references.append(weakref.ref(held))
        raise ValueError("reported")

    def handler(_loop, _context):
        held = Object()
        references.append(weakref.ref(held))
        raise exit_type("leave")

    loop.set_exception_handler(handler)
    gc.disable()
    try:
        for _ in range(3):
            loop.call_soon(fails)
            with pytest.raises(exit_type):
                loop.run_forever()
        assert [reference() for reference in references] == [None] * 6
    finally:
        gc.enable()
        loop.set_exception_handler(None)
