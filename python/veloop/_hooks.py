"""Every private hook of asyncio that veloop implements or relies on, in one place.

``Hooks`` is the glue between asyncio's cold code and the native core: methods that the native core calls
to report something (``_callback_failed``, ``_report_slow``), and private methods of asyncio's loop that
must not run as they are because there is no selector and no self-pipe. CPython's own test suite guards
them on each supported version; docs/ARCHITECTURE.md lists them.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys
import threading
from asyncio import base_events, events, format_helpers
from asyncio.log import logger
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def format_callback(handle: events.Handle, debug: bool) -> str:
    """A handle's callback as asyncio's messages show it."""
    callback, args = handle._callback, handle._args  # type: ignore[attr-defined]
    if PY313:
        return format_helpers._format_callback_source(callback, args, debug=debug)  # type: ignore[attr-defined,no-any-return,call-arg]
    return format_helpers._format_callback_source(callback, args)  # type: ignore[attr-defined,no-any-return]


class Hooks(asyncio.SelectorEventLoop):
    """asyncio's loop with the hooks that the native core needs; see the module's docstring."""

    _ssock: socket.socket | None
    _csock: socket.socket | None
    _internal_fds: int
    _debug: bool
    _thread_id: int | None
    _stopping: bool

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

    def _report_slow(self, what: object, seconds: float) -> None:
        text = base_events._format_handle(what) if isinstance(what, events.Handle) else repr(what)  # type: ignore[attr-defined]
        logger.warning("Executing %s took %.3f seconds", text, seconds)

    # -- no self-pipe: the native core wakes itself, and signals need the pair only when one is watched --

    def _make_self_pipe(self) -> None:
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
