"""Turns a ``Status`` object into the error that it describes.

Both the client (HTTP answers) and the decoder (ERROR events of a watch, which arrive with HTTP 200)
need it, so it stands beside them and imports neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from .types import JsonObject

BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}
STATUS_OF_REASON: Final[Mapping[str, int]] = {
    "Expired": 410,
    "Gone": 410,
    "TooManyRequests": 429,
    "Timeout": 504,
    "ServerTimeout": 500,
    "InternalError": 500,
    "ServiceUnavailable": 503,
}
"""For a Status without ``code``: older aggregated API servers leave it out of ERROR events."""
RETRY_AFTER_LIMIT: Final = 2**31 - 1
"""What the field of the API can hold. A number in JSON can be one that no float does."""
TOO_LARGE_CAUSE: Final = "ResourceVersionTooLarge"
TOO_LARGE_TEXT: Final = "Too large resource version"


def error_class(status: int, reason: str) -> type[ApiError]:
    """Return the class for an HTTP status and the reason of its ``Status``."""
    if status == 409 and reason == "AlreadyExists":
        return AlreadyExists
    if status >= 500:
        return ServerError
    return BY_STATUS.get(status, ApiError)


def api_error_from_status(
    status_object: JsonObject, *, status: int = 0, retry_after: float | None = None
) -> ApiError:
    """Return the error that a ``Status`` object describes.

    ``status`` is the HTTP status where there is one; it wins over the ``code`` of the object.
    Fields of a wrong type are taken as missing: the object comes from whoever answered.
    """
    reason = _text(status_object.get("reason"))
    code = status_object.get("code")
    number = status or (code if isinstance(code, int) else 0) or STATUS_OF_REASON.get(reason, 500)
    raw_details = status_object.get("details")
    details: dict[str, Any] = raw_details if isinstance(raw_details, dict) else {}
    if retry_after is None:
        seconds = details.get("retryAfterSeconds")
        if isinstance(seconds, int) and seconds > 0:
            retry_after = float(min(seconds, RETRY_AFTER_LIMIT))
    return error_class(number, reason)(
        number,
        reason,
        _text(status_object.get("message")),
        details=details,
        retry_after=retry_after,
    )


def too_large_resource_version(error: ApiError) -> bool:
    """Whether the server has not yet seen the resourceVersion that was asked for."""
    causes = error.details.get("causes")
    for cause in causes if isinstance(causes, list) else ():
        if isinstance(cause, dict) and cause.get("reason") == TOO_LARGE_CAUSE:
            return True
    return error.reason == "Timeout" and TOO_LARGE_TEXT in error.message


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
