"""Transports: made-up programs do the same on veloop and on asyncio."""

from __future__ import annotations

from hypothesis import example, given, settings

from differential.families.arguments import ARGUMENTS
from differential.families.datagrams import DATAGRAMS
from differential.families.pipes import PIPES
from differential.families.streams import STREAMS
from differential.families.tls import TLS
from differential.quick import quick

DO_GAPS = ((("do", (("write", ("gaps", 7)),)), "quiet"),)
DO_NO_GAPS = ((("do", (("write", ("gaps", 0)),)), "quiet"),)
FLOOD_AND_GAPS = ((("do", (("flood",), ("send", ("gaps", 0), "none"))), "quiet"),)
PAUSE_AND_RESUME = ((("do", (("call", "pause_reading"), ("call", "resume_reading"))), "quiet"),)
SENT, CLOSED = ((("peer", "send"), "quiet"),), ((("peer", "close"), "quiet"),)


def scene(callback, *actions):
    return ((callback, actions),)


@quick
@given(STREAMS.programs)
# The rest of a get_buffer() that lost the connection, or set another protocol.
@example(("pair", "buffered", False, scene("get_buffer", ("write", ("bytes", 1))), CLOSED))
@example(("pair", "buffered", False, scene("get_buffer", ("protocol", "buffered")), SENT))
# A buffer that cannot be written to, and views that cannot be sent.
@example(("pair", "buffered", False, scene("get_buffer", ("return", "bytes")), SENT))
@example(("pair", "plain", False, (), DO_GAPS))
@example(("pair", "plain", False, (), DO_NO_GAPS))
# A peer that is gone after it took a part.
@example(("tcp", "plain", False, scene("eof_received", ("write", ("bytes", 300_000))), CLOSED))
def test_streams(program):
    STREAMS.check(program)


@quick
@given(DATAGRAMS.programs)
@example(("unix", "unconnected", False, (), FLOOD_AND_GAPS))
def test_datagrams(program):
    DATAGRAMS.check(program)


@quick
@given(PIPES.programs)
@example(("read", "null device", False, (), PAUSE_AND_RESUME))
def test_pipes(program):
    PIPES.check(program)


@settings(quick, max_examples=300)
@given(ARGUMENTS.programs)
@example(("unix stream", "open", ("set_write_buffer_limits", ("infinity", "5"), ())))
@example(("unix stream", "open", ("set_write_buffer_limits", ("2.5",), ())))
@example(("unix stream", "open", ("write", (), (("data", "bytes"),))))
@example(("tcp stream", "closed", ("__repr__", (), ())))
@example(("datagram", "closed", ("get_extra_info", ("'socket'",), ())))
def test_arguments(program):
    ARGUMENTS.check(program)


@settings(quick, max_examples=40)
@given(TLS.programs)
def test_tls(program):
    TLS.check(program)
