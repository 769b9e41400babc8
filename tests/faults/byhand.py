"""Statements of the harness itself: one session is kept for them, as to open each costs more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from tests.fix_postgres import SUPERUSER, PgServer

MAINTENANCE = "postgres"


@dataclass
class ByHand:
    """Runs statements as the administrator; in a tenant's database each in a session of its own."""

    pg: PgServer
    _kept: psycopg.Connection[Any] | None = None

    def run(self, statement: str, dbname: str = MAINTENANCE) -> list[Any]:
        """Run statements and return the rows of the last one."""
        if dbname != MAINTENANCE:  # a session that is left open there would keep it from its DROP
            return self.pg.run(statement, dbname)
        kept, self._kept = self._kept, None
        if kept is not None and not _is_broken(kept):
            self._kept = kept
        else:
            password, options = self.pg.password, "-c statement_timeout=0"
            self._kept = self.pg.connect(dbname, SUPERUSER, password, options)
        cursor = self._kept.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """End the session."""
        if self._kept is not None:
            self._kept.close()


def _is_broken(connection: psycopg.Connection[Any]) -> bool:
    """Return whether a session has ended since it was used: a point ends sessions and servers."""
    try:
        connection.execute(b"SELECT 1")
    except psycopg.OperationalError:
        connection.close()
        return True
    return False
