"""Who may do what: a database belongs to its role alone, and the system's to no tenant."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from ..values import (
    DatabaseRef,
    Owner,
)
from .connection import Session, statements


async def restrict_access(session: Session, database: DatabaseRef) -> None:
    """Let the role in and everybody else out; the comment tells a person whose it is."""
    name = sql.Identifier(database.external_name)
    owner = database.owner
    parts = [
        sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(name),
        sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(name, name),
        sql.SQL("COMMENT ON DATABASE {} IS {}").format(
            name, sql.Literal(f"made by hybridpg for {owner.namespace}/{owner.name}")
        ),
    ]
    await session.execute(
        statements(parts), doing=f"cannot set the rights on database {database.external_name!r}"
    )


async def close_systems(session: Session, names: Iterable[str]) -> None:
    """Take from PUBLIC the right to connect to the system's databases.

    Logins that are there already and are none of ours had it through PUBLIC and keep it, so that
    closing a server to tenants locks nobody else out.
    """
    doing = "cannot close the system's databases to tenants"
    rows = await session.execute(
        "SELECT r.rolname::text, c.description FROM pg_catalog.pg_roles r "
        "LEFT JOIN pg_catalog.pg_shdescription c ON c.objoid = r.oid "
        "AND c.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass "
        "WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolname !~ '^pg_'",
        doing=doing,
    )
    others = [name for name, comment in rows[0] if Owner.parse(comment) is None]
    parts = []
    for name in names:
        database = sql.Identifier(name)
        if others:
            logins = sql.SQL(", ").join(map(sql.Identifier, others))
            keep = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}")
            parts.append(keep.format(database, logins))
        parts.append(
            sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(database)
        )
    await session.execute(statements(parts), doing=doing)


async def own_schema(session: Session, database: DatabaseRef) -> None:
    """Give the schema ``public`` of the session's database to the role, and close it to others."""
    name = sql.Identifier(database.external_name)
    parts = [
        sql.SQL("ALTER SCHEMA public OWNER TO {}").format(name),
        sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
    ]
    await session.execute(
        statements(parts),
        doing=f"cannot give schema public of database {database.external_name!r} to its role",
    )
