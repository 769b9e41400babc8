"""One request to the API server, who makes it, and what is read of its answer."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from ..errors import ApiError, TransportError
from ..protocols import Response
from ..types import Headers, Query
from .status import api_error

CONNECT_SECONDS: Final = 10.0
"""To connect, TLS included: a server that takes longer is as good as down."""
REQUEST_SECONDS: Final = 75.0
"""For a whole request: the API server gives up by itself after 60 s (``--request-timeout``)."""
SILENCE_SECONDS: Final = 90.0
"""For a watch without a byte: the API server sends a bookmark every minute."""
ERROR_BODY_LIMIT: Final = 64 * 1024
"""Bytes of an error's body that are read: a Status is small, whatever else comes is cut."""
BODY_LIMIT: Final = 1024 * 1024 * 1024
"""Bytes of an answer: a page of 500 objects as large as etcd stores them is 750 MiB."""
_VERSION: Final = "resourceVersion"
_JSON: Final = ("accept", "application/json")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds: of connecting, of a whole request, of silence on a watch."""

    connect: float = CONNECT_SECONDS
    request: float = REQUEST_SECONDS
    silence: float = SILENCE_SECONDS


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is asked for."""

    method: str
    path: str
    query: Query
    headers: Headers
    body: bytes | None = field(repr=False)

    @property
    def is_list(self) -> bool:
        """Whether a list is asked for, as JSON: of a single object only the version is said."""
        if self.method != "GET" or all(name == _VERSION for name, _ in self.query):
            return False
        return any(
            name == "accept" and value.startswith("application/json")
            for name, value in self.headers
        )

    def __str__(self) -> str:
        """Return what it is called in errors."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Login:
    """What one request proves our identity with, and the server's to us."""

    authorization: str = field(repr=False)
    context: ssl.SSLContext | None
    always: Headers = ()  # sent with every request

    def headers(self, exchange: Exchange, encoding: str) -> Headers:
        """Return the headers of a request whose answer may come in this encoding."""
        headers = [*exchange.headers, *self.always, ("accept-encoding", encoding)]
        return [*headers, ("authorization", self.authorization)] if self.authorization else headers


def accepting(headers: Headers) -> Headers:
    """Return headers that ask for JSON, unless they ask for something already."""
    if any(name.lower() == "accept" for name, _ in headers):
        return headers
    return (_JSON, *headers)


async def answer_of(response: aiohttp.ClientResponse, what: str) -> Response:
    """Read an answer whole, or the beginning of an error's; ``what`` names it in errors.

    Errors: :class:`~..errors.TransportError` where it has more than :data:`BODY_LIMIT` bytes.
    """
    body = await (_beginning(response) if response.status >= 400 else _whole(response, what))
    return Response(response.status, _headers(response), body)


async def refusal_of(response: aiohttp.ClientResponse) -> ApiError:
    """Return what an answer says that is not the one that was wanted."""
    return api_error(response.status, _headers(response), await _beginning(response))


async def _whole(response: aiohttp.ClientResponse, what: str) -> bytes:
    blocks: list[bytes] = []
    size = 0
    async for block in response.content.iter_any():
        blocks.append(block)
        size += len(block)
        if size > BODY_LIMIT:
            response.close()
            raise TransportError(f"{what}: the answer has more than {BODY_LIMIT} bytes")
    return b"".join(blocks)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(ERROR_BODY_LIMIT):
        body += chunk
        if len(body) > ERROR_BODY_LIMIT:
            response.close()  # what is left unread makes the connection useless
            break
    return bytes(body[:ERROR_BODY_LIMIT])


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
