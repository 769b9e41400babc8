"""Folders of servers: no two names share one, and one controller works on a server at a time."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridpg.backends import Busy
from hybridpg.backends.local.layout import Home, Layout, spelling

NAMES = st.text(
    alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1
)


@given(NAMES, NAMES)
def test_two_names_never_share_a_folder(one: str, other: str) -> None:
    """D53."""
    assert (spelling(one) == spelling(other)) == (one == other)


def test_names_that_are_alike_never_share_a_folder() -> None:
    """D53: case, dots and escapes, which random names rarely meet in."""
    alike = ["".join(each) for size in (1, 2, 3) for each in product("aA./-%~2e", repeat=size)]
    assert len({spelling(name) for name in alike}) == len(alike)


@given(NAMES)
def test_no_name_leaves_the_folder_or_is_hidden(name: str) -> None:
    folder = spelling(name)
    assert "/" not in folder
    assert not folder.startswith((".", "~"))
    assert folder.isascii()


def test_an_ordinary_name_is_spelled_as_it_is() -> None:
    assert spelling("team-orders_1") == "team-orders_1"


def test_the_longest_name_fits_in_a_file_system() -> None:
    assert len(spelling("é" * 31) + "-20260101T000000000000Z") <= 255


def test_names_are_read_back_and_half_made_folders_are_not_among_them(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert layout.names() == []
    for name in ("team-b", "a.b/c", "~"):
        layout.home(name).root.mkdir(parents=True)
    (layout.servers / ".half").mkdir()
    assert sorted(layout.names()) == ["a.b/c", "team-b", "~"]


def test_a_server_is_worked_on_by_one_at_a_time(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.locked(), pytest.raises(Busy, match="another controller works on"), home.locked():
        raise AssertionError("two hold one lock")
    with home.locked():
        assert (tmp_path / ".lock").stat().st_mode & 0o777 == 0o600


def test_a_child_that_is_just_being_started_keeps_no_server_locked(tmp_path: Path) -> None:
    """Between fork and exec it has copies of all handles."""
    home = Home(tmp_path)
    with home.locked():
        handles = {int(each.name): each for each in Path("/proc/self/fd").iterdir()}
        lock = str(tmp_path / ".lock")
        [held] = [
            fd for fd, each in handles.items() if each.exists() and str(each.readlink()) == lock
        ]
        copy = os.dup(held)
    try:
        with home.locked():
            assert (tmp_path / ".lock").exists()
    finally:
        os.close(copy)


def test_the_graves_of_a_server_are_found_and_not_those_of_a_namesake(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.deleted.mkdir()
    mine, other = layout.tombstone("a"), layout.tombstone("a-b")
    for grave in (mine, other, layout.tombstone("ab")):
        grave.mkdir()
    assert layout.tombstones("a") == [mine]
    assert layout.tombstones("a-b") == [other]
