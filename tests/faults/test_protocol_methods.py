"""A protocol that raises, closes, aborts, pauses or writes inside any of its methods: as on asyncio.

Each case is a whole life of a connection, run on both loops. What the two tell must be equal: every call of
the protocol with its arguments, what the exception handler gets, what leaves the run, what the peer gets.
"""

import asyncio

import pytest

from support.pythons import since_3_11_7
from support.traces import datagram_trace, pipe_trace, stream_trace, tls_trace

pytestmark = since_3_11_7("has defects that 3.11.7 has not")


def raises(error_type):
    def action(_transport, _protocol):
        raise error_type("raised by the protocol")

    action.__name__ = f"raises {error_type.__name__}"
    return action


def close(transport, _protocol):
    transport.close()


def abort(transport, _protocol):
    transport.abort()


def close_and_raise(transport, _protocol):
    transport.close()
    raise ValueError("after close")


def abort_and_raise(transport, _protocol):
    transport.abort()
    raise ValueError("after abort")


def write(transport, _protocol):
    transport.write(b"from inside")


def write_and_close(transport, _protocol):
    transport.write(b"from inside")
    transport.close()


def write_and_abort(transport, _protocol):
    transport.write(b"from inside")
    transport.abort()


def write_and_raise(transport, _protocol):
    transport.write(b"from inside")
    raise ValueError("after a write")


def write_eof(transport, _protocol):
    transport.write_eof()


def pause_reading(transport, _protocol):
    transport.pause_reading()


def pause_and_resume(transport, _protocol):
    transport.pause_reading()
    transport.resume_reading()


def another_protocol(transport, protocol):
    other = type(protocol)()
    other.transport, other.name = transport, "another"
    transport.set_protocol(other)


def sendto_and_raise(transport, _protocol):
    transport.sendto(b"from inside")
    raise ValueError("after a datagram")


def no_limits(transport, _protocol):
    transport.set_write_buffer_limits(0)


def keep_open(_transport, _protocol):
    return True


RAISES = [
    raises(error)
    for error in (
        ValueError, OSError, ConnectionResetError, SystemExit, KeyboardInterrupt,
        asyncio.CancelledError, GeneratorExit, BaseException,
    )
]  # fmt: skip
ENDS = [close, abort, close_and_raise, abort_and_raise]
ACTIONS = [
    *(*RAISES, *ENDS, write, write_and_close, write_and_abort, write_and_raise, write_eof),
    *(pause_reading, pause_and_resume, another_protocol, no_limits),
]
COMMON = ["connection_made", "connection_lost", "pause_writing", "resume_writing"]


# What asyncio does when a transport is used after its end, or its resume_writing() leaves the loop.
DEFECTS_OF_ASYNCIO = ("NoneType", "Data should not be empty")


def comparable(trace):
    """A trace without asyncio's own defects, and without what a handle's error tells and a transport's not.

    Natively no handle runs for datagrams and pipes: their errors come with the transport and the protocol.
    """
    for event in trace:
        text = repr(event)
        if any(defect in text for defect in DEFECTS_OF_ASYNCIO):
            continue
        if event[0] == "error" and event[1].endswith(("_ready()", " None()")):
            yield "error in a callback", event[2]
        else:
            yield event


def difference(trace, loop_factory, base, method, action):
    """Where the two loops differ, as text; empty if nowhere."""
    ours = list(comparable(trace(loop_factory, base, method, action)))
    theirs = list(comparable(trace(asyncio.SelectorEventLoop, base, method, action)))
    if ours == theirs:
        return ""
    same = next(
        (number for number, (mine, other) in enumerate(zip(ours, theirs, strict=False)) if mine != other),
        min(len(ours), len(theirs)),
    )
    lines = [
        f"  {name} from event {same} on: {trace[same:]}"
        for name, trace in (("ours", ours), ("theirs", theirs))
    ]
    return "\n".join([f"{method} {action.__name__}", *lines])


def check(trace, loop_factory, base, methods, actions):
    different = [
        text
        for method in methods
        for action in actions
        if (text := difference(trace, loop_factory, base, method, action))
    ]
    assert not different, "\n".join(different)


@pytest.mark.native_only  # The other loop is run beside it.
@pytest.mark.parametrize("method", [*COMMON, "eof_received", "data_received"])
def test_a_stream_protocol(loop_factory, method):
    actions = [*ACTIONS, keep_open] if method == "eof_received" else ACTIONS
    if method == "resume_writing":
        # What leaves asyncio from there makes it try to send nothing, again and again.
        actions = [
            action for action in actions if "Exit" not in action.__name__ and "Keyb" not in action.__name__
        ]
    check(stream_trace, loop_factory, asyncio.Protocol, [method], actions)


@pytest.mark.native_only
@pytest.mark.parametrize("method", ["get_buffer", "buffer_updated", "eof_received"])
def test_a_buffered_protocol(loop_factory, method):
    check(stream_trace, loop_factory, asyncio.BufferedProtocol, [method], ACTIONS)


@pytest.mark.native_only
@pytest.mark.parametrize("method", ["connection_made", "data_received", "eof_received"])
def test_a_tls_protocol(loop_factory, method):
    actions = [
        raises(ValueError),
        raises(OSError),
        *ENDS,
        write,
        write_and_close,
        another_protocol,
    ]
    # asyncio does not send the end of the handshake then.
    if method != "connection_made":
        actions.append(pause_reading)
    check(tls_trace, loop_factory, asyncio.Protocol, [method], actions)


@pytest.mark.native_only
@pytest.mark.parametrize(
    "method", ["connection_made", "datagram_received", "error_received", "connection_lost"]
)
def test_a_datagram_protocol(loop_factory, method):
    check(
        datagram_trace, loop_factory, asyncio.DatagramProtocol, [method], [*RAISES, *ENDS, sendto_and_raise]
    )


@pytest.mark.native_only
def test_a_protocol_of_a_read_pipe(loop_factory):
    methods = ["connection_made", "data_received", "eof_received", "connection_lost"]
    actions = [*RAISES, close, close_and_raise, pause_reading, pause_and_resume, another_protocol]
    check(pipe_trace, loop_factory, asyncio.Protocol, methods, actions)


@pytest.mark.native_only
def test_a_protocol_of_a_write_pipe(loop_factory):
    actions = [*RAISES, *ENDS, write, write_and_close, write_and_abort, write_and_raise, write_eof, no_limits]
    check(pipe_trace, loop_factory, asyncio.BaseProtocol, COMMON, actions)
