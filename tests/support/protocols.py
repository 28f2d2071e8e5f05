"""Protocols that write down what their transport tells them, and let a test wait for it."""

from __future__ import annotations

import asyncio
import functools
from typing import Any


class _Diary:
    """Events in order (repeats of one event are folded), and futures for the end of the connection."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.events: list[str] = []
        self.received = bytearray()
        self.eof: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[BaseException | None] = loop.create_future()
        self.keep_open: object = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def note(self, event: str) -> None:
        if not self.events or self.events[-1] != event:
            self.events.append(event)

    def connection_made(self, transport: Any) -> None:
        assert self.transport is None, "connection_made was called twice"
        self.transport = transport
        self.note("made")

    def eof_received(self) -> object:
        assert not self.eof.done(), "eof_received was called twice"
        self.note("eof")
        self.eof.set_result(None)
        return self.keep_open

    def connection_lost(self, exc: BaseException | None) -> None:
        assert not self.lost.done(), "connection_lost was called twice"
        self.note("lost")
        self.lost.set_result(exc)

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def arrived(self, data: bytes | memoryview) -> None:
        self.note("data")
        self.received += data
        for wanted, future in self._waiting:
            if len(self.received) >= wanted and not future.done():
                future.set_result(None)

    async def bytes_received(self, count: int) -> bytes:
        """Waits until at least `count` bytes have arrived; answers all that has."""
        if len(self.received) < count:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((count, future))
            await future
        return bytes(self.received)


class Recorder(_Diary, asyncio.Protocol):
    """Takes data as bytes."""

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data, "data_received got nothing"
        self.arrived(data)


class BufferedRecorder(_Diary, asyncio.BufferedProtocol):
    """Offers a buffer of its own; `sizes` holds what get_buffer was asked for."""

    def __init__(self, size: int = 4096) -> None:
        super().__init__()
        self.buffer = bytearray(size)
        self.hints: list[int] = []

    def get_buffer(self, sizehint: int) -> memoryview:
        self.hints.append(sizehint)
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= len(self.buffer)
        self.arrived(memoryview(self.buffer)[:nbytes])


class Raises:
    """A protocol whose method `method` raises `error` (after its base class has taken its note)."""

    def __init__(self, method: str, error: BaseException, base: type[Any] = Recorder) -> None:
        self._method, self._error, self._base = method, error, base

    def __call__(self) -> Any:
        def fail(protocol: Any, *args: Any) -> None:
            getattr(self._base, self._method)(protocol, *args)
            raise self._error

        fail.__qualname__ = f"Failing.{self._method}"
        return type("Failing", (self._base,), {self._method: fail})()


class Calls:
    """A protocol that runs `action(transport)` inside its method `method` (after taking its note)."""

    def __init__(self, method: str, action: Any, base: type[Any] = Recorder) -> None:
        self._method, self._action, self._base = method, action, base

    def __call__(self) -> Any:
        def act(protocol: Any, *args: Any) -> Any:
            answer = getattr(self._base, self._method)(protocol, *args)
            self._action(protocol.transport)
            return answer

        return type("Acting", (self._base,), {self._method: act})()


class DatagramRecorder(asyncio.DatagramProtocol):
    """Datagrams and errors in order, each of which a test can wait for."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.events: list[str] = []
        self.datagrams: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
        self.errors: asyncio.Queue[OSError] = asyncio.Queue()
        self.lost: asyncio.Future[BaseException | None] = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        assert self.transport is None
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert type(data) is bytes
        self.datagrams.put_nowait((data, addr))

    def error_received(self, exc: OSError) -> None:
        self.errors.put_nowait(exc)

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: BaseException | None) -> None:
        assert not self.lost.done(), "connection_lost was called twice"
        self.lost.set_result(exc)


class Echo(Recorder):
    """Sends back what it gets."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


def keeping_open(base: type[Any] = Recorder) -> Any:
    """Makes a recorder whose eof_received asks to keep the connection open."""
    protocol = base()
    protocol.keep_open = True
    return protocol


half_open = functools.partial(keeping_open, Recorder)
