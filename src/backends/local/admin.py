"""The published admin: everything that a user needs, and nothing of the machine.

A superuser runs programs as the user of all servers and could read every tenant's data, so the
published admin is none. Below PostgreSQL 16 a role with CREATEROLE may grant itself the built-in
roles that reach files and programs; there, these are made superusers without login, which only a
superuser may grant.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from ..sql.connection import Session, statements
from ..values import (
    Credentials,
)

_CREATEROLE_IS_CONFINED = 160000
_PUBLIC_IS_CONFINED = 150000
_REACH_THE_MACHINE: LiteralString = (
    "UPDATE pg_catalog.pg_authid SET rolsuper = true WHERE NOT rolsuper AND rolname IN "
    "('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')"
)
_UNLOGGED: tuple[LiteralString, ...] = (
    "SET log_statement = 'none'",
    "SET log_min_duration_statement = -1",
    "SET log_min_duration_sample = -1",
    "SET log_transaction_sample_rate = 0",
    "SET log_min_error_statement = 'panic'",
)
"""What keeps even a verifier out of the server's log, whatever the user's parameters say."""
_MEMBERSHIPS = ((0, "pg_monitor"), (0, "pg_signal_backend"), (150000, "pg_checkpoint"))
"""Built-in roles of the admin, and since which version there is such a role."""


async def ensure_admin(session: Session, admin: Credentials) -> None:
    """Make the admin's role, or repair it, with this password; in one transaction."""
    doing = "make the admin role"
    role = sql.Identifier(admin.username)
    look = sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = {}").format(sql.Literal(admin.username))
    # a string is logged before it runs, so logging ends in a string of its own
    rows = await session.execute(statements((*map(sql.SQL, _UNLOGGED), look)), doing=doing)
    verb = sql.SQL("ALTER" if rows[-1] else "CREATE")
    parts: list[sql.Composable] = [
        sql.SQL("{} ROLE {} LOGIN CREATEDB CREATEROLE NOSUPERUSER PASSWORD {}").format(
            verb, role, sql.Literal(session.verifier(admin))
        ),
        sql.SQL("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC"),
        sql.SQL("GRANT ALL ON DATABASE postgres TO {}").format(role),
        sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(role),
    ]
    if session.version < _PUBLIC_IS_CONFINED:
        parts.append(sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    if session.version < _CREATEROLE_IS_CONFINED:
        parts.append(sql.SQL(_REACH_THE_MACHINE))
    parts += [
        sql.SQL("GRANT {} TO {}").format(sql.Identifier(name), role)
        for since, name in _MEMBERSHIPS
        if session.version >= since
    ]
    await session.execute(statements(parts), doing=doing)


async def needs_restart(session: Session) -> bool:
    """Return whether the configuration file holds a change that a reload cannot bring."""
    rows = await session.execute(
        "SELECT error FROM pg_file_settings WHERE error IS NOT NULL", doing="read the settings"
    )
    return bool(rows[-1])
