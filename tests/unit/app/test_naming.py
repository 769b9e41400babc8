"""External names: the documented pattern, cut where the target needs it, distinct when cut."""

from __future__ import annotations

from random import Random

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


def label(random: Random) -> str:
    """Return a name that Kubernetes takes, with many dashes, as they make collisions."""
    size = random.choice((1, 2, 3, 30, 31, 62, 63))
    middle = "".join(random.choice("ab-") for _ in range(size - 2))
    return f"{random.choice('ab')}{middle}{random.choice('ab')}"[:size].rstrip("-")


def test_of_a_million_pairs_only_those_share_a_name_whose_pattern_says_the_same():
    """Invariant 11: cut names are distinct; of the others the pattern is documented, and the
    second claimant gets a Conflict."""
    random = Random(11)
    objects = {(random.choice("xyz"), label(random), label(random)) for _ in range(4_000)}
    for cluster, namespace, name in tuple(objects):  # the same text, split at another dash
        text = f"{namespace}-{name}"
        cuts = [at for at, sign in enumerate(text) if sign == "-" and 0 < at < len(text) - 1]
        at = random.choice(cuts)
        objects.add((cluster, text[:at].strip("-"), text[at:].strip("-")))
    named: dict[str, set[str]] = {}
    for cluster, namespace, name in objects:
        made = server_name("{namespace}-{name}", namespace, name, limit=63, cluster_id=cluster)
        text = f"{namespace}-{name}"
        whole = text if len(text) <= 63 else f"{cluster}/{namespace}/{name}"
        named.setdefault(made, set()).add(whole)

    pairs = len(objects) * (len(objects) - 1) // 2
    assert pairs > 1_000_000
    assert [made for made, texts in named.items() if len(texts) > 1] == []
    assert len(named) < len(objects), "some patterns do say the same"
