"""Certificates made for the test run, and contexts that trust them."""

from __future__ import annotations

import functools
import ssl

import trustme


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def _server_certificate() -> trustme.LeafCert:
    return authority().issue_cert("localhost", "127.0.0.1")


@functools.cache
def _client_certificate() -> trustme.LeafCert:
    return authority().issue_cert("client@example.org")


def server_context() -> ssl.SSLContext:
    """A server known as localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _server_certificate().configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    """A client that trusts only our authority and checks the host name."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


def demanding_server_context() -> ssl.SSLContext:
    """A server that wants a certificate from its client."""
    context = server_context()
    authority().configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def certified_client_context() -> ssl.SSLContext:
    """A client that has a certificate to show."""
    context = client_context()
    _client_certificate().configure_cert(context)
    return context
