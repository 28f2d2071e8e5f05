"""A real Redis (or Valkey) server for tests, on a free loopback port and a Unix socket."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.keeper import stopped_at_the_end

ADVICE = "no Redis to test against: install your system's server (Debian: `apt-get install redis-server`)"
START_SECONDS = 30


@dataclass(frozen=True)
class RedisServer:
    port: int
    unix_socket: Path
    host: str = "127.0.0.1"


@contextmanager
def running() -> Iterator[RedisServer]:
    """A server that keeps its data in memory, until the block ends."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise RuntimeError(ADVICE)
    with tempfile.TemporaryDirectory(prefix="redis-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for _ in range(5):  # Another process may take the free port that we found.
            server = RedisServer(_free_port(), folder / "socket")
            process = _start(program, server, folder)
            if _is_ready(server, process):
                break
            process.wait(timeout=START_SECONDS)
        else:
            raise RuntimeError(f"Redis did not start:\n{(folder / 'log').read_text()}")
        with stopped_at_the_end(["kill", str(process.pid)], folder):
            yield server
        process.wait(timeout=30)


def _start(program: str, server: RedisServer, folder: Path) -> subprocess.Popen[bytes]:
    settings = {
        "bind": server.host,
        "port": server.port,
        "unixsocket": server.unix_socket,
        "dir": folder,
        "save": "",
        "appendonly": "no",
    }
    arguments = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    with (folder / "log").open("w") as log:
        return subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _is_ready(server: RedisServer, process: subprocess.Popen[bytes]) -> bool:
    """Waits for an answer; False when the server gave up. It has no means to tell that it is ready."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None:
        try:
            with socket.create_connection((server.host, server.port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16) == b"+PONG\r\n" and process.poll() is None:
                    return True
        except OSError:
            pass
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(0.01)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
