"""Whether a login works: the proof behind ``Ready``, and behind every change of a password."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, Final

import psycopg

from ..errors import Unknown
from ..values import (
    Credentials,
    Endpoint,
    Password,
)
from . import connection
from .connection import Session, describe, open_connection
from .errors import answered_password, connect_failure, shortened

GRACE_SECONDS: Final = 1.0
"""Beyond the deadlines of the login itself: only who is kept from seeing them takes longer."""


_MAY_WRITE: Final = """
SELECT pg_catalog.current_setting('transaction_read_only') = 'on', pg_catalog.pg_is_in_recovery(),
       (SELECT s.source FROM pg_catalog.pg_settings s
        WHERE s.name = 'default_transaction_read_only'
        AND s.source IN ('database', 'user', 'database user'))
"""
"""Whether writes are refused, and whether it is a standby or a role's or database's own setting."""


class LoginResult(Enum):
    """What a login came to; that the server could not be asked is the exception ``Unknown``."""

    PRIMARY = "primary"
    """It is accepted, and the server takes writes."""
    READ_ONLY = "read-only"
    """It is accepted, by a server that takes no writes (a standby, or one whose disk is full)."""
    SET_READ_ONLY = "set-read-only"
    """It is accepted, and somebody set that this role or database takes no writes."""
    REFUSED = "refused"
    """The server refuses it: wrong password, no such role, or no right to connect."""


async def check_login(endpoint: Endpoint, credentials: Credentials, dbname: str) -> LoginResult:
    """Log in as an application would, verify the server, and write nothing.

    Raises ``Unknown`` where the server does not answer, is starting, does not prove who it is, or
    says anything that is not clearly a refusal.
    """
    where = f"login of {credentials.username} to {describe(endpoint)}, database {dbname}"
    name = f"hybridpg {where}"
    if any(thread.name == name for thread in threading.enumerate()):
        raise Unknown(f"{where}: an earlier one has not ended yet")
    login = _in_thread(name, lambda: _log_in(endpoint, credentials, dbname, where))
    try:
        return await asyncio.wait_for(login, 2 * connection.CONNECT_SECONDS + GRACE_SECONDS)
    except TimeoutError as error:
        raise Unknown(
            f"{where}: it takes too long; set the password of the role anew if its verifier asks "
            f"for very many iterations"
        ) from error


async def _log_in(
    endpoint: Endpoint, credentials: Credentials, dbname: str, where: str
) -> LoginResult:
    try:
        opened = await open_connection(endpoint, credentials, dbname)
    except (psycopg.Error, OSError, TimeoutError) as error:
        refused = connect_failure(error) == "refused"
        if refused or await _refused_in_other_words(error, endpoint, credentials, dbname):
            return LoginResult.REFUSED
        raise Unknown(f"{where}: {shortened(str(error) or type(error).__name__)}") from error
    session = Session(opened, where)
    try:
        rows = await session.attempt(_MAY_WRITE, limit=connection.CONNECT_SECONDS)
    except (psycopg.Error, OSError) as error:
        raise Unknown(f"{where}: {type(error).__name__} after the login") from error
    finally:
        session.close()
    read_only, standby, source = rows[-1][0]
    if not read_only:
        return LoginResult.PRIMARY
    return LoginResult.SET_READ_ONLY if source and not standby else LoginResult.READ_ONLY


async def _refused_in_other_words(
    error: BaseException, endpoint: Endpoint, credentials: Credentials, dbname: str
) -> bool:
    """Return whether a server that speaks another language refused the password.

    libpq hands out no SQLSTATE of a login. So it is tried once more with a password that is
    certainly wrong: what is answered to that in the same words is a refusal.
    """
    if connect_failure(error) != "unknown" or not answered_password(error):
        return False
    wrong = Credentials(credentials.username, Password(secrets.token_urlsafe(24)))
    try:
        opened = await open_connection(endpoint, wrong, dbname)
    except (psycopg.Error, OSError, TimeoutError) as other:
        return answered_password(other) and str(other) == str(error)
    await opened.close()
    return False


def _in_thread(
    name: str, make: Callable[[], Coroutine[Any, Any, LoginResult]]
) -> asyncio.Future[LoginResult]:
    """Run a login on an event loop of its own, in a thread that nobody has to wait for.

    In SCRAM the verifier says how often the client has to hash, and the owner of a role may write
    a verifier that asks for two thousand million times: an hour, in which libpq lets nothing else
    happen on its event loop.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[LoginResult] = loop.create_future()

    def settle(result: LoginResult | None, error: BaseException | None) -> None:
        if future.done():
            return  # given up meanwhile
        if result is not None:
            future.set_result(result)
        elif error is not None:
            future.set_exception(error)

    def work() -> None:
        result, problem = None, None
        try:
            result = asyncio.run(make())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            problem = error
        threading.current_thread().name = f"{name} ended"  # before anybody can ask again
        with contextlib.suppress(RuntimeError):  # the loop has ended, and its waiter with it
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future
