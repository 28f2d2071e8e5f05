"""TLS: asyncio's own protocol for what happens once per connection, natively what happens once per record.

``SSLProtocol`` is asyncio's ``SSLProtocol``: its states, its time limits, its messages, its handshake and its
shutdown on an ``ssl.SSLObject`` that the context has made. Only the buffers are others: a native session
(``_native.TLSSession``) decrypts what arrives, and encrypts what is written, with the very OpenSSL of the
``ssl`` module. Where that is not possible asyncio's protocol does it all; docs/TLS.md says when.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import socket
import types
from asyncio import base_events, constants, sslproto

from . import _native

TYPE_CHECKING = False  # importing typing takes a tenth of a program's start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

State = sslproto.SSLProtocolState
PHASES = (State.UNWRAPPED, State.DO_HANDSHAKE, State.WRAPPED, State.FLUSHING, State.SHUTDOWN)
ASYNCIO_PROTOCOL: Any = sslproto.SSLProtocol
ASYNCIO_TRANSPORT: Any = sslproto._SSLProtocolTransport
ENGINE = "tls_engine"  # the name under which get_extra_info() tells which one it is: "direct" or "stdlib"


class Incoming:
    """What asyncio's code sees as the buffer of what was received."""

    def __init__(self, session: Any) -> None:
        self._session = session

    @property
    def pending(self) -> int:
        return self._session.unread  # type: ignore[no-any-return]

    def write(self, data: Any) -> None:
        self._session.keep(data)


class Outgoing:
    """What asyncio's code sees as the buffer of what is to be sent."""

    def __init__(self, session: Any) -> None:
        self._session = session

    @property
    def pending(self) -> int:
        return self._session.unsent  # type: ignore[no-any-return]

    def read(self) -> bytes:
        self._session.discard_writes()
        return b""


class NoSession:
    """Stands in before there is a session, and after the connection is lost."""

    unread = held = unsent = pending = 0

    def ignore(self, *args: object) -> None:
        pass

    set_app = set_phase = set_water_marks = set_app_paused = set_reading_paused = set_lower_paused = ignore
    send = read = feed = keep = attach = discard_writes = ignore


NO_SESSION: Any = NoSession()


class SSLTransport(ASYNCIO_TRANSPORT):  # type: ignore[misc]
    """asyncio's TLS transport, whose hot methods are the session's."""

    def __init__(self, loop: Any, ssl_protocol: Any, session: Any) -> None:
        super().__init__(loop, ssl_protocol)
        self.write = session.write
        self.writelines = session.writelines

    def abort(self) -> None:
        self._force_close(None)

    def _force_close(self, exc: BaseException | None) -> None:
        # Older asyncio stumbles over a transport that was closed twice.
        self._closed = True
        if self._ssl_protocol is not None:
            self._ssl_protocol._abort(exc)

    def forget_session(self) -> None:
        """Writing is asyncio's from here on: it counts what is written to a lost connection."""
        del self.write, self.writelines

    def _test__append_write_backlog(self, data: Any) -> None:
        self.write(data)


class SSLProtocol(ASYNCIO_PROTOCOL):  # type: ignore[misc]
    """asyncio's ``SSLProtocol`` around a native session; with the same arguments."""

    max_size = 0  # no receive buffer: the session decrypts from that of the loop
    _session = NO_SESSION
    _app_transport_created: bool

    def __init__(self, loop: Any, *args: Any, **kwargs: Any) -> None:
        _native.expect_ssl()
        super().__init__(loop, *args, **kwargs)

    def _get_app_transport(self) -> Any:
        # Called last by the constructor, when the context has made the SSL object.
        if not self._app_transport_created:
            session = find_session(self._loop, self._sslobj, self)
            if session is None:
                return self._become_asyncios()
            self._session = session
            self._extra[ENGINE] = "direct"
            self._incoming, self._outgoing = Incoming(session), Outgoing(session)
            session.set_app(self._app_protocol, self._app_protocol_is_buffer)
            session.set_water_marks(self._outgoing_high_water, self._outgoing_low_water)
            self._app_transport = SSLTransport(self._loop, self, session)
            self._app_transport_created = True
        return super()._get_app_transport()

    def _become_asyncios(self) -> Any:
        """The context has made something that we do not know: asyncio's own code goes on with it."""
        self.__class__ = ASYNCIO_PROTOCOL
        self._ssl_buffer = bytearray(self.max_size)
        self._ssl_buffer_view = memoryview(self._ssl_buffer)
        self._extra[ENGINE] = "stdlib"
        return self._get_app_transport()

    # -- what the session has to know ------------------------------------------------------------------

    def _set_app_protocol(self, app_protocol: Any) -> None:
        super()._set_app_protocol(app_protocol)
        self._session.set_app(app_protocol, self._app_protocol_is_buffer)

    def _set_state(self, new_state: Any) -> None:
        if new_state == State.SHUTDOWN:
            self._send_rest()
        super()._set_state(new_state)
        self._session.set_phase(PHASES.index(new_state))

    def _set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        super()._set_write_buffer_limits(high, low)
        self._session.set_water_marks(self._outgoing_high_water, self._outgoing_low_water)

    def _control_app_writing(self) -> None:
        super()._control_app_writing()
        self._session.set_app_paused(self._app_writing_paused)

    def _pause_reading(self) -> None:
        super()._pause_reading()
        self._session.set_reading_paused(True)

    def _resume_reading(self) -> None:
        super()._resume_reading()
        self._session.set_reading_paused(False)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._session.set_lower_paused(True)

    def resume_writing(self) -> None:
        self._session.set_lower_paused(False)
        super().resume_writing()

    def connection_made(self, transport: Any) -> None:
        self._session.attach(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._app_transport is not None:
            self._app_transport.forget_session()
        super().connection_lost(exc)
        self._session.attach(None)
        self._session = self._incoming = self._outgoing = NO_SESSION  # no cycle for the collector

    # -- what arrives: from a native transport it goes to the session directly ---------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        if not self._ssl_buffer:
            self._ssl_buffer = bytearray(64 * 1024)
            self._ssl_buffer_view = memoryview(self._ssl_buffer)
        return self._ssl_buffer_view

    def buffer_updated(self, nbytes: int) -> None:
        self._session.feed(self._ssl_buffer_view[:nbytes])

    def _input_arrived(self) -> None:
        """What asyncio's ``buffer_updated()`` does with what has arrived, in the phases that are rare."""
        if self._state == State.DO_HANDSHAKE:
            self._do_handshake()
        elif self._state == State.FLUSHING:
            self._do_flush()
        elif self._state == State.SHUTDOWN:
            self._do_shutdown()

    def _do_read(self) -> None:
        if self._state not in (State.WRAPPED, State.FLUSHING):
            return
        try:
            if not self._app_reading_paused:
                self._session.read()
            # Also when reading is paused: the last flight of the handshake may be there.
            self._process_outgoing()
            self._control_ssl_reading()
        except Exception as ex:
            self._fatal_error(ex, "Fatal error on SSL protocol")

    # -- what is to be sent --------------------------------------------------------------------------------

    def _write_appdata(self, list_of_data: Any) -> None:
        if self._state in (State.WRAPPED, State.DO_HANDSHAKE):
            self._session.writelines(list_of_data)
        else:
            super()._write_appdata(list_of_data)

    def _do_write(self) -> None:
        self._process_outgoing()

    def _process_outgoing(self) -> None:
        # Behind a shutdown nothing follows that could be sent later.
        self._session.send(self._state == State.SHUTDOWN)
        self._control_app_writing()

    def _send_rest(self) -> None:
        """Pass everything on before the shutdown is begun, even if the transport has had enough."""
        try:
            self._session.send(True)
        except Exception as ex:
            self._fatal_error(ex, "Fatal error on SSL protocol")

    def _get_write_buffer_size(self) -> int:
        return self._session.unsent  # type: ignore[no-any-return]

    def _abort(self, exc: BaseException | None = None) -> None:
        # asyncio's own, which takes no reason before 3.13 and is given one nevertheless.
        if self._session.held:
            self._send_now()
        self._set_state(State.UNWRAPPED)
        if self._transport is not None:
            self._transport._force_close(exc)

    def _fatal_error(self, exc: Any, message: str = "Fatal error on transport") -> None:
        self._send_now()  # the alert, too
        super()._fatal_error(exc, message)

    def _send_now(self) -> None:
        """What was written before would have been sent by now, had it not waited for the end of the turn."""
        with contextlib.suppress(Exception):
            self._session.send(False)

    # -- where asyncio loses something -----------------------------------------------------------------------

    def _on_handshake_complete(self, handshake_exc: Any) -> None:
        if isinstance(handshake_exc, BaseException):
            self._session.send(True)  # the alert that says what was wrong
        super()._on_handshake_complete(handshake_exc)

    def _waits_for_reader(self) -> bool:
        """Whether the peer is done, but not all of what it sent was taken."""
        return bool(self._state == State.FLUSHING and self._eof_received and self._app_reading_paused)

    def eof_received(self) -> bool | None:
        answer = super().eof_received()
        return True if self._waits_for_reader() else answer

    def _do_flush(self) -> None:
        self._do_read()
        if self._state != State.FLUSHING or self._waits_for_reader():
            return
        self._set_state(State.SHUTDOWN)
        self._do_shutdown()

    def _start_shutdown(self) -> None:
        if self._waits_for_reader():  # Nobody wants the rest.
            self._set_state(State.SHUTDOWN)
            self._do_shutdown()
        else:
            super()._start_shutdown()


def find_session(loop: Any, ssl_object: Any, protocol: Any) -> Any:
    """A session for what ``wrap_bio()`` has made since ``expect_ssl()``; None if that is something else."""
    import ssl

    # An object of another class may want to see the data.
    for name in ("read", "write"):
        if getattr(type(ssl_object), name, None) is not getattr(ssl.SSLObject, name):
            return None
    return loop._tls_session(ssl_object._sslobj, protocol)


_found: list[str] = []  # what was found when it was tried: once, when TLS is first used


def why_not_native(loop: Any) -> str:
    """Why TLS cannot be native in this process; empty if it can."""
    if not _found:
        _found.append(_try_out(loop))
    return _found[0]


def _try_out(loop: Any) -> str:
    import _ssl
    import ssl

    # AWS-LC calls itself "OpenSSL 1.1.1 (compatible; AWS-LC 1.30)".
    is_openssl = ssl.OPENSSL_VERSION.startswith("OpenSSL ") and "compatible" not in ssl.OPENSSL_VERSION
    if not is_openssl or ssl.OPENSSL_VERSION_INFO < (1, 1, 1):
        return f"the ssl module is built with {ssl.OPENSSL_VERSION}"
    if not _native.load_openssl(getattr(_ssl, "__file__", None), ssl.OPENSSL_VERSION_NUMBER):
        return f"the functions of {ssl.OPENSSL_VERSION} are not to be had"
    # A handshake that is begun has to arrive where a record would.
    _native.expect_ssl()
    sent = ssl.MemoryBIO()
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
        ssl.MemoryBIO(), sent, server_hostname="localhost"
    )
    session = find_session(loop, made, None)
    if session is None:
        return "the ssl module keeps its objects where we do not know"
    try:
        made.do_handshake()
    except ssl.SSLWantReadError:
        pass
    if session.unsent == 0 or sent.pending:
        return "OpenSSL does not write where it was told to"
    return ""


def make_protocol(loop: Any, *args: Any, **kwargs: Any) -> Any:
    """Make what ``asyncio.sslproto.SSLProtocol`` makes, with its arguments; natively where possible."""
    if sslproto.ssl is None:  # type: ignore[attr-defined]
        return ASYNCIO_PROTOCOL(loop, *args, **kwargs)  # which says so
    chosen = os.environ.get("VELOOP_TLS", "auto")
    if chosen not in ("auto", "direct", "stdlib"):
        raise ValueError(f"VELOOP_TLS is one of auto, direct and stdlib, not {chosen!r}")
    protocol_type: Any = sslproto.SSLProtocol
    # Whoever has replaced asyncio's class gets what he wants.
    if chosen != "stdlib" and protocol_type is ASYNCIO_PROTOCOL:
        reason = why_not_native(loop)
        if not reason:
            return SSLProtocol(loop, *args, **kwargs)
        if chosen == "direct":
            raise RuntimeError(f"VELOOP_TLS=direct: {reason}")
    protocol = protocol_type(loop, *args, **kwargs)
    if protocol_type is ASYNCIO_PROTOCOL:
        protocol._extra[ENGINE] = "stdlib"
    return protocol


def making_ours(function: Callable[..., Any]) -> Callable[..., Any]:
    """Asyncio's own function, which gets our protocol where it makes an ``sslproto.SSLProtocol``."""
    if not isinstance(function, types.FunctionType):
        return function  # somebody has wrapped it
    names = {**function.__globals__, "sslproto": types.SimpleNamespace(SSLProtocol=make_protocol)}
    ours = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    ours.__kwdefaults__ = function.__kwdefaults__
    ours.__doc__ = function.__doc__
    return ours


class TLS(asyncio.SelectorEventLoop):
    """The methods of the loop that begin TLS on a connection."""

    start_tls = making_ours(base_events.BaseEventLoop.start_tls)

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = constants.SSL_SHUTDOWN_TIMEOUT,
        context: contextvars.Context | None = None,
    ) -> Any:
        loop: Any = self
        loop._ensure_fd_no_transport(rawsock)
        ssl_protocol = make_protocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        loop._make_socket_transport(rawsock, ssl_protocol, extra=extra, server=server, context=context)
        return ssl_protocol._app_transport
