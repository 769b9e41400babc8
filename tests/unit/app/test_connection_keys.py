"""The content of a credentials Secret is complete, escaped and usable by libpq."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from hybridpg.app.connection_keys import OUR_KEYS, connection_keys, endpoint_keys, pending_keys
from hybridpg.backends import Credentials, Endpoint, Password

NASTY = Password(r"a:b\c/d?e@f%g h<>+&=")
ENDPOINT = Endpoint("db.example", 5433, ca="PEM", sslmode="verify-full")


def keys(endpoint: Endpoint = ENDPOINT, password: str = NASTY, name: str = "app") -> dict[str, str]:
    return connection_keys(endpoint, Credentials("us er", Password(password)), name, "local")


def test_both_spellings_of_the_host_are_there_and_equal():
    """H7."""
    made = keys()
    assert made["host"] == made["hostname"] == "db.example"


def test_every_documented_key_is_there():
    """H7: what the README and what the code of the predecessor named, and ours."""
    assert set(keys()) == OUR_KEYS - {"next-password"}


def test_libpq_reads_the_uri_as_it_was_meant():
    """H7."""
    read = conninfo_to_dict(keys()["uri"])
    assert read["user"] == "us er"
    assert read["password"] == str(NASTY)
    assert (read["host"], read["port"], read["dbname"]) == ("db.example", "5433", "app")
    assert read["sslmode"] == "verify-full"


def test_an_address_of_ipv6_is_bracketed():
    read = conninfo_to_dict(keys(Endpoint("::1", 5432))["uri"])
    assert read["host"] == "::1"


def test_the_jdbc_uri_escapes_user_and_password():
    uri = urlsplit(keys()["jdbc-uri"].removeprefix("jdbc:"))
    query = parse_qs(uri.query, strict_parsing=True)
    assert query["password"] == [str(NASTY)]
    assert query["user"] == ["us er"]
    assert "+" not in uri.query.split("user=")[1].split("&")[0]


@pytest.mark.parametrize(
    ("password", "field"), [("a:b", r"a\:b"), ("a\\b", r"a\\b"), ("plain", "plain")]
)
def test_the_pgpass_line_escapes_colon_and_backslash(password: str, field: str):
    line = keys(password=password)["pgpass"]
    assert line == f"db.example:5433:app:us er:{field}"


def test_without_an_authority_no_certificate_is_published():
    made = endpoint_keys(Endpoint("h", 1), "postgres", "external")
    assert "ca.crt" not in made
    assert "certificates" not in made


def test_the_endpoint_alone_holds_no_login():
    """The admin login of a shared server never reaches a tenant."""
    made = endpoint_keys(ENDPOINT, "postgres", "external")
    assert not {"username", "user", "password", "uri", "jdbc-uri", "pgpass"} & set(made)


def test_a_pending_secret_holds_the_login_and_no_place():
    made = pending_keys(Credentials("app", Password("secret")), "local")
    assert made["password"] == "secret"
    assert made["username"] == made["user"] == "app"
    assert "host" not in made
