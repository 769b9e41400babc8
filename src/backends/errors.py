"""Everything that a backend raises: foreign errors never pass its border.

::

    BackendError
    ├── Unknown         a read or write whose result is not known; retried, nothing is concluded
    │   └── Busy        not even tried: the target has enough to do; tried again shortly
    ├── Rejected        the target will refuse this until the spec or the configuration changes
    ├── Conflict        the thing belongs to somebody else
    ├── Quota           a limit of the target or of the configuration is reached
    ├── Denied          our own credentials or rights do not suffice
    └── Unavailable     the backend cannot be used: not configured, CRDs missing
        └── Retired     its provider has ended the service
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .values import (
        Owner,
    )


class BackendError(Exception):
    """Base of all errors of a backend."""


class Unknown(BackendError):
    """The result is not known: nothing may be created, reset or deleted because of it."""


class Busy(Unknown):
    """The call was not tried because the target is at its limit; ``retry_after`` is in seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(BackendError):
    """The target refuses ``field`` until the spec or the configuration changes."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


class Conflict(BackendError):
    """The thing is not ours.

    ``external_name`` is what an adoption must name; ``owner`` is who the mark names, or None where
    there is no mark of ours at all.
    """

    def __init__(self, external_name: str, owner: Owner | None, message: str) -> None:
        super().__init__(message)
        self.external_name = external_name
        self.owner = owner


class Quota(BackendError):
    """A limit of the target or of the configuration is reached."""


class Denied(BackendError):
    """Our own credentials or rights do not suffice; the message names the missing right."""


class Unavailable(BackendError):
    """The backend cannot be used; the message says what an administrator must do."""


class Retired(Unavailable):
    """The provider has ended the service behind the backend; the message names a successor."""
