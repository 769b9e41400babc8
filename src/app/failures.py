"""From an error to what the user sees and when it is tried again: one table for both kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..backends import Conflict, Denied, Quota, Rejected, Retired, Unavailable, Unknown
from .errors import AppError, AuthenticationFailed, InvalidSpec, SecretConflict, SecretRefused
from .kinds import ADOPT
from .reasons import Reason
from .subject import Subject

RETRY_SECONDS: Final = 60.0
"""Until a refused object is looked at again: somebody may have mended the other side."""
FIRST_RETRY_SECONDS: Final = 2.0
"""Until what is refused for the first time is tried again, where the next pass may see another
world: a role that was changed meanwhile, a server that takes a new password late, a Secret that
appeared."""
_SOON: Final = frozenset({Reason.AUTHENTICATION_FAILED, Reason.SECRET_CONFLICT})


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

    def next_look(self, *, shown: bool) -> float | None:
        """Return the seconds until the next try; ``shown`` where status says so already."""
        if self.reason in _SOON and not shown:
            return FIRST_RETRY_SECONDS
        return self.retry_after


_REASONS: Final[dict[type[Exception], Reason]] = {
    Quota: Reason.QUOTA_EXCEEDED,
    Denied: Reason.DENIED,
    SecretConflict: Reason.SECRET_CONFLICT,
    SecretRefused: Reason.SECRET_CONFLICT,
    InvalidSpec: Reason.INVALID_SPEC,
    AuthenticationFailed: Reason.AUTHENTICATION_FAILED,
}


def failure_of(error: Exception, subject: Subject) -> Failure | None:
    """Return what an error means, or None for one that is not part of the contract."""
    if isinstance(error, Unknown):
        return Failure(Reason.UNREACHABLE, str(error), stalled=False, retry_after=None)
    if isinstance(error, Rejected):
        refused = refuses_extensions(error)
        reason = Reason.EXTENSION_REFUSED if refused else Reason.INVALID_SPEC
        message = f"spec.{error}" if error.field else str(error)
        return Failure(reason, message, stalled=True)
    if isinstance(error, Conflict):
        return Failure(Reason.CONFLICT, f"{error}{how_to_adopt(error, subject)}", stalled=True)
    if isinstance(error, Unavailable):
        retired = isinstance(error, Retired)
        reason = Reason.BACKEND_RETIRED if retired else Reason.BACKEND_UNAVAILABLE
        return Failure(reason, str(error), stalled=True)
    reason_of = next((r for kind, r in _REASONS.items() if isinstance(error, kind)), None)
    return None if reason_of is None else Failure(reason_of, str(error), stalled=True)


def refuses_extensions(error: Rejected) -> bool:
    """Return whether it is an extension that the target refuses: the rest is done without it."""
    return error.field.startswith("database.extensions")


def joined(refusals: Sequence[Rejected]) -> Rejected:
    """Make one refusal of several; it belongs to the field of the first."""
    first, *others = refusals
    more = [error.message if error.field == first.field else f"spec.{error}" for error in others]
    return Rejected(first.field, "; ".join([first.message, *more]))


def how_to_adopt(error: Conflict, subject: Subject) -> str:
    """Return the line by which the user takes over what is in the way; empty where none can.

    A namespace is the border between tenants: what belongs to another one is not offered.
    """
    foreign = error.owner is not None and error.owner.namespace != subject.namespace
    if foreign or subject.deleting or subject.adopts(error.external_name):
        return ""
    return f"; to take it over, set annotation {ADOPT}: {error.external_name}"


CONTRACT: Final = (Unknown, Rejected, Unavailable, Conflict, Quota, Denied, AppError)
"""What becomes a condition; everything else is Kubernetes or a bug and goes to the queue."""
