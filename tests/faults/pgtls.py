"""Both ends of a connection to PostgreSQL that is encrypted after the first message, as it is."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from tests.faults.pgwire import ASK_FOR_TLS, GSS_REQUEST, SSL_REQUEST, Startup, read_startup
from tests.proxy.server import RESET

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Target:
    """A server: where it is, its certificate and key, and the admin's where that logs in by it."""

    host: str
    port: int
    certificate: Path
    key: Path
    admin: tuple[Path, Path] | None = None


async def encrypted_startup(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, served: ssl.SSLContext
) -> Startup:
    """Encrypt the connection if that is asked for, and return the startup message behind it."""
    while True:
        startup = await read_startup(reader)
        if startup.code == SSL_REQUEST:
            writer.write(b"S")
            await writer.start_tls(served)
        elif startup.code == GSS_REQUEST:
            writer.write(b"N")
        else:
            return startup


async def dial(target: Target) -> Streams:
    """Open an encrypted connection to the server."""
    reader, writer = await asyncio.open_connection(target.host, target.port)
    writer.write(ASK_FOR_TLS)
    if await reader.readexactly(1) != b"S":
        raise ConnectionError(f"{target.host}:{target.port} speaks no TLS")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # who it is was said by whoever made the target
    if target.admin is not None:
        context.load_cert_chain(*target.admin)
    await writer.start_tls(context)
    return reader, writer


def abort(writer: asyncio.StreamWriter) -> None:
    """Break a connection by a reset, unless it has ended."""
    if writer.transport.is_closing():
        return
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # the other end was faster
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
