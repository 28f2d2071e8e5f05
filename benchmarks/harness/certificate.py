"""The certificate of every TLS server here: those of the loops and the plain C one."""

from __future__ import annotations

import subprocess


def make_certificate(folder: str) -> str:
    """A new self-signed one with its key in the same file: an elliptic-curve key as most servers have."""
    path = f"{folder}/certificate.pem"
    command = "openssl req -x509 -nodes -days 2 -subj /CN=localhost -newkey ec -pkeyopt"
    files = ["ec_paramgen_curve:P-256", "-keyout", path, "-out", path]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return path
