"""create_connection to an address that needs no resolver: the usual case, which must look like any other."""

from __future__ import annotations

import ast
import asyncio
import contextvars
import errno
import inspect
import logging
import socket
import subprocess
import sys
import textwrap
from unittest import mock

import pytest

from support.descriptors import none_leaked
from support.protocols import Recorder
from support.sockets import closed, full_address, needs_ipv6, polled, silent_address

pytestmark = pytest.mark.timeout(30)

STEPS = ("_ensure_resolved", "_connect_sock", "_create_connection_transport")
variable = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def address(listener):
    return listener.getsockname()


@pytest.mark.parametrize("timeout", [None, 5.0])
async def test_the_socket_is_as_any_other(loop, address, timeout):
    socket.setdefaulttimeout(timeout)
    try:
        transport, protocol = await loop.create_connection(Recorder, *address)
    finally:
        socket.setdefaulttimeout(None)
    sock = transport.get_extra_info("socket")
    assert (sock.family, sock.type, sock.proto) == (
        socket.AF_INET,
        socket.SOCK_STREAM,
        socket.IPPROTO_TCP,
    )
    assert sock.gettimeout() == 0
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert transport.get_extra_info("peername") == address
    assert transport.get_extra_info("sockname") == sock.getsockname()
    assert protocol.transport is transport
    await closed(transport, protocol)


@needs_ipv6
async def test_ipv6_has_addresses_of_four_parts(loop):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        address = listener.getsockname()
        transport, protocol = await loop.create_connection(Recorder, *address[:2])
        assert transport.get_extra_info("peername") == address
        await closed(transport, protocol)


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_a_failure_is_told_as_it_is(loop, host):
    with none_leaked(), silent_address(host) as address:
        with pytest.raises(ConnectionRefusedError) as caught:
            await loop.create_connection(Recorder, host, address[1])
        assert caught.value.args == (errno.ECONNREFUSED, f"Connect call failed {address}")
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None
        del caught


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
async def test_a_failure_can_be_had_in_a_group(loop):
    group = pytest.raises(ExceptionGroup, match="create_connection failed")
    with silent_address() as address, group as caught:
        await loop.create_connection(Recorder, *address, all_errors=True)
    assert [type(error) for error in caught.value.exceptions] == [ConnectionRefusedError]


@pytest.mark.parametrize(
    ("host", "port", "error"),
    [
        ("127.0.0.1", 65536, OverflowError),
        ("127.0.0.1", -1, OverflowError),
        ("127.0.0.1", 1 << 70, OverflowError),
        ("127.0.0.1", "no such service", socket.gaierror),
        ("127.0.0.1\0", 1, ValueError),
        ("127.0.0.256", 1, socket.gaierror),
        (1, 1, TypeError),
    ],
)
async def test_what_is_no_address_fails_as_ever(loop, host, port, error):
    with none_leaked(), pytest.raises(error):
        await loop.create_connection(Recorder, host, port)


@pytest.mark.parametrize("place", ["loop", "class"])
@pytest.mark.parametrize("name", STEPS)
async def test_a_replaced_step_is_used(loop, monkeypatch, address, place, name):
    owner = loop if place == "loop" else asyncio.base_events.BaseEventLoop
    original = getattr(owner, name)
    calls = []

    async def step(*arguments, **options):
        calls.append(name)
        return await original(*arguments, **options)

    for replaced in (False, True, False):
        with monkeypatch.context() as patch:
            if replaced:
                patch.setattr(owner, name, step)
            await closed(*await loop.create_connection(Recorder, *address))
        assert set(calls) == ({name} if replaced else set())
        calls.clear()


@pytest.mark.parametrize("where", [asyncio.BaseEventLoop, asyncio.SelectorEventLoop])
async def test_a_replaced_create_connection_is_used(loop, monkeypatch, address, where):
    """As tracing tools do it."""
    original = asyncio.BaseEventLoop.create_connection
    calls = []

    async def wrapper(self, factory, *arguments, **options):
        calls.append((arguments, options))
        return await original(self, factory, *arguments, **options)

    for replaced in (False, True, False):
        with monkeypatch.context() as patch:
            if replaced:
                patch.setattr(where, "create_connection", wrapper)
            await closed(*await loop.create_connection(Recorder, *address))
            await closed(*await loop.create_connection(Recorder, *address, family=socket.AF_INET))
        expected = [(address, {}), (address, {"family": socket.AF_INET})]
        assert calls == (expected if replaced else [])
        calls.clear()


async def test_a_create_connection_that_is_no_function_is_used(loop, monkeypatch, address):
    double = mock.AsyncMock(return_value="a double")
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", double)
    assert await loop.create_connection(Recorder, *address) == "a double"
    double.assert_awaited_once_with(Recorder, *address)


@pytest.mark.native_only
@pytest.mark.usefixtures("loop_factory")
@pytest.mark.parametrize("name", ["create_connection", *STEPS])
def test_what_was_replaced_before_veloop_came_is_used(name):
    program = f"""if True:
        import asyncio, socket
        original, calls = asyncio.BaseEventLoop.{name}, []
        async def wrapper(*arguments, **options):
            calls.append(1)
            return await original(*arguments, **options)
        asyncio.BaseEventLoop.{name} = wrapper
        import veloop
        async def main():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                connect = asyncio.get_running_loop().create_connection
                transport, _ = await connect(asyncio.Protocol, *listener.getsockname())
                transport.abort()
        veloop.run(main())
        print(sum(calls))
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.native_only
async def test_no_step_of_asyncios_is_run(loop, address):
    entered = set()

    def note(frame, event, _):
        if event == "call" and frame.f_globals is vars(asyncio.base_events):
            entered.add(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        transport, protocol = await loop.create_connection(Recorder, *address)
    finally:
        sys.setprofile(None)
    assert not entered & {"create_connection", *STEPS}
    await closed(transport, protocol)


async def test_a_replaced_step_of_a_subclass_is_used(loop, address):
    calls = []

    class Loop(type(loop)):
        async def _connect_sock(self, *arguments, **options):
            calls.append(arguments)
            return await super()._connect_sock(*arguments, **options)

        async def sock_connect(self, sock, address):
            calls.append(address)
            return await super().sock_connect(sock, address)

    def connect():
        async def main():
            await closed(*await own.create_connection(Recorder, *address))

        own = Loop()
        try:
            own.run_until_complete(main())
        finally:
            own.close()

    await asyncio.to_thread(connect)
    assert len(calls) == 2
    assert calls[1] == address


async def test_a_replaced_sock_connect_is_used(loop, monkeypatch, address):
    original = loop.sock_connect
    seen = []

    async def sock_connect(sock, target):
        seen.append((sock.gettimeout(), target))
        await original(sock, target)

    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    await closed(*await loop.create_connection(Recorder, *address))
    assert seen == [(0, address)]


async def test_a_replaced_socket_class_is_used(loop, monkeypatch, address):
    made = []

    class Socket(socket.socket):
        def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
            super().__init__(family, type, proto, fileno)
            if fileno is None:
                made.append((family, type, proto))

    monkeypatch.setattr(socket, "socket", Socket)
    transport, protocol = await loop.create_connection(Recorder, *address)
    assert made == [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)]
    await closed(transport, protocol)


@pytest.mark.parametrize("options", [{}, {"family": socket.AF_INET}], ids=str)
async def test_what_the_factory_sets_in_its_context(loop, options):
    """From 3.15 on the callbacks run in a context that was copied before the factory was called."""
    seen = []

    class Protocol(Recorder):
        def connection_made(self, transport):
            seen.append(variable.get())
            super().connection_made(transport)

        def data_received(self, data):
            seen.append(variable.get())
            super().data_received(data)

        def connection_lost(self, exc):
            seen.append(variable.get())
            super().connection_lost(exc)

    def factory():
        variable.set("factory")
        return Protocol()

    variable.set("task")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _, protocol = await loop.create_connection(factory, *listener.getsockname(), **options)
        assert variable.get() == "factory"
        with listener.accept()[0] as peer:
            peer.send(b"data")
            await protocol.bytes_received(4)
        await protocol.lost
    assert seen == ["task" if sys.version_info >= (3, 15) else "factory"] * 3


async def test_cancelling_closes_the_socket(loop):
    with none_leaked(), full_address() as address:
        task = loop.create_task(loop.create_connection(Recorder, *address))
        await polled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task


async def test_debug_mode_tells_of_the_connection(loop, address, caplog):
    loop.set_debug(True)
    loop.slow_callback_duration = 10
    with caplog.at_level(logging.DEBUG, "asyncio"):
        transport, protocol = await loop.create_connection(Recorder, *address)
    (message,) = [text for text in caplog.messages if "connected to" in text]
    expected = (
        f"{transport.get_extra_info('socket')!r} connected to {address[0]}:{address[1]!r}: "
        f"({transport!r}, {protocol!r})"
    )
    # What the transport is doing changes until it is looked at here.
    assert message[: expected.index("(<")] == expected[: expected.index("(<")]
    await closed(transport, protocol)


@pytest.mark.parametrize(
    "options", [{"ssl": None}, {"family": 0, "flags": 0, "proto": 0, "local_addr": None}]
)
async def test_arguments_that_say_nothing_may_be_given(loop, address, options):
    await closed(*await loop.create_connection(Recorder, *address, **options))


async def test_unknown_arguments_are_refused(loop, address):
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        await loop.create_connection(Recorder, *address, colour=None)


async def test_arguments_can_be_asked_for(loop):
    expected = inspect.signature(asyncio.SelectorEventLoop.create_connection)
    assert inspect.signature(type(loop).create_connection) == expected
    assert inspect.iscoroutinefunction(loop.create_connection)


# asyncio's steps, without what only TLS or a local address needs: each as one or another Python has it.
AS_THEY_ARE_KNOWN = {
    "_ensure_resolved": [
        """
        async def _ensure_resolved(self, address, *,
                                   family=0, type=socket.SOCK_STREAM,
                                   proto=0, flags=0, loop):
            host, port = address[:2]
            info = _ipaddr_info(host, port, family, type, proto, *address[2:])
            if info is not None:
                # "host" is already a resolved IP.
                return [info]
            else:
                return await loop.getaddrinfo(host, port, family=family, type=type,
                                              proto=proto, flags=flags)
        """,
    ],
    "_connect_sock": [
        """
        async def _connect_sock(self, exceptions, addr_info, local_addr_infos=None):
            '''Create, bind and connect one socket.'''
            my_exceptions = []
            exceptions.append(my_exceptions)
            family, type_, proto, _, address = addr_info
            sock = None
            try:
                sock = socket.socket(family=family, type=type_, proto=proto)
                sock.setblocking(False)
                await self.sock_connect(sock, address)
                return sock
            except OSError as exc:
                my_exceptions.append(exc)
                if sock is not None:
                    sock.close()
                raise
            except:
                if sock is not None:
                    sock.close()
                raise
            finally:
                exceptions = my_exceptions = None
        """,
        """
        async def _connect_sock(self, exceptions, addr_info, local_addr_infos=None):
            '''Create, bind and connect one socket.'''
            my_exceptions = []
            exceptions.append(my_exceptions)
            family, type_, proto, _, address = addr_info
            sock = None
            try:
                try:
                    sock = socket.socket(family=family, type=type_, proto=proto)
                    sock.setblocking(False)
                    await self.sock_connect(sock, address)
                    return sock
                except OSError as exc:
                    my_exceptions.append(exc)
                    raise
            except:
                if sock is not None:
                    try:
                        sock.close()
                    except OSError:
                        pass
                raise
            finally:
                exceptions = my_exceptions = None
        """,
    ],
    "_create_connection_transport": [
        """
        async def _create_connection_transport(
                self, sock, protocol_factory, ssl,
                server_hostname, server_side=False,
                ssl_handshake_timeout=None,
                ssl_shutdown_timeout=None):
            sock.setblocking(False)
            protocol = protocol_factory()
            waiter = self.create_future()
            transport = self._make_socket_transport(sock, protocol, waiter)
            try:
                await waiter
            except:
                transport.close()
                raise
            return transport, protocol
        """,
        """
        async def _create_connection_transport(
                self, sock, protocol_factory, ssl,
                server_hostname, server_side=False,
                ssl_handshake_timeout=None,
                ssl_shutdown_timeout=None):
            try:
                sock.setblocking(False)
                protocol = protocol_factory()
                waiter = self.create_future()
                transport = self._make_socket_transport(sock, protocol, waiter)
            except:
                sock.close()
                raise
            try:
                await waiter
            except:
                transport.close()
                raise
            return transport, protocol
        """,
        """
        async def _create_connection_transport(
                self, sock, protocol_factory, ssl,
                server_hostname, server_side=False,
                ssl_handshake_timeout=None,
                ssl_shutdown_timeout=None, context=None):
            try:
                sock.setblocking(False)
                context = context if context is not None else contextvars.copy_context()
                protocol = protocol_factory()
                waiter = self.create_future()
                transport = self._make_socket_transport(sock, protocol, waiter, context=context)
            except:
                sock.close()
                raise
            try:
                await waiter
            except:
                transport.close()
                raise
            return transport, protocol
        """,
    ],
}


class WithoutOptions(ast.NodeTransformer):
    """Takes out what a plain connection to a literal address does not run."""

    def visit_If(self, node):
        condition = ast.unparse(node.test)
        if condition == "local_addr_infos is not None" and not node.orelse:
            return None
        return node.orelse if condition == "ssl" else self.generic_visit(node)


@pytest.mark.parametrize("name", STEPS)
def test_asyncio_does_what_is_done_in_its_place(name):
    """If this fails, python/veloop/_connecting.py has to follow."""
    source = inspect.getsource(getattr(asyncio.BaseEventLoop, name))
    now, *known = (
        ast.dump(WithoutOptions().visit(ast.parse(textwrap.dedent(text))))
        for text in (source, *AS_THEY_ARE_KNOWN[name])
    )
    assert now in known
    if name == "_create_connection_transport":
        assert ("copy_context" in source) is (sys.version_info >= (3, 15))
