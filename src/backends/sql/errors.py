"""SQLSTATE and psycopg's errors as errors of a backend.

Only the server's primary message is taken over: the rest of a psycopg error quotes the statement,
and with it verifiers. Errors of a connection attempt carry no SQLSTATE (libpq does not hand it
out), so those few are told apart by the server's text; a text that is not known, such as that of
a server with translated messages, leaves the result unknown and never concludes anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors as pg

from ..errors import BackendError, Busy, Denied, Rejected, Unknown

TEXT_LIMIT: Final = 300
"""Characters of a foreign message that are passed on: a sentence, never a dump."""
BUSY_SECONDS: Final = 1.0
"""When to try again what a server refused for load or for somebody else's lock."""

_BUSY_STATES: Final = frozenset(
    {
        "53300",  # too many connections
        "53400",  # configuration limit exceeded
        "55006",  # object in use
        "55P03",  # lock not available
        "40001",  # serialization failure
        "40P01",  # deadlock
        "42710",  # duplicate object: somebody else makes it now
        "42P04",  # duplicate database
        "23505",  # unique violation in a catalog: the same, a moment earlier
    }
)
_REJECTED_CLASSES: Final = ("22", "42", "0A", "2B", "58P01")
_CONNECT_TEXTS: Final = (
    ("refused", r"password authentication failed|is not permitted to log in|no pg_hba.conf entry"),
    ("refused", r"permission denied for database|pg_hba.conf rejects connection"),
    ("refused", r"^role .* does not exist|authentication failed for user"),
    ("absent", r"^database .* does not exist"),
    ("method", r"authentication method requirement"),
    ("busy", r"too many clients|remaining connection slots|too many connections"),
    ("down", r"the database system is"),
)


def connect_failure(error: BaseException) -> str:
    """Return what a failed connection attempt means.

    One of ``refused`` (the login is not accepted), ``absent`` (no such database), ``method``
    (another authentication method is asked for), ``busy``, ``down`` and ``unknown``.
    """
    text = str(error)
    reason = re.split(r"[A-Z]+:  ", text, maxsplit=1)[-1]  # behind the server's severity
    for meaning, pattern in _CONNECT_TEXTS:
        if re.search(pattern, reason):
            return meaning
    return "unknown"


def answered_password(error: BaseException) -> bool:
    """Return whether a server that got a password answered with an error, in whatever language.

    libpq puts the server's severity before the message, and two spaces after that; messages of its
    own have neither.
    """
    if not isinstance(error, psycopg.OperationalError) or error.pgconn is None:
        return False
    asked = error.pgconn.used_password
    return bool(asked and re.search(r"failed: \S+:  ", str(error)))


def connect_error(error: BaseException, where: str) -> BackendError:
    """Translate a failed connection attempt of the admin to ``where``."""
    meaning = connect_failure(error)
    text = f"cannot log in to {where}: {shortened(str(error) or type(error).__name__)}"
    if meaning == "refused":
        return Denied(text)
    if meaning == "method":
        return Denied(f"{text}; store the password of the admin as scram-sha-256")
    if meaning == "busy":
        return Busy(text, retry_after=BUSY_SECONDS)
    return Unknown(text)


def translate(error: psycopg.Error, doing: str, field: str = "") -> BackendError:
    """Translate an error of a statement; ``field`` is the field of the spec that asked for it.

    Without a field nobody's spec is to blame: the thing vanished, or depends on something.
    """
    state = error.sqlstate or ""
    text = f"{doing}: {_primary(error)}"
    if state == "42501":
        return Denied(text)
    if state in _BUSY_STATES or "tuple concurrently" in text:
        return Busy(text, retry_after=BUSY_SECONDS)
    if field and state.startswith(_REJECTED_CLASSES):
        return Rejected(field, text)
    return Unknown(text)


@contextmanager
def translated(doing: str, field: str = "") -> Iterator[None]:
    """Let no error of psycopg or of the network out of the block."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, doing, field) from error
    except (OSError, TimeoutError) as error:
        raise Unknown(f"{doing}: {shortened(str(error) or type(error).__name__)}") from error


def is_duplicate(error: psycopg.Error) -> bool:
    """Return whether the thing to make exists by now."""
    return isinstance(error, (pg.DuplicateObject, pg.DuplicateDatabase, pg.UniqueViolation))


def _primary(error: psycopg.Error) -> str:
    """Return the server's own sentence, with its hint; never the statement."""
    if error.diag.message_primary is None:
        return shortened(str(error).splitlines()[0] if str(error) else type(error).__name__)
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
    return shortened("; ".join(part for part in parts if part))


def shortened(text: str) -> str:
    """Return a foreign message as one line of bounded length."""
    return " ".join(text.split())[:TEXT_LIMIT]
