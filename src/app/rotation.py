"""From what the Secret holds and what the user asked for to a login that works.

A reset is asked for by label, or due by schedule, and has an identifier in status from the moment
it is accepted: the Secret carries the same identifier once the new password is staged, and the
label goes last. So a crash at any point changes the password exactly once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..backends import Credentials, Endpoint, Outcome, Password, Pending, Unknown
from ..backends.sql import LoginResult
from ..controller import JsonPatch, MergePatch, NotFound, ObjectKey, Result
from ..crds import CredentialRotation
from .connection_keys import NEXT_PASSWORD
from .credentials import (
    PasswordKeeper,
    PasswordTarget,
    former_secret_names,
    known_secret_names,
    new_rotation_id,
    rotated,
    secret_sources,
)
from .errors import Underway
from .former_secrets import FormerSecrets
from .kinds import ACTION_LABEL, RESET_PASSWORD, SECRET_ROTATION, SECRET_STATE
from .reasons import Reason
from .runtime import LoginCheck, Runtime
from .schedule import due_in
from .secrets import ACTIVE, CredentialsSecret
from .status import StatusDraft, timestamp
from .subject import Subject
from .verification import LoginProof, PublishedSecret

Render = Callable[[Password | None], dict[str, str]]
"""The whole content of the Secret for a password."""


@dataclass(frozen=True, slots=True)
class Login:
    """The login that a Secret publishes: how to render it, set it and try it."""

    endpoint: Endpoint
    render: Render
    target: PasswordTarget


class Rotation:
    """Keeps the published login working and carries resets out."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._keeper = PasswordKeeper(runtime.secrets, runtime.config.security)
        self._former = FormerSecrets(runtime.secrets)
        # by object and reason: what it was like when that was said
        self._warned: dict[ObjectKey, dict[str, tuple[str, str]]] = {}

    @property
    def keeper(self) -> PasswordKeeper:
        """The maker of passwords."""
        return self._keeper

    async def settle(
        self,
        draft: StatusDraft,
        secret: CredentialsSecret,
        login: Login,
        schedule: CredentialRotation,
    ) -> CredentialsSecret:
        """Make the published login work, carrying out a reset if one is asked for or due.

        Raises:
            AuthenticationFailed: the server refuses the password that was just set on it.
            BackendError: no clear answer; the published password is unchanged.
        """
        rotation = await self._accept(draft, due=self._due(draft, secret, schedule))
        secret = await self._stage(secret, login, rotation)
        secret = await self._prove(draft.subject, secret, login)
        if rotation and rotated(secret, rotation):
            await self._complete(draft)
        self.published(draft.subject, secret)
        return secret

    def refuse(self, draft: StatusDraft, why: str) -> None:
        """Answer a reset that this kind of server cannot have; the label stays the user's."""
        if draft.subject.action:
            self._warn_once(draft, "ResetRefused", why)

    def look_again(
        self, draft: StatusDraft, secret: CredentialsSecret, schedule: CredentialRotation
    ) -> Result:
        """Return when a converged object is looked at next: its password may be due earlier."""
        due = due_in(schedule, draft, secret, self._runtime.clock())
        resync = self._runtime.resync_after()
        return Result(requeue_after=resync if due is None else max(1.0, min(resync, due)))

    def _due(
        self, draft: StatusDraft, secret: CredentialsSecret, schedule: CredentialRotation
    ) -> bool:
        """Return whether the schedule asks for a new password now.

        One that never logged in is not replaced: nobody can use it yet.
        """
        due = due_in(schedule, draft, secret, self._runtime.clock())
        return due is not None and due <= 0 and secret.active

    async def _accept(self, draft: StatusDraft, *, due: bool) -> str:
        rotation = str(draft.get("passwordReset") or "")
        action = draft.subject.action
        if (action == RESET_PASSWORD or due) and not rotation:
            rotation = new_rotation_id()
            draft.set("passwordReset", rotation)
            draft.progressing(
                Reason.PASSWORD_RESET,
                "a password reset is under way; the published password works throughout",
                ready=True,
            )
            await draft.write(self._runtime.client)
        if action and action != RESET_PASSWORD:
            message = f"label {ACTION_LABEL}={action} is not known; known: {RESET_PASSWORD}"
            self._warn_once(draft, "UnknownAction", message)
        return rotation

    async def _stage(
        self, secret: CredentialsSecret, login: Login, rotation: str
    ) -> CredentialsSecret:
        if secret.next_password is not None:
            return secret
        if secret.password is not None and (not rotation or secret.rotation == rotation):
            return secret
        values = login.render(secret.password)
        staged = {**values, NEXT_PASSWORD: str(self._keeper.new_password())}
        annotations = {SECRET_ROTATION: rotation} if rotation else {}
        return await self._runtime.secrets.publish(secret, staged, annotations=annotations)

    async def _prove(
        self, subject: Subject, secret: CredentialsSecret, login: Login
    ) -> CredentialsSecret:
        logins = self._runtime.logins
        before = LoginProof.of(secret.resource_version, login.endpoint)
        staged = secret.next_password is not None or not secret.active
        # what was not usable meanwhile may be another server, or a restored one
        proven = not staged and subject.ready and logins.proven(subject.identity, before)
        if not proven:
            logins.forget(subject.identity)
            await self._keeper.prove(login.target, secret)
        password = secret.next_password or secret.password
        secret = await self._runtime.secrets.publish(
            secret, login.render(password), annotations={SECRET_STATE: ACTIVE}
        )
        after = LoginProof.of(secret.resource_version, login.endpoint)
        if not proven or after != before:
            logins.remember(subject.identity, after)
        return secret

    async def _complete(self, draft: StatusDraft) -> None:
        subject = draft.subject
        if subject.action == RESET_PASSWORD:
            body = {
                "metadata": {
                    "resourceVersion": subject.resource_version,
                    "labels": {ACTION_LABEL: None},
                }
            }
            try:
                obj = await self._runtime.client.patch(
                    subject.resource, subject.key, MergePatch(body)
                )
            except NotFound:
                return
            draft.rebase(Subject(subject.resource, obj))
        await self._record(draft, timestamp(self._runtime.clock()))

    async def _record(self, draft: StatusDraft, moment: str) -> None:
        """Take the request out of status whoever else writes the object now.

        The label may be back by then: it asks for another reset, and is not taken for this one.
        """
        subject, rotation = draft.subject, draft.get("passwordReset")
        change = JsonPatch(
            (
                {"op": "test", "path": "/metadata/uid", "value": subject.uid},
                {"op": "test", "path": "/status/passwordReset", "value": rotation},
                {"op": "remove", "path": "/status/passwordReset"},
                {"op": "add", "path": "/status/lastRotation", "value": moment},
            )
        )
        obj = await self._runtime.client.patch(
            subject.resource, subject.key, change, subresource="status"
        )
        done = "the password was changed and the new one logs in"
        self._runtime.events.event(subject.reference, "Normal", "PasswordReset", done)
        draft.set("passwordReset", None)
        draft.set("lastRotation", moment)
        found = Subject(subject.resource, obj)
        if found.generation == subject.generation:
            draft.rebase(found)

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an object that is gone."""
        self._warned.pop(key, None)
        self._former.forget(key)

    def published(self, subject: Subject, secret: CredentialsSecret) -> None:
        """Remember the Secret as it is, so that the sweep sees when somebody changes it."""
        seen = PublishedSecret(subject.namespace, secret.name, secret.resource_version)
        self._runtime.published.record(subject.resource.kind, subject.key, seen)

    async def renaming(self, draft: StatusDraft, name: str) -> list[str]:
        """Return where the password may come from; a new name is recorded before it is a Secret.

        So neither a crash nor a third name loses the password, or leaves a Secret behind.
        """
        known = known_secret_names(draft)
        if known and name not in known:
            draft.set("secretNames", [*known, name])
            await draft.write(self._runtime.client)
        return secret_sources(draft, name)

    async def renamed(self, draft: StatusDraft, name: str) -> None:
        """Delete the Secrets of former names, whose content is in the present one, and say so.

        One that may not be deleted stays known, and is named where the user looks.
        """
        former = former_secret_names(draft, name)
        kept = await self._former.clear_away(draft.subject, former)
        if kept:
            message = "; ".join(kept.values())
            self._warn_once(draft, "FormerSecretKept", message)
            draft.remark(message)
        draft.set("secretNames", [*reversed(kept), name] if kept else None)
        draft.set("binding", {"name": name})

    def _warn_once(self, draft: StatusDraft, reason: str, message: str) -> None:
        """Warn once a process: what is warned of stays, and at every look it would be noise."""
        mark = (draft.subject.uid, message)
        warned = self._warned.setdefault(draft.subject.key, {})
        if warned.get(reason) != mark:
            warned[reason] = mark
            draft.note(reason, message, warning=True)


def primary_login(
    check: LoginCheck, endpoint: Endpoint, database: str
) -> Callable[[Credentials], Awaitable[LoginResult]]:
    """Return a login that accepts a primary only: a read-only server is not Ready."""

    async def login(credentials: Credentials) -> LoginResult:
        result = await check(endpoint, credentials, database)
        if result is LoginResult.READ_ONLY:
            place = f"{endpoint.host}:{endpoint.port}"
            raise Unknown(f"{place} is read-only now; waiting for a primary")
        if result is LoginResult.SET_READ_ONLY:
            raise Unknown(
                f"database {database!r} takes no writes, because default_transaction_read_only is "
                f"set to on for it or for role {credentials.username!r}; whoever set it can ALTER "
                f"DATABASE or ALTER ROLE ... RESET default_transaction_read_only"
            )
        return result

    return login


def done_or_busy(outcome: Outcome) -> None:
    """Turn an outcome that goes on without us into a wait: the password is not set yet."""
    if isinstance(outcome, Pending):
        raise Underway(outcome.message, retry_after=outcome.retry_after)
