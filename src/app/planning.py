"""What a pass would do to one object, found out without doing any of it.

The same reads and the same ``plan_…`` functions as in a pass, and no write anywhere: neither to
Kubernetes nor to a target.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ..backends import Absent, Change, Policy, Problem, Refused
from ..controller import ObjectKey
from ..crds import CredentialRotation, DatabaseSpec, ServerSpec
from .credentials import former_secret_names
from .failures import CONTRACT, failure_of
from .kinds import FINALIZER, RESET_PASSWORD, SERVERS
from .reasons import Reason
from .runtime import Runtime, ServerEntry
from .schedule import due_in
from .server_deletion import databases_of
from .server_identity import Content, content_of, is_another, replaced
from .spec import parse_spec
from .status import StatusDraft
from .subject import Subject
from .targets import (
    database_target,
    look_at_database,
    look_at_server,
    server_target,
    with_admin,
)


class Sign(Enum):
    """What kind of step it is, as it is printed."""

    MAKE = "+"
    CHANGE = "~"
    TAKE_OVER = ">"
    REMOVE = "-"
    WAIT = "…"
    REFUSE = "!"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a pass would do, or why it would not."""

    sign: Sign
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps for one object, in the order of a pass."""

    subject: Subject
    steps: tuple[Step, ...]

    @property
    def refused(self) -> bool:
        """Return whether something would not be done until somebody acts."""
        return any(step.sign is Sign.REFUSE for step in self.steps)


_DELETIONS: Final = {
    Policy.DELETE: Step(Sign.REMOVE, "delete {name} with its data"),
    Policy.RETAIN: Step(Sign.REMOVE, "let {name} stay with its data and its Secret"),
    Policy.SNAPSHOT: Step(Sign.REMOVE, "delete {name} after a snapshot of its data"),
}


class Planner:
    """Plans passes over objects that are there, or that are only written down yet."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def plan(self, subject: Subject) -> Plan:
        """Return what a pass would do to an object."""
        draft = StatusDraft(subject, self._runtime.clock)
        steps: list[Step] = []
        try:
            async for step in self._steps(draft):
                steps.append(step)  # noqa: PERF401  # those before an error count
        except CONTRACT as error:
            steps.append(_failed(error, subject))
        return Plan(subject, tuple(steps))

    def _steps(self, draft: StatusDraft) -> AsyncIterator[Step]:
        subject = draft.subject
        if subject.paused:
            return _only(Step(Sign.WAIT, "annotation paused is set: nothing is written"))
        if subject.deleting:
            return _only(*self._deletion(draft))
        return self._server(draft) if subject.resource == SERVERS else self._database(draft)

    def _deletion(self, draft: StatusDraft) -> Iterator[Step]:
        subject = draft.subject
        if FINALIZER not in subject.finalizers:
            return
        name, defaults = draft.get("externalName"), self._runtime.config.deletion
        default = defaults.servers if subject.resource == SERVERS else defaults.databases
        children = databases_of(self._runtime, subject.key) if subject.resource == SERVERS else []
        if children:
            yield Step(Sign.WAIT, f"wait for its databases to be deleted: {', '.join(children)}")
        if name:
            step = _DELETIONS[Policy(subject.spec.get("deletionPolicy") or default)]
            yield Step(step.sign, step.text.format(name=name))
        yield Step(Sign.REMOVE, "remove the finalizer")

    async def _server(self, draft: StatusDraft) -> AsyncIterator[Step]:
        spec = parse_spec(ServerSpec, draft.subject)
        target = await server_target(self._runtime, draft, spec)
        for step in _bound(draft, *target.place):
            yield step
        view = await look_at_server(self._runtime, draft, target, spec)
        if view.target.place != target.place:
            for step in _bound(draft, *view.target.place):
                yield step
        target, observed = view.target, view.observed
        for change in view.changes:
            yield _changed(change)
        for problem in target.backend.server_spec_valid(spec):
            yield _problem(problem)
        adopting = target.ref.external_name if target.ref.adopt else ""
        publishes = target.backend.capabilities.publishes_admin
        schedule = spec.credentials if publishes else CredentialRotation()
        async for step in self._secret(draft, spec.credentials_secret, adopting, schedule):
            yield step
        if isinstance(observed, Absent) or not observed.state.ready:
            yield Step(Sign.WAIT, "wait until the server answers")

    async def _database(self, draft: StatusDraft) -> AsyncIterator[Step]:
        spec = parse_spec(DatabaseSpec, draft.subject)
        server = await self._server_of(draft.subject, spec)
        if isinstance(server, Step):
            yield server
            return
        uid = server.ref.owner.uid
        if is_another(draft, uid):
            content = await content_of(self._runtime, draft, server)
            if content is Content.NOTHING:
                message = replaced(draft, spec.server_ref.name, uid)
                yield Step(Sign.REFUSE, f"{Reason.SERVER_GONE.value}: {message}")
                return
        ref = await database_target(self._runtime, draft, server)
        for step in _bound(draft, server.backend, ref.external_name):
            yield step
        backend = self._runtime.backends.get(server.backend)
        observed, _, changes = await look_at_database(
            self._runtime, draft.subject, spec, backend, ref
        )
        if isinstance(observed, Absent) or not observed.state.role:
            yield Step(Sign.MAKE, f"make role {ref.external_name}, marked as this object's")
        for change in changes:
            yield _changed(change)
        adopting = ref.external_name if ref.adopt else ""
        async for step in self._secret(draft, spec.credentials_secret, adopting, spec.credentials):
            yield step

    async def _server_of(self, subject: Subject, spec: DatabaseSpec) -> ServerEntry | Step:
        """Return the way to the server of a database, or why there is none yet."""
        key = ObjectKey(subject.namespace, spec.server_ref.name)
        cached = self._runtime.servers.get(key)
        if cached is None:
            return Step(Sign.WAIT, f"wait for PostgreSQLServer {key.name} to be created")
        draft = StatusDraft(Subject.of(SERVERS, cached), self._runtime.clock)
        if not draft.get("backend"):
            return Step(Sign.WAIT, f"wait for server {key.name}, which is not made yet")
        server_spec = parse_spec(ServerSpec, draft.subject)
        target = await server_target(self._runtime, draft, server_spec)
        observed = await target.backend.observe_server(target.ref)
        if isinstance(observed, Absent) or not observed.state.ready:
            return Step(Sign.WAIT, f"wait for server {key.name} to answer")
        endpoint = await target.backend.endpoint(target.ref, observed.state)
        secret = await self._runtime.secrets.find(draft.subject, server_spec.credentials_secret)
        admin = with_admin(endpoint, observed.state.admin_username, secret)
        return ServerEntry(target.ref, target.backend.name, admin)

    async def _secret(
        self, draft: StatusDraft, name: str, adopting: str, schedule: CredentialRotation
    ) -> AsyncIterator[Step]:
        subject, store = draft.subject, self._runtime.secrets
        secret = await store.find(subject, name, adopting=adopting)
        for former in former_secret_names(draft, name):
            yield Step(Sign.REMOVE, f"remove secret {former}, whose content moves to {name}")
        if secret is None:
            yield Step(Sign.MAKE, f"make secret {name}")
            return
        if not store.owns(subject, secret):
            yield Step(Sign.TAKE_OVER, f"take over secret {name}")
        due = due_in(schedule, draft, secret, self._runtime.clock())
        if subject.action == RESET_PASSWORD or (due is not None and due <= 0):
            yield Step(Sign.CHANGE, f"change the password in secret {name}")


def _bound(draft: StatusDraft, backend: str, name: str) -> Iterator[Step]:
    if FINALIZER not in draft.subject.finalizers:
        yield Step(Sign.MAKE, f"add finalizer {FINALIZER}")
    if (draft.get("backend"), draft.get("externalName")) != (backend, name):
        yield Step(Sign.MAKE, f"bind to backend {backend} as {name}")


def _changed(change: Change) -> Step:
    if isinstance(change, Refused):
        return _problem(Problem(change.field, change.message))
    return Step(Sign.TAKE_OVER if change.takes_over else Sign.CHANGE, change.message)


def _problem(problem: Problem) -> Step:
    text = f"spec.{problem.field}: {problem.message}"
    if problem.fallback:
        return Step(Sign.CHANGE, f"{text}; using {problem.fallback}")
    return Step(Sign.REFUSE, text)


def _failed(error: Exception, subject: Subject) -> Step:
    failure = failure_of(error, subject)
    if failure is None:
        raise error
    stuck = failure.stalled
    return Step(Sign.REFUSE if stuck else Sign.WAIT, f"{failure.reason.value}: {failure.message}")


async def _only(*steps: Step) -> AsyncIterator[Step]:
    for step in steps:
        yield step
