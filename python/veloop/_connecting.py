"""Connecting to a literal address: the usual case of ``create_connection`` without asyncio's way round it.

A client that reconnects often, or a pool, connects by ``(host, port)`` where host is an address already. Of
asyncio's ``create_connection``, its resolver, its race of addresses and its maker of transports nothing is
left then but a socket, ``sock_connect`` and a transport. Everything else (names, TLS, a given socket, a local
address, a race) goes asyncio's own way, and so does everything once somebody has replaced a part of it.
"""

from __future__ import annotations

import contextvars
import functools
import socket
import sys
from asyncio import base_events

from ._hooks import Hooks, is_own

TYPE_CHECKING = False  # importing typing takes a tenth of a program's start
if TYPE_CHECKING:
    from typing import Any

_base_loop: Any = base_events.BaseEventLoop
_inherited: Any = _base_loop.create_connection
# What tests replace to see what asyncio asks for; the methods are watched by `_literal_address`.
_ipaddr_info: Any = base_events._ipaddr_info  # type: ignore[attr-defined]
_PARTS = (
    _inherited,
    _ipaddr_info,
    _base_loop._ensure_resolved,
    _base_loop._connect_sock,
    _base_loop._create_connection_transport,
)
# Not so if somebody replaced a part of it before we came.
_IS_ASYNCIOS = all(is_own(part, base_events) for part in _PARTS)
# None: somebody put a class of his own there before we came (a proxy's, for instance).
_Socket = socket.socket if socket.socket.__module__ == "socket" else None

# Plain numbers: the enumerations of the socket module are slow.
_INET = int(socket.AF_INET)
_INET6 = int(socket.AF_INET6)
_NONBLOCK = int(getattr(socket, "SOCK_NONBLOCK", 0))  # spares a system call, where it exists
_STREAM = int(socket.SOCK_STREAM) | _NONBLOCK
_TCP = int(socket.IPPROTO_TCP)

# From Python 3.15 on the callbacks of a connection share a context.
_HAS_OWN_CONTEXT = sys.version_info >= (3, 15)

_DEFAULTS: Any = getattr(_inherited, "__kwdefaults__", None) or {}


class Connecting(Hooks):
    """``create_connection`` with a short way for literal addresses; see the module's docstring."""

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        loop: Any = self
        inherited: Any = super().create_connection
        address = loop._literal_address(host, port)
        if (
            address is None
            or not _IS_ASYNCIOS
            or getattr(inherited, "__func__", None) is not _inherited
            or (options and not _are_defaults(options))
            or base_events._ipaddr_info is not _ipaddr_info  # type: ignore[attr-defined]
            or _Socket is None
            or base_events.socket.socket is not _Socket  # type: ignore[attr-defined]
        ):
            return await inherited(protocol_factory, host, port, **options)
        sock = _Socket(_INET if len(address) == 2 else _INET6, _STREAM, _TCP)
        try:
            if not _NONBLOCK:
                sock.setblocking(False)
            await loop.sock_connect(sock, address)
            # Before the factory is called: what that sets is not seen by the callbacks.
            context = {"context": contextvars.copy_context()} if _HAS_OWN_CONTEXT else {}
            protocol = protocol_factory()
            waiter = loop.create_future()
            transport = loop._make_socket_transport(sock, protocol, waiter, **context)
        except BaseException:
            sock.close()
            raise
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        if loop._debug:
            base_events.logger.debug(  # type: ignore[attr-defined]
                "%r connected to %s:%r: (%r, %r)",
                transport.get_extra_info("socket"),
                host,
                port,
                transport,
                protocol,
            )
        return transport, protocol


# Its arguments, text and name are asyncio's.
functools.update_wrapper(Connecting.create_connection, _inherited)


def _are_defaults(options: dict[str, Any]) -> bool:
    """Whether these are arguments of asyncio's ``create_connection`` that say nothing."""
    return all(_DEFAULTS.get(name, options) is value for name, value in options.items())
