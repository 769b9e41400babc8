"""Defects that can be planted into a controller: each call makes this process defective.

Each is one that a controller of this kind has had: its own predecessor, or its peers.
"""

from __future__ import annotations

import asyncio
import time
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


def role_before_secret() -> None:
    """The role gets its password before that is written down anywhere."""
    original = DatabaseReconciler._secret

    async def secret(self: DatabaseReconciler, database: Any) -> Any:
        password = self._rotation.keeper.new_password()
        login = Credentials(database.ref.external_name, password)
        await database.backend.create_or_update_user(database.ref, login)
        return await original(self, database)

    DatabaseReconciler._secret = secret  # type: ignore[method-assign]


def secret_deleted_first() -> None:
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


def no_live_read() -> None:
    """A deletion trusts the cache."""

    async def live(self: ObjectReconciler, subject: Any) -> Any:
        return subject

    ObjectReconciler.live = live  # type: ignore[method-assign]


def absent_on_any_error() -> None:
    """A Secret that cannot be read now counts as lost."""
    original = SecretStore.find

    async def find(self: SecretStore, subject: Any, name: str, **more: Any) -> Any:
        try:
            return await original(self, subject, name, **more)
        except (ApiError, TransportError):
            return None

    SecretStore.find = find  # type: ignore[method-assign]


def uid_ignored() -> None:
    """Whoever has the name is the same object."""

    def same(self: Owner, other: Owner | None) -> bool:
        return other is not None and (self.namespace, self.name) == (other.namespace, other.name)

    Owner.same = same  # type: ignore[method-assign]


def owner_ignored() -> None:
    """What has the right name is ours, marked or not."""
    Owner.same = lambda self, other: True  # type: ignore[method-assign]


def finalizer_first() -> None:
    """The finalizer goes before what it is for."""
    original = ObjectReconciler._delete_step

    async def step(self: ObjectReconciler, draft: Any) -> Any:
        await finalizer.remove(self.runtime.client, self.resource, draft.subject.obj, FINALIZER)
        return await original(self, draft)

    ObjectReconciler._delete_step = step  # type: ignore[method-assign]


def edge_triggered() -> None:
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


def no_observed_generation() -> None:
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


def no_preconditions() -> None:
    """A Secret is deleted by its name alone."""

    async def remove(self: SecretStore, subject: Any, secret: Any) -> None:
        await self._client.delete(SECRETS, ObjectKey(subject.namespace, secret.name))

    SecretStore.remove_renamed = remove  # type: ignore[method-assign]


def promoted_unproven() -> None:
    """A new password is published before it was tried."""

    async def prove(self: PasswordKeeper, target: Any, secret: Any) -> None:
        return

    PasswordKeeper.prove = prove  # type: ignore[method-assign]


def password_logged() -> None:
    """The log says what it should not."""
    original = PasswordKeeper.prove

    async def prove(self: PasswordKeeper, target: Any, secret: Any) -> None:
        print(f"trying {str(secret.next_password or secret.password)!s}", flush=True)
        await original(self, target, secret)

    PasswordKeeper.prove = prove  # type: ignore[method-assign]


def always_writes() -> None:
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


def made_from_the_cache() -> None:
    """What is missing is made for whatever the cache shows."""

    async def confirm(self: ObjectReconciler, draft: Any) -> None:
        return

    ObjectReconciler.confirm = confirm  # type: ignore[method-assign]


def name_is_identity() -> None:
    """A live object of the right name is taken for the one that is being deleted.

    So is what it owns: the marks alone would still protect that.
    """
    uid_ignored()

    async def live(self: ObjectReconciler, subject: Any) -> Any:
        obj = await self.runtime.client.get(self.resource, subject.key)
        obj["metadata"] |= {"uid": subject.uid, "deletionTimestamp": "now"}
        return Subject(self.resource, {**obj, "status": subject.status})

    ObjectReconciler.live = live  # type: ignore[method-assign]


def deletes_unblocked() -> None:
    """A server goes although databases are on it."""

    async def nobody(runtime: Any, server: ObjectKey) -> list[str]:
        return []

    server_deletion.databases_of = lambda runtime, server: []
    server_deletion._live_databases_of = nobody


def login_not_tried() -> None:
    """A pass believes that the published password logs in."""

    async def settle(self: Rotation, draft: Any, secret: Any, login: Any, schedule: Any) -> Any:
        return (
            secret
            if "binding" in draft.subject.status
            else await original(self, draft, secret, login, schedule)
        )

    original = Rotation.settle
    Rotation.settle = settle  # type: ignore[method-assign]


def status_remembers() -> None:
    """What status once said of the spec it says for ever."""
    original = StatusDraft.set

    def set_(self: StatusDraft, field: str, value: Any) -> None:
        if field != "unsupportedFields" or value:
            original(self, field, value)

    StatusDraft.set = set_  # type: ignore[method-assign]


def lease_ignored() -> None:
    """Whoever was replaced goes on with what it is at."""
    original = LeaderElector._hold

    async def hold(self: LeaderElector) -> None:
        try:
            await original(self)
        except LeaseLost:
            await asyncio.Event().wait()

    LeaderElector._hold = hold  # type: ignore[method-assign]
    LeaderElector.check = lambda self, request: None  # type: ignore[method-assign]


def loop_blocked() -> None:
    """A pass holds the event loop longer than a lease lasts."""
    original = ObjectReconciler._guarded

    async def guarded(self: ObjectReconciler, draft: Any) -> Any:
        time.sleep(BLOCKED_SECONDS)
        return await original(self, draft)

    ObjectReconciler._guarded = guarded  # type: ignore[method-assign]
