"""getaddrinfo() and getnameinfo(): all combinations of what can be asked, and hosts that nobody thought of.

The product asks veloop's getaddrinfo() about every combination of host, port, family, type, protocol, flags.
Where veloop answers by itself, the answer is compared with that of socket.getaddrinfo(); where it does not,
it has to ask just that function, in an executor, for just that. Nobody asks a name server.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from differential.frame import Different, Family, World, veloop_loop

Question = tuple[Any, ...]  # host, port, family, type, proto, flags

HOSTS = [
    *(
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "192.0.2.1",
        "224.0.0.1",
        "1",
        "127.1",
        "1.2.3",
        "2130706433",
    ),
    *("0x7f.1", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "127.0.0.01", "127.0.0.256", "127.0.0.1.1"),
    *(" 127.0.0.1", "127.0.0.1 ", "127.0.0.1%lo", "127.0.0.1\0", "127.0.0.1/8"),
    *(
        "::1",
        "::",
        "::1 ",
        "::1\0",
        "[::1]",
        "::1%lo",
        "::1%1",
        "::1%",
        "2001:db8::1",
        "2001:DB8:0:0:0:0:0:1",
    ),
    *(
        "::ffff:1.2.3.4",
        "::ffff:127.0.0.1",
        "::1.2.3.4",
        "::ffff:1.2.3",
        "64:ff9b::192.0.2.1",
        "1:2:3:4:5:6:7:8",
    ),
    *(
        "1:2:3:4:5:6:7",
        "::12345",
        ":::",
        "fe80::1",
        "fe80::1%lo",
        "fe80::1%1",
        "fe80::1%nosuchif",
        "ff02::1%lo",
    ),
    *("٣.1.1.1", "１２７.0.0.1", "۱::", "", "localhost", "name.invalid", "*", "<broadcast>", "\ud800"),  # noqa: RUF001
    *(None, b"127.0.0.1", b"::1", b"fe80::1%lo", b"", b"\xff", bytearray(b"::1"), 42, ("127.0.0.1",)),
]
PORTS = [80, 0, 65535, 65536, -1, 2**40, True, None, "80", "0x50", " 80", "80 ", "080", "65536", "-1", "٨٠"]
PORTS += ["http", "", "nosuch", b"80", b"http", 80.0]
ADDRESS_FAMILIES = [
    socket.AF_UNSPEC,
    socket.AF_INET,
    socket.AF_INET6,
    int(socket.AF_INET),
    socket.AF_UNIX,
    99,
]
TYPES = [0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, 99]
PROTOCOLS = [0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMP, -1]
ONE_FLAG = [
    *(socket.AI_PASSIVE, socket.AI_CANONNAME, socket.AI_NUMERICHOST, socket.AI_NUMERICSERV),
    *(socket.AI_V4MAPPED, socket.AI_ALL, socket.AI_ADDRCONFIG),
]
FLAGS = [0, *ONE_FLAG, *(one | other for one, other in itertools.combinations(ONE_FLAG, 2)), 0x8000, -1]
FLAGS.append(socket.AI_PASSIVE | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
FEW_PORTS = [80, "80", "http", None, 65536]
FEW_FLAGS = [
    0,
    socket.AI_PASSIVE,
    socket.AI_CANONNAME,
    socket.AI_NUMERICHOST,
    socket.AI_NUMERICHOST | socket.AI_PASSIVE,
]


def questions() -> Iterator[Question]:
    """Every port with a few flags, and every combination of flags with a few ports."""
    for host in HOSTS:
        yield from itertools.product([host], PORTS, ADDRESS_FAMILIES, TYPES, PROTOCOLS, FEW_FLAGS)
        yield from itertools.product([host], FEW_PORTS, ADDRESS_FAMILIES, TYPES, PROTOCOLS, FLAGS)


def outcome_of(call: Any, *arguments: Any) -> tuple[Any, ...]:
    try:
        return ("answer", repr(call(*arguments)))
    except Exception as error:
        return type(error), error.args


class Asked(Exception):
    """What was given to the executor."""


async def asked(_executor: object, call: object, *arguments: object) -> None:
    raise Asked(call, *arguments)


@functools.cache
def asking_loop() -> Any:
    """A loop whose executor only says what it was asked."""
    loop: Any = veloop_loop()
    loop.run_in_executor = asked
    return loop


def first_step(coroutine: Any) -> Any:
    """What a coroutine returns that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError(f"{coroutine} waits")


def answered(question: Question) -> tuple[Any, ...] | None:
    """What veloop answers by itself; none if it has asked the executor the same question."""
    host, port, family, kind, protocol, flags = question
    coroutine = asking_loop().getaddrinfo(host, port, family=family, type=kind, proto=protocol, flags=flags)
    outcome = outcome_of(first_step, coroutine)
    if outcome[0] is not Asked:
        return outcome
    call, *arguments = outcome[1]
    same = call is socket.getaddrinfo and all(map(lambda one, other: one is other, arguments, question))
    return None if same and len(arguments) == len(question) else outcome


@dataclass
class Questions(Family):
    """The product."""

    own_answers: int = 0

    def check(self, program: Any) -> None:
        self.count.cases += 1
        for _ in range(2):  # the second answer is made from the first
            told = answered(program)
            if told is None:
                return
            self.own_answers += 1
            expected = outcome_of(socket.getaddrinfo, *program)
            if told != expected:
                self.count.differences += 1
                raise Different(self.name, program, {"": [expected]}, {"": [told]})

    def remark(self) -> str:
        return f"{self.own_answers:,} answers without an executor"


QUESTIONS = Questions(
    "getaddrinfo, every combination",
    st.tuples(*map(st.sampled_from, (HOSTS, PORTS, ADDRESS_FAMILIES, TYPES, PROTOCOLS, FLAGS))),
    run=lambda _world, _program: None,
    cases=questions,
)

# Made-up hosts and addresses, asked of both loops in their own ways; numeric only, so that nobody is asked.

NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
LITERAL = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded.upper()),
    st.text("0123456789abcdefx:.%lo ", max_size=40),
    st.lists(st.integers(0, 300), min_size=1, max_size=5).map(lambda numbers: ".".join(map(str, numbers))),
    st.lists(st.integers(0, 0x1FFFF), min_size=1, max_size=9).map(
        lambda n: ":".join(f"{each:x}" for each in n)
    ),
    st.sampled_from(HOSTS),
)
PORT = st.one_of(st.integers(-2, 65540), st.sampled_from(PORTS), st.text("0123456789 +-x", max_size=6))
LOOKUP = st.tuples(
    st.just("getaddrinfo"), LITERAL, PORT, *map(st.sampled_from, (ADDRESS_FAMILIES, TYPES, PROTOCOLS, FLAGS))
)
NAME = st.tuples(
    st.just("getnameinfo"),
    st.one_of(
        st.tuples(LITERAL, PORT),
        st.tuples(LITERAL, PORT, st.integers(-1, 2**20), st.integers(-1, 3)),
        st.sampled_from([(), None, "127.0.0.1", ["127.0.0.1", 80], ("127.0.0.1",)]),
    ),
    st.sampled_from([NUMERIC, NUMERIC | socket.NI_DGRAM, NUMERIC | socket.NI_NAMEREQD]),
)
PROGRAMS = st.tuples(st.booleans(), st.lists(LOOKUP | LOOKUP | NAME, min_size=1, max_size=5).map(tuple))


async def ask(world: World, steps: tuple[Question, ...]) -> None:
    loop = world.loop
    for name, *arguments in steps:
        if name == "getnameinfo":
            await world.attempted(name, loop.getnameinfo(*arguments))
            continue
        host, port, family, kind, protocol, flags = arguments
        flags = flags | socket.AI_NUMERICHOST if flags >= 0 else flags
        answer = loop.getaddrinfo(host, port, family=family, type=kind, proto=protocol, flags=flags)
        await world.attempted(name, asyncio.ensure_future(answer) if host == "" else answer)


def run(world: World, program: tuple[bool, tuple[Question, ...]]) -> None:
    world.loop.set_debug(program[0])
    world.run(ask(world, program[1]))


ADDRESSES = Family("addresses", PROGRAMS, run)
FAMILIES = [ADDRESSES, QUESTIONS]
