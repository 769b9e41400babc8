"""Turns an HTTP answer into an object or an error.

An error need not come from an API server: load balancers and proxies answer in HTML. Then the
HTTP status decides, and the message quotes the beginning of the body.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import Final

import msgspec

from ..errors import ApiError, DecodeError
from ..protocols import Response
from ..status_error import api_error_from_status
from ..types import JsonObject

QUOTED_BYTES: Final = 200
"""Of a body that is no Status: enough for the title of an HTML page."""


def api_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Return the error that an HTTP answer outside of 2xx stands for."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("kind") != "Status":
        found = {"message": _describe(status, body)}
    return api_error_from_status(found, status=status, retry_after=_retry_after(headers))


def checked(response: Response) -> Response:
    """Return the answer if it is a success.

    Errors: the :class:`~..errors.ApiError` that it stands for.
    """
    if 200 <= response.status < 300:
        return response
    raise api_error(response.status, response.headers, response.body)


def json_object(response: Response) -> JsonObject:
    """Decode the object in a successful answer.

    Errors: :class:`~..errors.ApiError` for an error status; :class:`~..errors.DecodeError` where
    a success holds no JSON object.
    """
    body = checked(response).body
    try:
        return msgspec.json.decode(body, type=JsonObject)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(
            f"the answer with status {response.status} is no JSON object but "
            f"{len(body)} bytes of something else"
        ) from error


def _describe(status: int, body: bytes) -> str:
    phrase = http.client.responses.get(status, "no known status").lower()
    if not body:
        return f"{phrase}, without a body"
    text = body[:QUOTED_BYTES].decode("utf-8", "replace")
    return f"{phrase}, and not from an API server: {' '.join(text.split())}"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    # the other form, an HTTP date, depends on a clock that is not ours
    value = headers.get("retry-after", "").strip()
    return float(value) if value.isascii() and value.isdigit() else None
