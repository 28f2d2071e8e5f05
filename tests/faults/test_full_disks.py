"""Writing where there is no room: a full disk, a file at its largest, a pipe that nobody reads."""

import asyncio
import errno
import os
import resource
import signal

import pytest

from support.protocols import Recorder
from support.pythons import quiet_broken_pipes

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")


def full_disk():
    return open("/dev/full", "wb", 0)


class Writer(asyncio.Protocol):
    def __init__(self):
        self.events = []
        self.lost = asyncio.get_running_loop().create_future()

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@pytest.mark.parametrize("size", [1, 1 << 20])
async def test_a_full_disk_ends_the_pipe_with_its_error(loop, size):
    transport, protocol = await loop.connect_write_pipe(Writer, full_disk())
    transport.write(bytes(size))
    error = await protocol.lost
    assert (type(error), error.errno) == (OSError, errno.ENOSPC)
    assert transport.is_closing()
    assert protocol.events == []
    transport.write(b"ignored")
    assert transport.get_write_buffer_size() == 0


async def test_a_stream_writer_hears_of_the_full_disk(loop):
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, full_disk())
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    writer.write(b"does not fit")
    await asyncio.sleep(0)
    with pytest.raises(ConnectionResetError, match=r"^Connection lost$"):
        await writer.drain()


async def test_files_are_refused(loop, tmp_path):
    with open(tmp_path / "file", "wb", 0) as file, pytest.raises(ValueError, match="only for pipes"):
        await loop.connect_write_pipe(Recorder, file)


@quiet_broken_pipes
async def test_a_child_whose_disk_is_full_tells_so():
    with open("/dev/full", "wb", 0) as full:
        process = await asyncio.create_subprocess_exec(
            "cat", stdin=asyncio.subprocess.PIPE, stdout=full, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate(b"does not fit" * 100_000)
    assert process.returncode == 1
    assert b"No space left on device" in errors


@quiet_broken_pipes
async def test_a_child_whose_file_grows_too_large_is_killed(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    with open(tmp_path / "file", "wb", 0) as file:
        process = await asyncio.create_subprocess_exec(
            "cat", stdin=asyncio.subprocess.PIPE, stdout=file, preexec_fn=limit
        )
        await process.communicate(b"x" * 1_000_000)
    assert process.returncode == -signal.SIGXFSZ
    assert os.path.getsize(tmp_path / "file") == 1000


async def test_a_child_that_reads_nothing_leaves_a_broken_pipe(loop):
    lost = loop.create_future()

    class Protocol(asyncio.SubprocessProtocol):
        def pipe_connection_lost(self, fd, exc):
            if fd == 0:
                lost.set_result(exc)

    exited = loop.create_future()
    Protocol.process_exited = lambda self: exited.set_result(None)
    transport, _ = await loop.subprocess_exec(
        Protocol, "sh", "-c", "exec 0<&-; exec sleep 60", stdout=None, stderr=None
    )
    stdin = transport.get_pipe_transport(0)
    while not lost.done():
        stdin.write(bytes(1000))
        await asyncio.sleep(0.001)
    assert type(await lost) in (BrokenPipeError, type(None))
    transport.kill()
    await exited
    transport.close()
    assert transport.get_returncode() == -signal.SIGKILL
