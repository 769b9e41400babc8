"""Defects that are planted into the controller of a child, to see that the harness finds them.

Each is one that a controller of this kind has had: its own predecessor, or its peers. ``KILLED_BY``
names the points at which it must show, of which one violation is enough.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from hybridpg.app import server_deletion
from hybridpg.app.credentials import PasswordKeeper
from hybridpg.app.database import DatabaseReconciler
from hybridpg.app.kinds import FINALIZER
from hybridpg.app.reconciler import ObjectReconciler
from hybridpg.app.rotation import Rotation
from hybridpg.app.secrets import SecretStore
from hybridpg.app.status import StatusDraft
from hybridpg.app.subject import Subject
from hybridpg.backends.values import Credentials, Owner
from hybridpg.controller import (
    SECRETS,
    ApiError,
    Client,
    JsonPatch,
    LeaderElector,
    LeaseLost,
    ObjectKey,
    TransportError,
    finalizer,
)

BLOCKED_SECONDS: Final = 5.0
"""Several times the lease of the replicas."""


def _role_before_secret() -> None:
    """The role gets its password before that is written down anywhere."""
    original = DatabaseReconciler._secret

    async def secret(self: DatabaseReconciler, database: Any) -> Any:
        password = self._rotation.keeper.new_password()
        login = Credentials(database.ref.external_name, password)
        await database.backend.create_or_update_user(database.ref, login)
        return await original(self, database)

    DatabaseReconciler._secret = secret  # type: ignore[method-assign]


def _secret_deleted_first() -> None:
    """A reset takes the Secret away before the server knows the new password."""
    original = Rotation._stage

    async def stage(self: Rotation, secret: Any, login: Any, rotation: str) -> Any:
        staged = await original(self, secret, login, rotation)
        if rotation and staged is not secret:
            namespace = str(staged.obj["metadata"]["namespace"])
            key = ObjectKey(namespace, staged.name)
            await self._runtime.client.delete(
                SECRETS, key, uid=staged.uid, resource_version=staged.resource_version
            )
            metadata = {
                k: v
                for k, v in staged.obj["metadata"].items()
                if k not in ("uid", "resourceVersion", "creationTimestamp", "managedFields")
            }
            body = {**staged.obj, "metadata": metadata}
            body["data"] = {k: v for k, v in body["data"].items() if k != "password"}
            made = await self._runtime.client.create(SECRETS, body, namespace=namespace)
            return type(staged)(made)
        return staged

    Rotation._stage = stage  # type: ignore[method-assign]


def _no_live_read() -> None:
    """A deletion trusts the cache."""

    async def live(self: ObjectReconciler, subject: Any) -> Any:
        return subject

    ObjectReconciler.live = live  # type: ignore[method-assign]


def _absent_on_any_error() -> None:
    """A Secret that cannot be read now counts as lost."""
    original = SecretStore.find

    async def find(self: SecretStore, subject: Any, name: str, **more: Any) -> Any:
        try:
            return await original(self, subject, name, **more)
        except (ApiError, TransportError):
            return None

    SecretStore.find = find  # type: ignore[method-assign]


def _uid_ignored() -> None:
    """Whoever has the name is the same object."""

    def same(self: Owner, other: Owner | None) -> bool:
        return other is not None and (self.namespace, self.name) == (other.namespace, other.name)

    Owner.same = same  # type: ignore[method-assign]


def _owner_ignored() -> None:
    """What has the right name is ours, marked or not."""
    Owner.same = lambda self, other: True  # type: ignore[method-assign]


def _finalizer_first() -> None:
    """The finalizer goes before what it is for."""
    original = ObjectReconciler._delete_step

    async def step(self: ObjectReconciler, draft: Any) -> Any:
        await finalizer.remove(self.runtime.client, self.resource, draft.subject.obj, FINALIZER)
        return await original(self, draft)

    ObjectReconciler._delete_step = step  # type: ignore[method-assign]


def _edge_triggered() -> None:
    """A deletion is carried out where its event is seen, and at no other time."""
    original = ObjectReconciler._delete
    alive: set[str] = set()

    async def delete(self: ObjectReconciler, cached: Any) -> Any:
        return await original(self, cached) if cached.uid in alive else None

    guarded = ObjectReconciler._guarded

    async def note(self: ObjectReconciler, draft: Any) -> Any:
        if not draft.subject.deleting:
            alive.add(draft.subject.uid)
        return await guarded(self, draft)

    ObjectReconciler._delete = delete  # type: ignore[method-assign]
    ObjectReconciler._guarded = note  # type: ignore[method-assign]


def _no_observed_generation() -> None:
    """Status does not say what it is about."""
    original = StatusDraft.write

    async def write(self: StatusDraft, client: Client) -> Any:
        before = self.subject.status.get("observedGeneration")
        generation = type(self.subject).generation
        if before is not None:
            type(self.subject).generation = property(lambda _: before)  # type: ignore[assignment,method-assign]
        try:
            return await original(self, client)
        finally:
            type(self.subject).generation = generation  # type: ignore[method-assign]

    StatusDraft.write = write  # type: ignore[method-assign]


def _no_preconditions() -> None:
    """A Secret is deleted by its name alone."""

    async def remove(self: SecretStore, subject: Any, secret: Any) -> None:
        await self._client.delete(SECRETS, ObjectKey(subject.namespace, secret.name))

    SecretStore.remove_renamed = remove  # type: ignore[method-assign]


def _promoted_unproven() -> None:
    """A new password is published before it was tried."""

    async def prove(self: PasswordKeeper, target: Any, secret: Any) -> None:
        return

    PasswordKeeper.prove = prove  # type: ignore[method-assign]


def _password_logged() -> None:
    """The log says what it should not."""
    original = PasswordKeeper.prove

    async def prove(self: PasswordKeeper, target: Any, secret: Any) -> None:
        print(f"trying {str(secret.next_password or secret.password)!s}", flush=True)
        await original(self, target, secret)

    PasswordKeeper.prove = prove  # type: ignore[method-assign]


def _always_writes() -> None:
    """Every pass leaves a time in status."""
    original = StatusDraft.write

    async def write(self: StatusDraft, client: Client) -> Any:
        subject = await original(self, client)
        now = self._clock().isoformat()
        if self.get("observedGeneration") is not None:
            await client.patch(
                subject.resource,
                subject.key,
                JsonPatch(({"op": "add", "path": "/status/lastRotation", "value": now},)),
                subresource="status",
            )
        return subject

    StatusDraft.write = write  # type: ignore[method-assign]


def _made_from_the_cache() -> None:
    """What is missing is made for whatever the cache shows."""

    async def confirm(self: ObjectReconciler, draft: Any) -> None:
        return

    ObjectReconciler.confirm = confirm  # type: ignore[method-assign]


def _name_is_identity() -> None:
    """A live object of the right name is taken for the one that is being deleted.

    So is what it owns: the marks alone would still protect that.
    """
    _uid_ignored()

    async def live(self: ObjectReconciler, subject: Any) -> Any:
        obj = await self.runtime.client.get(self.resource, subject.key)
        obj["metadata"] |= {"uid": subject.uid, "deletionTimestamp": "now"}
        return Subject(self.resource, {**obj, "status": subject.status})

    ObjectReconciler.live = live  # type: ignore[method-assign]


def _deletes_unblocked() -> None:
    """A server goes although databases are on it."""

    async def nobody(runtime: Any, server: ObjectKey) -> list[str]:
        return []

    server_deletion.databases_of = lambda runtime, server: []
    server_deletion._live_databases_of = nobody


def _login_not_tried() -> None:
    """A pass believes that the published password logs in."""

    async def settle(self: Rotation, draft: Any, secret: Any, login: Any, schedule: Any) -> Any:
        return (
            secret
            if "binding" in draft.subject.status
            else await original(self, draft, secret, login, schedule)
        )

    original = Rotation.settle
    Rotation.settle = settle  # type: ignore[method-assign]


def _status_remembers() -> None:
    """What status once said of the spec it says for ever."""
    original = StatusDraft.set

    def set_(self: StatusDraft, field: str, value: Any) -> None:
        if field != "unsupportedFields" or value:
            original(self, field, value)

    StatusDraft.set = set_  # type: ignore[method-assign]


def _lease_ignored() -> None:
    """Whoever was replaced goes on with what it is at."""
    original = LeaderElector._hold

    async def hold(self: LeaderElector) -> None:
        try:
            await original(self)
        except LeaseLost:
            await asyncio.Event().wait()

    LeaderElector._hold = hold  # type: ignore[method-assign]
    LeaderElector.check = lambda self, request: None  # type: ignore[method-assign]


def _loop_blocked() -> None:
    """A pass holds the event loop longer than a lease lasts."""
    original = ObjectReconciler._guarded

    async def guarded(self: ObjectReconciler, draft: Any) -> Any:
        time.sleep(BLOCKED_SECONDS)
        return await original(self, draft)

    ObjectReconciler._guarded = guarded  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "role-before-secret": _role_before_secret,
    "secret-deleted-first": _secret_deleted_first,
    "no-live-read": _no_live_read,
    "absent-on-any-error": _absent_on_any_error,
    "uid-ignored": _uid_ignored,
    "owner-ignored": _owner_ignored,
    "finalizer-first": _finalizer_first,
    "edge-triggered": _edge_triggered,
    "no-observed-generation": _no_observed_generation,
    "no-preconditions": _no_preconditions,
    "promoted-unproven": _promoted_unproven,
    "password-logged": _password_logged,
    "always-writes": _always_writes,
    "made-from-the-cache": _made_from_the_cache,
    "name-is-identity": _name_is_identity,
    "deletes-unblocked": _deletes_unblocked,
    "login-not-tried": _login_not_tried,
    "status-remembers": _status_remembers,
    "lease-ignored": _lease_ignored,
    "loop-blocked": _loop_blocked,
}
KILLED_BY: dict[str, str] = {
    "role-before-secret": r"^create \| K POST /api/.*app-login #1 \| crash/before",
    "secret-deleted-first": r"^database-rotate \| S ALTER.* \| crash/before",
    "no-live-read": r"^database-delete \| K PATCH .*app #1 \| crash/committed",
    "absent-on-any-error": r"^secret-renamed \| K GET .*app-login #1 \| error/500",
    "uid-ignored": r"^database-adopt \| K PATCH .*app/status #1 \| crash/committed",
    "owner-ignored": r"^beside-stranger \| K PATCH .*app/status #1 \| crash/committed",
    "finalizer-first": r"^database-delete \| K PATCH .*app #1 \| crash/committed",
    "edge-triggered": r"^database-delete \| S DROP.* \| crash/before",
    "no-observed-generation": r"^database-extensions \| K PATCH .*app/status #1 \| error/500",
    "no-preconditions": r"^secret-renamed \| K GET .*other-login #1 \| crash/committed",
    "promoted-unproven": r"^database-rotate \| K PATCH .*app-login #1 \| crash/committed",
    "password-logged": r"^create \| K PATCH .*app-login #1 \| crash/before",
    "always-writes": r"^create \| K PATCH .*app-login #1 \| crash/before",
    "made-from-the-cache": r"^database-delete \| K PATCH .*app #1 \| stale/travel-committed-2",
    "name-is-identity": r"^database-again \| .* \| stale/travel-committed-deleting",
    "deletes-unblocked": r"^create \| K PATCH .*app-login #1 \| user/server-deleted",
    "login-not-tried": r"^create \| K PATCH .*app-login #1 \| user/role-password",
    "status-remembers": r"^untouched \| U CHANGE .*/size.cpu #1 \| spec/good",
    "lease-ignored": r"^database-rotate \| K PATCH .*app-login #1 \| leaders/answered",
    "loop-blocked": r"^database-rotate \| K PATCH .* \| leaders/clock",
}


def plant(name: str) -> None:
    """Make this process defective; an empty name leaves it as it is."""
    if name:
        MUTANTS[name]()
