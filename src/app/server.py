"""The reconcile function of PostgreSQLServer.

Guards, then finalizer, then the binding that is recorded before the first external call, then
observe → plan → apply, then the login and the Secret that publishes it, then status.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from ..backends import (
    Absent,
    AdminLogin,
    Change,
    Credentials,
    Endpoint,
    Observed,
    Pending,
    Policy,
    Present,
    Refused,
    ServerState,
    Unknown,
)
from ..controller import ObjectKey, ReadStore, Resource, Result
from ..crds import ServerSpec
from .binding import ServerTarget, is_ours, target_to_serve
from .failures import CONTRACT
from .kinds import SERVERS
from .quota import EFFECTIVE_SIZE
from .reasons import Condition, Reason
from .reconciler import ObjectReconciler
from .renames import newest_secret, with_newest_password
from .rotation import Rotation, done_or_busy
from .runtime import Runtime, ServerEntry
from .secrets import CredentialsSecret
from .server_deletion import databases_of, delete_server
from .server_login import admin_role, prove_login, publish_login
from .server_pass import ServerPass
from .server_spec import show_spec
from .spec import parse_spec
from .status import StatusDraft
from .subject import Subject
from .targets import (
    look_at_server,
    newest_password,
    server_target,
    with_admin,
)


class ServerReconciler(ObjectReconciler):
    """Makes one server match its object."""

    resource: ClassVar[Resource] = SERVERS

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self._rotation = Rotation(runtime)

    @property
    def store(self) -> ReadStore:
        """The cache of servers."""
        return self.runtime.servers

    def policy(self, subject: Subject) -> Policy:
        """Return the deletion policy of the object, else that of the configuration."""
        return Policy(subject.spec.get("deletionPolicy") or self.runtime.config.deletion.servers)

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of a server that is gone."""
        self.runtime.directory.forget(key)
        self.runtime.quotas.forget(key)
        self.runtime.bindings.forget(key)
        self.runtime.published.forget(self.resource.kind, key)
        self.runtime.logins.forget((self.resource.kind, key))
        self._rotation.forget(key)

    def failed(self, subject: Subject) -> None:
        """Let the databases of this server say that they wait."""
        self.runtime.directory.doubt(subject.key)

    async def delete(self, draft: StatusDraft, policy: Policy) -> Result | None:
        """Go on with the deletion."""
        waits = None
        if databases_of(self.runtime, draft.subject.key):
            waits = await self._keep_serving(draft, revive=True)
        return waits or await delete_server(self.runtime, draft, policy)

    async def look_on(self, draft: StatusDraft) -> None:
        """Let the databases of a paused server find it: after a start nothing else says where."""
        if self.runtime.directory.get(draft.subject.key) is not None:
            return
        try:
            await self._keep_serving(draft, revive=False)
        except CONTRACT:
            self.failed(draft.subject)
            raise

    async def _keep_serving(self, draft: StatusDraft, *, revive: bool) -> Result | None:
        """Keep a server usable whose deletion waits for its databases: theirs goes through it.

        After a start of the controller nothing else says where it is. One that is gone is not
        made again. A result means that it does not answer yet.
        """
        directory, key = self.runtime.directory, draft.subject.key
        found = await target_to_serve(self.runtime, draft)
        if found is None:
            directory.doubt(key)
            return None
        target, observed = found
        backend, ref = target.backend, target.ref
        ours = is_ours(ref, observed) or not backend.capabilities.provisions
        if isinstance(observed, Absent) or not ours:
            gone = isinstance(observed, Absent) and draft.subject.deleting
            (directory.declare_absent if gone else directory.doubt)(key)
            return None
        secret = await newest_secret(self.runtime, draft)
        if not observed.state.ready and not revive:
            raise Unknown(f"server {ref.external_name} does not answer: {observed.state.message}")
        if not observed.state.ready:
            server = ServerPass(draft, parse_spec(ServerSpec, draft.subject), backend, ref)
            return await self._revive(server, secret, observed)
        endpoint = await backend.endpoint(ref, observed.state)
        lost = endpoint.admin is None and not newest_password(secret)
        if lost and (not revive or directory.get(key) is not None):
            directory.doubt(key)
        elif lost:
            await self._make_way_in(draft, target, observed.state, endpoint)
        else:
            if endpoint.admin is None and secret is not None and revive:
                role = admin_role(self.runtime, target, observed.state, endpoint)
                await prove_login(
                    self.runtime,
                    self._rotation.keeper,
                    secret,
                    subject=draft.subject,
                    role=role,
                    endpoint=endpoint,
                )
            full = with_admin(endpoint, observed.state.admin_username, secret)
            directory.publish(key, ServerEntry(ref, backend.name, full))
        return None

    async def _make_way_in(
        self, draft: StatusDraft, target: ServerTarget, state: ServerState, endpoint: Endpoint
    ) -> None:
        """Let the databases be deleted of a server whose Secret is proven lost.

        A namespace is emptied in any order, and takes no new Secret meanwhile. Nobody knows the
        password any more, so a new one that only this process knows takes nothing from anybody.
        """
        login = Credentials(state.admin_username, self._rotation.keeper.new_password())
        backend, ref = target.backend, target.ref
        done_or_busy(await backend.update_admin_password(ref, state, login))
        full = replace(endpoint, admin=AdminLogin(login.username, login.password))
        self.runtime.directory.publish(draft.subject.key, ServerEntry(ref, backend.name, full))

    async def _revive(
        self, server: ServerPass, secret: CredentialsSecret | None, observed: Observed[ServerState]
    ) -> Result:
        """Make a server answer again that is there and was found not to."""
        self.runtime.directory.withdraw(server.draft.subject.key)
        plan = server.backend.plan_server(server.ref, server.spec, observed)
        changes = tuple(change for change in plan if not isinstance(change, Refused))
        pending = await self._apply(server, secret, observed, changes) if changes else None
        return pending or Result(requeue_after=1.0)

    async def converge(self, draft: StatusDraft) -> Result:
        """Make the server match its object."""
        spec = parse_spec(ServerSpec, draft.subject)
        if await self.finalizer_added(draft):
            return Result()
        target = await server_target(self.runtime, draft, spec)
        await self._bind(draft, target)
        view = await look_at_server(self.runtime, draft, target, spec)
        await self._bind(draft, view.target)
        server = ServerPass(draft, spec, view.target.backend, view.target.ref)
        observed, plan = view.observed, view.changes
        changes = tuple(change for change in plan if not isinstance(change, Refused))
        secret = await self._secret(server, observed)
        draft.set("pendingChanges", None)
        if changes:
            if isinstance(observed, Absent):
                await self.confirm(draft)
            pending = await self._apply(server, secret, observed, changes)
            if pending is not None:
                return pending
            observed = await server.backend.observe_server(server.ref)
        show_spec(server, plan, backend_chosen=bool(self.runtime.config.allowed_backends))
        if isinstance(observed, Absent) or not observed.state.ready:
            return self._not_answering(server, observed)
        return await self._publish(server, secret, observed.state)

    async def _bind(self, draft: StatusDraft, target: ServerTarget) -> None:
        """Record backend and external name before anything is made there."""
        if not target.recorded(draft):
            backend, name = target.place
            draft.set("backend", backend)
            draft.set("externalName", name)
            draft.progressing(Reason.CREATING, f"bound to backend {backend}")
            await draft.write(self.runtime.client)

    async def _secret(
        self, server: ServerPass, observed: Observed[ServerState]
    ) -> CredentialsSecret | None:
        """Return the Secret, made before the server is; None where it waits for an endpoint.

        Called after the server was read without doubt: a Secret that is proven lost is made anew
        only then, and its password is set where the login is settled.
        """
        subject, name = server.draft.subject, server.spec.credentials_secret
        former = await self._rotation.renaming(server.draft, name)
        adopting = server.ref.external_name if server.ref.adopt else ""
        secret = await self.runtime.secrets.read(subject, name, adopting=adopting)
        if not server.publishes_admin:
            return secret
        if secret is not None:
            return await with_newest_password(
                self.runtime, server.draft, secret, confirm=self.confirm
            )
        await self.confirm(server.draft)
        username = server.admin_username(observed)
        return await self._rotation.keeper.create(
            subject, name, lambda password: server.render_pending(username, password), former=former
        )

    async def _apply(
        self,
        server: ServerPass,
        secret: CredentialsSecret | None,
        observed: Observed[ServerState],
        changes: tuple[Change, ...],
    ) -> Result | None:
        """Carry the changes out; a result means that they go on without us."""
        draft, messages = server.draft, [change.message for change in changes]
        answers = isinstance(observed, Present) and observed.state.ready
        usable = answers and draft.met(Condition.READY)
        reason = Reason.UPDATING if usable else _down(draft)
        admin = Credentials(server.admin_username(observed), newest_password(secret))
        outcome = await server.backend.create_or_update_server(server.ref, changes, admin)
        if isinstance(outcome, Pending):
            draft.set("pendingChanges", messages)
            draft.condition(Condition.SYNCED, False, reason, outcome.message)
            if not answers:
                self._withdraw(draft, reason, outcome.message)
            # a Secret that was made anew meanwhile logs in only once the change is over
            proven = secret is None or secret.active
            draft.progressing(reason, outcome.message, ready=usable and proven)
            return Result(requeue_after=outcome.retry_after)
        for note in outcome.notes or messages:
            draft.note("Updated", note)
        return None

    def _not_answering(self, server: ServerPass, observed: Observed[ServerState]) -> Result:
        """Say that the server is not there yet, and look again soon."""
        state = observed.state if isinstance(observed, Present) else None
        message = (state.message if state else "") or "the server does not answer yet"
        reason = _down(server.draft)
        self._withdraw(server.draft, reason, message)
        server.draft.progressing(reason, message)
        return Result(requeue_after=1.0)

    def _withdraw(self, draft: StatusDraft, reason: Reason, message: str) -> None:
        """Take a server that does not answer out of use."""
        self.runtime.directory.withdraw(draft.subject.key)
        self.runtime.logins.forget(draft.subject.identity)
        draft.condition(Condition.ENDPOINT_READY, False, reason, message)

    async def _publish(
        self, server: ServerPass, secret: CredentialsSecret | None, state: ServerState
    ) -> Result:
        """Settle the login, publish it and the endpoint, and say that the server is usable."""
        draft = server.draft
        endpoint = await server.backend.endpoint(server.ref, state)
        secret = await publish_login(self.runtime, self._rotation, server, secret, state, endpoint)
        await self._rotation.renamed(draft, secret.name)
        full = with_admin(endpoint, state.admin_username, secret)
        entry = ServerEntry(server.ref, server.backend.name, full)
        self.runtime.directory.publish(draft.subject.key, entry)
        draft.set("endpoint", {"host": endpoint.host, "port": endpoint.port})
        draft.set("version", state.version)
        size = self.runtime.quotas.shown(draft.subject)
        draft.set("effective", {**state.effective, **({EFFECTIVE_SIZE: size} if size else {})})
        place = f"{endpoint.host}:{endpoint.port}"
        draft.condition(Condition.ENDPOINT_READY, True, Reason.AVAILABLE, f"answers at {place}")
        message = f"secret {secret.name} is up to date"
        draft.condition(Condition.CREDENTIALS_READY, True, Reason.AVAILABLE, message)
        draft.ready(f"PostgreSQL {state.version} answers at {place}")
        return self._rotation.look_again(draft, secret, server.schedule)


def _down(draft: StatusDraft) -> Reason:
    """Return why a server that does not answer is not Ready."""
    return Reason.CREATING if draft.get("endpoint") is None else Reason.UNREACHABLE
