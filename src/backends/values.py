"""The values that cross the border between the operator and a backend.

All of them are immutable. What a backend observes and plans it says in these, or in subclasses
that hold what only it needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from ..crds import DatabaseSpec

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

    ``recorded`` is what this backend last said in ``ServerState.effective``, as status keeps it;
    empty for a server that never answered. Whoever may write status can forge it: it may make a
    backend more careful, never less.
    """

    owner: Owner
    external_name: str
    adopt: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    recorded: Mapping[str, object] = field(default_factory=dict, compare=False)


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
