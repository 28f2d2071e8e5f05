"""What a connection does when a method of its protocol misbehaves, as a list to compare two loops by."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import sys
from collections.abc import Callable
from typing import Any

from support.certificates import client_context, server_context
from support.turns import run_turns

LARGE = 4 << 20  # more than a socket or a pipe takes


class Trace:
    """A loop whose errors, and what leaves its runs, are noted among the events of a protocol."""

    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.events: list[Any] = []
        self.loop = loop_factory()
        self.loop.set_exception_handler(self._note_error)
        asyncio.set_event_loop(self.loop)

    def _note_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        handled = error is not None and sys.exc_info()[1] is error
        # asyncio's transports have other names, and an address is not the same twice.
        words = re.sub(r"\b\w*Transport\.", "Transport.", context["message"]).partition("<")[0]
        self.events.append(("error", words, repr(error), sorted(context), handled))

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_error: object) -> None:
        self.settle()
        self.loop.close()
        asyncio.set_event_loop(None)

    def settle(self, turns: int = 8) -> None:
        """Let everything that has happened be told: some turns, each with a look at the descriptors."""
        for _ in range(turns):
            try:
                run_turns(self.loop, 1)
            except BaseException as error:
                self.events.append(("left", repr(error)))

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call a function inside the loop, and note what it raises."""

        def callback() -> None:
            try:
                function(*args)
            except Exception as error:
                self.events.append(("raised", repr(error)))

        self.loop.call_soon(callback)
        self.settle()

    def protocol(self, base: type[Any], method: str, action: Callable[[Any, Any], object]) -> Any:
        """A protocol that notes each call, and does `action` in the first call of `method`."""
        events = self.events
        done: list[bool] = []

        def noted(name: str, answer: object) -> Callable[..., object]:
            def call(self: Any, *args: Any) -> object:
                if name == "connection_made":
                    self.transport = args[0]
                    details: Any = ()
                else:
                    details = [_shown(argument) for argument in args]
                if name == "get_buffer":
                    self.buffer = bytearray(1000)
                    details = ()
                elif name == "buffer_updated":
                    details = [bytes(self.buffer[: args[0]])]
                events.append((self.name, name, details, self.transport.is_closing()))
                if name == method and not done:
                    done.append(True)
                    result = action(self.transport, self)
                    if result is not None:
                        return result
                return self.buffer if name == "get_buffer" else answer

            return call

        names = [
            *("connection_made", "connection_lost", "pause_writing", "resume_writing"),
            *(
                ("eof_received",)
                if base is not asyncio.DatagramProtocol
                else ("datagram_received", "error_received")
            ),
        ]
        if base is asyncio.BufferedProtocol:
            names += ["get_buffer", "buffer_updated"]
        elif base is asyncio.Protocol:
            names += ["data_received"]
        methods = {name: noted(name, None) for name in names}
        return type("Traced", (base,), {**methods, "name": "protocol", "transport": None})()


def _shown(argument: Any) -> object:
    if isinstance(argument, (bytes, bytearray)) and len(argument) > 100:
        return len(argument)
    return repr(argument)


def drain(sock: socket.socket) -> int | str:
    """Reads what there is from a socket that does not block."""
    total = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            try:
                data = sock.recv(1 << 20)
            except ConnectionResetError:
                return "reset"
            if not data:
                return f"{total}, end"
            total += len(data)
    return total


def stream_trace(loop_factory: Any, base: type[Any], method: str, action: Any) -> list[Any]:
    """A stream transport, stimulated in the ways that call every method of its protocol."""
    near, far = socket.socketpair()
    far.setblocking(False)
    with Trace(loop_factory) as trace, far:
        protocol = trace.protocol(base, method, action)
        connecting = trace.loop.create_task(trace.loop.create_connection(lambda: protocol, sock=near))
        trace.settle()
        trace.events.append(("connected", connecting.done()))
        _stimulate(trace, protocol, far)
        del connecting
        return trace.events


def _stimulate(trace: Trace, protocol: Any, far: socket.socket) -> None:
    def send(data: bytes) -> None:
        try:
            far.send(data)
        except OSError as error:
            trace.events.append(("far", repr(error)))
        trace.settle()

    transport = protocol.transport
    send(b"one")
    trace.call(transport.write, b"small")
    trace.call(transport.write, bytes(LARGE))
    total = 0
    while True:
        count = drain(far)
        trace.settle()
        if not isinstance(count, int) or count == 0:
            break
        total += count
    trace.events.append(("far got", total, count))
    send(b"two")
    with contextlib.suppress(OSError):
        far.shutdown(socket.SHUT_WR)
    trace.settle()
    trace.events.append(("far got", drain(far)))
    trace.call(transport.write, b"late")
    trace.call(transport.close)
    trace.events.append(("far got", drain(far)))
    trace.call(transport.abort)


def tls_trace(loop_factory: Any, base: type[Any], method: str, action: Any) -> list[Any]:
    """A TLS transport between two protocols of one loop, with the calls of both."""
    near, far = socket.socketpair()
    with Trace(loop_factory) as trace:
        loop = trace.loop
        protocol = trace.protocol(base, method, action)
        peer = trace.protocol(asyncio.Protocol, "nothing", None)  # type: ignore[arg-type]
        peer.name = "peer"

        async def connect() -> None:
            done = await asyncio.gather(
                loop.create_connection(
                    lambda: protocol, sock=near, ssl=client_context(), server_hostname="localhost"
                ),
                loop.connect_accepted_socket(lambda: peer, far, ssl=server_context()),
                return_exceptions=True,
            )
            trace.events.append([type(result).__name__ for result in done])

        task = loop.create_task(connect())
        trace.settle(20)
        trace.events.append(("connected", task.done()))
        if not task.done():
            task.cancel()
        trace.settle()
        if protocol.transport is not None and peer.transport is not None:
            for transport, data in ((peer.transport, b"one"), (protocol.transport, b"small")):
                trace.call(transport.write, data)
                trace.settle()
            trace.call(peer.transport.close)
            trace.settle()
            trace.call(protocol.transport.close)
            trace.settle(20)
        for each in (protocol, peer):
            if each.transport is not None:
                trace.call(each.transport.abort)
        trace.settle(20)
        for sock in (near, far):
            sock.close()
        return trace.events


def datagram_trace(loop_factory: Any, _base: type[Any], method: str, action: Any) -> list[Any]:
    """A datagram transport whose peer sends two datagrams and goes away."""
    with Trace(loop_factory) as trace, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        protocol = trace.protocol(asyncio.DatagramProtocol, method, action)
        connecting = trace.loop.create_task(
            trace.loop.create_datagram_endpoint(lambda: protocol, remote_addr=far.getsockname())
        )
        trace.settle(20)
        trace.events.append(("connected", connecting.done()))
        transport = protocol.transport
        far.connect(transport.get_extra_info("sockname"))
        for number in (b"one", b"two"):
            with contextlib.suppress(ConnectionRefusedError):
                far.send(number)
            trace.settle()
        trace.call(transport.sendto, b"answer")
        far.setblocking(False)
        trace.events.append(("far got", _received(far)))
        far.close()
        for _ in range(2):
            trace.call(transport.sendto, b"to nobody")
        trace.call(transport.close)
        trace.call(transport.abort)
        return [_without_ports(event) for event in trace.events]


def _received(sock: socket.socket) -> object:
    try:
        return sock.recv(100)
    except OSError as error:
        return type(error).__name__


def _without_ports(event: Any) -> Any:
    return (*event[:2], event[2][:1], event[3]) if event[1] == "datagram_received" else event


def pipe_trace(loop_factory: Any, base: type[Any], method: str, action: Any) -> list[Any]:
    """A read pipe and a write pipe with one protocol each; the one whose name `base` has misbehaves."""
    with Trace(loop_factory) as trace:
        read_end, write_end = os.pipe()
        os.set_blocking(write_end if base is asyncio.Protocol else read_end, False)
        protocol = trace.protocol(asyncio.Protocol, method, action)
        if base is asyncio.Protocol:
            connect = trace.loop.connect_read_pipe(lambda: protocol, os.fdopen(read_end, "rb", 0))
        else:
            connect = trace.loop.connect_write_pipe(lambda: protocol, os.fdopen(write_end, "wb", 0))
        connecting = trace.loop.create_task(connect)
        trace.settle()
        trace.events.append(("connected", connecting.done()))
        transport = protocol.transport
        if base is asyncio.Protocol:
            for data in (b"one", b"two"):
                with contextlib.suppress(BrokenPipeError):
                    os.write(write_end, data)
                trace.settle()
            os.close(write_end)
        else:
            trace.call(transport.write, b"small")
            trace.call(transport.write, bytes(LARGE))
            total = 0
            while True:
                try:
                    data = os.read(read_end, 1 << 20)
                except BlockingIOError:
                    break
                trace.settle()
                if not data:
                    break
                total += len(data)
            trace.events.append(("far got", total))
            os.close(read_end)
        trace.settle()
        trace.call(transport.close)
        if base is not asyncio.Protocol:
            trace.call(transport.abort)
        return trace.events
