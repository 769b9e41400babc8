"""Where the password of an object is while its Secret has more than one name.

A rename of ``credentialsSecret`` that was not carried out, or whose former Secret could not be
deleted, leaves names behind. Which of them is the truth, status says: the names that it knows are
in the order in which they held the password.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import takewhile

from .connection_keys import OUR_KEYS
from .credentials import known_secret_names, password_names
from .errors import SecretConflict
from .kinds import SECRET_ROTATION, SECRET_STATE
from .runtime import Runtime
from .secrets import PENDING, CredentialsSecret
from .status import StatusDraft

Confirm = Callable[[StatusDraft], Awaitable[None]]
"""Proves on the live object that the pass works on what is there now."""


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


async def with_newest_password(
    runtime: Runtime, draft: StatusDraft, secret: CredentialsSecret, *, confirm: Confirm
) -> CredentialsSecret:
    """Return the Secret of the spec with the content of a newer one, where there is one.

    It is an old Secret that a rename left behind and that has its name back: what it holds may
    have been rotated away since. The order of the names is recorded right after the move, so that
    what is rotated from then on is not moved over either.

    Raises:
        Conflict: the object changed meanwhile.
        Unknown, ApiError, TransportError: no clear answer; nothing was moved.
    """
    names = password_names(draft, secret.name)
    for name in takewhile(lambda each: each != secret.name, names):
        try:
            newer = await runtime.secrets.read(draft.subject, name)
        except SecretConflict:
            continue  # somebody else has the name by now
        if newer is None:
            continue
        await confirm(draft)
        moved = await runtime.secrets.publish(
            secret, _content(newer), annotations=_marks(newer, secret)
        )
        others = [each for each in known_secret_names(draft) if each != secret.name]
        draft.set("secretNames", [*others, secret.name])
        await draft.write(runtime.client)
        return moved
    return secret


def _content(secret: CredentialsSecret) -> dict[str, str]:
    values = {key: secret.value(key) for key in OUR_KEYS}
    return {key: value for key, value in values.items() if value is not None}


def _marks(newer: CredentialsSecret, older: CredentialsSecret) -> dict[str, str]:
    """Return the annotations that go with the content: which reset it is of, and to be proven."""
    rotation = {SECRET_ROTATION: newer.rotation} if newer.rotation != older.rotation else {}
    return {SECRET_STATE: PENDING, **rotation}
