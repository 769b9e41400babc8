"""The reconcile function of PostgreSQLDatabase.

Guards, then the server it waits for, then finalizer and recorded name, then the Secret, then the
marked role and its database, then the login that the Secret publishes, then status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..backends import (
    Absent,
    Backend,
    Change,
    Credentials,
    DatabaseRef,
    DatabaseState,
    Observed,
    Password,
    Pending,
    Policy,
    Refused,
    Rejected,
)
from ..controller import ObjectKey, ReadStore, Request, Resource, Result
from ..crds import DatabaseSpec, set_fields
from .connection_keys import connection_keys, endpoint_keys, pending_keys
from .credentials import PasswordTarget
from .database_deletion import delete_database
from .failures import joined, refuses_extensions
from .kinds import DATABASES
from .reasons import Condition, Reason
from .reconciler import ObjectReconciler, nobody_uses
from .renames import with_newest_password
from .rotation import Login, Rotation, done_or_busy, primary_login
from .runtime import Runtime, ServerEntry
from .schedule import ROTATE_EVERY
from .secrets import CredentialsSecret
from .server_identity import Content, content_of, is_another, replaced
from .spec import fields_not_in, parse_spec
from .status import StatusDraft
from .subject import Subject
from .targets import database_target, look_at_database


@dataclass(frozen=True, slots=True)
class _Database:
    """One database during one pass: its spec, its server's backend and its reference."""

    draft: StatusDraft
    spec: DatabaseSpec
    backend: Backend
    ref: DatabaseRef

    def render(self, password: Password | None) -> dict[str, str]:
        endpoint, name = self.ref.endpoint, self.ref.external_name
        if password is None:
            return endpoint_keys(endpoint, name, self.backend.name)
        login = Credentials(name, password)
        return connection_keys(endpoint, login, name, self.backend.name)

    def render_pending(self, password: Password) -> dict[str, str]:
        return pending_keys(Credentials(self.ref.external_name, password), self.backend.name)


class DatabaseReconciler(ObjectReconciler):
    """Makes one database and its role match their object."""

    resource: ClassVar[Resource] = DATABASES

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self._rotation = Rotation(runtime)

    @property
    def store(self) -> ReadStore:
        """The cache of databases."""
        return self.runtime.databases

    def policy(self, subject: Subject) -> Policy:
        """Return the deletion policy of the object, else that of the configuration."""
        return Policy(subject.spec.get("deletionPolicy") or self.runtime.config.deletion.databases)

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of a database that is gone."""
        self.runtime.published.forget(self.resource.kind, key)
        self.runtime.logins.forget((self.resource.kind, key))
        self.runtime.silences.forget(key)
        self._rotation.forget(key)

    async def __call__(self, request: Request) -> Result:
        """Reconcile one database; its place in the crowd is free afterwards, whatever happened."""
        try:
            return await super().__call__(request)
        finally:
            self.runtime.crowd.left(request.key)

    async def delete(self, draft: StatusDraft, policy: Policy) -> Result | None:
        """Go on with the deletion."""
        return await delete_database(self.runtime, draft, policy)

    async def converge(self, draft: StatusDraft) -> Result:
        """Make the database match its object."""
        spec = parse_spec(DatabaseSpec, draft.subject)
        if await self.finalizer_added(draft):
            return Result()
        server = self._server(draft, spec)
        if server is None:
            return Result()  # the server's own progress wakes its databases
        place = server.endpoint.host, server.endpoint.port
        if nobody_uses(draft.subject) and not self.runtime.crowd.enter(draft.subject.key, place):
            draft.abandon()  # it is called when it is its turn
            return Result()
        if not await self._belongs(draft, spec, server):
            return Result(requeue_after=self.runtime.resync_after())
        database = await self._bind(draft, spec, server)
        # a conflict ends here
        observed, desired, _ = await look_at_database(
            self.runtime, draft.subject, spec, database.backend, database.ref
        )
        draft.set("serverUID", server.ref.owner.uid)
        secret = await self._secret(database)
        if not _is_there(database.ref, observed):
            await self.confirm(draft)
        observed = await self._ensure_role(database, secret, observed)
        plan = database.backend.plan_database(database.ref, desired, observed)
        refusals = await self._carry_out(database, plan)
        if isinstance(refusals, Result):
            return refusals
        secret = await self._publish(database, secret)
        if refusals:
            raise joined(refusals)  # what could be had of the spec is there, and logs in
        secret_name = spec.credentials_secret
        draft.ready(f"database {database.ref.external_name} is usable with secret {secret_name}")
        return self._rotation.look_again(draft, secret, spec.credentials)

    def _server(self, draft: StatusDraft, spec: DatabaseSpec) -> ServerEntry | None:
        """Return the server, or say what the database waits for: waiting is no failure."""
        key = ObjectKey(draft.subject.namespace, spec.server_ref.name)
        entry = self.runtime.directory.get(key)
        cached = self.runtime.servers.get(key)
        if entry is not None and cached is not None and entry.ref.owner.uid == cached.uid:
            return entry
        if cached is None:
            reason, message = Reason.SERVER_NOT_FOUND, f"no PostgreSQLServer {key.name} here yet"
        elif not self.runtime.directory.seen(key) and draft.message(Condition.READY):
            return None  # just started: what was true before stays until the server was asked
        else:
            reason = Reason.WAITING_FOR_SERVER
            message = f"server {key.name} is not ready yet"
        draft.condition(Condition.SERVER_READY, False, reason, message)
        draft.progressing(reason, message)
        return None

    async def _belongs(self, draft: StatusDraft, spec: DatabaseSpec, server: ServerEntry) -> bool:
        """Return whether the database is, or may be made, on this server; else say why not.

        On a server that took the place of another one it is not made anew, empty, and its Secret
        stays as it is, until its owner says so. What is somebody else's is a conflict, as anywhere.
        """
        name, uid = spec.server_ref.name, server.ref.owner.uid
        if (
            not is_another(draft, uid)
            or await content_of(self.runtime, draft, server) is not Content.NOTHING
        ):
            answers = f"server {name} answers"
            draft.condition(Condition.SERVER_READY, True, Reason.AVAILABLE, answers)
            return True
        message = replaced(draft, name, uid)
        draft.condition(Condition.SERVER_READY, False, Reason.SERVER_GONE, message)
        draft.failed(Reason.SERVER_GONE, message, stalled=True)
        return False

    async def _bind(self, draft: StatusDraft, spec: DatabaseSpec, server: ServerEntry) -> _Database:
        """Record backend and name before the first call: a deletion must know them."""
        backend = self.runtime.backends.get(server.backend)
        ref = await database_target(self.runtime, draft, server)
        if (draft.get("backend"), draft.get("externalName")) != (backend.name, ref.external_name):
            draft.set("backend", backend.name)
            draft.set("externalName", ref.external_name)
            if not draft.get("serverUID"):
                draft.set("serverUID", server.ref.owner.uid)
            draft.progressing(Reason.CREATING, f"database {ref.external_name} is being created")
            await draft.write(self.runtime.client)
        unsupported = fields_not_in(set_fields(spec), frozenset({"database", ROTATE_EVERY}))
        if unsupported and unsupported != draft.get("unsupportedFields"):
            fields = ", ".join(unsupported)
            draft.note("UnsupportedFields", f"not supported here: {fields}", warning=True)
        draft.set("unsupportedFields", unsupported)
        return _Database(draft, spec, backend, ref)

    async def _secret(self, database: _Database) -> CredentialsSecret:
        """Return the Secret; one that is proven missing is made before the role is."""
        draft, name = database.draft, database.spec.credentials_secret
        adopting = database.ref.external_name if database.ref.adopt else ""
        secret = await self.runtime.secrets.read(draft.subject, name, adopting=adopting)
        if secret is not None:
            return await with_newest_password(self.runtime, draft, secret, confirm=self.confirm)
        await self.confirm(draft)
        former = await self._rotation.renaming(draft, name)
        return await self._rotation.keeper.create(
            draft.subject, name, database.render_pending, former=former
        )

    async def _ensure_role(
        self,
        database: _Database,
        secret: CredentialsSecret,
        observed: Observed[DatabaseState],
    ) -> Observed[DatabaseState]:
        """Make the marked role before anything that it owns."""
        backend, ref = database.backend, database.ref
        marked = not isinstance(observed, Absent) and ref.owner.same(observed.state.owner)
        if not marked:
            password = secret.next_password or secret.password
            if password is None:
                password = self._rotation.keeper.new_password()  # settled from the Secret below
            self.runtime.logins.forget(database.draft.subject.identity)
            outcome = await backend.create_or_update_user(
                ref, Credentials(ref.external_name, password)
            )
            done_or_busy(outcome)
            observed = await backend.observe_database(ref)
        message = f"role {ref.external_name} is ours"
        database.draft.condition(Condition.ROLE_READY, True, Reason.AVAILABLE, message)
        return observed

    async def _carry_out(
        self, database: _Database, plan: tuple[Change, ...]
    ) -> Result | list[Rejected]:
        """Do what can be done of a plan and return what is refused of the spec.

        A result means that the work goes on without us.
        """
        refusals = [Rejected(c.field, c.message) for c in plan if isinstance(c, Refused)]
        try:
            pending = await self._apply(database, plan)
        except Rejected as error:
            if not refuses_extensions(error):
                raise
            refusals.append(error)
        else:
            if pending is not None:
                return pending
        self._show_extensions(database.draft, refusals)
        return refusals

    async def _apply(self, database: _Database, plan: tuple[Change, ...]) -> Result | None:
        """Carry out what is not refused; a result means that it goes on without us."""
        draft, backend = database.draft, database.backend
        changes = tuple(change for change in plan if not isinstance(change, Refused))
        draft.set("pendingChanges", None)
        if not changes:
            return None
        self.runtime.logins.forget(draft.subject.identity)  # Ready means a login since the change
        outcome = await backend.create_or_update_database(database.ref, changes)
        messages = [change.message for change in changes]
        if isinstance(outcome, Pending):
            draft.set("pendingChanges", messages)
            draft.progressing(Reason.UPDATING, outcome.message)
            return Result(requeue_after=outcome.retry_after)
        for note in outcome.notes or messages:
            draft.note("Updated", note)
        return None

    def _show_extensions(self, draft: StatusDraft, refusals: list[Rejected]) -> None:
        refused = [error for error in refusals if refuses_extensions(error)]
        reason = Reason.EXTENSION_REFUSED if refused else Reason.AVAILABLE
        message = f"spec.{joined(refused)}" if refused else "all extensions of the spec are there"
        draft.condition(Condition.EXTENSIONS_READY, not refused, reason, message)

    async def _publish(self, database: _Database, secret: CredentialsSecret) -> CredentialsSecret:
        """Settle the login and publish it."""
        draft, backend, ref = database.draft, database.backend, database.ref

        async def apply(login: Credentials) -> None:
            done_or_busy(await backend.update_user_password(ref, login))

        login = primary_login(self.runtime.check_login, ref.endpoint, ref.external_name)
        target = PasswordTarget(ref.external_name, apply, login)
        schedule = database.spec.credentials
        secret = await self._rotation.settle(
            draft, secret, Login(ref.endpoint, database.render, target), schedule
        )
        await self._rotation.renamed(draft, secret.name)
        message = f"secret {secret.name} logs in"
        draft.condition(Condition.SECRET_READY, True, Reason.AVAILABLE, message)
        return secret


def _is_there(ref: DatabaseRef, observed: Observed[DatabaseState]) -> bool:
    """Return whether role and database exist and are ours, so that nothing is made anew."""
    if isinstance(observed, Absent):
        return False
    return observed.state.present and ref.owner.same(observed.state.owner)
