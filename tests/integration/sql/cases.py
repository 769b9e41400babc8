"""Databases for the tests: references with fresh names and the steps of the operator."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from pydantic import BaseModel
from tests.fix_local import NoKube
from tests.fix_postgres import SUPERUSER, PgServer

from hybridpg.backends import (
    Absent,
    BackendContext,
    Change,
    Credentials,
    DatabaseRef,
    DesiredDatabase,
    Done,
    Owner,
    Password,
    Policy,
    Present,
    ServerRef,
)
from hybridpg.backends.fence import Fence, no_fence
from hybridpg.backends.sql import SqlDatabases
from hybridpg.backends.sql.state import SqlDatabaseState
from hybridpg.crds import DatabaseSpec

CLUSTER = "11111111-2222-4333-8444-555555555555"


def fresh_owner(name: str = "orders", namespace: str = "team-a") -> Owner:
    """Return an object that does not exist yet."""
    return Owner(CLUSTER, str(uuid.uuid4()), namespace, name)


@dataclass(frozen=True)
class Case:
    """One database: what its object says, and the login that its Secret holds."""

    ref: DatabaseRef
    desired: DesiredDatabase
    role: Credentials

    @property
    def name(self) -> str:
        """The name of database and role."""
        return self.ref.external_name

    def by(self, owner: Owner, *, adopt: bool = False) -> Case:
        """The same name, asked for by another object."""
        return replace(
            self, ref=replace(self.ref, owner=owner, adopt=adopt), role=fresh_login(self.name)
        )


def fresh_login(name: str) -> Credentials:
    """Return a login with a password that nobody knows."""
    return Credentials(name, Password(f"Pw-{uuid.uuid4().hex}"))


def make_case(
    pg: PgServer,
    name: str = "",
    admin: str = SUPERUSER,
    **database: Any,
) -> Case:
    """Return a database that does not exist; ``database`` is ``spec.database``."""
    name = name or f"db_{uuid.uuid4().hex[:10]}"
    spec = DatabaseSpec.model_validate(
        {"serverRef": {"name": "srv"}, "credentialsSecret": "login", "database": database}
    )
    server = ServerRef(fresh_owner("srv"), "team-a-srv")
    ref = DatabaseRef(fresh_owner(), name, server, pg.endpoint(admin))
    return Case(ref, DesiredDatabase(spec), fresh_login(name))


class NoOptions(BaseModel):
    """The options of a backend that has none."""


@asynccontextmanager
async def databases(
    *,
    cluster_id: str = "",
    extensions_allowed: frozenset[str] | None = None,
    fence: Fence = no_fence,
    **options: Any,
) -> AsyncIterator[SqlDatabases]:
    """Return the class under test, with its connections closed in the end.

    Without ``cluster_id`` nothing else works for the same cluster.
    """
    context = BackendContext(
        "sql",
        NoOptions(),
        NoKube(),
        cluster_id or str(uuid.uuid4()),
        extensions_allowed=extensions_allowed,
        fence=fence,
    )
    backend = SqlDatabases(context, **options)
    try:
        yield backend
    finally:
        await backend.close()


async def plan(backend: SqlDatabases, case: Case) -> tuple[Change, ...]:
    """Observe and plan."""
    observed = await backend.observe_database(case.ref)
    return backend.plan_database(case.ref, case.desired, observed)


async def ensure(backend: SqlDatabases, case: Case) -> tuple[str, ...]:
    """Do one pass of the operator; return the notes."""
    user = await backend.create_or_update_user(case.ref, case.role)
    made = await backend.create_or_update_database(case.ref, await plan(backend, case))
    assert isinstance(user, Done)
    assert isinstance(made, Done)
    return user.notes + made.notes


async def state_of(backend: SqlDatabases, case: Case) -> SqlDatabaseState:
    """Return what is seen of a database that exists."""
    observed = await backend.observe_database(case.ref)
    assert isinstance(observed, Present)
    assert isinstance(observed.state, SqlDatabaseState)
    return observed.state


async def drop(backend: SqlDatabases, case: Case, policy: Policy = Policy.DELETE) -> None:
    """Delete database and role as the operator does."""
    observed = await backend.observe_database(case.ref)
    assert isinstance(await backend.delete_database(case.ref, observed, policy), Done)
    if policy is Policy.DELETE:
        assert isinstance(await backend.delete_user(case.ref), Done)
        assert await backend.observe_database(case.ref) == Absent()


def exists(pg: PgServer, name: str) -> tuple[bool, bool]:
    """Return whether database and role exist, seen from outside."""
    with pg.connect("postgres", SUPERUSER, pg.password) as connection:
        rows = connection.execute(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %(name)s), "
            "EXISTS (SELECT FROM pg_roles WHERE rolname = %(name)s)",
            {"name": name},
        ).fetchall()
    database, role = rows[0]
    return database, role


@contextlib.contextmanager
def reading_slot(pg: PgServer, dbname: str, slot: str) -> Iterator[None]:
    """Hold a slot as a consumer of changes does."""
    opened = psycopg.connect(
        host="127.0.0.1",
        port=pg.port,
        dbname=dbname,
        user="postgres",
        password=pg.password,
        sslmode="require",
        replication="database",
        autocommit=True,
    )
    with contextlib.closing(opened) as connection:
        connection.pgconn.send_query(f'START_REPLICATION SLOT "{slot}" LOGICAL 0/0'.encode())
        while pg.run(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'") != [
            (True,)
        ]:
            assert connection.pgconn.socket
        yield
