"""The mark that everything of ours carries: what it says, and what is not taken for one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridpg.backends import Owner, Password

OURS = Owner("cluster", "uid", "team", "orders")
words = st.text(st.characters(categories=["L", "N"], include_characters="-."), min_size=1)


@given(words, words, words, words, st.booleans())
def test_a_mark_is_read_back_as_it_was_written(cluster, uid, namespace, name, retained):
    owner = Owner(cluster, uid, namespace, name, retained=retained)

    assert Owner.parse(owner.mark()) == owner


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "hybridpg",
        "hybridpg:",
        "hybridpg:cluster team/orders",
        "hybridpg:cluster/uid",
        "hybridpg:cluster/uid team",
        "hybridpg:cluster/uid team/orders extra",
        "hybridpg:cluster/uid team/orders retained extra",
        "hybridpg:cluster/uid  team/orders",
        "hybridpg:/uid team/orders",
        "hybridpg:cluster/ team/orders",
        "hybridpg:cluster/uid/x team/orders",
        "made by hybridpg:cluster/uid team/orders",
        "HYBRIDPG:cluster/uid team/orders",
    ],
)
def test_what_we_did_not_write_is_no_mark(text):
    assert Owner.parse(text) is None


@given(st.text())
def test_no_text_breaks_the_reading_of_marks(text):
    parsed = Owner.parse(text)

    assert parsed is None or parsed.mark() == text


@pytest.mark.parametrize(
    "other",
    [
        None,
        replace(OURS, uid="another"),
        replace(OURS, cluster_id="another"),
        replace(OURS, retained=True),
    ],
)
def test_another_object_is_not_the_same_owner(other):
    assert not OURS.same(other)


def test_a_renamed_object_is_the_same_owner():
    assert OURS.same(replace(OURS, namespace="other", name="renamed"))


def test_a_password_shows_itself_only_when_asked():
    password = Password("canary")

    assert "canary" not in f"{password!r} {[password]} {(password,)}"
    assert str(password) == "canary"
