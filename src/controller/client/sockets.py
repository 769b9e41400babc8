"""Sockets that find out when the other side is gone.

A load balancer or a machine that vanishes sends nothing, and a watch only listens: without
keepalive it would wait for ever, and the cache behind it would be silently stale.
"""

from __future__ import annotations

import socket
from asyncio.trsock import TransportSocket
from typing import Any, Final

KEEPALIVE_IDLE: Final = 30
KEEPALIVE_INTERVAL: Final = 10
KEEPALIVE_PROBES: Final = 3
"""30 s of silence and three probes: a dead peer is found within a minute."""
UNACKNOWLEDGED_MS: Final = 30_000
"""Milliseconds for which sent bytes may stay unacknowledged; the default is 15 minutes."""

_OPTIONS: Final = (  # not every system has all of them
    ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
    ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
    ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS),
)


def keepalive_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a new socket for an address of ``getaddrinfo``, with keepalive on."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    keep_alive(made)
    return made


def keep_alive(sock: socket.socket | TransportSocket) -> None:
    """Have a socket find out that its other side is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
