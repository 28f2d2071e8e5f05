"""The private hooks of asyncio that every loop needs; those of one subject are in its own module.

``Hooks`` is the glue between asyncio's cold code and the native core: methods that the native core calls
to report something (``_callback_failed``, ``_report_slow``), and private methods of asyncio's loop that
must not run as they are because there is no selector and no self-pipe. CPython's own test suite guards
them on each supported version; docs/ARCHITECTURE.md lists them, and those of the other modules.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import socket
import sys
import threading
import types
from asyncio import base_events, constants, events, format_helpers, trsock
from asyncio.log import logger

TYPE_CHECKING = False  # importing typing takes a tenth of a program's start
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from . import _native

PY312 = sys.version_info >= (3, 12)
PY313 = sys.version_info >= (3, 13)


class NativeSelector(selectors.BaseSelector):
    """What asyncio's cold code sees as the loop's selector: nothing is registered through it."""

    def __init__(self) -> None:
        self._loop: Any = None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("veloop polls natively: use loop.add_reader() or loop.add_writer()")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError("veloop polls natively: use loop.remove_reader() or loop.remove_writer()")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        raise NotImplementedError("veloop polls natively")

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """What ``fileobj`` is watched for, as the repr of asyncio's own transports asks."""
        reading, writing = self._loop._watched(fileobj)
        if not reading and not writing:
            raise KeyError(f"{fileobj!r} is not registered")
        mask = selectors.EVENT_READ * reading | selectors.EVENT_WRITE * writing
        return selectors.SelectorKey(fileobj, fileobj, mask, None)


class ReadyQueue:
    """What asyncio's cold code sees as the loop's queue of ready handles."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def __len__(self) -> int:
        return self._loop._queue_lengths()[0]  # type: ignore[no-any-return]

    def append(self, handle: events.Handle) -> None:
        self._loop._add_callback(handle)

    def clear(self) -> None:
        """Nothing: closing the native loop drops what is queued."""


def is_own(function: object, module: types.ModuleType) -> bool:
    """Whether ``module`` itself defines ``function``: what replaces or wraps it comes from elsewhere."""
    # The type is compared, since some wrappers pass for what they wrap.
    return type(function) is types.FunctionType and function.__globals__ is vars(module)


def format_callback(handle: Any, debug: bool) -> str:
    """A handle's callback as asyncio's messages show it."""
    format_source: Any = format_helpers._format_callback_source
    options = {"debug": debug} if PY313 else {}
    return str(format_source(handle._callback, handle._args, **options))


class Hooks(asyncio.SelectorEventLoop):
    """asyncio's loop with the hooks that the native core needs; see the module's docstring."""

    _ssock: socket.socket | None
    _csock: socket.socket | None
    _internal_fds: int
    _debug: bool
    _thread_id: int | None
    _stopping: bool

    # -- scheduling through asyncio's own methods (BaseEventLoop.call_soon(loop, ...)) ends up here ------

    @property
    def _ready(self) -> ReadyQueue:
        return ReadyQueue(self)

    @_ready.setter
    def _ready(self, queue: object) -> None:
        """asyncio's constructor makes a queue of its own, which nobody needs."""

    def _call_soon(self, callback: Any, args: tuple[Any, ...], context: Any) -> events.Handle:
        return self.call_soon(callback, *args, context=context)

    # -- reports of the native core ----------------------------------------------------------------

    def _callback_failed(self, handle: events.Handle, exception: BaseException) -> None:
        context: dict[str, Any] = {
            "message": f"Exception in callback {format_callback(handle, self.get_debug())}",
            "exception": exception,
            "handle": handle,
        }
        source_traceback = handle._source_traceback  # type: ignore[attr-defined]
        if source_traceback:
            context["source_traceback"] = source_traceback
        self.call_exception_handler(context)

    def _task_failed(self, owner: object, exception: BaseException) -> None:
        """What asyncio's own callbacks raise; ``owner`` is the transport or listener."""
        self.call_exception_handler(
            {"message": f"Exception in callback of {owner!r}", "exception": exception}
        )

    def _report_slow(self, what: object, seconds: float) -> None:
        text = base_events._format_handle(what) if isinstance(what, events.Handle) else repr(what)  # type: ignore[attr-defined]
        # By asyncio's own name, which CPython's tests replace.
        base_events.logger.warning("Executing %s took %.3f seconds", text, seconds)  # type: ignore[attr-defined]

    def _transport_failed(
        self, transport: object, protocol: object, exception: BaseException, message: str
    ) -> None:
        """asyncio's ``_fatal_error``: errors of the network are no news, others are."""
        if isinstance(exception, OSError):
            if self.get_debug():
                logger.debug("%r: %s", transport, message, exc_info=exception)
        else:
            self._protocol_failed(transport, protocol, exception, message)

    def _protocol_failed(
        self, transport: object, protocol: object, exception: BaseException, message: str
    ) -> None:
        self.call_exception_handler(
            {"message": message, "exception": exception, "transport": transport, "protocol": protocol}
        )

    # -- serving -----------------------------------------------------------------------------------

    def _start_serving(
        self,
        protocol_factory: Any,
        sock: socket.socket,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = constants.SSL_SHUTDOWN_TIMEOUT,
        context: contextvars.Context | None = None,
    ) -> None:
        ssl_arguments = (sslcontext, ssl_handshake_timeout, ssl_shutdown_timeout) if sslcontext else None
        self._listeners[sock] = self._serve(  # type: ignore[attr-defined]
            protocol_factory, sock, server, backlog, ssl_arguments, context
        )

    def _stop_serving(self, sock: socket.socket) -> None:
        listener = self._listeners.pop(sock, None)
        if listener is not None:
            listener.stop()
        super()._stop_serving(sock)  # type: ignore[misc]

    def _accepted(
        self,
        listener: tuple[Any, Any, Any],
        conn: socket.socket,
        peername: Any,
        context: contextvars.Context | None,
    ) -> None:
        """Go on with an accepted connection the way asyncio does (TLS, debug mode)."""
        protocol_factory, server, ssl_arguments = listener
        if self.get_debug():
            logger.debug("%r got a new connection from %r: %r", server, peername, conn)
        sslcontext, handshake_timeout, shutdown_timeout = ssl_arguments or (None, None, None)
        # From Python 3.15 on a connection has a context of its own.
        own_context: dict[str, Any] = {} if context is None else {"context": context}
        accept = self._accept_connection2(  # type: ignore[attr-defined]
            protocol_factory,
            conn,
            {"peername": peername},
            sslcontext,
            server,
            handshake_timeout,
            shutdown_timeout,
            **own_context,
        )
        self.create_task(accept, **own_context)

    def _accept_failed(
        self, listener: _native.Listener, sock: socket.socket, exception: OSError, paused: bool
    ) -> None:
        if not paused:
            self.call_exception_handler(
                {"message": f"Exception in callback {listener!r}", "exception": exception}
            )
            return
        self.call_exception_handler(
            {
                "message": "socket.accept() out of system resource",
                "exception": exception,
                "socket": trsock.TransportSocket(sock),
            }
        )
        self.call_later(constants.ACCEPT_RETRY_DELAY, listener.resume)

    # -- sendfile ----------------------------------------------------------------------------------

    async def _sendfile_native(self, transp: Any, file: Any, offset: int, count: int | None) -> int:
        """asyncio's own, with the transport's descriptor lent to ``sock_sendfile``."""
        resume_reading = transp.is_reading()
        transp.pause_reading()
        await transp._make_empty_waiter()
        transp._lend_descriptor(True)
        try:
            return await self.sock_sendfile(transp._sock, file, offset, count, fallback=False)
        finally:
            transp._lend_descriptor(False)
            transp._reset_empty_waiter()
            if resume_reading:
                transp.resume_reading()

    # -- no self-pipe: the native core wakes itself, and signals need the pair only when one is watched --

    def _make_self_pipe(self) -> None:
        self._listeners: dict[socket.socket, _native.Listener] = {}
        self._ssock = None
        self._csock = None
        self._internal_fds += 1

    def _open_signal_pair(self) -> None:
        """Make the socket pair through which Python reports signals."""
        if self._csock is None:
            self._internal_fds -= 1
            super()._make_self_pipe()  # type: ignore[misc]

    def _close_self_pipe(self) -> None:
        if self._ssock is None:
            self._internal_fds -= 1
        else:
            super()._close_self_pipe()  # type: ignore[misc]

    # -- the frame around a run, which Python versions before 3.13 do not have as methods of its own ----

    if not hasattr(base_events.BaseEventLoop, "_run_forever_setup"):

        def _run_forever_setup(self) -> None:
            self._check_closed()  # type: ignore[attr-defined]
            self._check_running()  # type: ignore[attr-defined]
            self._set_coroutine_origin_tracking(self._debug)  # type: ignore[attr-defined]
            self._old_agen_hooks = sys.get_asyncgen_hooks()
            self._thread_id = threading.get_ident()
            sys.set_asyncgen_hooks(
                firstiter=self._asyncgen_firstiter_hook,  # type: ignore[attr-defined]
                finalizer=self._asyncgen_finalizer_hook,  # type: ignore[attr-defined]
            )
            events._set_running_loop(self)

        def _run_forever_cleanup(self) -> None:
            self._stopping = False
            self._thread_id = None
            events._set_running_loop(None)
            self._set_coroutine_origin_tracking(False)  # type: ignore[attr-defined]
            sys.set_asyncgen_hooks(*self._old_agen_hooks)
