"""Databases: made for a role of ours, and dropped only while it owns them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import errors as pg
from psycopg import sql

from ..errors import BackendError, Rejected, Unknown
from ..values import (
    DatabaseRef,
)
from .catalog import DatabaseFacts, read_catalog
from .connection import Session, statements
from .errors import is_duplicate, translate
from .offer import Locale, Offer
from .roles import mark
from .state import CreateDatabase

_ICU: Final = "i"
_PREPARED: Final = sql.SQL("""
SELECT x.gid::text, x.owner::text FROM pg_catalog.pg_prepared_xacts x WHERE x.database = {name}
""")
_SIZE: Final = sql.SQL("""
SELECT CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT')
       THEN pg_catalog.pg_database_size(d.oid) END
FROM pg_catalog.pg_database d WHERE d.datname = {name}
""")
_END_SLOTS: Final = sql.SQL("""
SELECT pg_catalog.pg_terminate_backend(s.active_pid) FROM pg_catalog.pg_replication_slots s
WHERE s.database = {} AND s.active
""")
"""DROP DATABASE refuses while a slot is in use, FORCE or not; unused ones go with it."""


async def create_database(
    session: Session, database: DatabaseRef, change: CreateDatabase, offer: Offer | None
) -> bool:
    """Create the database, owned by the role of the same name; False where it exists by now.

    ``template0`` is the only template that takes any encoding and locale. ``offer`` is needed
    where a collation is asked for.
    """
    locale = offer.locale(change.collation, change.encoding) if change.collation and offer else None
    name = sql.Identifier(database.external_name)
    statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0{}{}").format(
        name, name, _encoding(change.encoding), _locale(locale)
    )
    try:
        await session.attempt(statement)
    except psycopg.Error as error:
        if is_duplicate(error):
            return False  # whose it is shows when it is read again
        raise _refused(error, database, change, offer) from error
    return True


def _encoding(name: str) -> sql.Composable:
    return sql.SQL(" ENCODING {}").format(sql.Literal(name)) if name else sql.SQL("")


def _locale(locale: Locale | None) -> sql.Composable:
    if locale is None:
        return sql.SQL("")
    name = sql.Literal(locale.name)
    if locale.provider == _ICU:
        return sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE {}").format(name)
    return sql.SQL(" LC_COLLATE {} LC_CTYPE {}").format(name, name)


def _refused(
    error: psycopg.Error, database: DatabaseRef, change: CreateDatabase, offer: Offer | None
) -> Exception:
    """Say which field of the spec the server did not like."""
    doing = f"cannot create database {database.external_name!r}"
    if change.encoding and isinstance(error, pg.UndefinedObject):
        return Rejected(
            "database.charset", f"the server has no encoding {change.encoding!r}: use UTF8"
        )
    if change.collation and offer and isinstance(error, pg.WrongObjectType):
        return Rejected("database.collation", offer.no_locale(change.collation))
    field = "database.collation" if change.collation else "database.charset"
    return translate(error, doing, field)


async def take_database(session: Session, database: DatabaseRef) -> None:
    """Make our role the owner of an existing database; what is in it keeps its owners."""
    name = sql.Identifier(database.external_name)
    await session.execute(
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, name),
        doing=f"cannot take over database {database.external_name!r}",
    )


@dataclass(frozen=True, slots=True)
class LastLook:
    """What is about to be lost: prepared transactions with their owners, and the size in bytes."""

    prepared: tuple[tuple[str, str], ...]
    size: int | None

    @property
    def megabytes(self) -> str:
        """The size for a message; empty where the admin may not ask for it."""
        return "" if self.size is None else f" with {max(1, round(self.size / 2**20))} MB"


async def last_look(session: Session, name: str) -> LastLook:
    """Read what blocks a drop, since it was prepared and not ended, and how much there is."""
    prepared, size = await session.execute(
        statements([each.format(name=sql.Literal(name)) for each in (_PREPARED, _SIZE)]),
        doing=f"cannot see what is in database {name!r}",
    )
    return LastLook(tuple((gid, owner) for gid, owner in prepared), size[0][0] if size else None)


async def roll_back(
    session: Session, prepared: Sequence[tuple[str, str]], *, superuser: bool
) -> None:
    """End what was prepared in the session's database, which is about to be dropped."""
    for gid, owner in prepared:
        doing = f"cannot roll back the prepared transaction {gid!r} of role {owner!r}"
        if not superuser:  # nobody else but who prepared it may
            role = sql.SQL("SET ROLE {}").format(sql.Identifier(owner))
            await session.execute(role, doing=doing)
        statement = sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid))
        await session.execute(statement, doing=doing)


async def drop_database(session: Session, facts: DatabaseFacts, *, superuser: bool) -> None:
    """Drop a database with whatever sessions are in it, and prove that it is gone.

    First nobody new may come in; a session that comes in between is ended by ``FORCE``. The owner
    may have made it a template to keep it from being dropped.
    """
    name, role = sql.Identifier(facts.name), sql.Identifier(facts.role)
    parts = [sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC, {}").format(name, role)]
    if facts.template:
        parts.append(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(name))
    if superuser:  # others may not end it; to them DROP DATABASE says what is in the way
        parts.append(_END_SLOTS.format(sql.Literal(facts.name)))
    doing = f"cannot drop database {facts.name!r}"
    await session.execute(statements(parts), doing=doing)
    # by itself: DROP DATABASE cannot be in a transaction, not even in an implicit one
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name)
    try:
        await session.execute(drop, doing=doing)
    except BackendError:
        if facts.template and session.usable:  # who retains it now would find it without the flag
            again = sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(name)
            with contextlib.suppress(BackendError):  # what is in the way of the drop is told
                await session.execute(again, doing=doing)
        raise
    if facts.name in (await read_catalog(session, [facts.name])).databases:
        raise Unknown(f"database {facts.name!r} is still there after it was dropped")


async def retain_database(
    session: Session, facts: DatabaseFacts | None, name: str, text: str
) -> None:
    """Mark the role ``name`` as retained, with the way into its database open again.

    A drop that failed half-way, before the user chose to retain, has let the role out of it.
    """
    parts: list[sql.Composable] = []
    if facts is not None and facts.role == name and not facts.owner_may:
        identifier = sql.Identifier(name)
        grant = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}")
        parts.append(grant.format(identifier, identifier))
    await session.execute(statements([*parts, mark(name, text)]), doing=f"cannot retain {name!r}")
