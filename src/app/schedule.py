"""When a password is due to be changed, by ``spec.credentials.rotateEvery``.

The age is that of the newest password: of the last rotation, or of the Secret where there was
none since it was made. Nothing is remembered, so a restart neither repeats a change nor skips one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from ..crds import CredentialRotation
from .secrets import CredentialsSecret
from .status import StatusDraft

ROTATE_EVERY: Final = "credentials.rotateEvery"
"""The field of the spec, which is honoured wherever a password is published."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PERIOD: Final = re.compile(r"([1-9][0-9]*)([smhd])")


def due_in(
    rotation: CredentialRotation, draft: StatusDraft, secret: CredentialsSecret, now: datetime
) -> float | None:
    """Return the seconds until the next scheduled change, at most 0 where it is due.

    None where none is scheduled, and where the age of the password is not known.
    """
    period, since = _period(rotation.rotate_every), _newest(draft, secret)
    if period is None or since is None:
        return None
    return (since + period - now).total_seconds()


def _period(text: str | None) -> timedelta | None:
    found = _PERIOD.fullmatch(text or "")
    if found is None:
        return None
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:  # longer than any calendar: never
        return None


def _newest(draft: StatusDraft, secret: CredentialsSecret) -> datetime | None:
    times = [_moment(draft.get("lastRotation")), _moment(secret.created)]
    return max((time for time in times if time is not None), default=None)


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
