"""External names: the documented pattern, cut where the target needs it, distinct when cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hybridpg.app.naming import DATABASE_NAME_LIMIT, database_name, server_name, shorten

DNS_LABEL = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")


def test_a_database_is_called_as_its_object_with_underscores():
    """H6."""
    assert database_name(None, "team", "foo-bar", cluster_id="c") == "foo_bar"


def test_a_name_that_is_asked_for_is_used_as_it_is():
    assert database_name("Foo-Bar", "team", "foo", cluster_id="c") == "Foo-Bar"


def test_a_server_is_called_by_the_documented_pattern():
    name = server_name("pg-{namespace}-{name}", "a", "b-c", limit=63, cluster_id="c")
    assert name == "pg-a-b-c"


def test_a_name_within_the_limit_stays_as_it_is():
    assert shorten("a" * 63, 63, "x") == "a" * 63


def test_two_long_names_that_differ_at_the_end_stay_two():
    """D24, invariant 12: cut names must not be shared."""
    first = database_name(None, "team", "x" * 70 + "1", cluster_id="c")
    second = database_name(None, "team", "x" * 70 + "2", cluster_id="c")
    assert first != second
    assert len(first) == len(second) == DATABASE_NAME_LIMIT


def test_a_cut_name_never_ends_in_a_separator_before_its_hash():
    assert shorten("a" * 51 + "-" * 30, 63, "x").startswith("a" * 51 + "-")
    assert "--" not in shorten("a" * 40 + "-" * 30, 63, "x")


def test_the_same_object_of_two_clusters_gets_two_cut_names():
    names = {
        server_name("{namespace}-{name}", "n" * 50, "m" * 50, limit=63, cluster_id=c) for c in "ab"
    }
    assert len(names) == 2


@given(DNS_LABEL, DNS_LABEL, st.integers(20, 63))
def test_every_name_fits_its_limit_in_bytes(namespace: str, name: str, limit: int):
    made = server_name("{namespace}-{name}", namespace, name, limit=limit, cluster_id="c")
    assert 0 < len(made.encode()) <= limit


@given(st.text(min_size=1, max_size=120))
def test_a_cut_in_the_middle_of_a_character_leaves_valid_text(name: str):
    made = shorten(name, 40, name)
    assert len(made.encode()) <= 40
    made.encode().decode()
