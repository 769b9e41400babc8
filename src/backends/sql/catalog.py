"""What the catalogs of a server say about its databases and roles, read in one round trip.

The same statements read everything, for the snapshot that all reconciles share, or a few names,
for the check right before a write. Columns that came or went between PostgreSQL 13 and 18 are
read through ``to_jsonb``, so that there is one text for all versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from psycopg import sql

from ..errors import Unknown
from ..values import (
    Owner,
)
from .connection import Row, Session, statements

_SERVER: Final = sql.SQL("""
SELECT current_user::text, r.rolsuper,
       pg_catalog.current_setting('transaction_read_only') = 'on',
       pg_catalog.current_setting('server_version')
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
""")
# has_role is what we need to make a role the owner of something, and to act on what it owns:
# from version 16 on being a member no longer means that one may SET ROLE or inherits
# way is every path through memberships: whatever their options, one may SET ROLE, inherit, or grant
# oneself either; that of administrators, who may hold a thousand tenants' roles, is not asked for
_ROLES: Final = sql.SQL("""
SELECT r.rolname::text, c.description, r.rolcanlogin,
       pg_catalog.concat_ws(' ',
         CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
         CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
         CASE WHEN r.rolreplication THEN 'REPLICATION' END,
         CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END),
       CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 160000
         THEN pg_catalog.pg_has_role(r.oid, 'USAGE') AND pg_catalog.pg_has_role(r.oid, {set})
         ELSE pg_catalog.pg_has_role(r.oid, 'MEMBER') END,
       COALESCE(v.lent, '{{}}'::text[])
FROM pg_catalog.pg_roles r
LEFT JOIN (
  WITH RECURSIVE way (member, role) AS (
    SELECT m.member, m.roleid FROM pg_catalog.pg_auth_members m
    JOIN pg_catalog.pg_roles r ON r.oid = m.member WHERE {roles}
    AND NOT (r.rolsuper OR r.rolcreaterole)
    UNION
    SELECT w.member, m.roleid FROM way w JOIN pg_catalog.pg_auth_members m ON m.member = w.role)
  SELECT w.member, pg_catalog.array_agg(g.rolname::text) AS lent
  FROM way w JOIN pg_catalog.pg_roles g ON g.oid = w.role
  LEFT JOIN pg_catalog.pg_shdescription c
    ON c.objoid = g.oid AND c.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass
  WHERE g.rolsuper OR g.rolcreaterole OR g.rolcreatedb OR g.rolreplication OR g.rolbypassrls
  OR g.rolname IN ({powerful}) OR pg_catalog.starts_with(c.description, 'hybridpg:')
  GROUP BY w.member
) v ON v.member = r.oid
LEFT JOIN pg_catalog.pg_shdescription c
  ON c.objoid = r.oid AND c.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass
WHERE {roles}
""")
_DATABASES: Final = sql.SQL("""
SELECT d.datname::text, d.oid::bigint, pg_catalog.pg_get_userbyid(d.datdba)::text,
       pg_catalog.pg_encoding_to_char(d.encoding)::text, d.datcollate::text,
       COALESCE(j.row ->> 'datlocprovider', 'c'),
       COALESCE(j.row ->> 'datlocale', j.row ->> 'daticulocale', ''),
       d.datallowconn, d.datistemplate,
       pg_catalog.has_database_privilege('public', d.oid, 'CONNECT')
         OR pg_catalog.has_database_privilege('public', d.oid, 'TEMPORARY'),
       pg_catalog.has_database_privilege(d.datdba, d.oid, 'CONNECT')
         AND pg_catalog.has_database_privilege(d.datdba, d.oid, 'TEMPORARY'),
       pg_catalog.pg_has_role(d.datdba, 'USAGE')
FROM pg_catalog.pg_database d
CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(d) AS row) j
WHERE {databases}
""")
_POWERFUL: Final = (
    *("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"),
    *("pg_read_all_data", "pg_write_all_data", "pg_maintain"),
    *("pg_signal_backend", "pg_create_subscription"),
    *("rds_superuser", "rdsadmin", "rds_replication", "rds_password"),
    *("azure_pg_admin", "azure_superuser", "azuresu"),
    *("cloudsqlsuperuser", "cloudsqladmin", "alloydbsuperuser", "alloydbadmin"),
)
"""Roles without such attributes that reach files, programs, the network, all data, or the sessions
of others; those of providers included."""
_NAMED_ROLES: Final = sql.SQL("""
(r.rolname = ANY(ARRAY[{listed}]::text[]) OR r.oid IN
 (SELECT o.datdba FROM pg_catalog.pg_database o WHERE o.datname = ANY(ARRAY[{names}]::text[])))
""")
SYSTEM_DATABASES: Final = ("postgres", "template1")
"""Every server has them, PUBLIC may connect to them by default, and no tenant should."""


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """One role, and what of it no tenant's role has.

    ``rights`` are such attributes, ``held`` is whether the admin may act as it. ``lent`` are the
    roles of administrators and of our objects that it is a member of, also by way of others.
    """

    name: str
    comment: str | None
    login: bool
    rights: frozenset[str]
    held: bool
    lent: frozenset[str] = frozenset()

    @property
    def owner(self) -> Owner | None:
        """Whose it is; None where there is no mark of ours."""
        return Owner.parse(self.comment)

    @property
    def reach(self) -> frozenset[str]:
        """All that whoever logs in as the role could do and no tenant may."""
        return self.rights | {f"member of {name!r}" for name in self.lent}


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """One database; ``open_to_all`` is whether PUBLIC may do anything with it.

    ``owner_may`` is whether its own role may connect, ``admin_may`` whether the admin may change
    it as its owner.
    """

    name: str
    oid: int
    role: str
    encoding: str
    collation: str
    provider: str
    locale: str
    connectable: bool
    template: bool
    open_to_all: bool
    owner_may: bool
    admin_may: bool


@dataclass(frozen=True, slots=True)
class Catalog:
    """What was read of a server at one moment."""

    admin: str
    superuser: bool
    read_only: bool
    version: str
    roles: Mapping[str, RoleFacts] = field(default_factory=dict)
    databases: Mapping[str, DatabaseFacts] = field(default_factory=dict)


async def read_catalog(session: Session, names: Sequence[str] | None = None) -> Catalog:
    """Read all databases and roles, or those of the given names and the system's; one round trip.

    With a database comes the role that owns it, whatever its name.
    Raises ``Unknown`` where it cannot be read completely.
    """
    wanted = _listed([*(names or ()), *SYSTEM_DATABASES])
    if names is None:
        of_roles: sql.Composable = sql.SQL("r.rolname !~ '^pg_'")
        of_databases: sql.Composable = sql.SQL("true")
    else:
        of_roles = _NAMED_ROLES.format(listed=wanted, names=_listed(names))
        of_databases = sql.SQL("d.datname = ANY(ARRAY[{}]::text[])").format(wanted)
    set_right = "SET" if session.version >= 160000 else "MEMBER"
    results = await session.execute(
        statements(
            [
                _SERVER,
                _ROLES.format(
                    roles=of_roles,
                    set=sql.Literal(set_right),
                    powerful=_listed(_POWERFUL),
                ),
                _DATABASES.format(databases=of_databases),
            ]
        ),
        doing="cannot read the catalogs",
    )
    if len(results) != 3 or not results[0]:
        raise Unknown("the server answered its catalogs incompletely")
    server, roles, databases = results
    return Catalog(
        admin=server[0][0],
        superuser=server[0][1],
        read_only=server[0][2],
        version=server[0][3].split()[0],  # without the distribution's own suffix
        roles={row[0]: _role(row) for row in roles},
        databases={row[0]: DatabaseFacts(*row) for row in databases},
    )


def _listed(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Literal, names))


def _role(row: Row) -> RoleFacts:
    name, comment, login, rights, held, lent = row
    return RoleFacts(name, comment, login, frozenset(rights.split()), held, frozenset(lent))
