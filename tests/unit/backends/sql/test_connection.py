"""How a connection is made safe, seen from the parameters that libpq gets."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from hybridpg.backends import AdminLogin, Credentials, Endpoint, Password
from hybridpg.backends.sql import connection
from hybridpg.backends.sql.connection import _ca_file, describe, open_connection, parameters

ENDPOINT = Endpoint("db.example", 5433, ca="-----BEGIN CERTIFICATE-----\n…")
LOGIN = Credentials("orders", Password("secret"))


def test_the_server_is_verified_before_a_password_is_used():
    """D14."""
    values = parameters(ENDPOINT, LOGIN, "orders", "/ca.crt")

    assert values["sslmode"] == "verify-full"
    assert values["sslrootcert"] == "/ca.crt"
    assert values["gssencmode"] == "disable"


def test_a_false_server_cannot_ask_for_the_password_in_clear():
    assert pq.version() >= 160000, "the bundled libpq knows require_auth"
    assert parameters(ENDPOINT, LOGIN, "orders", "/ca.crt")["require_auth"] == "scram-sha-256"


def test_without_a_ca_the_system_decides_whom_to_trust():
    endpoint = Endpoint("db.example", 5432)

    assert parameters(endpoint, LOGIN, "orders", "")["sslrootcert"] == "system"


def test_a_weaker_mode_is_used_as_the_administrator_wrote_it():
    endpoint = Endpoint("db.example", 5432, sslmode="require")
    values = parameters(endpoint, LOGIN, "orders", "")

    assert values["sslmode"] == "require"
    assert "sslrootcert" not in values


def test_the_address_is_used_beside_the_name_that_is_verified():
    endpoint = Endpoint("db.example", 5432, ca="x", hostaddr="127.0.0.1")
    values = parameters(endpoint, LOGIN, "orders", "/ca.crt")

    assert (values["host"], values["hostaddr"]) == ("db.example", "127.0.0.1")


def test_a_client_certificate_replaces_the_password():
    login = AdminLogin("hybridpg", certificate="/admin.crt", key="/admin.key")
    values = parameters(ENDPOINT, login, "postgres", "/ca.crt")

    assert (values["sslcert"], values["sslkey"]) == ("/admin.crt", "/admin.key")
    assert not {"password", "require_auth", "sslcertmode"} & values.keys()


def test_nothing_of_a_persons_home_is_used():
    """A password file or certificate of whoever runs the controller is not what we were given."""
    values = parameters(ENDPOINT, LOGIN, "orders", "/ca.crt")

    assert not Path(values["passfile"]).exists()
    assert values["sslcertmode"] == "disable"


def test_the_ca_lies_in_a_private_file_and_only_for_a_moment():
    with _ca_file("PEM") as path:
        assert Path(path).read_text() == "PEM"
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600

    assert not Path(path).exists()


def test_the_file_goes_also_when_connecting_fails():
    with pytest.raises(OSError, match="x"), _ca_file("PEM") as path:
        raise OSError("x")

    assert not Path(path).exists()


def test_a_server_is_named_by_host_and_port():
    assert describe(ENDPOINT) == "db.example:5433"


def test_neither_login_nor_endpoint_show_a_password():
    login = AdminLogin("postgres", Password("canary"))

    assert "canary" not in repr(Endpoint("db", 1, admin=login)) + repr(LOGIN) + repr(login)


async def _never(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


async def _too_late(*_: object, **__: object) -> None:
    raise psycopg.errors.ConnectionTimeout("connection timeout expired")


@pytest.mark.parametrize("connect", [_never, _too_late])
async def test_a_server_that_is_silent_is_told_of_in_the_same_words_whoever_counts(
    connect, monkeypatch: pytest.MonkeyPatch
):
    """K1: psycopg and we give up after the same time; other words would be written as news."""
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect)
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.001)

    with pytest.raises(TimeoutError, match=r"^no answer within 0\.001 s$"):
        await open_connection(ENDPOINT, LOGIN, "orders")
