"""Roles: made with their mark in one transaction, changed and dropped only while it is ours."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import sql

from ..errors import Unknown
from ..values import (
    Credentials,
    DatabaseRef,
)
from .catalog import SYSTEM_DATABASES, Catalog, RoleFacts, read_catalog
from .connection import Session, statements
from .errors import is_duplicate, translate

_SET_OPTION_SINCE: Final = 160000
"""From this version on membership alone does not let an admin act as the role."""

_NO: Final = {
    "SUPERUSER": sql.SQL(" NOSUPERUSER"),
    "CREATEROLE": sql.SQL(" NOCREATEROLE"),
    "CREATEDB": sql.SQL(" NOCREATEDB"),
    "REPLICATION": sql.SQL(" NOREPLICATION"),
    "BYPASSRLS": sql.SQL(" NOBYPASSRLS"),
}
"""How each right that a tenant's role must not have is taken away."""


def hold(session: Session, name: str) -> sql.Composed:
    """Make the admin a member, so that it may make the role the owner of something."""
    options = " WITH INHERIT TRUE, SET TRUE" if session.version >= _SET_OPTION_SINCE else ""
    return sql.SQL("GRANT {} TO CURRENT_USER" + options).format(sql.Identifier(name))


def mark(name: str, text: str) -> sql.Composed:
    """Write whose a role is."""
    return sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(name), sql.Literal(text))


async def create_role(
    session: Session, database: DatabaseRef, role: Credentials, *, superuser: bool
) -> bool:
    """Create the role and its mark in one transaction; False where the name exists by now."""
    name = database.external_name
    parts = [
        sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
            sql.Identifier(name), sql.Literal(_verifier(session, name, role))
        ),
        mark(name, database.owner.mark()),
    ]
    if not superuser:
        parts.append(hold(session, name))
    try:
        await session.attempt(statements(parts))
    except psycopg.Error as error:
        if is_duplicate(error):
            return False
        raise translate(error, f"cannot create role {name!r}") from error
    return True


async def take_role(
    session: Session, database: DatabaseRef, role: Credentials | None, catalog: Catalog
) -> None:
    """Put our mark on an existing role, and the password where one is given.

    It may have the right to connect to the system's databases, which logins keep that were there
    when these were closed, and which no tenant's role has.
    """
    name = database.external_name
    password = (
        sql.SQL(" PASSWORD {}").format(sql.Literal(_verifier(session, name, role)))
        if role
        else sql.SQL("")
    )
    parts = [
        sql.SQL("ALTER ROLE {} LOGIN{}").format(sql.Identifier(name), password),
        mark(name, database.owner.mark()),
    ]
    closable = [
        sql.Identifier(system)
        for system in SYSTEM_DATABASES
        if (facts := catalog.databases.get(system)) and facts.admin_may
    ]
    if closable:
        revoke = sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM {}")
        parts.append(revoke.format(sql.SQL(", ").join(closable), sql.Identifier(name)))
    if not catalog.superuser:
        parts.insert(0, hold(session, name))
    await session.execute(statements(parts), doing=f"cannot take over role {name!r}")


async def repair_role(session: Session, role: RoleFacts) -> None:
    """Take the rights that no tenant's role has, and give back the login and our membership."""
    parts = []
    if role.rights or not role.login:
        taken = sql.SQL("").join(_NO[right] for right in sorted(role.rights))
        parts.append(sql.SQL("ALTER ROLE {} LOGIN{}").format(sql.Identifier(role.name), taken))
    if not role.held:
        parts.append(hold(session, role.name))
    await session.execute(statements(parts), doing=f"cannot repair role {role.name!r}")


async def set_password(session: Session, database: DatabaseRef, role: Credentials) -> None:
    """Change the password and nothing else."""
    name = database.external_name
    await session.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(
            sql.Identifier(name), sql.Literal(_verifier(session, name, role))
        ),
        doing=f"cannot change the password of role {name!r}",
    )


async def drop_role(session: Session, name: str) -> None:
    """End the role's sessions, drop it, and prove that it is gone."""
    end = sql.SQL(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
        "WHERE usename = {}"
    ).format(sql.Literal(name))
    drop = sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name))
    await session.execute(end, doing=f"cannot end the sessions of role {name!r}")
    await session.execute(drop, doing=f"cannot drop role {name!r}")
    if name in (await read_catalog(session, [name])).roles:
        raise Unknown(f"role {name!r} is still there after it was dropped")


def _verifier(session: Session, name: str, role: Credentials) -> str:
    """Return the verifier; it is salted, so that the name in it does not matter."""
    return session.verifier(Credentials(name, role.password))
