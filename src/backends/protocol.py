"""The contract between the operator and the places where databases live.

The operations are the predecessor's ten (``server_exists``, ``create_or_update_server`` …) made
safe: async and never waiting, three-valued reads, observe → plan → apply, proven ownership and
declared capabilities. ``docs/backends.md`` shows how to write one; ``conformance.py`` checks it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel

from ..crds import DatabaseSpec, ServerSpec
from .kube import KubeApi

S_co = TypeVar("S_co", covariant=True)


class Password(str):
    """A secret string whose ``repr`` shows nothing; ``str()`` of it gives the secret."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Hide the value: reprs reach logs and tracebacks."""
        return "'***'"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login of a PostgreSQL role."""

    username: str
    password: Password


@dataclass(frozen=True, slots=True)
class AdminLogin:
    """How the controller itself logs in: by password, or by client certificate (file names)."""

    username: str
    password: Password | None = None
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an external thing is; every thing we make carries it as a mark.

    ``uid`` is the UID of the Kubernetes object, ``cluster_id`` tells two clusters that share a
    target apart. ``retained`` is set where the object is gone and the thing was kept.
    """

    cluster_id: str
    uid: str
    namespace: str
    name: str
    retained: bool = False

    def same(self, other: Owner | None) -> bool:
        """Return whether ``other`` is the same object of the same cluster and not retained."""
        return (
            other is not None
            and not other.retained
            and (self.cluster_id, self.uid) == (other.cluster_id, other.uid)
        )

    def mark(self) -> str:
        """Render the mark: ``hybridpg:<cluster>/<uid> <namespace>/<name>[ retained]``."""
        text = f"hybridpg:{self.cluster_id}/{self.uid} {self.namespace}/{self.name}"
        return f"{text} retained" if self.retained else text

    @classmethod
    def parse(cls, text: str | None) -> Owner | None:
        """Read a mark; None for anything that :meth:`mark` did not write."""
        words = (text or "").split(" ")
        if not words[0].startswith("hybridpg:") or words[2:] not in ([], ["retained"]):
            return None
        ids = words[0].removeprefix("hybridpg:").split("/")
        names = words[1].split("/") if len(words) > 1 else []
        if len(ids) != 2 or len(names) != 2 or not all(ids + names):
            return None
        return cls(ids[0], ids[1], names[0], names[1], retained=len(words) == 3)


@dataclass(frozen=True, slots=True)
class Present(Generic[S_co]):
    """The thing exists, and this is its state."""

    state: S_co


@dataclass(frozen=True, slots=True)
class Absent:
    """The thing is proven absent. The third answer, unknown, is the exception ``Unknown``."""


S = TypeVar("S")
Observed: TypeAlias = Present[S] | Absent


@dataclass(frozen=True, slots=True)
class Done:
    """The operation is complete; ``notes`` are worth a Normal event each."""

    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """The operation goes on without us; look again after ``retry_after`` seconds."""

    reason: str
    message: str
    retry_after: float


Outcome: TypeAlias = Done | Pending


@dataclass(frozen=True, slots=True)
class Problem:
    """A field of the spec that the backend cannot honour as written.

    The rest of the spec is applied all the same. ``fallback`` says what is used instead; empty
    where nothing is, and then the object is not Synced.
    """

    field: str
    message: str
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between desired and observed that ``apply`` will remove.

    Backends subclass it with the values they need. ``field`` is the path in the spec that asks
    for it (empty where none does) and ``message`` a plain sentence without a secret.
    """

    field: str
    message: str
    takes_over: bool = dataclasses.field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Refused(Change):
    """A :class:`Problem` that only the present shows; applying it does nothing, the rest is."""


class Policy(Enum):
    """What happens to the thing when its object is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"
    SNAPSHOT = "Snapshot"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is reached.

    ``host`` is published and, by ``verify-full``, the name in the certificate; ``hostaddr`` is
    where to connect instead of resolving it. ``ca`` is PEM. ``admin`` is the controller's own way
    in; None means that the server's credentials Secret holds the admin login.
    """

    host: str
    port: int
    ca: str = ""
    sslmode: str = "verify-full"
    hostaddr: str = ""
    admin: AdminLogin | None = None


@dataclass(frozen=True, slots=True)
class ServerRef:
    """One server as a backend addresses it.

    ``external_name`` is its name in the target, ``adopt`` whether the user named that very thing
    for adoption, ``options`` the object's ``spec.backendOptions``.
    """

    owner: Owner
    external_name: str
    adopt: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatabaseRef:
    """One database as a backend addresses it; its role has the same ``external_name``."""

    owner: Owner
    external_name: str
    server: ServerRef
    endpoint: Endpoint
    adopt: bool = False


@dataclass(frozen=True, slots=True)
class ServerState:
    """What ``observe_server`` saw; backends subclass it.

    ``ready`` means that it answers, ``message`` why not. ``admin_username`` is the published
    admin. ``version`` is the full version it runs.
    """

    owner: Owner | None
    ready: bool
    message: str = ""
    version: str = ""
    admin_username: str = ""
    effective: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What ``observe_database`` saw of a database and its role.

    ``owner`` is the mark on the role. ``present`` is whether the database itself exists (the role
    comes first), ``role`` whether the role does. ``extensions`` is None where the database was
    not looked into.
    """

    owner: Owner | None
    role: bool
    present: bool
    encoding: str = ""
    collation: str = ""
    extensions: frozenset[str] | None = None
    oid: int = 0


@dataclass(frozen=True, slots=True)
class DesiredDatabase:
    """What a database should be: its spec, and the extensions that its server allows.

    ``allowed_extensions`` None allows whatever the server offers.
    """

    spec: DatabaseSpec
    allowed_extensions: frozenset[str] | None = None


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
    ``extensions_allowed`` is the operator's allow-list (None: all).
    """

    name: str
    options: BaseModel
    kube: KubeApi
    cluster_id: str
    extensions_allowed: frozenset[str] | None = None


class BackendFactory(Protocol):
    """What the registry holds and an entry point of group ``hybridpg.backends`` names.

    ``options`` is the pydantic model of the backend's section of the configuration (its
    ``model_config`` forbids unknown keys); calling the factory starts nothing.
    """

    options: type[BaseModel]

    def __call__(self, context: BackendContext) -> Backend:
        """Make the backend."""
        ...
