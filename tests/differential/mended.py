"""asyncio as its newest release is: loops and transports of older ones have defects that were mended later.

A program that runs into one of them would stop being compared there, so while a program runs on an older
asyncio the lines in question are as they are now. What is mended already stays as it is.
"""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from asyncio import selector_events
from collections.abc import Iterator
from typing import Any

LOOP = "BaseSelectorEventLoop"
STREAM, DATAGRAM = "_SelectorSocketTransport", "_SelectorDatagramTransport"
ONCE = """\
if self._closing and not self._conn_lost:
{0}    self._conn_lost += 1
{0}    self._call_connection_lost(None)"""


def lost_once(spaces: int) -> tuple[str, str]:
    """connection_lost() is called once, and everything after it is counted (gh-156512)."""
    indent = " " * spaces
    return f"if self._closing:\n{indent}    self._call_connection_lost(None)", ONCE.format(indent)


# (class, method, the text as it was, the text as it is)
MENDS = [
    *((STREAM, method, *lost_once(16)) for method in ("_write_sendmsg", "_write_send", "_write_ready")),
    (DATAGRAM, "_sendto_ready", *lost_once(12)),
    # A transport that is closing still writes (gh-156512).
    (STREAM, "close", "        self._write_ready = None\n", ""),
    # writelines() counts what is lost, pauses the protocol, and keeps no empty piece (gh-155888).
    (
        STREAM,
        "writelines",
        """\
        self._buffer.extend([memoryview(data) for data in list_of_data])
        self._write_ready()
        # If the entire buffer couldn't be written, register a write handler
        if self._buffer:
            self._loop._add_writer(self._sock_fd, self._write_ready)
""",
        """\
        if self._conn_lost:
            if self._conn_lost >= constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES:
                logger.warning('socket.send() raised exception.')
            self._conn_lost += 1
            return
        self._buffer.extend([memoryview(data) for data in list_of_data if data])
        if not self._buffer:
            return
        self._write_ready()
        if self._buffer:
            self._loop._add_writer(self._sock_fd, self._write_ready)
            self._maybe_pause_protocol()
""",
    ),
    # A cancelled sock_accept() takes no connection (gh-153761).
    (
        LOOP,
        "_sock_accept",
        "_sock_accept(self, fut, sock):\n",
        "_sock_accept(self, fut, sock):\n        if fut.done():\n            return\n",
    ),
    # What is counted for a datagram that waits is taken off when it is sent.
    (DATAGRAM, "_sendto_ready", "_buffer_size -= len(data)\n", "_buffer_size -= len(data) + HEADER\n"),
    (DATAGRAM, "_sendto_ready", "_buffer_size += len(data)\n", "_buffer_size += len(data) + HEADER\n"),
]


def header_size() -> int:
    """What asyncio adds to the length of a datagram that waits."""
    source = inspect.getsource(getattr(selector_events, DATAGRAM).sendto)
    return 8 if "+ 8" in source else 0


def _mended_methods() -> dict[tuple[type[Any], str], Any]:
    sources: dict[tuple[str, str], str] = {}
    for owner, name, old, new in MENDS:
        cls = getattr(selector_events, owner, None)
        if name not in vars(cls):
            continue
        before = sources.get((owner, name)) or inspect.getsource(getattr(cls, name))
        if old in before:
            sources[owner, name] = before.replace(old, new)
    methods = {}
    for (owner, name), source in sources.items():
        text = textwrap.dedent(source).replace("super()", f"super({owner}, self)")
        scope: dict[str, Any] = {**vars(selector_events), "HEADER": header_size()}
        exec(text, scope)
        methods[getattr(selector_events, owner), name] = scope[name]
    return methods


METHODS = _mended_methods()


@contextlib.contextmanager
def newest_asyncio() -> Iterator[None]:
    """asyncio's loops and transports are as in its newest release while this lasts."""
    before = {(owner, name): getattr(owner, name) for owner, name in METHODS}
    for (owner, name), method in METHODS.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for (owner, name), method in before.items():
            setattr(owner, name, method)
