"""What statements are called: the same in every run, and different where the work is."""

from __future__ import annotations

import pytest
from psycopg import sql
from tests.faults.sqlnames import Named, named


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", Named("SELECT", "SELECT", writes=False, destroys=False)),
        ("SHOW server_version", Named("SHOW", "SHOW server_version", writes=False, destroys=False)),
        (
            "select x from pg_catalog.pg_roles r join pg_database d on true",
            Named("SELECT", "SELECT pg_database pg_roles", writes=False, destroys=False),
        ),
        (
            'DROP DATABASE IF EXISTS "a;b" WITH (FORCE)',
            Named("DROP", "DROP DATABASE IF EXISTS _ WITH (FORCE)", writes=True, destroys=True),
        ),
        (
            "COMMENT ON ROLE \"x\" IS 'it''s; DROP ROLE y'",
            Named("COMMENT", "COMMENT ON ROLE _ IS _", writes=True, destroys=False),
        ),
        ("", Named("EMPTY", "", writes=False, destroys=False)),
        (" ; ;", Named("EMPTY", "", writes=False, destroys=False)),
    ],
)
def test_a_statement_keeps_its_words_and_loses_its_names(text, expected):
    assert named(text) == expected


@pytest.mark.parametrize(
    "literal",
    [
        *("'plain'", "'it''s'", "E'it\\'s; DROP'", "e'\\\\'", "'line\nline'", "$$a;b$$"),
        *("$tag$ $$ ; $tag$", '"Name; x"', '"with""quote"', "$1", "42", "4.2"),
    ],
)
def test_whatever_a_value_holds_it_is_one_placeholder(literal):
    assert named(f"ALTER ROLE {literal} LOGIN").words == "ALTER ROLE _ LOGIN"


@pytest.mark.parametrize(
    "name", ["a", 'quo"te', "semi;colon", "back\\slash", "dollar$$", "ü", "--x"]
)
def test_no_name_and_no_literal_that_psycopg_writes_changes_what_it_is_called(name):
    text = sql.SQL("GRANT {} TO {}; COMMENT ON ROLE {} IS {}").format(
        *[sql.Identifier(name)] * 3, sql.Literal(name)
    )
    expected = "GRANT _ TO _; COMMENT ON ROLE _ IS _"
    assert named(text.as_string(None)).words == expected


def test_several_statements_are_named_by_those_that_write():
    name = named("SELECT 1 FROM pg_roles; CREATE ROLE x; CREATE ROLE y; GRANT x TO y")
    assert name.verb == "CREATE+GRANT"
    assert name.words == "SELECT pg_roles; CREATE ROLE x; CREATE ROLE y; GRANT x TO y"
    assert name.writes
    assert not name.destroys


def test_a_list_of_values_is_called_the_same_however_long_it_is():
    short = named("SELECT count(*) FROM a WHERE x = ANY(ARRAY['b'])")
    assert named("SELECT count(*) FROM a WHERE x = ANY(ARRAY['b', 'c', 'd'])") == short
    one = named('GRANT CONNECT ON DATABASE "a" TO "b"')
    assert named('GRANT CONNECT ON DATABASE "a" TO "b", "c"') == one
    assert one.words == "GRANT CONNECT ON DATABASE _ TO _"


@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_reload_conf"])
def test_a_function_that_acts_makes_a_look_a_write(function):
    name = named(f"SELECT pg_catalog.{function}(pid) FROM pg_stat_activity WHERE usename = 'x'")
    assert (name.verb, name.writes) == ("SELECT", True)
    assert function in name.words


@pytest.mark.parametrize("text", ["SELECT 1 -- ; DROP ROLE x", "SELECT /* DROP\nROLE x; */ 1"])
def test_comments_say_nothing(text):
    assert named(text) == named("SELECT 1")


@pytest.mark.parametrize(
    "text", ["UPDATE pg_authid SET rolsuper = true", "DO $$ BEGIN END $$", "VACUUM", "perhaps x"]
)
def test_what_is_not_known_to_read_is_held_to_write(text):
    assert named(text).writes
