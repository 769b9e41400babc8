"""A target in memory: the far end of the reconcilers, with a log of calls and scripted faults.

``MemoryTarget`` is the world outside (it survives a controller), ``MemoryBackend`` a backend over
it as a third party would write one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pydantic import BaseModel, ConfigDict

from hybridpg.backends import (
    Absent,
    Backend,
    BackendContext,
    Capabilities,
    Change,
    Conflict,
    Credentials,
    DatabaseRef,
    DatabaseState,
    DesiredDatabase,
    Done,
    Endpoint,
    Inventory,
    Observed,
    Outcome,
    Owner,
    Pending,
    Policy,
    Present,
    Problem,
    Refused,
    ServerRef,
    ServerState,
    Unknown,
)
from hybridpg.backends.sql import LoginResult
from hybridpg.crds import ServerSpec


@dataclass
class Role:
    password: str
    owner: Owner | None
    verifier_changes: int = 0


@dataclass
class Server:
    owner: Owner | None
    admin: Role
    storage: int = 0
    passes_left: int = 0
    roles: dict[str, Role] = field(default_factory=dict)
    databases: dict[str, frozenset[str]] = field(default_factory=dict)
    snapshot: bool = False


@dataclass
class MemoryTarget:
    """Servers by external name; ``calls`` counts what writes, ``fail`` breaks a call by name."""

    servers: dict[str, Server] = field(default_factory=dict)
    snapshots: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    fail: dict[str, Exception] = field(default_factory=dict)
    after: dict[str, Callable[[], None]] = field(default_factory=dict)
    creation_passes: int = 0
    clearing_passes: int = 0
    offered: frozenset[str] = frozenset({"pgcrypto", "hstore"})
    read_only: bool = False
    refuse: bool = False

    def write(self, call: str, what: str) -> None:
        self.read(call)
        self.calls[call] += 1
        self.trace.append(f"{call} {what}")

    def wrote(self, call: str) -> None:
        """Run what a test wants to happen right after a write was carried out."""
        hook = self.after.pop(call, None)
        if hook is not None:
            hook()

    def read(self, call: str) -> None:
        if call in self.fail:
            raise self.fail[call]

    async def login(
        self, endpoint: Endpoint, credentials: Credentials, database: str
    ) -> LoginResult:
        await asyncio.sleep(0)
        self.read("login")
        server = self.servers.get(endpoint.host)
        if server is None:
            raise Unknown(f"{endpoint.host} does not answer")
        roles = {"postgres": server.admin} | server.roles
        role = roles.get(credentials.username)
        known = database == "postgres" or database in server.databases
        if self.refuse or role is None or not known or role.password != str(credentials.password):
            return LoginResult.REFUSED
        return LoginResult.READ_ONLY if self.read_only else LoginResult.PRIMARY


class MemoryOptions(BaseModel):
    """The options of the memory backend."""

    model_config = ConfigDict(extra="forbid")
    name_pattern: str = "{namespace}-{name}"


class MemoryBackend:
    """A backend over a :class:`MemoryTarget`."""

    inventory: Inventory | None = None
    capabilities: Capabilities = Capabilities(
        server_fields=frozenset({"size.storageGB", "version", "extensions"}),
        deletion_policies=frozenset(Policy),
    )

    def __init__(self, target: MemoryTarget, name: str = "memory") -> None:
        self.name = name
        self.target = target
        self.closed = False

    def server_spec_valid(self, spec: ServerSpec) -> tuple[Problem, ...]:
        if spec.version == "99":
            return (Problem("version", "99 is not offered", fallback="17"),)
        if spec.size.storage_gb == 13:
            return (Problem("size.storageGB", "13 GB cannot be had"),)
        return ()

    async def observe_server(self, server: ServerRef) -> Observed[ServerState]:
        await asyncio.sleep(0)
        self.target.read("observe_server")
        found = self.target.servers.get(server.external_name)
        if found is None:
            return Absent()
        if found.passes_left:
            found.passes_left -= 1
        ready = found.passes_left == 0
        message = "" if ready else "still being made"
        return Present(
            ServerState(
                found.owner, ready, message, "17.2", "postgres", {"storageGB": found.storage}
            )
        )

    def plan_server(
        self, server: ServerRef, desired: ServerSpec, observed: Observed[ServerState]
    ) -> tuple[Change, ...]:
        wanted = desired.size.storage_gb or 0
        if isinstance(observed, Absent):
            return (Change("size.storageGB", f"create {server.external_name}"),)
        if not server.owner.same(observed.state.owner):
            if not server.adopt:
                raise Conflict(server.external_name, observed.state.owner, "taken by another owner")
            return (Change("", "take over", takes_over=True),)
        if wanted not in (0, 13) and wanted > int(str(observed.state.effective["storageGB"])):
            return (Change("size.storageGB", f"grow to {wanted} GB"),)
        return ()

    async def create_or_update_server(
        self, server: ServerRef, changes: tuple[Change, ...], admin: Credentials
    ) -> Outcome:
        await asyncio.sleep(0)
        self.target.write("create_or_update_server", server.external_name)
        found = self.target.servers.get(server.external_name)
        if found is None:
            role = Role(str(admin.password), None)
            made = Server(server.owner, role, passes_left=self.target.creation_passes)
            self.target.servers[server.external_name] = made
        elif changes[0].takes_over:
            found.owner = server.owner
        else:
            found.storage = int(changes[0].message.split()[2])
        self.target.wrote("create_or_update_server")
        if self.target.creation_passes and found is None:
            return Pending("Creating", "still being made", 1.0)
        return Done()

    async def update_admin_password(
        self, server: ServerRef, observed: ServerState, admin: Credentials
    ) -> Outcome:
        self.target.write("update_admin_password", server.external_name)
        role = self.target.servers[server.external_name].admin
        _set_password(role, admin)
        self.target.wrote("update_admin_password")
        return Done()

    async def delete_server(
        self, server: ServerRef, observed: Observed[ServerState], policy: Policy
    ) -> Outcome:
        self.target.write("delete_server", f"{server.external_name} {policy.value}")
        found = self.target.servers.get(server.external_name)
        if found is None:
            return Pending("Deleting", "being cleared away", 1.0) if self.clearing() else Done()
        if policy is Policy.RETAIN:
            found.owner = replace(server.owner, retained=True)
            notes = ("the server keeps running",)
        else:
            if policy is Policy.SNAPSHOT:
                self.target.snapshots.append(server.external_name)
            del self.target.servers[server.external_name]
            notes = ("the server is gone",)
        self.target.wrote("delete_server")
        return Done(notes)

    def clearing(self) -> bool:
        self.target.clearing_passes -= self.target.clearing_passes > 0
        return self.target.clearing_passes > 0

    async def endpoint(self, server: ServerRef, observed: ServerState) -> Endpoint:
        return Endpoint(server.external_name, 5433, ca="CA of " + server.external_name)

    def _server(self, database: DatabaseRef) -> Server:
        found = self.target.servers.get(database.server.external_name)
        if found is None:
            raise Unknown(f"{database.server.external_name} does not answer")
        return found

    async def observe_database(self, database: DatabaseRef) -> Observed[DatabaseState]:
        await asyncio.sleep(0)
        self.target.read("observe_database")
        server, name = self._server(database), database.external_name
        role, extensions = server.roles.get(name), server.databases.get(name)
        if role is None and extensions is None:
            return Absent()
        owner = role.owner if role else None
        return Present(
            DatabaseState(owner, role is not None, extensions is not None, extensions=extensions)
        )

    def plan_database(
        self, database: DatabaseRef, desired: DesiredDatabase, observed: Observed[DatabaseState]
    ) -> tuple[Change, ...]:
        wanted = frozenset(desired.spec.database.extensions)
        allowed = desired.allowed_extensions
        refused = wanted - (self.target.offered if allowed is None else allowed)
        names = ", ".join(sorted(refused))
        refusals = (Refused("database.extensions", f"not allowed: {names}"),) if refused else ()
        return self._changes(database, wanted - refused, observed) + refusals

    def _changes(
        self, database: DatabaseRef, wanted: frozenset[str], observed: Observed[DatabaseState]
    ) -> tuple[Change, ...]:
        if isinstance(observed, Absent):
            return (Change("", "create the database"),)
        state = observed.state
        if not database.owner.same(state.owner) and not database.adopt:
            raise Conflict(database.external_name, state.owner, "taken by another owner")
        if not state.present or wanted - (state.extensions or frozenset()):
            return (Change("database.extensions", " ".join(sorted(wanted)) or "create"),)
        return ()

    async def create_or_update_user(self, database: DatabaseRef, role: Credentials) -> Outcome:
        self.target.write("create_or_update_user", database.external_name)
        roles = self._server(database).roles
        found = roles.setdefault(database.external_name, Role(str(role.password), database.owner))
        if not database.owner.same(found.owner):
            if not database.adopt:
                raise Conflict(database.external_name, found.owner, "taken by another owner")
            found.owner = database.owner
        self.target.wrote("create_or_update_user")
        return Done()

    async def create_or_update_database(
        self, database: DatabaseRef, changes: tuple[Change, ...]
    ) -> Outcome:
        self.target.write("create_or_update_database", database.external_name)
        extensions = (
            frozenset(changes[0].message.split() if changes[0].field else ()) & self.target.offered
        )
        databases = self._server(database).databases
        databases[database.external_name] = databases.get(database.external_name, frozenset()) | (
            extensions
        )
        self.target.wrote("create_or_update_database")
        return Done()

    async def update_user_password(self, database: DatabaseRef, role: Credentials) -> Outcome:
        self.target.write("update_user_password", database.external_name)
        _set_password(self._server(database).roles[database.external_name], role)
        self.target.wrote("update_user_password")
        return Done()

    async def delete_database(
        self, database: DatabaseRef, observed: Observed[DatabaseState], policy: Policy
    ) -> Outcome:
        self.target.write("delete_database", f"{database.external_name} {policy.value}")
        server = self._server(database)
        if policy is Policy.RETAIN:
            role = server.roles[database.external_name]
            role.owner = replace(database.owner, retained=True)
        else:
            server.databases.pop(database.external_name, None)
        self.target.wrote("delete_database")
        return Done()

    async def delete_user(self, database: DatabaseRef) -> Outcome:
        self.target.write("delete_user", database.external_name)
        self._server(database).roles.pop(database.external_name, None)
        self.target.wrote("delete_user")
        return Done()

    async def close(self) -> None:
        self.closed = True


def _set_password(role: Role, login: Credentials) -> None:
    if role.password != str(login.password):
        role.password = str(login.password)
        role.verifier_changes += 1


_: type[Backend] = MemoryBackend


def factory(context: BackendContext) -> MemoryBackend:
    return MemoryBackend(MemoryTarget(), context.name)


OPTIONS: Mapping[str, type[BaseModel]] = {"memory": MemoryOptions}
