"""SubprocessTransport and SubprocessProtocol: the order of events, pipes as transports, early ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from support.descriptors import none_leaked
from support.sockets import polled

pytestmark = pytest.mark.timeout(60)
PIPE = subprocess.PIPE


class ProcessRecorder(asyncio.SubprocessProtocol):
    """Writes down what its transport tells it; data is joined by descriptor."""

    def __init__(self):
        loop = asyncio.get_running_loop()
        self.events = []
        self.data = {1: bytearray(), 2: bytearray()}
        self.exited = loop.create_future()
        self.lost = loop.create_future()
        self.arrived = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def pipe_data_received(self, fd, data):
        assert type(data) is bytes
        self.data[fd] += data
        self.arrived.set()

    def pipe_connection_lost(self, fd, exc):
        self.events.append(("pipe lost", fd))

    def process_exited(self):
        self.events.append("exited")
        self.exited.set_result(None)

    def connection_lost(self, exc):
        self.events.append("lost")
        self.lost.set_result(exc)


async def test_events_come_in_order(loop):
    transport, protocol = await loop.subprocess_shell(ProcessRecorder, "echo out; echo err >&2; exit 4")
    assert protocol.events[0] == "made"
    assert await protocol.lost is None
    assert protocol.events[0] == "made"
    assert protocol.events[-1] == "lost"
    assert sorted(map(str, protocol.events[1:-1])) == [
        "('pipe lost', 0)",
        "('pipe lost', 1)",
        "('pipe lost', 2)",
        "exited",
    ]
    assert protocol.data == {1: b"out\n", 2: b"err\n"}
    assert transport.get_returncode() == 4
    transport.close()


async def test_all_output_comes_before_the_end(loop):
    size = 1_000_000
    transport, protocol = await loop.subprocess_exec(
        ProcessRecorder, "head", "-c", str(size), "/dev/zero", stdin=None
    )
    await protocol.lost
    assert len(protocol.data[1]) == size
    transport.close()


async def test_the_transport_knows_its_process_and_pipes(loop):
    transport, protocol = await loop.subprocess_exec(ProcessRecorder, "cat")
    assert isinstance(transport, asyncio.SubprocessTransport)
    assert transport.get_pid() == transport.get_extra_info("subprocess").pid
    assert transport.get_returncode() is None
    assert transport.get_protocol() is protocol
    assert isinstance(transport.get_pipe_transport(0), asyncio.WriteTransport)
    assert isinstance(transport.get_pipe_transport(1), asyncio.ReadTransport)
    assert isinstance(transport.get_pipe_transport(2), asyncio.ReadTransport)
    assert transport.get_pipe_transport(3) is None
    assert f"pid={transport.get_pid()}" in repr(transport)
    assert not transport.is_closing()
    transport.get_pipe_transport(0).write(b"data")
    await protocol.arrived.wait()
    assert protocol.data[1] == b"data"
    transport.get_pipe_transport(0).close()
    await protocol.lost
    assert transport.get_returncode() == 0
    assert "returncode=0" in repr(transport)
    transport.close()


async def test_streams_that_were_not_asked_for_have_no_transport(loop):
    transport, protocol = await loop.subprocess_exec(
        ProcessRecorder, "true", stdin=None, stdout=None, stderr=None
    )
    assert [transport.get_pipe_transport(fd) for fd in range(3)] == [None] * 3
    await protocol.lost
    assert protocol.events == ["made", "exited", "lost"]
    transport.close()


async def test_reading_can_be_paused(loop):
    transport, protocol = await loop.subprocess_exec(ProcessRecorder, "cat")
    output = transport.get_pipe_transport(1)
    output.pause_reading()
    transport.get_pipe_transport(0).write(b"data")
    transport.get_pipe_transport(0).close()
    await protocol.exited
    await polled()
    assert protocol.data[1] == b""
    assert not protocol.lost.done()
    output.resume_reading()
    await protocol.lost
    assert protocol.data[1] == b"data"
    transport.close()


async def test_closing_the_transport_kills_the_process(loop):
    transport, protocol = await loop.subprocess_exec(ProcessRecorder, "sleep", "1000")
    transport.close()
    assert transport.is_closing()
    await protocol.lost
    assert transport.get_returncode() == -signal.SIGKILL
    transport.close()


@pytest.mark.parametrize("method", ["kill", "terminate"])
async def test_a_process_that_has_ended_cannot_be_signalled(loop, method):
    transport, protocol = await loop.subprocess_exec(ProcessRecorder, "true")
    await protocol.lost
    with pytest.raises(ProcessLookupError):
        getattr(transport, method)()
    with pytest.raises(ProcessLookupError):
        transport.send_signal(signal.SIGTERM)
    transport.close()


async def test_the_exit_is_told_while_a_grandchild_holds_the_pipes(loop):
    transport, protocol = await loop.subprocess_shell(ProcessRecorder, "sleep 1000 & echo $!")
    await protocol.exited
    await protocol.arrived.wait()
    assert not protocol.lost.done()
    assert transport.get_returncode() == 0
    os.kill(int(protocol.data[1]), signal.SIGKILL)
    await protocol.lost
    transport.close()


async def test_a_protocol_need_not_derive_from_subprocess_protocol(loop):
    class Bare:
        def __init__(self):
            self.lost = loop.create_future()
            self.output = b""

        def connection_made(self, transport):
            pass

        def pipe_data_received(self, fd, data):
            self.output += data

        def pipe_connection_lost(self, fd, exc):
            pass

        def process_exited(self):
            pass

        def connection_lost(self, exc):
            self.lost.set_result(exc)

    transport, protocol = await loop.subprocess_exec(Bare, "echo", "bare")
    await protocol.lost
    assert protocol.output == b"bare\n"
    transport.close()


async def test_an_error_in_a_callback_is_reported(loop, loop_errors):
    error = LookupError()

    class Fails(ProcessRecorder):
        def process_exited(self):
            super().process_exited()
            raise error

    transport, protocol = await loop.subprocess_exec(Fails, "true")
    await protocol.lost
    assert [context["exception"] for context in loop_errors] == [error]
    loop_errors.clear()
    transport.close()


async def test_spawning_can_be_cancelled(loop):
    if sys.version_info < (3, 14):
        pytest.skip("older asyncio leaves pipes open")
    with none_leaked():
        for turns in range(4):
            task = loop.create_task(loop.subprocess_exec(ProcessRecorder, "cat"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                transport, protocol = await task
            except asyncio.CancelledError:
                pass
            else:
                transport.close()
                await protocol.lost
                del transport, protocol
        del task
        await polled(4)


LEFT_RUNNING = """if True:
    import asyncio, gc, sys
    from conftest import LOOP_FACTORIES

    loop = LOOP_FACTORIES[sys.argv[1]]()
    asyncio.set_event_loop(loop)
    spawning = loop.subprocess_exec(asyncio.SubprocessProtocol, "sleep", "1000")
    transport, protocol = loop.run_until_complete(spawning)
    transport.kill()
    loop.close()
    del transport, protocol, loop
    gc.collect()
    print("closed")
"""


def test_a_loop_can_be_closed_while_a_program_runs(request, on_veloop, loop_factory):
    command = [sys.executable, "-c", LEFT_RUNNING, "veloop" if on_veloop else "asyncio"]
    done = subprocess.run(command, capture_output=True, timeout=30, cwd=request.path.parent)
    assert done.returncode == 0
    assert done.stdout == b"closed\n"


def test_programs_run_one_loop_after_another(loop_factory):
    with none_leaked():
        for _ in range(5):
            loop = loop_factory()
            asyncio.set_event_loop(loop)

            async def main():
                process = await asyncio.create_subprocess_exec("echo", "hi", stdout=PIPE)
                return await process.communicate()

            assert loop.run_until_complete(main()) == (b"hi\n", None)
            asyncio.set_event_loop(None)
            loop.close()
            del loop
