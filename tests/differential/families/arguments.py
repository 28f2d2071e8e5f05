"""Every method of every transport with arguments of every kind, in every state: the errors are asyncio's.

A program is a transport, its state, a method, and the names of what it is given by position and by name.
"""

from __future__ import annotations

import asyncio
import fractions
import os
import re
import socket
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from differential.driving import Driver
from differential.frame import CAUGHT, Family, World
from differential.mended import newest_asyncio
from differential.words import Text

VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "0": lambda: 0,
    "1": lambda: 1,
    "-1": lambda: -1,
    "5": lambda: 5,
    "2.5": lambda: 2.5,
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "fraction": lambda: fractions.Fraction(3, 2),
    "complex": lambda: 3 + 2j,
    "True": lambda: True,
    "2**70": lambda: 2**70,
    "-2**70": lambda: -(2**70),
    "text": lambda: "text",
    "empty text": lambda: "",
    "no bytes": lambda: b"",
    "bytes": lambda: b"ab",
    "bytearray": lambda: bytearray(b"cd"),
    "view": lambda: memoryview(b"ef"),
    "view with gaps": lambda: memoryview(b"abcdef")[::2],
    "empty view with gaps": lambda: memoryview(b"")[::2],
    "own bytes": lambda: type("OwnBytes", (bytes,), {})(b"own"),
    "no list": lambda: [],
    "list of bytes": lambda: [b"a", bytearray(b"b"), memoryview(b"c")],
    "list with text": lambda: [b"a", "b"],
    "list of numbers": lambda: [1],
    "tuple": lambda: (b"q",),
    "dict": lambda: {b"a": 1},
    "iterator": lambda: iter([b"z"]),
    "set": set,
    "type": lambda: object,
    "object": lambda: type("Thing", (), {"__repr__": lambda _self: "a thing"})(),
    "'socket'": lambda: "socket",
    "'peername'": lambda: "peername",
    "address": lambda: ("127.0.0.1", 9),
    "short address": lambda: ("127.0.0.1",),
    "port 70000": lambda: ("127.0.0.1", 70_000),
    "port 'x'": lambda: ("127.0.0.1", "x"),
}
METHODS = {
    "write": ["data"],
    "writelines": ["list_of_data"],
    "write_eof": [],
    "can_write_eof": [],
    "pause_reading": [],
    "resume_reading": [],
    "close": [],
    "abort": [],
    "set_write_buffer_limits": ["high", "low"],
    "get_write_buffer_size": [],
    "get_write_buffer_limits": [],
    "set_protocol": ["protocol"],
    "get_protocol": [],
    "get_extra_info": ["name", "default"],
    "is_closing": [],
    "is_reading": [],
    "sendto": ["data", "addr"],
    "__repr__": [],
}
KINDS = ["unix stream", "tcp stream", "datagram", "connected datagram", "reading pipe", "writing pipe"]
STATES = ["open", "closing", "closed", "after write_eof"]
VALUE = st.sampled_from(sorted(VALUES))


def call(method: str) -> st.SearchStrategy[tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]]:
    names = METHODS[method]
    usual = st.lists(VALUE, min_size=len(names[:1]), max_size=len(names)).map(tuple)
    positional = usual | usual | st.lists(VALUE, max_size=3).map(tuple)
    named = st.dictionaries(st.sampled_from([*names, "other"]), VALUE, max_size=2)
    return st.tuples(
        st.just(method), positional, (st.just({}) | named).map(lambda given: tuple(sorted(given.items())))
    )


PROGRAMS = st.tuples(
    st.sampled_from(KINDS), st.sampled_from(STATES), st.sampled_from(sorted(METHODS)).flatmap(call)
)


def connect(loop: Any, kind: str) -> tuple[Any, Any]:
    """A transport, and what is at the other end."""
    far: Any
    if kind in ("unix stream", "tcp stream"):
        family = socket.AF_UNIX if kind == "unix stream" else socket.AF_INET
        with socket.socket(family) as listener:
            listener.bind("" if kind == "unix stream" else ("127.0.0.1", 0))
            listener.listen()
            near = socket.socket(family)
            near.connect(listener.getsockname())
            far = listener.accept()[0]
        make = loop.create_unix_connection if kind == "unix stream" else loop.create_connection
        making = make(asyncio.Protocol, sock=near)
    elif kind in ("datagram", "connected datagram"):
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        far.bind(("127.0.0.1", 0))
        remote = far.getsockname() if kind == "connected datagram" else None
        making = loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0), remote_addr=remote
        )
    else:
        reading, writing = os.pipe()
        files = os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)
        near, far = files if kind == "reading pipe" else reversed(files)
        connect = loop.connect_read_pipe if kind == "reading pipe" else loop.connect_write_pipe
        making = connect(asyncio.Protocol, near)
    return loop.run_until_complete(making)[0], far


def asyncio_fails(kind: str, state: str, method: str, values: tuple[Any, ...]) -> bool:
    """Where asyncio itself stumbles over an attribute that is None, or tries for ever."""
    if kind == "writing pipe":
        gaps = any(isinstance(each, memoryview) and not each.c_contiguous for each in values)
        return (method == "abort" and state != "open") or (method == "write" and gaps)
    if kind == "datagram" and method == "sendto":
        return state == "closed"
    return False


def run(world: World, program: tuple[Any, ...]) -> None:
    kind, state, (method, positional, named) = program
    driver = Driver(world)
    transport, far = connect(world.loop, kind)
    world.closing(far)
    values = tuple(VALUES[each]() for each in positional)
    keywords = {name: VALUES[value]() for name, value in named}
    with newest_asyncio():
        if state in ("closing", "closed"):
            transport.close()
        if state == "closed":
            driver.quiet()
        if state == "after write_eof" and ("stream" in kind or kind == "writing pipe"):
            transport.write_eof()
        if not asyncio_fails(kind, state, method, (*values, *keywords.values())):
            try_out(world, transport, method, values, keywords)
            driver.quiet()
            world.note("afterwards", Text(repr(transport).partition(" write=")[0]))
        if method == "set_protocol":
            transport.set_protocol(asyncio.DatagramProtocol() if "datagram" in kind else asyncio.Protocol())
        if not transport.is_closing():
            transport.close()
        driver.quiet()


# How Python words it depends on the language that a function is written in.
MISCALLED = re.compile(
    r"takes .* argument|expected .* arguments?,|missing .* argument|given by name|"
    r"got an unexpected|multiple values"
)


def try_out(
    world: World, transport: Any, method: str, values: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    if (bound := getattr(transport, method, None)) is None:
        world.note("has no", method)
        return
    try:
        result = bound(*values, **keywords)
    except CAUGHT as error:
        if MISCALLED.search(str(error)):
            world.note(method, "raised", type(error))
        else:
            world.note(method, "raised", error)
    else:
        world.note(method, Text(re.sub(r"b'.x00\w{5}'", "an abstract name", repr(result))))
    world.note("closing", transport.is_closing())
    if hasattr(transport, "get_write_buffer_limits"):
        world.note("limits", transport.get_write_buffer_limits())


ARGUMENTS = Family("arguments", PROGRAMS, run)
FAMILIES = [ARGUMENTS]
