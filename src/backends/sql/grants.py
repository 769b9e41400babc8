"""Who may do what: a database belongs to its role alone, and the system's to no tenant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from psycopg import sql

from ..values import (
    DatabaseRef,
    Owner,
)
from .connection import Session, statements

_LOGINS: Final = sql.SQL("""
SELECT r.rolname::text, c.description FROM pg_catalog.pg_roles r
LEFT JOIN pg_catalog.pg_shdescription c
  ON c.objoid = r.oid AND c.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass
WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolname !~ '^pg_'
""")
_LENDERS: Final = sql.SQL("""
SELECT DISTINCT d.datname::text, pg_catalog.pg_get_userbyid(a.grantee)::text
FROM pg_catalog.pg_database d CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) a
WHERE d.datname IN ({names}) AND a.is_grantable AND a.privilege_type IN ('CONNECT', 'TEMPORARY')
AND a.grantor = d.datdba AND a.grantee NOT IN (0, d.datdba) AND EXISTS (
  SELECT FROM pg_catalog.aclexplode(d.datacl) p WHERE p.grantee = 0 AND p.grantor <> d.datdba)
ORDER BY 1, 2
""")
"""Who got the right to let others in from the owner, where PUBLIC has it from somebody else: what
was granted by others than the owner, our REVOKE does not take away."""


async def lenders(session: Session, name: str) -> list[str]:
    """Return the roles by whose grants PUBLIC got into a database."""
    query = _LENDERS.format(names=sql.Literal(name))
    rows = await session.execute(query, doing=f"cannot see who may connect to database {name!r}")
    return [role for _, role in rows[0]]


def _shut(name: str, lent: Sequence[str]) -> list[sql.Composed]:
    """Take from PUBLIC what it may do with a database, whoever granted it."""
    database = sql.Identifier(name)
    parts = [sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(database)]
    if lent:  # they stay themselves, and lose whom they let in
        revoke = sql.SQL(
            "REVOKE GRANT OPTION FOR CONNECT, TEMPORARY ON DATABASE {} FROM {} CASCADE"
        )
        parts.append(revoke.format(database, sql.SQL(", ").join(map(sql.Identifier, lent))))
    return parts


async def restrict_access(
    session: Session, database: DatabaseRef, lent: Sequence[str] = ()
) -> None:
    """Let the role in and everybody else out; the comment tells a person whose it is.

    ``lent`` are the roles that let PUBLIC in; they no longer may.
    """
    name = sql.Identifier(database.external_name)
    owner = database.owner
    parts = [
        *_shut(database.external_name, lent),
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
    names = list(names)
    find_lenders = _LENDERS.format(names=sql.SQL(", ").join(map(sql.Literal, names)))
    logins, lent = await session.execute(statements([_LOGINS, find_lenders]), doing=doing)
    others = [name for name, comment in logins if Owner.parse(comment) is None]
    parts: list[sql.Composable] = []
    for name in names:
        database = sql.Identifier(name)
        if others:
            keep = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}")
            parts.append(keep.format(database, sql.SQL(", ").join(map(sql.Identifier, others))))
        parts += _shut(name, [role for place, role in lent if place == name])
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
