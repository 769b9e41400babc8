"""Everything that the operator raises itself.

::

    AppError
    ├── ConfigError             the configuration cannot be used; all problems at once
    ├── SecretConflict          a credentials Secret belongs to somebody else
    ├── SecretRefused           a credentials Secret of ours cannot be written as it is
    ├── InvalidSpec             the spec of an object cannot be carried out
    ├── AuthenticationFailed    the published login is refused, and repairing it failed
    ├── WriteRefused            something wanted to write where only a look was promised
    └── NotOurs                 the object in the API server is another one than the reconciled

``Underway`` is a ``Busy`` of the backends' tree: what was asked for is being done.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..backends import Busy


class AppError(Exception):
    """Base of all errors of the operator."""


class ConfigError(AppError):
    """The configuration cannot be used; ``problems`` holds one line each, with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class SecretConflict(AppError):
    """A credentials Secret belongs to somebody else; it is neither read nor written."""


class SecretRefused(AppError):
    """A credentials Secret cannot be written: it is immutable, or a policy is in the way."""


class InvalidSpec(AppError):
    """The spec of an object cannot be carried out; the message names field and cause."""


class WriteRefused(AppError):
    """Something wanted to write where only a look was promised; nothing was sent."""


class AuthenticationFailed(AppError):
    """The published login is refused, and repairing it failed."""


class NotOurs(AppError):
    """The object in the API server is another one than the one being reconciled."""


class Underway(Busy):
    """The backend goes on without us with what a pass cannot do without: it comes again."""
