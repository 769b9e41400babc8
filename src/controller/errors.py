"""Everything that the controller runtime raises.

::

    ControllerError
    ├── ApiError                 the API server answered with an error
    │   ├── BadRequest           400
    │   ├── Unauthorized         401
    │   ├── Forbidden            403
    │   ├── NotFound             404: proven absent
    │   ├── Conflict             409: stale resourceVersion or failed precondition
    │   │   ├── AlreadyExists    409 of a create
    │   │   └── ApplyConflict    409 of an apply: fields belong to other field managers
    │   ├── Gone                 410: the resourceVersion or continue token is too old
    │   ├── Invalid              422
    │   ├── TooManyRequests      429
    │   └── ServerError          5xx
    ├── TransportError           no answer: whether a write was carried out is not known
    │   └── ConnectionRefused    the request was never sent
    ├── DecodeError              an answer or a watch event is not what the API promises
    │   └── UnknownEvent         a well-formed watch event that means nothing here
    ├── ConfigError              kubeconfig or service account cannot be used
    ├── TerminalError            a reconcile function gives up until the object changes
    ├── QueueClosed              a work queue was shut down and has nothing left
    ├── NotSynced                a cache was read before its first list was complete
    ├── LeaseLost                the lease is not ours (any more): nothing may be written
    └── ManagerError             a task of the manager died, or the manager was misused
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ERROR_TEXT_LIMIT: Final = 512
"""Characters of a foreign body that reach a message: enough for a Status, never a dump."""


class ControllerError(Exception):
    """Base of all errors of the controller runtime."""


class ApiError(ControllerError):
    """The API server answered with an error.

    ``status`` is the HTTP status, ``reason`` the CamelCase reason of the ``Status`` body (empty
    where there was none), ``details`` its details object, ``retry_after`` the seconds of an
    integer ``Retry-After`` header or None.
    """

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        *,
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}"[:ERROR_TEXT_LIMIT])
        self.status = status
        self.reason = reason
        self.message = message[:ERROR_TEXT_LIMIT]
        self.details: dict[str, Any] = details or {}
        self.retry_after = retry_after


class BadRequest(ApiError):
    """400: the request is malformed."""


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):
    """403: the credentials are good, the right is missing."""


class NotFound(ApiError):
    """404: the object is proven absent."""


class Conflict(ApiError):
    """409: the object changed since it was read, or a precondition failed."""


class AlreadyExists(Conflict):
    """409 of a create: an object of that name exists."""


class ApplyConflict(Conflict):
    """409 of an apply: ``owners`` has the field managers of each field in conflict."""

    def __init__(self, message: str, *, owners: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(409, "Conflict", message)
        self.owners = owners


class Gone(ApiError):
    """410: the resourceVersion or the continue token has expired."""


class Invalid(ApiError):
    """422: the object does not pass validation."""


class TooManyRequests(ApiError):
    """429: the server sheds load; ``retry_after`` says for how long."""


class ServerError(ApiError):
    """5xx: the server failed; whether a write was carried out is not known."""


class TransportError(ControllerError):
    """No answer came: whether a write was carried out is not known."""


class ConnectionRefused(TransportError):
    """The connection could not be made: the request was never sent."""


class DecodeError(ControllerError):
    """An answer or a watch event cannot be decoded; the message holds its first bytes only."""


class UnknownEvent(DecodeError):
    """A well-formed watch event of a type or an object that means nothing here: can be skipped."""


class ConfigError(ControllerError):
    """The kubeconfig or the service account cannot be used; the message says what to do."""


class TerminalError(ControllerError):
    """Raised by a reconcile function that cannot succeed until the object changes."""


class QueueClosed(ControllerError):
    """A work queue was shut down and has nothing left to hand out."""


class NotSynced(ControllerError):
    """A cache was read before its first list was complete."""


class LeaseLost(ControllerError):
    """The lease is not provably ours: a write was not sent, or the manager has to end."""


class ManagerError(ControllerError):
    """A task of the manager died, or the manager was used in a way it forbids."""
