"""The database half of a backend, by SQL: every backend that reaches a PostgreSQL inherits it.

Each method reads before it writes: reads come from a view that all databases of a server share,
writes are preceded by a live look at the mark in the same call. Repeating any of them, also at
the same time, is harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from ..errors import BackendError, Unknown
from ..protocol import BackendContext
from ..retained import Retained, RetainedThings
from ..values import (
    Change,
    Credentials,
    DatabaseRef,
    DatabaseState,
    DesiredDatabase,
    Done,
    Endpoint,
    Observed,
    Outcome,
    Policy,
    Refused,
)
from .apply import Apply
from .catalog import Catalog, read_catalog
from .connection import Session, describe
from .databases import drop_database, last_look, retain_database, roll_back
from .identifiers import HEIR_PREFIX, check_name
from .leaving import ensure_heir, leave_database, look_at_estate
from .observer import TTL_SECONDS, Observer
from .ownership import check_adoption, check_database, conflict, our_role
from .plan import plan_database
from .pool import Connect, Pool, loop_time
from .roles import (
    create_role,
    drop_role,
    set_password,
    take_role,
)
from .state import observed_state
from .succession import Succession

FORGET_SECONDS: Final = 600.0
"""How long a server that nobody asks for is remembered: admin logins change, servers go."""


class SqlDatabases:
    """Databases and users of any server that ``DatabaseRef.endpoint`` reaches.

    ``endpoint.admin`` must be filled; the connections are kept by endpoint and login, so a new
    password or address begins anew by itself. ``context`` is the backend's own: its fence is asked
    before each statement. ``connect`` opens a session, by default a real one.
    Starts nothing before the first call; :meth:`close` ends all connections.
    """

    def __init__(
        self,
        context: BackendContext,
        *,
        connect: Connect | None = None,
        now: Callable[[], float] = loop_time,
        snapshot_seconds: float = TTL_SECONDS,
    ) -> None:
        self._extensions_allowed = context.extensions_allowed
        self._succession = Succession.of(context.cluster_id)
        self._connect = connect or partial(
            Session.open, fence=context.fence, application_name=self._succession.own
        )
        self._now = now
        self._snapshot_seconds = snapshot_seconds
        self._servers: dict[Endpoint, tuple[Pool, Observer]] = {}

    async def observe_database(self, database: DatabaseRef) -> Observed[DatabaseState]:
        """Read database and role from the server's shared view; ``Absent`` if neither exists.

        A database of ours is also looked into, about once an hour and after each of our writes.
        """
        _, observer = self._server(database.endpoint)
        name = database.external_name
        catalog = await observer.catalog(name)
        role, facts = catalog.roles.get(name), catalog.databases.get(name)
        inside, offer, refused = None, None, {}
        if role and database.owner.same(role.owner):
            offer = await observer.offer()
            # what keeps us out is repaired first, and then a pass looks inside
            if facts and facts.connectable and facts.role == name and role.held and facts.owner_may:
                inside = await observer.inside(facts)
                refused = observer.refused(facts.oid)
        return observed_state(database, catalog, inside, offer, refused)

    def plan_database(
        self, database: DatabaseRef, desired: DesiredDatabase, observed: Observed[DatabaseState]
    ) -> tuple[Change, ...]:
        """Return the differences; raises ``Conflict``, and ``Rejected`` for a name."""
        return plan_database(database, desired, observed, self._extensions_allowed)

    async def create_or_update_user(self, database: DatabaseRef, role: Credentials) -> Outcome:
        """Make the role with our mark and this password; a role of ours keeps its password.

        A foreign role is taken over if adoption is asked for, and gets the password with the
        mark, in one transaction. Raises ``Conflict`` otherwise.
        """
        name = check_name(database.external_name)
        pool, observer = self._server(database.endpoint)
        known = (await observer.catalog(name)).roles.get(name)
        if known is not None and known.held and database.owner.same(known.owner):
            return Done()
        try:
            return await self._ensure_role(pool, database, role)
        finally:
            observer.touch(name)  # a view that was read in between may lack what was written

    async def _ensure_role(self, pool: Pool, database: DatabaseRef, role: Credentials) -> Outcome:
        name = database.external_name
        async with pool.session() as session:
            for _ in range(2):  # the second time, if somebody else made it in between
                catalog = await read_catalog(session, [name])
                present = catalog.roles.get(name)
                if present is None:
                    if await create_role(session, database, role, superuser=catalog.superuser):
                        return Done((f"role {name!r} was created",))
                    continue
                if database.owner.same(present.owner):
                    return Done()
                is_admin = name == catalog.admin
                check_adoption(database, present.owner, reach=present.reach, is_admin=is_admin)
                await take_role(session, database, role, catalog)
                return Done((f"role {name!r} was taken over",))
        raise Unknown(f"role {name!r} appears and disappears")

    async def create_or_update_database(
        self, database: DatabaseRef, changes: tuple[Change, ...]
    ) -> Outcome:
        """Carry out the changes of :meth:`plan_database`; none, or only refused ones: no call.

        Raises ``Rejected`` for what the server refuses, after the rest is done.
        """
        check_name(database.external_name)
        if all(isinstance(change, Refused) for change in changes):
            return Done()
        pool, observer = self._server(database.endpoint)
        return Done(await Apply(pool, observer, database).run(changes))

    async def update_user_password(self, database: DatabaseRef, role: Credentials) -> Outcome:
        """Make ``role.password`` the password of our role; nothing else changes."""
        name = check_name(database.external_name)
        pool, observer = self._server(database.endpoint)
        async with pool.session() as session:
            catalog = await read_catalog(session, [name])
            if our_role(database, catalog) is None:
                observer.touch(name)
                raise Unknown(f"there is no role {name!r}: it is created before its password")
            await set_password(session, database, role)
        return Done()

    async def delete_database(
        self, database: DatabaseRef, observed: Observed[DatabaseState], policy: Policy
    ) -> Outcome:
        """Drop the database, or mark its role as retained; done when a fresh look proves it."""
        name = database.external_name
        pool, observer = self._server(database.endpoint)
        async with pool.session() as session:
            catalog = await read_catalog(session, [name])
            facts, role = catalog.databases.get(name), catalog.roles.get(name)
            if facts is None and role is None:
                return Done()
            retained = replace(database.owner, retained=True)
            if policy is not Policy.DELETE and role and role.owner == retained:
                return Done()
            if our_role(database, catalog) is None:
                raise conflict(database, None, "database")
            observer.touch(name, facts.oid if facts else 0)
            if policy is not Policy.DELETE:
                await retain_database(session, facts, name, retained.mark())
                observer.touch(name)
                return Done((f"database {name!r} and its role are kept",))
            if not check_database(database, catalog) or facts is None:
                return Done()
            look = await last_look(session, name)
            if look.prepared:
                async with pool.session(name) as inside:
                    await roll_back(inside, look.prepared, superuser=catalog.superuser)
            await drop_database(session, facts, superuser=catalog.superuser)
            observer.touch(name, facts.oid)
        return Done((f"database {name!r} was dropped{look.megabytes}",))

    async def delete_user(self, database: DatabaseRef) -> Outcome:
        """Drop the role of a dropped database; what it owns elsewhere stays, with a new owner."""
        name = database.external_name
        pool, observer = self._server(database.endpoint)
        async with pool.session() as session:
            catalog = await read_catalog(session, [name])
            if our_role(database, catalog) is None:
                return Done()
            facts, superuser = catalog.databases.get(name), catalog.superuser
            if facts is not None and facts.role == name:
                raise Unknown(f"database {name!r} of role {name!r} is still there")
            observer.touch(name)
            estate = await look_at_estate(session, name)
            if estate.heir:
                await ensure_heir(session, database, estate.heir, superuser=superuser)
        for place, owns in estate.places:
            async with pool.session(place) as session:
                heir = estate.heir if owns else ""
                await leave_database(session, name, heir, superuser=superuser)
        async with pool.session() as session:
            await drop_role(session, name)
            observer.touch(name)  # again: a view that was read in between still has it
        notes = [f"role {name!r} was dropped"]
        if estate.heir:
            notes.append(
                f"what it owned elsewhere now belongs to role {estate.heir!r}, without login"
            )
        return Done(tuple(notes))

    async def server_catalog(self, endpoint: Endpoint) -> Catalog:
        """Return the shared view of a server, for a backend that knows servers by login only."""
        _, observer = self._server(endpoint)
        return await observer.catalog("")

    async def retained_databases(self, endpoint: Endpoint, place: str) -> RetainedThings:
        """Return the databases of a server that outlived their objects; ``place`` names it."""
        try:
            catalog = await self.server_catalog(endpoint)
        except BackendError as error:
            return RetainedThings(problems=(f"{place}: {error}",))
        owners = {name: role.owner for name, role in sorted(catalog.roles.items())}
        return RetainedThings(
            tuple(
                Retained("database", name, owner, place)
                for name, owner in owners.items()
                if owner is not None and owner.retained and not name.startswith(HEIR_PREFIX)
            )
        )

    async def close(self) -> None:
        """Close all connections."""
        for pool, observer in self._servers.values():
            observer.close()
            pool.close()
        self._servers.clear()

    def _server(self, endpoint: Endpoint) -> tuple[Pool, Observer]:
        """Return the sessions and the view of a server; forget servers nobody asks for."""
        if endpoint.admin is None:
            raise Unknown(f"there is no admin login for server {describe(endpoint)} yet")
        known = self._servers.get(endpoint)
        if known is None:
            self._forget()
            pool = Pool(endpoint, connect=self._connect, succession=self._succession, now=self._now)
            known = (pool, Observer(pool, now=self._now, ttl=self._snapshot_seconds))
            self._servers[endpoint] = known
        return known

    def _forget(self) -> None:
        limit = self._now() - FORGET_SECONDS
        for endpoint, (pool, observer) in list(self._servers.items()):
            if pool.used < limit:
                observer.close()
                pool.close()
                del self._servers[endpoint]
