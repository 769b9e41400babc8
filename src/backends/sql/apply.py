"""Carries out a plan for one database: every step looks first, so that any may be repeated."""

from __future__ import annotations

from typing import Final, TypeVar

from ..errors import Rejected, Unknown
from ..values import (
    Change,
    DatabaseRef,
)
from .catalog import SYSTEM_DATABASES, Catalog, read_catalog
from .connection import Session
from .databases import create_database, take_database
from .extensions import create_extensions
from .grants import close_systems, lenders, own_schema, restrict_access
from .observer import Inside, Observer
from .ownership import check_adoption, check_database, check_holder, our_role
from .plan import DATABASE_OWNER
from .pool import Pool
from .roles import repair_role, take_role
from .state import (
    CreateDatabase,
    CreateExtensions,
    OwnDatabase,
    RepairRole,
    TakeRole,
    open_systems,
)

C = TypeVar("C", bound=Change)

OWNED_SINCE: Final = 150000
"""From this version on a new database belongs to its owner, the schema ``public`` included: a
session in it, the dearest of all that is done here, would find nothing to do."""


class Apply:
    """One run over the changes of one database; ``notes`` collect what a person should know."""

    def __init__(self, pool: Pool, observer: Observer, database: DatabaseRef) -> None:
        self._pool = pool
        self._observer = observer
        self._database = database
        self._name = database.external_name
        self._notes: list[str] = []
        self._created = False

    async def run(self, changes: tuple[Change, ...]) -> tuple[str, ...]:
        """Carry the changes out and return the notes."""
        oid, untouched = 0, False
        try:
            async with self._pool.session() as session:
                catalog = await read_catalog(session, [self._name])
                await self._role(session, catalog, changes)
                catalog = await self._create(session, catalog, changes)
                oid = catalog.databases[self._name].oid
                await self._rights(session, catalog)
                untouched = self._created and session.version >= OWNED_SINCE
            extensions = _first(changes, CreateExtensions)
            if extensions or not untouched:
                await self._inside(catalog, extensions)
        finally:
            self._observer.touch(self._name, oid)
        if untouched and not extensions:
            self._observer.made(oid)
        return tuple(self._notes)

    async def _role(self, session: Session, catalog: Catalog, changes: tuple[Change, ...]) -> None:
        """Make sure that the role is ours; take it over or repair it where that is planned."""
        present = catalog.roles.get(self._name)
        if present is None:
            raise Unknown(f"there is no role {self._name!r}: it is created before its database")
        if _first(changes, TakeRole) and not self._database.owner.same(present.owner):
            is_admin = self._name == catalog.admin
            check_adoption(self._database, present.owner, reach=present.reach, is_admin=is_admin)
            await take_role(session, self._database, None, catalog)
            self._notes.append(f"role {self._name!r} was taken over")
            return
        role = our_role(self._database, catalog)
        if role is not None and _first(changes, RepairRole):
            await repair_role(session, role)
            self._notes.append(f"role {self._name!r} got back the rights that it was made with")

    async def _create(
        self, session: Session, catalog: Catalog, changes: tuple[Change, ...]
    ) -> Catalog:
        """Create the database or take it over where that is planned; return a newer look."""
        facts = catalog.databases.get(self._name)
        create = _first(changes, CreateDatabase)
        if facts is None:
            if create is None:
                raise Unknown(f"database {self._name!r} is gone since it was observed")
            offer = await self._observer.offer() if create.collation else None
            self._created = await create_database(session, self._database, create, offer)
            if self._created:
                self._notes.append(f"database {self._name!r} was created")
        elif facts.role != self._name and self._database.adopt and _first(changes, OwnDatabase):
            check_holder(self._database, catalog.roles.get(facts.role))
            await take_database(session, self._database)
            self._notes.append(
                f"database {self._name!r} was taken over from {facts.role!r}; what is in it keeps "
                "its owners"
            )
        else:
            check_database(self._database, catalog)
            return catalog
        catalog = await read_catalog(session, [self._name])
        if not check_database(self._database, catalog):
            raise Unknown(f"database {self._name!r} is not there after it was created")
        return catalog

    async def _rights(self, session: Session, catalog: Catalog) -> None:
        facts = catalog.databases[self._name]
        if facts.open_to_all or not facts.owner_may:
            lent = [] if self._created else await lenders(session, self._name)
            await restrict_access(session, self._database, lent)
            if lent:
                names = ", ".join(map(repr, lent))
                self._notes.append(f"{names} may no longer let others into {self._name!r}")
        closable = open_systems(catalog)
        if closable:
            await close_systems(session, closable)
        for name in SYSTEM_DATABASES:
            system = catalog.databases.get(name)
            if system and system.open_to_all and name not in closable and self._notes:
                self._notes.append(
                    f"every role may connect to database {name!r}: the admin has no right to "
                    f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"
                )

    async def _inside(self, catalog: Catalog, extensions: CreateExtensions | None) -> None:
        """Do what only a session in the database can; none is opened where nothing is to do."""
        facts = catalog.databases[self._name]
        self._observer.touch(self._name, facts.oid)
        inside = await self._observer.inside(facts)
        schema = self._schema_is_foreign(inside)
        missing = [
            n for n in (extensions.names if extensions else ()) if n not in inside.extensions
        ]
        if not schema and not missing:
            return
        offer = await self._observer.offer()
        async with self._pool.session(self._name) as session:
            if schema:
                await own_schema(session, self._database)
            refusals = await create_extensions(session, missing, offer)
        if refusals:
            reasons = {n: e.message for n, e in refusals.items() if isinstance(e, Rejected)}
            self._observer.refuse(facts.oid, reasons)
            raise next(iter(refusals.values()))

    def _schema_is_foreign(self, inside: Inside) -> bool:
        if inside.public_owner in ("", self._name, DATABASE_OWNER):
            return False
        if not inside.public_held and self._notes:
            self._notes.append(
                f"schema public of database {self._name!r} stays with {inside.public_owner!r}: the "
                "admin may not give it away"
            )
        return inside.public_held


def _first(changes: tuple[Change, ...], kind: type[C]) -> C | None:
    return next((change for change in changes if isinstance(change, kind)), None)
