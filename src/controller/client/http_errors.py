"""Translates what the HTTP library raises; none of its errors passes this border."""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp

from ..errors import ERROR_TEXT_LIMIT, ConnectionRefused, TransportError
from .config import redacted

FOREIGN: Final = (aiohttp.ClientError, OSError, ssl.SSLError)
"""Everything that a request can raise; time-outs are OSErrors."""


class NotConnected(OSError):
    """A connection of our own could not be made; the cause says why."""


_NEVER_SENT: Final = (
    NotConnected,
    aiohttp.ClientConnectorError,  # refused, unknown name, TLS handshake
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)


def translate(error: Exception, what: str) -> TransportError:
    """Return our error for a foreign one; ``what`` names the request, such as ``GET /api/v1``."""
    text = " ".join(str(error).split())[:ERROR_TEXT_LIMIT]
    detail = redacted(text) or type(error).__name__
    if is_untrusted(error):
        return ConnectionRefused(
            f"{what}: the certificate of the API server is not trusted: {detail}; check the "
            "certificate authority and the server name of the configuration"
        )
    if isinstance(error, _NEVER_SENT):
        return ConnectionRefused(f"{what}: no connection to the API server: {detail}")
    if isinstance(error, TimeoutError):
        return TransportError(f"{what}: no answer in time: {detail}")
    return TransportError(f"{what}: the connection broke: {detail}")


def is_untrusted(error: Exception) -> bool:
    """Whether the certificate of the server was refused; nothing was sent then."""
    kinds = aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError
    return isinstance(error, kinds) or isinstance(error.__cause__, kinds)


def is_reset(error: Exception) -> bool:
    """Whether a connection broke before an answer began, as a kept one does when it gets stale."""
    if isinstance(error, (*_NEVER_SENT, TimeoutError)):
        return False
    return isinstance(error, aiohttp.ClientConnectionError | ConnectionError)
