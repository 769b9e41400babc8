"""psycopg's errors as errors of a backend: nothing foreign, no statement and no secret gets out."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors as pg

from hybridpg.backends import BackendError, Busy, Denied, Rejected, Unknown
from hybridpg.backends.sql.errors import (
    TEXT_LIMIT,
    connect_error,
    connect_failure,
    is_duplicate,
    translate,
    translated,
)

WHERE = "db.example:5432 as admin, database postgres"


def failed(text: str) -> psycopg.OperationalError:
    """What psycopg raises when libpq cannot connect."""
    head = 'connection failed: connection to server at "10.0.0.1", port 5432 failed: '
    return psycopg.OperationalError(head + text)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('FATAL:  password authentication failed for user "x"', "refused"),
        ('FATAL:  role "x" is not permitted to log in', "refused"),
        ('FATAL:  role "x" does not exist', "refused"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "x"', "refused"),
        ('FATAL:  pg_hba.conf rejects connection for host "10.0.0.2"', "refused"),
        ('FATAL:  permission denied for database "other"\nDETAIL:  User does not…', "refused"),
        ('FATAL:  certificate authentication failed for user "x"', "refused"),
        ('FATAL:  database "x" does not exist', "absent"),
        ('authentication method requirement "scram-sha-256" failed: server requested', "method"),
        ("FATAL:  sorry, too many clients already", "busy"),
        ("FATAL:  remaining connection slots are reserved for superusers", "busy"),
        ('FATAL:  too many connections for role "x"', "busy"),
        ("FATAL:  the database system is starting up", "down"),
        ("FATAL:  the database system is shutting down", "down"),
        ("Connection refused\n\tIs the server running on that host?", "unknown"),
        ("SSL error: certificate verify failed", "unknown"),
        ("server closed the connection unexpectedly", "unknown"),
        ("FATAL:  Passwort-Authentifizierung für Benutzer »x« fehlgeschlagen", "unknown"),
    ],
)
def test_a_failed_login_is_told_from_a_server_that_does_not_answer(text, meaning):
    """Only a clear refusal is one: a password is never changed because of anything else."""
    assert connect_failure(failed(text)) == meaning


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('FATAL:  password authentication failed for user "admin"', Denied),
        ('authentication method requirement "scram-sha-256" failed: …', Denied),
        ("FATAL:  sorry, too many clients already", Busy),
        ("FATAL:  the database system is starting up", Unknown),
        ('FATAL:  database "gone" does not exist', Unknown),
        ("Connection refused", Unknown),
    ],
)
def test_a_failed_admin_login_names_server_and_login(text, kind):
    error = connect_error(failed(text), WHERE)

    assert type(error) is kind
    assert str(error).startswith(f"cannot log in to {WHERE}: ")


def test_another_authentication_method_comes_with_what_to_do():
    error = connect_error(failed('authentication method requirement "scram-sha-256" failed'), WHERE)

    assert "store the password of the admin as scram-sha-256" in str(error)


def test_a_timeout_without_a_text_is_named_by_its_type():
    assert str(connect_error(TimeoutError(), WHERE)).endswith("TimeoutError")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (pg.InsufficientPrivilege("x"), Denied),
        (pg.TooManyConnections("x"), Busy),
        (pg.ConfigurationLimitExceeded("x"), Busy),
        (pg.ObjectInUse("x"), Busy),
        (pg.LockNotAvailable("x"), Busy),
        (pg.SerializationFailure("x"), Busy),
        (pg.DeadlockDetected("x"), Busy),
        (pg.DuplicateObject("x"), Busy),
        (pg.DuplicateDatabase("x"), Busy),
        (pg.UniqueViolation("x"), Busy),
        (pg.InternalError_("tuple concurrently updated"), Busy),
        (pg.InternalError_("something else"), Unknown),
        (pg.ReadOnlySqlTransaction("x"), Unknown),
        (pg.DiskFull("x"), Unknown),
        (pg.QueryCanceled("x"), Unknown),
        (pg.AdminShutdown("x"), Unknown),
        (pg.CannotConnectNow("x"), Unknown),
        (pg.InvalidParameterValue("x"), Rejected),
        (pg.UndefinedObject("x"), Rejected),
        (pg.FeatureNotSupported("x"), Rejected),
        (pg.DependentObjectsStillExist("x"), Rejected),
        (pg.UndefinedFile("x"), Rejected),
        (pg.IoError("x"), Unknown),
        (psycopg.OperationalError("server closed the connection"), Unknown),
        (psycopg.InterfaceError("the connection is closed"), Unknown),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_every_state_is_one_kind_of_backend_error(error, kind):
    result = translate(error, "cannot do it", "database.charset")

    assert type(result) is kind
    assert "cannot do it" in str(result)


def test_a_rejection_names_the_field_that_asked_for_it():
    error = translate(pg.InvalidParameterValue("x"), "cannot do it", "database.collation")

    assert isinstance(error, Rejected)
    assert error.field == "database.collation"


def test_what_no_field_asked_for_is_not_the_fault_of_the_spec():
    """A role that somebody else drops at the same time is looked at again, not given up."""
    assert type(translate(pg.UndefinedObject("x"), "cannot drop role")) is Unknown


def test_the_statement_never_gets_out():
    """D12: psycopg shows the line of a syntax error, and with it what stood there."""
    error = pg.SyntaxError("syntax error\nLINE 1: ALTER ROLE x PASSWORD 'SCRAM-SHA-256$4096:…'")

    assert "SCRAM" not in str(translate(error, "cannot do it"))


def test_a_long_message_is_cut_and_has_one_line():
    text = str(translate(psycopg.OperationalError("word " * 500), "cannot do it"))

    assert len(text) <= TEXT_LIMIT + len("cannot do it: ")
    assert "\n" not in text


@pytest.mark.parametrize(
    "raised",
    [pg.AdminShutdown("x"), OSError("network is down"), TimeoutError(), psycopg.Error("x")],
)
def test_no_foreign_error_leaves_the_block_and_the_cause_is_kept(raised):
    with pytest.raises(BackendError) as caught, translated("cannot do it"):
        raise raised

    assert caught.value.__cause__ is raised


def test_what_is_no_foreign_error_passes():
    with pytest.raises(Denied), translated("cannot do it"):
        raise Denied("ours")


@pytest.mark.parametrize(
    ("error", "duplicate"),
    [
        (pg.DuplicateObject("x"), True),
        (pg.DuplicateDatabase("x"), True),
        (pg.UniqueViolation("x"), True),
        (pg.InsufficientPrivilege("x"), False),
    ],
)
def test_a_name_that_exists_by_now_is_recognised(error, duplicate):
    assert is_duplicate(error) is duplicate
