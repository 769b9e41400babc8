"""What a backend's author gives to the conformance checks, and the steps the checks share.

The checks know no test framework: a violation is an ``AssertionError`` with a sentence, a check
that does not apply raises :class:`NotApplicable` with the reason. They act as the operator does
(observe, plan, apply, until the plan is empty) and look at the result from outside, by logging in.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from ..crds import DatabaseSpec, ServerSpec
from .errors import Busy, Rejected, Unknown
from .protocol import (
    Backend,
)
from .values import (
    AdminLogin,
    Credentials,
    DatabaseRef,
    DatabaseState,
    DesiredDatabase,
    Endpoint,
    Outcome,
    Owner,
    Password,
    Pending,
    Present,
    Refused,
    ServerRef,
    ServerState,
)

STEPS: Final = 200
"""Passes that a server may take to become ready; the harness decides how long one waits."""


class NotApplicable(Exception):
    """The check does not apply to this backend; the message says why."""


@dataclass(frozen=True, slots=True)
class ServerCase:
    """A server for one check: its reference, its spec and the admin login to give it."""

    ref: ServerRef
    spec: ServerSpec
    admin: Credentials


class Harness(Protocol):
    """A backend under test, and what the checks need to know about its target.

    Guarantees asked for: ``server(fresh=True)`` names a server that no other check was given.
    Where the backend provisions servers it does not exist yet; where it does not (``provisions``
    is false) it exists and no object uses it, and then ``fresh`` may be ignored.
    """

    provisions: bool

    @property
    def backend(self) -> Backend:
        """The backend under test."""
        ...

    async def server(self, *, fresh: bool = False) -> ServerCase:
        """Return a server to work on; without ``fresh`` the same one may come again."""
        ...

    async def settle(self, retry_after: float) -> None:
        """Let the target make progress: wait, or turn a fake clock, by about ``retry_after``."""
        ...

    async def disrupt(self, case: ServerCase) -> bool:
        """Make the server unreachable; False where the harness cannot."""
        ...

    async def restore(self, case: ServerCase) -> None:
        """Undo :meth:`disrupt`; the backend may do the rest of the repair by itself."""
        ...


@dataclass(frozen=True, slots=True)
class DatabaseCase:
    """A database for one check: its reference, what it should be and its role's login."""

    ref: DatabaseRef
    desired: DesiredDatabase
    role: Credentials


def expect(condition: object, sentence: str) -> None:
    """Raise an ``AssertionError`` with ``sentence`` unless ``condition`` holds."""
    if not condition:
        raise AssertionError(sentence)


def stranger(owner: Owner) -> Owner:
    """Return another object of the same namespace and name: only the UID tells them apart."""
    return replace(owner, uid=str(uuid.uuid4()))


def new_password() -> Password:
    """Return a fresh password that every target accepts."""
    return Password(f"Aa1-{uuid.uuid4().hex}")


async def converge_server(harness: Harness, case: ServerCase) -> ServerState:
    """Observe, plan and apply until nothing is left to do and the server is ready."""
    backend = harness.backend
    for _ in range(STEPS):
        try:
            observed = await backend.observe_server(case.ref)
        except Unknown:
            await harness.settle(0.1)
            continue
        plan = backend.plan_server(case.ref, case.spec, observed)
        changes = tuple(change for change in plan if not isinstance(change, Refused))
        if isinstance(observed, Present) and observed.state.ready and not changes:
            return observed.state
        outcome: Outcome | None = None
        if changes:
            outcome = await backend.create_or_update_server(case.ref, changes, case.admin)
        await harness.settle(outcome.retry_after if isinstance(outcome, Pending) else 0.1)
    raise AssertionError(f"server {case.ref.external_name} is not ready after {STEPS} passes")


async def login_endpoint(harness: Harness, case: ServerCase, state: ServerState) -> Endpoint:
    """Return the server's endpoint with an admin login, as the operator would fill it in."""
    endpoint = await harness.backend.endpoint(case.ref, state)
    if endpoint.admin is not None:
        return endpoint
    return replace(endpoint, admin=AdminLogin(case.admin.username, case.admin.password))


async def database_case(
    harness: Harness, *, name: str = "", database: dict[str, object] | None = None
) -> DatabaseCase:
    """Return a database that does not exist yet, on a server that is ready."""
    case = await harness.server()
    endpoint = await login_endpoint(harness, case, await converge_server(harness, case))
    name = name or f"conform_{uuid.uuid4().hex[:12]}"
    spec = DatabaseSpec.model_validate(
        {
            "serverRef": {"name": case.ref.owner.name},
            "credentialsSecret": "conformance",
            "database": database or {},
        }
    )
    owner = replace(case.ref.owner, uid=str(uuid.uuid4()), name="conformance")
    ref = DatabaseRef(owner, name, case.ref, endpoint)
    return DatabaseCase(ref, DesiredDatabase(spec), Credentials(name, new_password()))


async def converge_database(harness: Harness, case: DatabaseCase) -> DatabaseState:
    """Create the role, then observe, plan and apply until the plan is empty."""
    backend = harness.backend
    await complete(harness, lambda: backend.create_or_update_user(case.ref, case.role))
    for _ in range(STEPS):
        observed = await backend.observe_database(case.ref)
        changes = backend.plan_database(case.ref, case.desired, observed)
        for change in changes:
            if isinstance(change, Refused):
                raise Rejected(change.field, change.message)
        if isinstance(observed, Present) and not changes:
            return observed.state
        await complete(harness, partial(backend.create_or_update_database, case.ref, changes))
    raise AssertionError(
        f"database {case.ref.external_name} still has changes after {STEPS} passes"
    )


class Step(Protocol):
    """One call of a backend that is repeated while it is pending."""

    async def __call__(self) -> Outcome:
        """Make the call."""
        ...


async def complete(harness: Harness, step: Step) -> Outcome:
    """Repeat one call until it is done, as a worker does that is told to come again."""
    for _ in range(STEPS):
        try:
            outcome = await step()
        except Busy as busy:
            await harness.settle(busy.retry_after)
            continue
        if not isinstance(outcome, Pending):
            return outcome
        await harness.settle(outcome.retry_after)
    raise AssertionError(f"a call is still pending after {STEPS} repetitions")
