"""Ends what a replaced process may still have on the way to a server.

A process that stood still can have a statement in the network that was sent while it led. When it
arrives, the successor may be long done: a late ``DROP DATABASE`` would meet the database that was
made anew under that name. No fence on our side can catch it any more, but the server can: a
statement ends with the session that it belongs to. So before the first thing that a process writes
on a server, the sessions of all others that work for the same cluster with the same login are
ended there, and nobody writes before they are gone. A session that a replaced process opens after
that is no danger: whoever logs in then asks the fence before each statement.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, Self

from psycopg import sql

from .connection import APPLICATION_NAME, Session

LEAVING_SECONDS: Final = 0.05
"""When to look again whether ended sessions are gone: most are at once, even a busy one soon."""

_OTHERS: Final = sql.SQL("""
SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
WHERE a.usename = CURRENT_USER AND a.application_name <> {own}
AND pg_catalog.starts_with(a.application_name, {family})
""")
"""Only sessions of the same login: to end those of others may not be allowed, and only their names
could be forged by a tenant."""


@dataclass(frozen=True, slots=True)
class Succession:
    """The names of sessions: of all that work for a cluster, and of those of one process.

    PostgreSQL keeps 63 bytes of a name, and cuts what is longer.
    """

    family: str
    own: str

    @classmethod
    def of(cls, cluster_id: str) -> Self:
        """Return new names for a process that works for a cluster."""
        family = f"{APPLICATION_NAME} {hashlib.sha256(cluster_id.encode()).hexdigest()[:16]} "
        return cls(family, family + secrets.token_hex(8))

    async def end_others(self, session: Session) -> int:
        """End the sessions of other processes; return how many there were."""
        statement = _OTHERS.format(own=sql.Literal(self.own), family=sql.Literal(self.family))
        rows = await session.execute(statement, doing="cannot end the sessions of a former process")
        return len(rows[0])
