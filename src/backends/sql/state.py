"""A database as its server shows it, and the differences that a plan consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ..values import (
    Absent,
    Change,
    DatabaseRef,
    DatabaseState,
    Observed,
    Present,
)
from .catalog import SYSTEM_DATABASES, Catalog, RoleFacts
from .observer import Inside
from .offer import Offer


@dataclass(frozen=True, slots=True)
class SqlDatabaseState(DatabaseState):
    """A database and its role, with what a plan needs to know of the server.

    ``held`` is whether the admin may act as the role, ``rights`` the attributes no tenant's role
    has, ``reach`` those and what it could do by its memberships. ``database_role`` owns the
    database, ``holder`` is what is known of it. ``private`` is whether PUBLIC is shut out and the
    role let in. ``schema_role`` owns the schema ``public`` (empty: no schema, or not looked into).
    ``open_systems`` are databases of the system that PUBLIC may connect to and the admin may
    close. ``offered`` are the extensions that the server has, ``refused`` those that it did not
    let us create a while ago, with the reason.
    """

    is_admin: bool = False
    login: bool = True
    held: bool = True
    rights: frozenset[str] = frozenset()
    reach: frozenset[str] = frozenset()
    database_role: str = ""
    holder: RoleFacts | None = None
    private: bool = True
    admin_may: bool = True
    schema_role: str = ""
    schema_held: bool = False
    open_systems: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    offered: frozenset[str] | None = field(default=None, repr=False)  # dozens of names


@dataclass(frozen=True, slots=True)
class TakeRole(Change):
    """The role exists with another mark or none, and the user named it for adoption."""


@dataclass(frozen=True, slots=True)
class RepairRole(Change):
    """The role of ours lost its login, won rights, or is no longer held by the admin."""


@dataclass(frozen=True, slots=True)
class CreateDatabase(Change):
    """The database does not exist; empty encoding and collation are the server's defaults."""

    encoding: str = ""
    collation: str = ""


@dataclass(frozen=True, slots=True)
class OwnDatabase(Change):
    """The database exists and is owned by another role."""


@dataclass(frozen=True, slots=True)
class RestrictAccess(Change):
    """PUBLIC may connect to the database, or its own role may not."""


@dataclass(frozen=True, slots=True)
class CloseSystems(Change):
    """PUBLIC, and so every tenant, may connect to databases of the system."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnSchema(Change):
    """The schema ``public`` is not the role's, as it is not by itself before PostgreSQL 15."""


@dataclass(frozen=True, slots=True)
class CreateExtensions(Change):
    """Extensions that the spec lists and the database lacks."""

    names: tuple[str, ...] = ()


def open_systems(catalog: Catalog) -> tuple[str, ...]:
    """Return the system's databases that every role may connect to and the admin may close."""
    return tuple(
        name
        for name in SYSTEM_DATABASES
        if (facts := catalog.databases.get(name)) and facts.open_to_all and facts.admin_may
    )


def observed_state(
    database: DatabaseRef,
    catalog: Catalog,
    inside: Inside | None = None,
    offer: Offer | None = None,
    refused: Mapping[str, str] = MappingProxyType({}),
) -> Observed[SqlDatabaseState]:
    """Put together what was read of one database; ``inside`` and ``offer`` where it was."""
    name = database.external_name
    role, facts = catalog.roles.get(name), catalog.databases.get(name)
    if role is None and facts is None:
        return Absent()
    return Present(
        SqlDatabaseState(
            owner=role.owner if role else None,
            role=role is not None,
            present=facts is not None,
            encoding=facts.encoding if facts else "",
            collation=(facts.locale or facts.collation) if facts else "",
            extensions=inside.extensions if inside else None,
            oid=facts.oid if facts else 0,
            is_admin=name == catalog.admin,
            login=role.login if role else True,
            held=role.held if role else True,
            rights=role.rights if role else frozenset(),
            reach=role.reach if role else frozenset(),
            database_role=facts.role if facts else "",
            holder=catalog.roles.get(facts.role) if facts else None,
            private=not facts.open_to_all and facts.owner_may if facts else True,
            admin_may=facts.admin_may if facts else True,
            schema_role=inside.public_owner if inside else "",
            schema_held=inside.public_held if inside else False,
            open_systems=open_systems(catalog),
            refused=tuple(sorted(refused.items())),
            offered=frozenset(offer.extensions) if offer else None,
        )
    )
