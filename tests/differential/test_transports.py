"""Transports: made-up programs do the same on veloop and on asyncio."""

from __future__ import annotations

from hypothesis import example, given

from differential.families.datagrams import DATAGRAMS
from differential.families.pipes import PIPES
from differential.families.streams import STREAMS
from differential.quick import quick


@quick
@given(STREAMS.programs)
# The rest of a get_buffer() that lost the connection, or set another protocol.
@example(
    (
        "pair",
        "buffered",
        False,
        (("get_buffer", (("write", ("bytes", 1)),)),),
        ((("peer", "close"), "quiet"),),
    )
)
@example(
    (
        "pair",
        "buffered",
        False,
        (("get_buffer", (("protocol", "buffered"),)),),
        ((("peer", "send"), "quiet"),),
    )
)
# A buffer that cannot be written to, and views that cannot be sent.
@example(
    ("pair", "buffered", False, (("get_buffer", (("return", "bytes"),)),), ((("peer", "send"), "quiet"),))
)
@example(("pair", "plain", False, (), ((("do", (("write", ("gaps", 0)),)), "quiet"),)))
@example(("pair", "plain", False, (), ((("do", (("write", ("gaps", 7)),)), "quiet"),)))
# A peer that is gone after it took a part.
@example(
    (
        "tcp",
        "plain",
        False,
        (("eof_received", (("write", ("bytes", 300_000)),)),),
        ((("peer", "close"), "quiet"),),
    )
)
def test_streams(program):
    STREAMS.check(program)


@quick
@given(DATAGRAMS.programs)
@example(
    ("unix", "unconnected", False, (), ((("do", (("flood",), ("send", ("gaps", 0), "none"))), "quiet"),))
)
def test_datagrams(program):
    DATAGRAMS.check(program)


@quick
@given(PIPES.programs)
@example(
    (
        "read",
        "null device",
        False,
        (),
        ((("do", (("call", "pause_reading"), ("call", "resume_reading"))), "quiet"),),
    )
)
def test_pipes(program):
    PIPES.check(program)
