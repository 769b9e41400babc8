"""What a role leaves when it is dropped: nothing of it is lost, and nobody gets to act by it.

A role may own things outside its database: tables in another, or a whole database. They go to a
role that is made for this one deletion, cannot log in and may do nothing. Never do they go to
somebody who may do more: a function with SECURITY DEFINER runs with the rights of its owner, and
would give whoever planted it those of an administrator or of another tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from psycopg import sql

from ..errors import Unknown
from ..values import (
    DatabaseRef,
)
from .catalog import read_catalog
from .connection import MAINTENANCE_DATABASE, Session, statements
from .identifiers import HEIR_PREFIX, NAME_LIMIT
from .roles import hold, mark

_ESTATE: Final = sql.SQL("""
SELECT r.oid::bigint, b.datname::text, pg_catalog.bool_or(d.deptype = 'o' AND d.classid NOT IN
  ('pg_catalog.pg_default_acl'::pg_catalog.regclass,
   'pg_catalog.pg_user_mapping'::pg_catalog.regclass))
FROM pg_catalog.pg_roles r
LEFT JOIN pg_catalog.pg_shdepend d ON d.refobjid = r.oid
  AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_database b ON b.oid = d.dbid
WHERE r.rolname = {name} GROUP BY 1, 2
""")
"""Defaults for new objects and logins to foreign servers are the role's alone and end with it."""

_CLOSED_SCHEMAS: Final = sql.SQL("""
SELECT n.nspname::text FROM pg_catalog.pg_namespace n
WHERE pg_catalog.pg_has_role(n.nspowner, 'USAGE')
AND pg_catalog.pg_get_userbyid(n.nspowner) <> {name}
AND NOT pg_catalog.has_schema_privilege({heir}, n.oid, 'CREATE')
AND EXISTS (
  SELECT FROM pg_catalog.pg_shdepend d
  JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
  JOIN pg_catalog.pg_database b ON b.oid = d.dbid
  CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) o
  WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype = 'o'
  AND r.rolname = {name} AND b.datname = pg_catalog.current_database()
  AND o.schema IN (n.nspname::text, pg_catalog.quote_ident(n.nspname::text)))
""")
"""Where the new owner of a function or a type needs a right to create, which an admin may give."""


@dataclass(frozen=True, slots=True)
class Estate:
    """What a role has outside its database.

    ``places`` are the databases in which it owns something or has a grant, with whether it owns,
    and last the maintenance database, which stands for what the databases share. ``heir`` is who
    gets what it owns; empty where that is nothing.
    """

    places: tuple[tuple[str, bool], ...]
    heir: str


def heir_name(name: str, oid: int) -> str:
    """Return the name of the role that gets what the role ``name`` with this ``oid`` owns.

    The same for each try of one deletion, and another for the next: two admins of one server who
    drop a role of one name do not meet, since neither could act as what the other made.
    """
    text = f"{HEIR_PREFIX}{oid}_{name}".encode()
    return text[:NAME_LIMIT].decode(errors="ignore")


async def look_at_estate(session: Session, name: str) -> Estate:
    """Read what a role has outside its database."""
    query = _ESTATE.format(name=sql.Literal(name))
    rows = (await session.execute(query, doing=f"cannot see what depends on role {name!r}"))[0]
    # a row without a database is of what they share, or the role has nothing at all
    owns = {place or MAINTENANCE_DATABASE: False for _, place, _ in rows}
    for _, place, owned in rows:
        owns[place or MAINTENANCE_DATABASE] |= bool(owned)
    last = owns.pop(MAINTENANCE_DATABASE, False)
    heir = heir_name(name, rows[0][0]) if last or any(owns.values()) else ""
    return Estate((*sorted(owns.items()), (MAINTENANCE_DATABASE, last)), heir)


async def ensure_heir(
    session: Session, database: DatabaseRef, heir: str, *, superuser: bool
) -> None:
    """Make the role that gets what another owns; one that is there must be ours and powerless."""
    comment = replace(database.owner, retained=True).mark()
    present = (await read_catalog(session, [heir])).roles.get(heir)
    parts: list[sql.Composable] = []
    if present is None:
        made = sql.SQL("CREATE ROLE {} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE")
        parts += [made.format(sql.Identifier(heir)), mark(heir, comment)]
    elif present.login or present.reach or present.comment != comment:
        raise Unknown(
            f"what role {database.external_name!r} owns elsewhere cannot go to role {heir!r}, "
            "which somebody else made: drop or rename that role"
        )
    if not superuser and not (present and present.held):
        parts.append(hold(session, heir))
    if parts:
        doing = f"cannot make role {heir!r} for what role {database.external_name!r} owns elsewhere"
        await session.execute(statements(parts), doing=doing)


async def leave_database(session: Session, name: str, heir: str, *, superuser: bool) -> None:
    """In the session's database, hand over what a role owns and drop what it was granted.

    ``heir`` is empty where it owns nothing. Only what is handed over is safe from the dropping of
    the grants, so both are one transaction.
    """
    role, doing = sql.Identifier(name), f"cannot release what role {name!r} owns"
    parts = [sql.SQL("DROP OWNED BY {}").format(role)]
    if heir:
        closed = [] if superuser else await _closed_schemas(session, name, heir, doing)
        parts = [*_handing_over(name, heir, closed), *parts]
    await session.execute(statements(parts), doing=doing)


async def _closed_schemas(session: Session, name: str, heir: str, doing: str) -> list[str]:
    query = _CLOSED_SCHEMAS.format(name=sql.Literal(name), heir=sql.Literal(heir))
    return [schema for (schema,) in (await session.execute(query, doing=doing))[0]]


def _handing_over(name: str, heir: str, closed: Sequence[str]) -> list[sql.Composed]:
    """Return the statements that give all to ``heir``, who may create nothing afterwards."""
    new = sql.Identifier(heir)
    reassign = sql.SQL("REASSIGN OWNED BY {} TO {}").format(sql.Identifier(name), new)
    if not closed:
        return [reassign]
    schemas = sql.SQL(", ").join(map(sql.Identifier, closed))
    return [
        sql.SQL("GRANT CREATE ON SCHEMA {} TO {}").format(schemas, new),
        reassign,
        sql.SQL("REVOKE CREATE ON SCHEMA {} FROM {}").format(schemas, new),
    ]
