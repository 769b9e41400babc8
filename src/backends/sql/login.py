"""Whether a login works: the proof behind ``Ready``, and behind every change of a password."""

from __future__ import annotations

from enum import Enum

import psycopg

from ..errors import Unknown
from ..protocol import Credentials, Endpoint
from .connection import CONNECT_SECONDS, Session, describe, open_connection
from .errors import connect_failure


class LoginResult(Enum):
    """What a login came to; that the server could not be asked is the exception ``Unknown``."""

    PRIMARY = "primary"
    """It is accepted, and the server takes writes."""
    READ_ONLY = "read-only"
    """It is accepted, by a server that takes no writes (a standby, or one whose disk is full)."""
    REFUSED = "refused"
    """The server refuses it: wrong password, no such role, or no right to connect."""


async def check_login(endpoint: Endpoint, credentials: Credentials, dbname: str) -> LoginResult:
    """Log in as an application would, verify the server, and write nothing.

    Raises ``Unknown`` where the server does not answer, is starting, does not prove who it is, or
    says anything that is not clearly a refusal.
    """
    where = f"login of {credentials.username} to {describe(endpoint)}, database {dbname}"
    try:
        connection = await open_connection(endpoint, credentials, dbname)
    except (psycopg.Error, OSError, TimeoutError) as error:
        if connect_failure(error) == "refused":
            return LoginResult.REFUSED
        raise Unknown(f"{where}: {str(error) or type(error).__name__}") from error
    session = Session(connection, where)
    try:
        rows = await session.attempt("SHOW transaction_read_only", limit=CONNECT_SECONDS)
    except (psycopg.Error, OSError) as error:
        raise Unknown(f"{where}: {type(error).__name__} after the login") from error
    finally:
        session.close()
    return LoginResult.READ_ONLY if rows[-1] == [("on",)] else LoginResult.PRIMARY
