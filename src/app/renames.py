"""Where the password of an object is while its Secret has more than one name.

A rename of ``credentialsSecret`` that was not carried out, or whose former Secret could not be
deleted, leaves names behind. Which of them is the truth, status says: the names that it knows are
in the order in which they held the password.
"""

from __future__ import annotations

from .credentials import password_names
from .errors import SecretConflict
from .runtime import Runtime
from .secrets import CredentialsSecret
from .status import StatusDraft


async def newest_secret(runtime: Runtime, draft: StatusDraft) -> CredentialsSecret | None:
    """Return the Secret that holds the password now, whatever its name; None if proven lost.

    Raises:
        SecretConflict: the Secret of the spec belongs to somebody else, and there is no other.
        Unknown, ApiError, TransportError: no clear answer; nothing may be concluded.
    """
    subject, conflict = draft.subject, None
    for name in filter(None, password_names(draft, subject.secret_name)):
        try:
            secret = await runtime.secrets.read(subject, name)
        except SecretConflict as error:
            conflict = error if name == subject.secret_name else conflict
            continue
        if secret is not None:
            return secret
    if conflict is not None:
        raise conflict
    return None
