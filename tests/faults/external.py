"""The lane of the backend ``external``: a PostgreSQL server that is there, and its wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg
from tests.faults import snapshot
from tests.faults.actions import DATABASE, EXTERNAL, PAIR
from tests.faults.byhand import ByHand
from tests.faults.lane import SENTINEL, Lane
from tests.faults.seam import Seam
from tests.faults.wire import Target, WireSeam
from tests.faults.workloads import Workload
from tests.fix_postgres import SUPERUSER, PgServer

from hybridpg.controller import SECRETS

AS_INSTALLED = "GRANT CONNECT, TEMPORARY ON DATABASE postgres, template1 TO PUBLIC"
"""What the first look at a server takes away, in every run that begins with nothing."""


@dataclass(kw_only=True)
class ExternalLane(Lane):
    """Works on a server of its own, through a seam before it."""

    backend: ClassVar[str] = EXTERNAL
    pg: PgServer

    async def open(self) -> Sequence[Seam]:
        """Listen before the server, and publish its administrator."""
        self._by_hand = ByHand(self.pg)
        self._stack.callback(self._by_hand.close)
        self.wire = await self._stack.enter_async_context(
            WireSeam(self.trace, {DATABASE: DATABASE})
        )
        tls = self.pg.folder
        self.port = await self.wire.listen(
            Target("127.0.0.1", self.pg.port, tls / "server.crt", tls / "server.key")
        )
        # a DROP DATABASE waits for whoever is in the middle of a login, such as a leader that
        # stands still: by default for a minute (seen with PostgreSQL 15)
        self.sql.run("ALTER SYSTEM SET authentication_timeout = '6s'")
        self.sql.run("SELECT pg_reload_conf()")
        await self._write_admin()
        return (self.wire,)

    @property
    def names(self) -> dict[str, str]:
        """What is called otherwise in each lane, and its alias."""
        return {
            self.namespace: "tenant",
            self.platform: "platform",
            str(self.port): "5432",
            self.pg.ca.strip().replace("\n", "\\n"): "<authority>",
        }

    @property
    def sql(self) -> ByHand:
        """Who looks at the databases, past the seams."""
        return self._by_hand

    @property
    def secrets(self) -> set[str]:
        """The administrator's password."""
        return {self.pg.password}

    async def sampled(self) -> psycopg.AsyncConnection[Any]:
        """Connect as the superuser."""
        return await psycopg.AsyncConnection.connect(
            host="127.0.0.1",
            port=self.pg.port,
            dbname="postgres",
            user=SUPERUSER,
            password=self.pg.password,
            sslmode="require",
            application_name="sampler",
            autocommit=True,
        )

    def backends(self) -> dict[str, Any]:
        """Return the configuration of the backends."""
        main = {"secret": f"{self.platform}/admin", "allowed_namespaces": [self.namespace]}
        return {"backend": "external", "backends": {"external": {"servers": {"main": main}}}}

    def begin_with(self, workload: Workload) -> None:
        """Leave a row in the database, or make the server what it was when it was new."""
        if workload.setting == PAIR:
            self.sql.run(SENTINEL, DATABASE)
        else:
            self.sql.run(AS_INSTALLED)

    def world(self) -> snapshot.Snapshot:
        """Return databases, roles and what lies in them."""
        return snapshot.of_postgres(self.sql, self.names)

    def wipe(self) -> None:
        """Empty the server."""
        for name, *_ in self.sql.run("SELECT datname FROM pg_database WHERE oid >= 16384"):
            self.sql.run(f'DROP DATABASE "{name}" WITH (FORCE)')
        self.sql.run(AS_INSTALLED)
        roles = "SELECT rolname FROM pg_authid WHERE oid >= 16384 AND rolname <> 'cloudadmin'"
        for name, *_ in self.sql.run(roles):
            self.sql.run(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')

    async def _write_admin(self) -> None:
        values = {"username": "postgres", "password": self.pg.password, "ca.crt": self.pg.ca}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "admin", "namespace": self.platform},
            "stringData": {**values, "host": "127.0.0.1", "port": str(self.port)},
        }
        await self.client.create(SECRETS, body, namespace=self.platform)


def wire_of(lane: Lane) -> WireSeam:
    """Return the seam before PostgreSQL, which only a lane of this kind has."""
    assert isinstance(lane, ExternalLane), f"{type(lane).__name__} has no such seam"
    return lane.wire
