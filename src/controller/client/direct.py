"""Opens the connections of watches and lists that are read in place."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

from aiohappyeyeballs import start_connection
from yarl import URL

from ..types import Headers
from .http_errors import NotConnected
from .linestream import LineStream
from .linetls import TlsLineStream

NEXT_ADDRESS_SECONDS: Final = 0.25
"""After which a second address of a host is tried beside the first, as RFC 8305 advises."""


async def connect(
    url: URL,
    what: str,
    *,
    context: ssl.SSLContext | None,
    server_name: str,
    within: float,
    silence: float,
    whole: int = 0,
) -> LineStream:
    """Return a connection to the host of a URL, over TLS where there is a context.

    ``what`` names the request in errors. ``server_name`` is the name in the certificate where
    that is not the host; ``within`` are the seconds for connecting and the handshake, and
    ``silence`` those after which the stream is given up. ``whole`` is as in a
    :class:`~.linestream.LineStream`.

    Errors: :class:`~.http_errors.NotConnected`: nothing was sent.
    """
    host = url.raw_host or ""

    def protocol() -> LineStream:
        if context is None:
            return LineStream(what, silence, whole=whole)
        name = server_name or host.rstrip(".")
        return TlsLineStream(what, silence, context, name, whole=whole)

    try:
        async with asyncio.timeout(within):
            loop = asyncio.get_running_loop()
            sock = await _connected(loop, host, url.port or 0)
            _, stream = await loop.create_connection(protocol, sock=sock)
            try:
                await stream.opened()
            except BaseException:
                stream.close()
                raise
    except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one
        raise NotConnected(str(error) or type(error).__name__) from error
    return stream


async def _connected(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """Return a socket that is connected to the first address of a host that answers.

    The event loop's own race of addresses (``happy_eyeballs_delay``, seen with Python 3.11) loses
    the socket that has just won where it is cancelled in that moment; this one closes it.
    """
    try:
        # an address is only read: it must not wait until one of the loop's threads is free
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:  # a name
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, loop=loop)


def get_request(url: URL, headers: Headers) -> bytes:
    """Return the bytes of a GET.

    Errors: ``ValueError`` for a header that would end the line.
    """
    lines = [f"GET {url.raw_path_qs} HTTP/1.1", f"host: {url.host_port_subcomponent}"]
    for name, value in headers:
        if any(forbidden in name + value for forbidden in "\r\n\0"):
            raise ValueError(f"the header {name!r} holds a line break")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode()
