"""Names of databases and roles, and the comparison of encodings and locales."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridpg.backends import Rejected
from hybridpg.backends.sql.identifiers import (
    NAME_LIMIT,
    check_name,
    encoding_key,
    locale_key,
    same_locale,
)


@pytest.mark.parametrize(
    "name",
    [
        "user",
        "order",
        "select",
        "all",
        "1abc",
        "foo.bar",
        "a-b",
        'a"b',
        "a'; --",
        "ünïcode",
        "x" * 63,
    ],
)
def test_a_name_that_can_be_quoted_is_taken_as_it_is(name):
    """M7, D2."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "postgres",
        "POSTGRES",
        "template0",
        "template1",
        "admin",
        "public",
        "none",
        "pg_monitor",
        "pg_x",
        "rdsadmin",
        "rds_superuser",
        "azure_pg_admin",
        "azuresu",
        "cloudsqlsuperuser",
        "alloydbadmin",
        "hybridpg_left_16405_app",
    ],
)
def test_a_name_of_the_server_itself_is_refused(name):
    """H35, D3."""
    with pytest.raises(Rejected, match="reserved") as caught:
        check_name(name)

    assert caught.value.field == "database.name"


@pytest.mark.parametrize("name", ["pgbench", "pg", "azurite", "my_postgres", "template2", "admins"])
def test_a_name_that_only_looks_like_a_reserved_one_is_taken(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_name_that_postgresql_cannot_hold_is_refused(name):
    with pytest.raises(Rejected, match="empty or holds a NUL"):
        check_name(name)


def test_one_byte_too_many_is_refused_and_never_cut():
    """M7: PostgreSQL would cut it silently, and two objects would share one database."""
    with pytest.raises(Rejected, match="has 64 bytes: choose a name of at most 63"):
        check_name("x" * 64)


def test_the_limit_counts_bytes_and_not_characters():
    assert check_name("ü" * 31)
    with pytest.raises(Rejected, match="has 64 bytes"):
        check_name("ü" * 32)


@given(st.text(min_size=1, max_size=80))
def test_every_name_is_taken_whole_or_refused(name):
    try:
        assert check_name(name) == name
    except Rejected:
        return
    assert len(name.encode()) <= NAME_LIMIT
    assert "\0" not in name


@pytest.mark.parametrize(
    ("one", "other"),
    [("UTF8", "utf-8"), ("UTF8", "Unicode"), ("LATIN1", "ISO 8859-1"), ("SQL_ASCII", "sqlascii")],
)
def test_names_of_one_encoding_are_equal(one, other):
    assert encoding_key(one) == encoding_key(other)


@pytest.mark.parametrize(("one", "other"), [("UTF8", "LATIN1"), ("LATIN1", "LATIN9")])
def test_names_of_two_encodings_differ(one, other):
    assert encoding_key(one) != encoding_key(other)


@pytest.mark.parametrize(
    ("wanted", "present"),
    [
        ("de-DE", "de_DE.utf8"),
        ("de_DE", "de-DE"),
        ("de_DE.UTF-8", "de_DE.utf8"),
        ("C", "C"),
        ("POSIX", "C"),
        ("en_US.UTF-8", "en_US.UTF8"),
        ("de_DE.utf8@euro", "de_DE.utf8@euro"),
    ],
)
def test_loose_forms_of_one_locale_are_the_same(wanted, present):
    """S14: what the predecessor's users write."""
    assert same_locale(wanted, present)


@pytest.mark.parametrize(
    ("wanted", "present"),
    [
        ("de-DE", "de_AT.utf8"),
        ("de_DE.iso88591", "de_DE.utf8"),
        ("de_DE.utf8@euro", "de_DE.utf8"),
        ("C", "en_US.utf8"),
        ("C", "C.utf8"),
        ("C.UTF-8", "POSIX"),
    ],
)
def test_different_locales_are_not_the_same(wanted, present):
    assert not same_locale(wanted, present)


def test_the_key_of_a_locale_separates_territory_and_encoding():
    assert locale_key("de-DE.UTF-8") == ("de_de", "utf8")
    assert locale_key("C") == ("c", "")
