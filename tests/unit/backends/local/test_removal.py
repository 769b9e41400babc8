"""How a server's folder leaves its place; there is no process in these tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.backends.local.samples import OWNER, REF

from hybridpg.backends import Conflict, Owner, Policy
from hybridpg.backends.local.claims import prepare
from hybridpg.backends.local.layout import Layout
from hybridpg.backends.local.record import Record, load, save
from hybridpg.backends.local.removal import bury, remove, retain, snapshots_of

STRANGER = replace(REF, owner=Owner("cluster", "uid-2", "team", "orders"))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = prepare(tmp_path / "site")
    home = layout.home(REF.external_name)
    home.data.mkdir(parents=True)
    (home.data / "precious").write_text("data")
    save(home, Record(OWNER.mark(), REF.external_name, 54320, 16))
    return layout


async def test_removing_leaves_nothing(layout: Layout) -> None:
    await remove(layout, REF, Policy.DELETE)
    assert layout.names() == []
    assert layout.tombstones(REF.external_name) == []


async def test_a_folder_without_a_record_is_left_alone(layout: Layout) -> None:
    home = layout.home(REF.external_name)
    home.record.unlink()
    await remove(layout, REF, Policy.DELETE)
    retain(home, REF)
    assert (home.data / "precious").exists()
    assert not home.record.exists()


async def test_a_snapshot_is_the_whole_folder_under_another_name(layout: Layout) -> None:
    await remove(layout, REF, Policy.SNAPSHOT)
    [kept] = snapshots_of(layout, REF)
    assert (kept / "data" / "precious").read_text() == "data"
    assert snapshots_of(layout, STRANGER) == []
    assert layout.names() == []


async def test_a_snapshot_of_a_namesake_is_not_taken_for_ours(layout: Layout) -> None:
    (layout.snapshots / f"{REF.external_name}-old-20260101T000000000000Z").mkdir()
    (layout.snapshots / f"{REF.external_name}-20260101T000000000000Z").mkdir()
    assert snapshots_of(layout, REF) == []


async def _apply(layout: Layout, policy: Policy) -> None:
    if policy is Policy.RETAIN:
        return retain(layout.home(STRANGER.external_name), STRANGER)
    return await remove(layout, STRANGER, policy)


@pytest.mark.parametrize("policy", list(Policy))
async def test_a_strangers_server_stays(layout: Layout, policy: Policy) -> None:
    """Invariant 1: nothing is deleted that the object did not make."""
    home = layout.home(REF.external_name)
    with pytest.raises(Conflict, match="belongs to"):
        await _apply(layout, policy)
    assert (home.data / "precious").read_text() == "data"
    record = load(home)
    assert record is not None
    assert record.parsed_owner() == OWNER


async def test_a_retained_server_is_not_deleted_by_the_object_that_left_it(layout: Layout) -> None:
    home = layout.home(REF.external_name)
    retain(home, REF)
    retain(home, REF)
    record = load(home)
    assert record is not None
    assert record.parsed_owner() == replace(OWNER, retained=True)
    with pytest.raises(Conflict, match="retained"):
        await remove(layout, REF, Policy.DELETE)
    assert (home.data / "precious").exists()


async def test_every_grave_of_a_name_is_emptied(layout: Layout) -> None:
    for _ in range(2):
        grave = layout.tombstone(REF.external_name)
        (grave / "data").mkdir(parents=True)
    other = layout.tombstone("other")
    other.mkdir()
    await bury(layout, REF.external_name)
    assert list(layout.deleted.iterdir()) == [other]
