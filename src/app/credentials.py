"""The life of a password: made before it is used, changed in stages, never lost.

The published Secret is the truth. A reset writes ``next-password`` beside ``password``, sets it on
the server, logs in with it, and only then makes it the password: at every instant one of the two
published passwords works, and a crash at any point is continued from what the Secret says.
"""

from __future__ import annotations

import secrets as csprng
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ..backends import Credentials, Password
from ..backends.sql import LoginResult
from .config import SecurityConfig
from .errors import AuthenticationFailed, SecretConflict
from .passwords import generate
from .secrets import CredentialsSecret, SecretStore
from .status import StatusDraft
from .subject import Subject


@dataclass(frozen=True, slots=True)
class PasswordTarget:
    """The role whose password a Secret publishes.

    ``apply`` makes a password the role's (repeating it is harmless), ``login`` logs in with one.
    """

    username: str
    apply: Callable[[Credentials], Awaitable[None]]
    login: Callable[[Credentials], Awaitable[LoginResult]]


class PasswordKeeper:
    """Makes passwords, and makes the one that a Secret publishes work."""

    def __init__(self, store: SecretStore, security: SecurityConfig) -> None:
        self._store = store
        self._security = security

    def new_password(self) -> Password:
        """Generate a password as the configuration asks for it."""
        return generate(
            self._security.password_length, special_characters=self._security.special_characters
        )

    async def create(
        self,
        subject: Subject,
        name: str,
        render: Callable[[Password], dict[str, str]],
        *,
        former: Sequence[str] = (),
    ) -> CredentialsSecret:
        """Create the Secret with a new password, or with that of the first ``former`` there is."""
        moved = None
        for former_name in former:
            moved = moved or await self._former(subject, former_name)
        password = moved.password if moved else None
        rotation = moved.rotation if moved else ""
        values = render(password or self.new_password())
        if moved and moved.next_password:
            values["next-password"] = str(moved.next_password)
        return await self._store.create(subject, name, values, rotation=rotation)

    async def _former(self, subject: Subject, name: str) -> CredentialsSecret | None:
        try:
            return await self._store.read(subject, name)
        except SecretConflict:
            return None  # somebody else has the name by now, so ours is proven lost

    async def prove(self, target: PasswordTarget, secret: CredentialsSecret) -> None:
        """Log in with the newest password of the Secret, setting it first where it is refused.

        Refused means proven wrong: no answer is an exception and sets nothing. No third password
        is ever made here.

        Raises:
            AuthenticationFailed: the server refuses the password that was just set on it.
            BackendError: no clear answer.
        """
        password = secret.next_password or secret.password
        if password is None:
            raise AuthenticationFailed(f"secret {secret.name} holds no password")
        login = Credentials(target.username, password)
        if await target.login(login) is not LoginResult.REFUSED:
            return
        await target.apply(login)
        if await target.login(login) is LoginResult.REFUSED:
            raise AuthenticationFailed(
                f"role {target.username!r} refuses the password that was just set; "
                f"check that it may log in and that its password has not expired"
            )


def new_rotation_id() -> str:
    """Return an id that tells one reset from the next."""
    return csprng.token_hex(8)


def rotated(secret: CredentialsSecret, rotation: str) -> bool:
    """Return whether the reset of that id is complete in the Secret."""
    return secret.rotation == rotation and secret.next_password is None


def known_secret_names(draft: StatusDraft) -> list[str]:
    """Return every name by which the Secret was known and not yet cleared away, oldest first."""
    published = (draft.get("binding") or {}).get("name")
    return [str(name) for name in draft.get("secretNames") or ([published] if published else [])]


def password_names(draft: StatusDraft, name: str) -> list[str]:
    """Return every name by which the password may be found, newest first, ``name`` among them.

    What was published last, and what was to follow it: a Secret of an earlier name that could not
    be deleted may hold a password that was rotated away since.
    """
    known = known_secret_names(draft)
    published = (draft.get("binding") or {}).get("name")
    first = known.index(published) if published in known else 0
    line = known[first:]
    return [*reversed(line), *([] if name in line else [name])]


def secret_sources(draft: StatusDraft, name: str) -> list[str]:
    """Return the names that the password may be taken over from, newest first."""
    return [each for each in password_names(draft, name) if each != name]


def former_secret_names(draft: StatusDraft, name: str) -> list[str]:
    """Return the names that the Secret had before ``name``, newest first."""
    return [known for known in reversed(known_secret_names(draft)) if known != name]
