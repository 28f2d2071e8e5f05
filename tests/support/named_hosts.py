"""The hosts that the documents' examples name, answered by one local server over real TLS.

Deliberately threads and blocking sockets from the standard library: nothing here depends on the event loop
that is under test.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme

NAMES = ("example.com", "python.org", "httpbin.org", "api.example.com")

# How long an answer takes. The documents print the answers of the first three in this order: each comes well
# after the one before it. Each request for data takes long enough to see whether requests overlap.
SECONDS = {"example.com": 0.0, "python.org": 0.25, "httpbin.org": 0.5, "api.example.com": 0.5}
# https://httpbin.org/delay/3 answers after three seconds; ours after three of these.
DELAY_UNIT_SECONDS = 0.2


@dataclass(frozen=True)
class NamedHosts:
    """Where the server listens, and the file that makes a client trust it."""

    port: int
    authority_file: Path
    host: str = "127.0.0.1"

    def names(self) -> dict[str, str]:
        """``{"example.com:443": "127.0.0.1:<port>", ...}``"""
        return {f"{name}:443": f"{self.host}:{self.port}" for name in NAMES}


@contextmanager
def running(folder: Path) -> Iterator[NamedHosts]:
    """The server, until the block ends; ``folder`` gets the file with the certificate of its authority."""
    authority = trustme.CA()
    authority_file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(authority_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*NAMES).configure_cert(context)
    with _Server(context) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield NamedHosts(port=server.server_address[1], authority_file=authority_file)
        finally:
            server.shutdown()
            thread.join(timeout=10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # A kept-alive connection must not keep its thread, nor us, waiting.
    request_queue_size = 128

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(("127.0.0.1", 0), _Answers)

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        connection, address = super().get_request()
        # The handshake happens on first use, in the connection's own thread: one slow client holds up nobody.
        encrypted = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        encrypted.settimeout(30)
        return encrypted, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gives up is the client's business: its program's output tells what went wrong."""


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host = self.headers.get("Host", "")
        path = urlsplit(self.path).path
        status, kind, body = _answer(host, path)
        time.sleep(_seconds(host, path))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: requests are not news."""


def _answer(host: str, path: str) -> tuple[int, str, bytes]:
    name = path.rsplit("/", 1)[-1]
    if host == "httpbin.org":
        return 200, "application/json", json.dumps({"url": f"https://{host}{path}"}).encode()
    if host == "api.example.com" and re.fullmatch(r"/data\d+", path):
        return 200, "application/json", json.dumps({"source": name, "value": int(name[4:]) * 10}).encode()
    if host == "example.com" and path.startswith("/files/"):
        size = sum(name.encode()) * 1000  # Any size that depends on the name: files must not be mixed up.
        return 200, "application/octet-stream", name[:1].encode() * size
    if host in ("example.com", "python.org") and path == "/":
        page = f"<!doctype html>\n<html><head><title>{host}</title></head><body>{host} here</body></html>\n"
        return 200, "text/html; charset=utf-8", page.encode()
    return 404, "text/plain", b"not found\n"


def _seconds(host: str, path: str) -> float:
    delay = re.fullmatch(r"/delay/(\d+)", path)
    if delay is not None:
        return int(delay[1]) * DELAY_UNIT_SECONDS
    if path.startswith("/files/"):
        return 0.0
    return SECONDS.get(host, 0.0)
