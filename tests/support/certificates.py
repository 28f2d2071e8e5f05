"""Certificates made for the test run, and contexts that trust them."""

from __future__ import annotations

import datetime
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


def expired_server_context() -> ssl.SSLContext:
    """A server whose certificate was good until yesterday."""
    now = datetime.datetime.now(datetime.UTC)
    days = {"not_before": now - datetime.timedelta(days=9), "not_after": now - datetime.timedelta(days=1)}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost", **days).configure_cert(context)
    return context


def named_server_context(*names: str) -> ssl.SSLContext:
    """A server with a certificate for these names alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*names).configure_cert(context)
    return context


def limited(context: ssl.SSLContext, version: ssl.TLSVersion, ciphers: str = "") -> ssl.SSLContext:
    """The context, for one version of TLS alone (and, before TLS 1.3, for these ciphers alone)."""
    context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
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
