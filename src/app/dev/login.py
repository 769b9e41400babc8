"""Logging in with a published Secret, as an application would."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from ...controller import SECRETS, Client, NotFound, ObjectKey
from ..kinds import DATABASES
from .steps import StepFailed

CONNECT_TIMEOUT: Final = 10
"""Seconds; the server is on this machine."""
LOGIN_TIMEOUT: Final = 180.0
"""Seconds; longer than the wait for Ready, whose failure says more."""
POLL_INTERVAL: Final = 0.2
NEEDED: Final = frozenset({"host", "port", "dbname", "username", "password", "sslmode"})
_PROBE: Final = "hybridpg_dev_check"


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """What an application reads from the Secret of that name."""

    secret: str
    host: str
    port: str
    dbname: str
    user: str
    password: str
    sslmode: str
    ca: str


async def read_login(client: Client, database: ObjectKey) -> Login:
    """Read the credentials Secret of a database."""
    found = await client.get(DATABASES, database)
    name = ObjectKey(database.namespace, found["spec"]["credentialsSecret"])
    data = {
        key: base64.b64decode(value).decode()
        for key, value in ((await client.get(SECRETS, name)).get("data") or {}).items()
    }
    if missing := sorted(NEEDED - data.keys()):
        raise StepFailed(f"secret {name} has no {', '.join(missing)} yet")
    return Login(
        secret=name.name,
        host=data["host"],
        port=data["port"],
        dbname=data["dbname"],
        user=data["username"],
        password=data["password"],
        sslmode=data["sslmode"],
        ca=data.get("ca.crt", ""),
    )


async def wait_login(
    client: Client, database: ObjectKey, certificate: Path, ready: Callable[[], Awaitable[None]]
) -> Login:
    """Log in with the Secret until that works; return what it holds, its authority in a file.

    Right after a start the objects may still say Ready from the last run, whose servers are gone:
    so whenever the login fails, ``ready`` is waited for again.
    """
    failure = "no answer"
    try:
        async with asyncio.timeout(LOGIN_TIMEOUT):
            while True:
                await ready()
                try:
                    login = await read_login(client, database)
                    await asyncio.to_thread(certificate.write_text, login.ca)
                    await (await _connect(login, certificate)).close()
                except (NotFound, StepFailed, psycopg.OperationalError) as error:
                    failure = str(error)
                    await asyncio.sleep(POLL_INTERVAL)
                else:
                    return login
    except TimeoutError as error:
        raise StepFailed(f"the login of {database} does not work: {failure}") from error


async def create_and_drop_table(login: Login, certificate: Path) -> None:
    """Log in, create a table, write and read a row, and drop the table again."""
    try:
        async with await _connect(login, certificate) as connection:
            await connection.execute(f"CREATE TABLE {_PROBE} (value integer)")
            await connection.execute(f"INSERT INTO {_PROBE} VALUES (1)")  # noqa: S608
            row = await (await connection.execute(f"SELECT value FROM {_PROBE}")).fetchone()  # noqa: S608
            await connection.execute(f"DROP TABLE {_PROBE}")
    except psycopg.Error as error:
        raise StepFailed(f"the login of the Secret does not work: {error}") from error
    if row != (1,):
        raise StepFailed(f"the table returned {row} instead of what was written")


async def _connect(login: Login, certificate: Path) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        host=login.host,
        port=int(login.port),
        dbname=login.dbname,
        user=login.user,
        password=login.password,
        sslmode=login.sslmode,
        sslrootcert=str(certificate),
        connect_timeout=CONNECT_TIMEOUT,
        autocommit=True,
    )
