"""A backend of our own: servers on a shelf.

The shelf is a dict, so that this runs anywhere; a real one calls the team's own machines. Databases
and roles are SQL and the same everywhere, so they are inherited.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict

from hybridpg.backends import (
    Absent,
    BackendContext,
    Capabilities,
    Change,
    Conflict,
    Credentials,
    Done,
    Endpoint,
    Inventory,
    Observed,
    Outcome,
    Owner,
    Policy,
    Present,
    Problem,
    ServerRef,
    ServerState,
)
from hybridpg.backends.sql import SqlDatabases
from hybridpg.crds import ServerSpec


class ShelfOptions(BaseModel):
    """The section ``backends.shelf`` of the configuration."""

    model_config = ConfigDict(extra="forbid")
    domain: str = "shelf.acme.example"


@dataclass
class Machine:
    """One server: whose it is, and how large."""

    owner: Owner
    storage: int


class Shelf(SqlDatabases):
    """Takes servers from the shelf and puts them back."""

    options = ShelfOptions
    inventory: Inventory | None = None

    def __init__(self, context: BackendContext) -> None:
        if not isinstance(context.options, ShelfOptions):
            raise TypeError("the backend shelf needs ShelfOptions")
        super().__init__(context)
        self.name = context.name
        self.capabilities = Capabilities(
            server_fields=frozenset({"size.storageGB"}),
            deletion_policies=frozenset({Policy.DELETE, Policy.RETAIN}),
        )
        self._domain = context.options.domain
        self._machines: dict[str, Machine] = {}

    def server_spec_valid(self, spec: ServerSpec) -> tuple[Problem, ...]:
        """Return nothing: whatever fits the schema can be had."""
        return ()

    async def observe_server(self, server: ServerRef) -> Observed[ServerState]:
        """Look at the shelf; here that is certain, so ``Unknown`` is never raised."""
        found = self._machines.get(server.external_name)
        if found is None:
            return Absent()
        effective = {"storageGB": found.storage}
        return Present(ServerState(found.owner, True, "", "17.2", "postgres", effective))

    def plan_server(
        self, server: ServerRef, desired: ServerSpec, observed: Observed[ServerState]
    ) -> tuple[Change, ...]:
        """Compare; what belongs to somebody else is never touched."""
        wanted = desired.size.storage_gb or 1
        if isinstance(observed, Absent):
            return (Change("size.storageGB", f"take a server with {wanted} GB"),)
        state = observed.state
        if not server.owner.same(state.owner):
            raise Conflict(server.external_name, state.owner, "belongs to somebody else")
        if wanted > int(str(state.effective["storageGB"])):
            return (Change("size.storageGB", f"grow to {wanted} GB"),)
        return ()

    async def create_or_update_server(
        self, server: ServerRef, changes: tuple[Change, ...], admin: Credentials
    ) -> Outcome:
        """Carry the changes out; a real one would set the password of ``admin``, too."""
        for change in changes:
            storage = int(change.message.split()[-2])
            self._machines[server.external_name] = Machine(server.owner, storage)
        return Done()

    async def update_admin_password(
        self, server: ServerRef, observed: ServerState, admin: Credentials
    ) -> Outcome:
        """Do nothing: nobody can log in to a dict."""
        return Done()

    async def delete_server(
        self, server: ServerRef, observed: Observed[ServerState], policy: Policy
    ) -> Outcome:
        """Put it back, or keep it with a mark that says so."""
        found = self._machines.get(server.external_name)
        if found is not None and policy is Policy.RETAIN:
            found.owner = replace(server.owner, retained=True)
        elif found is not None:
            del self._machines[server.external_name]
        return Done()

    async def endpoint(self, server: ServerRef, observed: ServerState) -> Endpoint:
        """Return where it would be reached."""
        return Endpoint(f"{server.external_name}.{self._domain}", 5432)
