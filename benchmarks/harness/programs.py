"""The C programs of ``load/``: compiled on demand into a cache folder, started on their core."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.certificate import make_certificate
from harness.model import Address, Load

SOURCES = Path(__file__).parent.parent / "load"
CACHE = Path(__file__).parent.parent / ".cache"


def _package_flags(package: str) -> list[str]:
    command = ["pkg-config", "--cflags", "--libs", package]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    return shlex.split(found.stdout) if found.returncode == 0 else [f"-l{package.removeprefix('lib')}"]


def _compile(name: str, sources: list[str], packages: list[str], *options: str) -> Path:
    """The path of the program ``name``; its key covers every file in ``load/``, so an edit rebuilds."""
    # A program for one C library need not run on another, where a checkout is shared with a container.
    digest = hashlib.sha256(repr((sources, packages, options, platform.libc_ver())).encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.read_bytes())
    program = CACHE / f"{name}-{digest.hexdigest()[:16]}"
    if program.exists():
        return program
    compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        built = Path(folder) / name
        flags = [flag for package in packages for flag in _package_flags(package)]
        files = [str(SOURCES / source) for source in sources]
        command = [compiler, "-O2", "-o", str(built), *options, *files, *flags]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"cannot compile {name}: {done.stderr.strip().splitlines()[-1]}")
        built.replace(program)
    return program


def _compile_with_channel(name: str, packages: list[str], tls: bool) -> Path:
    if tls:
        return _compile(f"{name}-tls", [f"{name}.c", "channel_tls.c"], [*packages, "libssl", "libcrypto"])
    return _compile(name, [f"{name}.c", "channel_plain.c"], packages)


def load_generator(tls: bool = False) -> Path:
    return _compile_with_channel("loadgen", [], tls)


def steady_library() -> Path:
    """What is preloaded while instructions are counted."""
    return _compile("steady", ["steady.c"], [], "-shared", "-fPIC")


def pin(core: int | None, pid: int = 0) -> None:
    """Ties a process to one core where the system can; ``None`` leaves it alone."""
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(pid, {core})


def allow_descriptors() -> None:
    """The soft limit is often too low for ten thousand connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def target(load: Load, address: Address) -> str:
    """The address as the load generator wants it."""
    return f"unix:{address}" if isinstance(address, str) else f"{load.socket}:{address[0]}:{address[1]}"


class RunningLoad:
    """The load generator at work. Its connections stay open until ``finish``."""

    def __init__(
        self, load: Load, address: Address, seconds: float, core: int | None, server_pid: int
    ) -> None:
        command = [str(load_generator(load.tls)), "-k", "-c", str(load.connections), "-s", str(load.size)]
        command += ["-d", str(seconds), "-w", str(min(0.3, seconds / 2)), "-p", str(server_pid)]
        self._process = subprocess.Popen(
            [*command, load.mode, target(load, address)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        pin(core, self._process.pid)
        self._report = ""

    def wait(self) -> None:
        """Returns when the measured time is over, or the generator gave up."""
        assert self._process.stdout is not None
        self._report = self._process.stdout.readline()

    def finish(self) -> dict[str, Any]:
        _, complaint = self._process.communicate()
        if self._process.returncode or not self._report:
            raise RuntimeError(complaint.strip() or f"the load generator died: {self._process.returncode}")
        report: dict[str, Any] = json.loads(self._report)
        return report


@contextmanager
def limit_server(core: int | None, kind: str = "tcp", tls: bool = False) -> Iterator[tuple[Address, int]]:
    """A plain C server on libuv, of a kind that it names itself; gives its address and process id."""
    program = _compile_with_channel("limit_server", ["libuv"], tls)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        command = [str(program), f"unix:{path}" if kind == "unix" else kind]
        if tls:
            command.append(make_certificate(folder))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            pin(core, process.pid)
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield path if kind == "unix" else ("127.0.0.1", port), process.pid
        finally:
            process.kill()
            process.communicate()
