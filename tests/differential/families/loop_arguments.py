"""Every public method of the loop with arguments that it does not expect, in every state of the loop.

A case is the state, the method, positional arguments and keywords. Arguments are named: the same objects
cannot be given to two loops. The coroutine of a method that has one is run to its end.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

from differential.frame import Family, Inline, World

Case = tuple[str, str, tuple[str, ...], tuple[tuple[str, str], ...]]


class Number:
    """Something that only says what number it is."""

    def __index__(self) -> int:
        return 3

    def __repr__(self) -> str:
        return "Number()"


class Deadline(float):
    """A float of its own type."""


class Failing:
    """Something that has all that is asked for, and none of it works."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)

    def __repr__(self) -> str:
        return "Failing()"


async def coroutine_function() -> None:
    """What must not be scheduled."""


def function(*_args: object) -> None:
    """What may be called."""


ODD: dict[str, Callable[[World], Any]] = {
    "None": lambda _: None,
    "True": lambda _: True,
    "-1": lambda _: -1,
    "0": lambda _: 0,
    "1.5": lambda _: 1.5,
    "nan": lambda _: float("nan"),
    "inf": lambda _: float("inf"),
    "-inf": lambda _: float("-inf"),
    "10**30": lambda _: 10**30,
    "2**31": lambda _: 2**31,
    "text": lambda _: "text",
    "bytes": lambda _: b"bytes",
    "bytearray": lambda _: bytearray(4),
    "list": lambda _: [],
    "tuple": lambda _: (1, 2),
    "dict": lambda _: {},
    "object": lambda _: Failing(),
    "number": lambda _: Number(),
    "deadline": lambda _: Deadline(0.5),
    "type": lambda _: int,
    "closed": lambda world: closed(world),
}
GOOD: dict[str, Callable[[World], Any]] = {
    "function": lambda _: function,
    "coroutine function": lambda _: coroutine_function,
    "coroutine": lambda _: coroutine_function(),
    "delay": lambda _: 0.0,
    "context": lambda _: {"message": "made up"},
    "executor": lambda _: Inline(),
    "socket": lambda world: pair(world)[0],
    "ready socket": lambda world: ready(world),
    "address": lambda _: ("127.0.0.1", 1),
    "host": lambda _: "127.0.0.1",
    "port": lambda _: 80,
    "size": lambda _: 5,
    "data": lambda _: b"data",
    "protocol": lambda _: asyncio.Protocol,
    "signal": lambda _: signal.SIGUSR2,
    "SIGKILL": lambda _: signal.SIGKILL,
    "future": lambda world: done_future(world),
}
VALUES = ODD | GOOD


def pair(world: World) -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    for each in (near, far):
        each.setblocking(False)
        world.closing(each)
    return near, far


def ready(world: World) -> socket.socket:
    near, far = pair(world)
    far.send(b"abc")
    return near


def closed(world: World) -> socket.socket:
    near, _far = pair(world)
    near.close()
    return near


def done_future(world: World) -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.Future(loop=world.loop)
    future.set_result(None)
    return future


# Each method with arguments that it takes.
METHODS: dict[str, tuple[str, ...]] = {
    "call_soon": ("function",),
    "call_soon_threadsafe": ("function",),
    "call_later": ("delay", "function"),
    "call_at": ("delay", "function"),
    "stop": (),
    "close": (),
    "is_running": (),
    "is_closed": (),
    "run_forever": ("text",),  # one argument too many, or it would run
    "run_until_complete": ("coroutine",),
    "create_future": (),
    "create_task": ("coroutine",),
    "set_task_factory": ("function",),
    "get_task_factory": (),
    "set_exception_handler": ("function",),
    "get_exception_handler": (),
    "default_exception_handler": ("context",),
    "call_exception_handler": ("context",),
    "get_debug": (),
    "set_debug": ("True",),
    "set_default_executor": ("executor",),
    "shutdown_asyncgens": (),
    "add_reader": ("socket", "function"),
    "add_writer": ("socket", "function"),
    "remove_reader": ("socket",),
    "remove_writer": ("socket",),
    "add_signal_handler": ("signal", "function"),
    "remove_signal_handler": ("signal",),
    "sock_recv": ("ready socket", "size"),
    "sock_recv_into": ("ready socket", "bytearray"),
    "sock_recvfrom": ("ready socket", "size"),
    "sock_recvfrom_into": ("ready socket", "bytearray", "size"),
    "sock_sendall": ("socket", "data"),
    "sock_sendto": ("socket", "data", "address"),
    "sock_connect": ("socket", "address"),
    "sock_accept": ("socket",),
    "sock_sendfile": ("socket", "text"),
    "getnameinfo": ("address",),
    "create_unix_connection": ("protocol", "text"),
    "connect_accepted_socket": ("protocol", "text"),
    "connect_read_pipe": ("protocol", "text"),
    "connect_write_pipe": ("protocol", "text"),
    "start_tls": ("text", "text", "text"),
    "sendfile": ("text", "text"),
}
KEYWORDS = {
    "call_soon": ("callback", "context", "bogus"),
    "call_soon_threadsafe": ("callback", "context", "bogus"),
    "call_later": ("delay", "callback", "context", "bogus"),
    "call_at": ("when", "callback", "context", "bogus"),
    "create_task": ("coro", "name", "bogus"),
    "add_reader": ("fd", "callback", "bogus"),
    "add_writer": ("fd", "callback", "bogus"),
    "remove_reader": ("fd", "bogus"),
    "remove_writer": ("fd", "bogus"),
    "sock_recv": ("sock", "n", "nbytes", "bogus"),
    "sock_recv_into": ("sock", "buf", "bogus"),
    "sock_recvfrom": ("sock", "bufsize", "bogus"),
    "sock_recvfrom_into": ("sock", "buf", "nbytes", "bogus"),
    "sock_sendall": ("sock", "data", "bogus"),
    "sock_sendto": ("sock", "data", "address", "bogus"),
    "sock_connect": ("sock", "address", "bogus"),
    "sock_accept": ("sock", "bogus"),
    "sock_sendfile": ("sock", "file", "offset", "count", "fallback", "bogus"),
    "getnameinfo": ("sockaddr", "flags", "bogus"),
}
WATCHING = {"add_reader", "add_writer", "remove_reader", "remove_writer"}
OPEN_NUMBERS = {"True", "0"}  # of descriptors that this process has
STATES = ["idle", "debug", "running", "closed"]


def calls_of(method: str) -> Iterator[tuple[tuple[str, ...], tuple[tuple[str, str], ...]]]:
    """The method with each argument replaced, left out, or given by keyword; and with one too many."""
    good = METHODS[method]
    for length in range(method == "run_forever", len(good) + 1):
        yield good[:length], ()
    yield (*good, "text"), ()
    yield (*good, "None", "text"), ()
    odd_ones = [odd for odd in ODD if odd not in OPEN_NUMBERS] if method in WATCHING else list(VALUES)
    for place in range(len(good) + (method != "call_exception_handler")):
        for odd in odd_ones:
            yield (*good[:place], odd, *good[place + 1 :]), ()
    if len(good) > 1:
        for one, other in itertools.product([odd for odd in odd_ones if odd in ODD], ODD):
            if (one, other) != ("number", "object"):  # nothing shows that this deadline is no number
                yield (one, other, *good[2:]), ()
    for keyword in KEYWORDS.get(method, ("bogus",)):
        for odd in odd_ones:
            for length in range(len(good) + 1):
                yield good[:length], ((keyword, odd),)


ALL_CALLS = [(method, *call) for method in METHODS for call in calls_of(method)]
PROGRAMS = st.tuples(st.sampled_from(STATES), st.sampled_from(ALL_CALLS)).map(
    lambda case: (case[0], *case[1])
)


def made(world: World, name: str) -> Any:
    value = VALUES[name](world)
    if inspect.iscoroutine(value):
        world.closing(value)
    return value


def run(world: World, case: Case) -> None:
    state, method, positional, keywords = case
    loop = world.loop
    loop.set_default_executor(Inline())
    arguments = [made(world, name) for name in positional]
    named = {keyword: made(world, name) for keyword, name in keywords}
    loop.set_debug(state == "debug")
    if state == "closed":
        loop.close()
    if state == "running":
        loop.call_soon(call, world, method, arguments, named)
    else:
        call(world, method, arguments, named)
    if not loop.is_closed():
        turns(world, 3)


def turns(world: World, count: int) -> None:
    for _ in range(count):
        world.loop.call_soon(world.loop.stop)
        world.attempt("turn", world.loop.run_forever)


def call(world: World, method: str, arguments: list[Any], named: dict[str, Any]) -> None:
    loop = world.loop
    result = world.attempt(method, getattr(loop, method), *arguments, **named)
    if not inspect.iscoroutine(result):
        return
    if loop.is_running():
        loop.create_task(world.attempted("awaited", result))
    elif loop.is_closed():
        world.attempt("stepped", result.send, None)
        world.attempt("closed", result.close)
    else:
        task = loop.create_task(world.attempted("awaited", result))
        turns(world, 4)
        task.cancel()


LOOP_ARGUMENTS = Family("loop arguments", PROGRAMS, run)
FAMILIES = [LOOP_ARGUMENTS]
