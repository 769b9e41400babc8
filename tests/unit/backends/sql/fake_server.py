"""A PostgreSQL server as the pool and the observer see it: sessions that answer from a script."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any, cast

from psycopg import sql

from hybridpg.backends import AdminLogin, Endpoint, Password
from hybridpg.backends.sql.connection import Session
from hybridpg.backends.sql.succession import Succession

ENDPOINT = Endpoint("db", 5432, admin=AdminLogin("postgres", Password("secret")))
SUCCESSION = Succession.of("a-cluster")
ADMIN_ROW = ("postgres", True, False, "16.1 (Debian)")


def role_row(name: str, mark: str | None = None) -> tuple[Any, ...]:
    """A row of the roles' query."""
    return (name, mark, True, "", True, [])


def database_row(name: str, oid: int = 16400) -> tuple[Any, ...]:
    """A row of the databases' query: converged, owned by the role of the same name."""
    return (
        name, oid, name, "UTF8", "C", "c", "", True, False, False, True, True
    )  # fmt: skip


def sql_text(statement: object) -> str:
    """A statement as the server would get it."""
    assert isinstance(statement, sql.Composable)
    return statement.as_string(None)


@dataclass
class FakeServer:
    """Counts sessions and round trips; ``hang`` makes the next answers wait for ``release``."""

    roles: list[tuple[Any, ...]] = field(default_factory=list)
    databases: list[tuple[Any, ...]] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    closed: int = 0
    round_trips: list[str] = field(default_factory=list)
    refuse: BaseException | None = None
    connect_seconds: float = 0.0
    answer_seconds: float = 0.0
    strangers: list[int] = field(default_factory=list)
    """How many sessions of former processes each look finds, first to last; then none."""

    async def connect(self, endpoint: Endpoint, login: AdminLogin, dbname: str) -> Session:
        """Open a session, or fail as told."""
        self.opened.append(dbname)
        if self.connect_seconds:
            await asyncio.sleep(self.connect_seconds)
        if self.refuse is not None:
            raise self.refuse
        return cast(Session, FakeSession(self))


@dataclass
class FakeSession:
    """One session of the fake server."""

    server: FakeServer
    usable: bool = True
    version: int = 160001

    async def execute(
        self, statement: object, *, doing: str, field: str = ""
    ) -> list[list[tuple[Any, ...]]]:
        """Answer what the observer asks."""
        self.server.round_trips.append(doing)
        if self.server.answer_seconds:
            await asyncio.sleep(self.server.answer_seconds)
        if "catalogs" in doing:
            asked = re.findall(r"'([^']*)'", sql_text(statement))
            rows = (self.server.roles, self.server.databases)
            by_name = "ANY(ARRAY[" in sql_text(statement)
            kept = [[row for row in each if not by_name or row[0] in asked] for each in rows]
            return [[ADMIN_ROW], *kept]
        if "former" in doing:
            found = self.server.strangers.pop(0) if self.server.strangers else 0
            return [[(True,)] * found]
        if "offers" in doing:
            return [[("pgcrypto", None, None)], [("c", "C")]]
        return [[("plpgsql",)], [("pg_database_owner", True)]]

    def close(self) -> None:
        """Count the end of a session."""
        self.usable = False
        self.server.closed += 1
