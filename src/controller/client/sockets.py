"""Sockets that find out when the other side is gone.

A load balancer or a machine that vanishes sends nothing, and a watch only listens: without
keepalive it would wait for ever, and the cache behind it would be silently stale.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref
from asyncio.trsock import TransportSocket
from typing import Any, Final

KEEPALIVE_IDLE: Final = 30
KEEPALIVE_INTERVAL: Final = 10
KEEPALIVE_PROBES: Final = 3
"""30 s of silence and three probes: a dead peer is found within a minute."""
UNACKNOWLEDGED_MS: Final = 30_000
"""Milliseconds for which sent bytes may stay unacknowledged; the default is 15 minutes."""

_TURNS_OF_AN_END: Final = 20
"""More turns than an event loop takes from the end of a stream to a closed socket."""

_OPTIONS: Final = (  # not every system has all of them
    ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
    ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
    ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS),
)


class KeepaliveSockets:
    """Makes sockets with keepalive on, and ends those of them that are still open."""

    def __init__(self) -> None:
        self._made: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def make(self, address: tuple[Any, ...]) -> socket.socket:
        """Return a new socket for an address of ``getaddrinfo``."""
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        keep_alive(made)
        self._made.add(made)
        return made

    async def end(self) -> None:
        """Close the sockets of connections that were closed but wait for their peer's goodbye.

        The event loop gives the other side of a TLS connection 30 s for it, and a loop that ends
        before leaves the socket open.
        """
        for each in self._open():
            with contextlib.suppress(OSError):  # the peer has gone
                each.shutdown(socket.SHUT_RDWR)
        for _ in range(_TURNS_OF_AN_END):
            if not self._open():
                return
            await asyncio.sleep(0)

    def _open(self) -> list[socket.socket]:
        return [each for each in self._made if each.fileno() >= 0]


def keep_alive(sock: socket.socket | TransportSocket) -> None:
    """Have a socket find out that its other side is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
