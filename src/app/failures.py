"""From an error to what the user sees and when it is tried again: one table for both kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..backends import Conflict, Denied, Quota, Rejected, Retired, Unavailable, Unknown
from .errors import AppError, AuthenticationFailed, InvalidSpec, SecretConflict
from .reasons import Reason

RETRY_SECONDS: Final = 60.0
"""Until a refused object is looked at again: somebody may have mended the other side."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error means to the user.

    ``retry_after`` None leaves the retry to the work queue's backoff. ``stalled`` means that
    nothing gets better until somebody acts.
    """

    reason: Reason
    message: str
    stalled: bool
    retry_after: float | None = RETRY_SECONDS


_REASONS: Final[dict[type[Exception], Reason]] = {
    Conflict: Reason.CONFLICT,
    Quota: Reason.QUOTA_EXCEEDED,
    Denied: Reason.DENIED,
    SecretConflict: Reason.SECRET_CONFLICT,
    InvalidSpec: Reason.INVALID_SPEC,
    AuthenticationFailed: Reason.AUTHENTICATION_FAILED,
}


def failure_of(error: Exception) -> Failure | None:
    """Return what an error means, or None for one that is not part of the contract."""
    if isinstance(error, Unknown):
        return Failure(Reason.UNREACHABLE, str(error), stalled=False, retry_after=None)
    if isinstance(error, Rejected):
        refused = error.field.startswith("database.extensions")
        reason = Reason.EXTENSION_REFUSED if refused else Reason.INVALID_SPEC
        return Failure(reason, str(error), stalled=True)
    if isinstance(error, Unavailable):
        retired = isinstance(error, Retired)
        reason = Reason.BACKEND_RETIRED if retired else Reason.BACKEND_UNAVAILABLE
        return Failure(reason, str(error), stalled=True)
    reason_of = next((r for kind, r in _REASONS.items() if isinstance(error, kind)), None)
    return None if reason_of is None else Failure(reason_of, str(error), stalled=True)


CONTRACT: Final = (Unknown, Rejected, Unavailable, Conflict, Quota, Denied, AppError)
"""What becomes a condition; everything else is Kubernetes or a bug and goes to the queue."""
