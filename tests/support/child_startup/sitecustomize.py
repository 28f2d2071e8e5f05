"""Runs first in each child that executes an example: the program itself stays unchanged.

- Names resolve as ``VELOOP_TEST_NAMES`` says, to servers on this machine; other hosts do not resolve at all.
- The report named by ``VELOOP_TEST_REPORT`` gets a line for each event loop that runs the program, which
  proves where it ran, and one for the seconds that it took without the interpreter's start.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import socket
import time
from typing import Any

_NAMES: dict[str, str] = json.loads(os.environ["VELOOP_TEST_NAMES"])
_REPORT = os.environ["VELOOP_TEST_REPORT"]
_STARTED = time.monotonic()
_LOOPBACK = ("localhost", "127.0.0.1", "::1", None)

_real_getaddrinfo = socket.getaddrinfo
_real_run = asyncio.Runner.run


def _getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
    local = _NAMES.get(f"{host}:{port}")
    if local is not None:
        host, local_port = local.split(":")
        return _real_getaddrinfo(host, int(local_port), *arguments, **options)
    if host not in _LOOPBACK:
        raise socket.gaierror(socket.EAI_NONAME, f"no local server answers for {host}:{port}")
    return _real_getaddrinfo(host, port, *arguments, **options)


def _run(runner: asyncio.Runner, *arguments: Any, **options: Any) -> Any:
    kind = type(runner.get_loop())
    _report("loop", f"{kind.__module__}.{kind.__qualname__}")
    return _real_run(runner, *arguments, **options)


def _report(kind: str, value: object) -> None:
    with open(_REPORT, "a") as report:
        report.write(f"{kind} {value}\n")


socket.getaddrinfo = _getaddrinfo
asyncio.Runner.run = _run  # type: ignore[method-assign]
atexit.register(lambda: _report("seconds", time.monotonic() - _STARTED))
