"""One connection to a server: how it is made safe, and what may be done with it.

The peer is verified before a password is used (``verify-full`` against the endpoint's CA, and
``require_auth`` so that a false server cannot ask for it in clear). A session pins everything
that the owner of a database could set for it with ``ALTER DATABASE … SET``. Nothing waits for
ever: libpq's own timeouts do not see a server that accepts and never answers, so each step has a
deadline here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from ..errors import Unknown
from ..fence import Fence, no_fence
from ..values import (
    AdminLogin,
    Credentials,
    Endpoint,
)
from .errors import connect_error, translated

CONNECT_SECONDS: Final = 5
"""A login takes five round trips; even between continents that is under two seconds."""
STATEMENT_SECONDS: Final = 30
"""Longest statement: CREATE DATABASE with its checkpoints on a busy disk takes a few seconds."""
LOCK_SECONDS: Final = 5
"""Longest wait for somebody's lock: then it is tried again later, and the session is free."""
STATEMENT_LIMIT: Final = STATEMENT_SECONDS + 5.0
"""When a statement is given up on this side: later than the server's own timeout."""
SCRAM_ITERATIONS_LIMIT: Final = 100_000
"""Some 0.1 s of hashing, in which nothing else happens; 4096 is the default."""
MAINTENANCE_DATABASE: Final = "postgres"
APPLICATION_NAME: Final = "hybridpg"
_REQUIRE_AUTH_SINCE: Final = 160000
"""libpq that knows ``require_auth`` and ``sslcertmode``."""
_OPTIONS: Final = (
    "search_path=pg_catalog,pg_temp",
    f"statement_timeout={STATEMENT_SECONDS * 1000}",
    f"lock_timeout={LOCK_SECONDS * 1000}",
    f"idle_in_transaction_session_timeout={STATEMENT_SECONDS * 1000}",
    # the owner of a database may set these for it, and they would change what our SQL means
    "role=none",
    "standard_conforming_strings=on",
    "default_transaction_isolation=read\\ committed",
)

_TENANTS_OPTIONS: Final = (
    # in the maintenance database it tells that a provider has stopped all writes
    "default_transaction_read_only=off",
)
"""What the owner of a database may set for it and must not keep us from our work there."""

Statement = LiteralString | sql.Composed | sql.SQL
Row = tuple[Any, ...]
"""A row as psycopg decodes it: the one place where values of any type enter."""


def describe(endpoint: Endpoint) -> str:
    """Name a server in a message."""
    return f"{endpoint.host}:{endpoint.port}"


@contextlib.contextmanager
def _ca_file(pem: str) -> Iterator[str]:
    """Keep a CA in a private file while libpq reads it; empty where there is no CA."""
    if not pem:
        yield ""
        return
    descriptor, path = tempfile.mkstemp(prefix="hybridpg-ca-", suffix=".crt")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(pem)
        yield path
    finally:
        Path(path).unlink()


def parameters(
    endpoint: Endpoint,
    login: AdminLogin | Credentials,
    dbname: str,
    ca_file: str,
    application_name: str = APPLICATION_NAME,
) -> dict[str, Any]:
    """Return libpq's parameters for one connection; ``ca_file`` holds the endpoint's CA."""
    values: dict[str, Any] = {
        "host": endpoint.host,
        "port": endpoint.port,
        "user": login.username,
        "dbname": dbname,
        "connect_timeout": CONNECT_SECONDS,
        "application_name": application_name,
        "client_encoding": "utf8",
        "sslmode": endpoint.sslmode,
        "gssencmode": "disable",
        "target_session_attrs": "any",
        # a login is what we were given, never what lies in a home; libpq complains of a device
        "passfile": f"{os.devnull}/none",
    }
    if endpoint.hostaddr:
        values["hostaddr"] = endpoint.hostaddr
    if ca_file:
        values["sslrootcert"] = ca_file
    elif endpoint.sslmode == "verify-full":
        values["sslrootcert"] = "system"
    certificate = login.certificate if isinstance(login, AdminLogin) else ""
    if isinstance(login, AdminLogin) and certificate:
        values |= {"sslcert": certificate, "sslkey": login.key}
    elif pq.version() >= _REQUIRE_AUTH_SINCE:
        values["sslcertmode"] = "disable"
    if login.password is not None:
        values["password"] = str(login.password)
        if pq.version() >= _REQUIRE_AUTH_SINCE and not certificate:
            values["require_auth"] = "scram-sha-256"
    return values


async def open_connection(
    endpoint: Endpoint,
    login: AdminLogin | Credentials,
    dbname: str,
    options: str = "",
    application_name: str = APPLICATION_NAME,
) -> psycopg.AsyncConnection[Row]:
    """Connect within :data:`CONNECT_SECONDS`; errors are psycopg's own or ``TimeoutError``."""
    with _ca_file(endpoint.ca) as ca_file:
        values = parameters(endpoint, login, dbname, ca_file, application_name)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):  # psycopg's own counts per address
                return await psycopg.AsyncConnection.connect(
                    make_conninfo(**values, options=options),
                    autocommit=True,
                    prepare_threshold=None,
                )
        except (TimeoutError, psycopg.errors.ConnectionTimeout) as error:
            # in the same words, whichever comes first: others would be news, and written each time
            raise TimeoutError(f"no answer within {CONNECT_SECONDS} s") from error


class Session:
    """A session of the admin in one database: statements in, rows out, errors of backends.

    ``fence`` is asked before each statement, and what it raises comes through unchanged.
    Invariant: after an error of the connection it is broken, and the pool drops it.
    """

    def __init__(
        self, connection: psycopg.AsyncConnection[Row], where: str, fence: Fence = no_fence
    ) -> None:
        self._connection = connection
        self._where = where
        self._fence = fence

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        login: AdminLogin,
        dbname: str,
        *,
        fence: Fence = no_fence,
        application_name: str = APPLICATION_NAME,
    ) -> Session:
        """Log in as the admin; raises a ``BackendError``."""
        where = f"{describe(endpoint)} as {login.username}, database {dbname}"
        own = () if dbname == MAINTENANCE_DATABASE else _TENANTS_OPTIONS
        options = " ".join(f"-c {option}" for option in (*_OPTIONS, *own))
        try:
            connection = await open_connection(endpoint, login, dbname, options, application_name)
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise connect_error(error, where) from error
        return cls(connection, where, fence)

    @property
    def version(self) -> int:
        """The server's version as a number: 150004 is 15.4."""
        return self._connection.info.server_version

    @property
    def usable(self) -> bool:
        """Whether the connection is open, idle, and the server has not closed it meanwhile."""
        connection = self._connection
        if connection.closed or connection.info.transaction_status != pq.TransactionStatus.IDLE:
            return False
        poll = select.poll()  # select() cannot see descriptors above 1023
        poll.register(connection.fileno(), select.POLLIN)
        return not poll.poll(0)  # readable: it said goodbye

    async def execute(
        self, statement: Statement, *, doing: str, field: str = ""
    ) -> list[list[Row]]:
        """Run one string of statements, one round trip and one transaction; rows per statement.

        ``doing`` says in an error what was tried, ``field`` which field of the spec asked for it.
        """
        with translated(f"{doing} on {self._where}", field):
            return await self.attempt(statement)

    async def attempt(self, statement: Statement, limit: float | None = None) -> list[list[Row]]:
        """Do as :meth:`execute`, but let psycopg's errors through to a caller that expects some."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._results(statement), name="hybridpg-sql-statement")
        cut = loop.call_later(limit or STATEMENT_LIMIT, self._cut)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            # psycopg would first ask the server to cancel, and wait for a server that is hung
            self._cut()
            await asyncio.wait({task})
            task.exception()
            raise
        finally:
            cut.cancel()
        return task.result()

    def verifier(self, role: Credentials) -> str:
        """Return the SCRAM verifier of a password: the server never sees the password itself.

        Raises ``Unknown`` where the server asks for so many iterations that it would take long.
        """
        asked = self._connection.pgconn.parameter_status(b"scram_iterations")
        if asked and int(asked) > SCRAM_ITERATIONS_LIMIT:
            raise Unknown(
                f"scram_iterations is {int(asked)} on {self._where}: set it to at most "
                f"{SCRAM_ITERATIONS_LIMIT}"
            )
        encrypted = self._connection.pgconn.encrypt_password(
            str(role.password).encode(), role.username.encode(), b"scram-sha-256"
        )
        return encrypted.decode()

    def close(self) -> None:
        """Close the connection; nothing is sent but the goodbye."""
        self._connection.pgconn.finish()

    async def _results(self, statement: Statement) -> list[list[Row]]:
        async with self._connection.cursor() as cursor:
            # here, where nothing is awaited between the question and the send
            self._fence(f"a statement on {self._where}")
            await cursor.execute(statement)
            results: list[list[Row]] = []
            while True:
                results.append(await cursor.fetchall() if cursor.description else [])
                if not cursor.nextset():
                    return results

    def _cut(self) -> None:
        """Make libpq see the end of the stream: the waiting statement fails at once."""
        with (
            contextlib.suppress(psycopg.Error, OSError),  # closed by then: nobody waits
            socket.socket(fileno=os.dup(self._connection.fileno())) as wire,
        ):
            wire.shutdown(socket.SHUT_RDWR)


@contextlib.asynccontextmanager
async def closing(session: Session) -> AsyncIterator[Session]:
    """Close a session that does not go back to a pool."""
    try:
        yield session
    finally:
        session.close()


def statements(parts: Sequence[sql.Composable]) -> sql.Composed:
    """Join statements into one string: they go in one round trip, in one transaction."""
    return sql.SQL("; ").join(parts)
