"""The contract between the operator and the places where databases live.

The operations are the predecessor's ten (``server_exists``, ``create_or_update_server`` …) made
safe: async and never waiting, three-valued reads, observe → plan → apply, proven ownership and
declared capabilities. ``docs/backends.md`` shows how to write one; ``conformance.py`` checks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel

from ..crds import ServerSpec
from .fence import Fence, no_fence
from .kube import KubeApi
from .values import (
    Change,
    Credentials,
    DatabaseRef,
    DatabaseState,
    DesiredDatabase,
    Endpoint,
    Observed,
    Outcome,
    Owner,
    Policy,
    Problem,
    ServerRef,
    ServerState,
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do.

    ``server_fields`` are the paths of the server spec that it honours (``size.storageGB``); every
    other one that a user sets is listed in ``status.unsupportedFields``. ``publishes_admin``
    is whether the server Secret holds the admin login, ``provisions`` whether servers are made and
    deleted at all (else they exist before and stay after). ``name_limit`` is in bytes. The name
    pattern and the admin's name are those of the configuration.
    """

    server_fields: frozenset[str]
    deletion_policies: frozenset[Policy]
    publishes_admin: bool = True
    provisions: bool = True
    name_limit: int = 63
    name_pattern: str = "{namespace}-{name}"
    admin_username: str = "postgres"


class Inventory(Protocol):
    """All things of a backend in one sweep, so that drift wakes objects without polling each."""

    interval: float
    """Seconds between two sweeps."""

    async def sweep(self) -> Mapping[str, tuple[Owner | None, object]]:
        """Return external name → (owner, state); states are compared by ``==``."""
        ...


class Backend(Protocol):
    """A place where servers and databases live.

    Guarantees asked of an implementation: nothing waits for the target's progress (a long
    operation answers ``Pending``); a read that is not certain raises ``Unknown``; ownership is
    checked live before every mutation; applying an empty plan writes nothing.
    """

    name: str
    capabilities: Capabilities
    inventory: Inventory | None

    def server_spec_valid(self, spec: ServerSpec) -> tuple[Problem, ...]:
        """Return what of the spec cannot be honoured; pure."""
        ...

    async def observe_server(self, server: ServerRef) -> Observed[ServerState]:
        """Read the server; ``Absent`` only where that is proven."""
        ...

    def plan_server(
        self, server: ServerRef, desired: ServerSpec, observed: Observed[ServerState]
    ) -> tuple[Change, ...]:
        """Return the differences; pure. Raises ``Conflict`` where the thing is not ours."""
        ...

    async def create_or_update_server(
        self, server: ServerRef, changes: tuple[Change, ...], admin: Credentials
    ) -> Outcome:
        """Carry the changes out; repeating it is harmless."""
        ...

    async def update_admin_password(
        self, server: ServerRef, observed: ServerState, admin: Credentials
    ) -> Outcome:
        """Make ``admin.password`` the password of the published admin; repeating is harmless."""
        ...

    async def delete_server(
        self, server: ServerRef, observed: Observed[ServerState], policy: Policy
    ) -> Outcome:
        """Delete or retain the server; ``Done`` only when that is proven."""
        ...

    async def endpoint(self, server: ServerRef, observed: ServerState) -> Endpoint:
        """Return where the server is reached; called while it is ready."""
        ...

    async def observe_database(self, database: DatabaseRef) -> Observed[DatabaseState]:
        """Read database and role; ``Absent`` only where neither exists."""
        ...

    def plan_database(
        self, database: DatabaseRef, desired: DesiredDatabase, observed: Observed[DatabaseState]
    ) -> tuple[Change, ...]:
        """Return the differences; pure. Raises ``Conflict`` or ``Rejected``."""
        ...

    async def create_or_update_user(self, database: DatabaseRef, role: Credentials) -> Outcome:
        """Ensure the role with our mark, before the database; a role of ours keeps its password.

        Raises ``Conflict`` where a role of that name is not ours and adoption is not asked for.
        """
        ...

    async def create_or_update_database(
        self, database: DatabaseRef, changes: tuple[Change, ...]
    ) -> Outcome:
        """Carry the changes out, owned by the marked role; repeating it is harmless."""
        ...

    async def update_user_password(self, database: DatabaseRef, role: Credentials) -> Outcome:
        """Make ``role.password`` the password of the database's role; repeating is harmless."""
        ...

    async def delete_database(
        self, database: DatabaseRef, observed: Observed[DatabaseState], policy: Policy
    ) -> Outcome:
        """Delete the database, or mark it and its role as retained; ``Done`` when proven."""
        ...

    async def delete_user(self, database: DatabaseRef) -> Outcome:
        """Delete the role of a deleted database; ``Done`` only when that is proven."""
        ...

    async def close(self) -> None:
        """Release connections and tasks; servers stay."""
        ...


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What ``app`` hands to a backend's factory.

    ``options`` is the validated model of ``BackendFactory.options``; ``kube`` reads Secrets;
    ``extensions_allowed`` is the operator's allow-list (None: all); ``fence`` is asked before each
    call that changes anything outside of the API server.
    """

    name: str
    options: BaseModel
    kube: KubeApi
    cluster_id: str
    extensions_allowed: frozenset[str] | None = None
    fence: Fence = no_fence


class BackendFactory(Protocol):
    """What the registry holds and an entry point of group ``hybridpg.backends`` names.

    ``options`` is the pydantic model of the backend's section of the configuration (its
    ``model_config`` forbids unknown keys); calling the factory starts nothing.
    """

    @property
    def options(self) -> type[BaseModel]:
        """The model of its options."""
        ...

    def __call__(self, context: BackendContext) -> Backend:
        """Make the backend."""
        ...
