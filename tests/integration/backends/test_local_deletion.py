"""How servers of the backend ``local`` go, and what stays of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fix_local import LocalHarness, server_case

from hybridpg.backends import Absent, Conflict, Done, Pending, Policy, Present, Unknown
from hybridpg.backends.local.process import working_below
from hybridpg.backends.local.removal import snapshots_of

pytestmark = pytest.mark.postgres


def _everything_of(local: LocalHarness) -> list[Path]:
    site = local.site.path / "site"
    return [*site.glob("servers/*"), *site.glob("deleted/*"), *site.glob("snapshots/*")]


async def test_delete_removes_data_and_process_and_never_waits(local: LocalHarness) -> None:
    case = server_case()
    await local.converge(case)
    observed = await local.backend.observe_server(case.ref)
    first = await local.backend.delete_server(case.ref, observed, Policy.DELETE)
    assert isinstance(first, Pending)
    assert await local.delete(case, Policy.DELETE) == ()
    assert _everything_of(local) == []
    assert working_below(local.site.path) == []
    assert await local.backend.observe_server(case.ref) == Absent()


async def test_retain_keeps_the_server_running_and_names_the_folder(local: LocalHarness) -> None:
    case = server_case()
    await local.converge(case)
    pid = local.site.pid(case)
    for _ in range(2):
        [note] = await local.delete(case, Policy.RETAIN)
        assert str(local.site.home(case)) in note
    assert local.site.pid(case) == pid
    observed = await local.backend.observe_server(case.ref)
    with pytest.raises(Conflict, match="the deleted object team/"):
        local.backend.plan_server(case.ref, case.spec, observed)


async def test_a_snapshot_keeps_data_and_mark_and_is_not_taken_twice(local: LocalHarness) -> None:
    case = server_case()
    await local.converge(case)
    [note] = await local.delete(case, Policy.SNAPSHOT)
    [snapshot] = snapshots_of((await local.own._open()).layout, case.ref)
    assert str(snapshot) in note
    assert (snapshot / "data" / "PG_VERSION").exists()
    assert not (snapshot / "data" / "postmaster.pid").exists(), "it was shut down cleanly"
    assert case.ref.owner.uid in json.loads((snapshot / "server.json").read_text())["owner"]
    assert await local.delete(case, Policy.SNAPSHOT) == (note,)
    assert await local.backend.observe_server(case.ref) == Absent()
    assert working_below(local.site.path) == []


async def test_a_deletion_overtakes_a_creation(local: LocalHarness) -> None:
    case = server_case()
    changes = local.backend.plan_server(case.ref, case.spec, Absent())
    await local.backend.create_or_update_server(case.ref, changes, case.admin)
    while not isinstance(await local.backend.observe_server(case.ref), Present):
        await local.settle(0.01)
    await local.delete(case, Policy.DELETE)
    assert _everything_of(local) == []
    assert working_below(local.site.path) == []


async def test_what_a_crash_left_of_a_deletion_is_removed(local: LocalHarness) -> None:
    """D36."""
    case = server_case()
    await local.converge(case)
    layout = (await local.own._open()).layout
    grave = layout.tombstone(case.ref.external_name)
    await local.kill(case)
    local.site.home(case).rename(grave)
    again = local.site.backend()
    assert isinstance(await again.delete_server(case.ref, Absent(), Policy.DELETE), Pending)
    local.backend = again
    await local.delete(case, Policy.DELETE)
    assert not grave.exists()
    done = await again.delete_server(case.ref, Absent(), Policy.DELETE)
    assert done == Done()


async def test_data_without_a_record_is_neither_absent_nor_deleted(local: LocalHarness) -> None:
    """D29."""
    case = server_case()
    await local.converge(case)
    (local.site.home(case) / "server.json").unlink()
    with pytest.raises(Unknown, match=r"no server\.json"):
        await local.backend.observe_server(case.ref)
    with pytest.raises(Unknown, match="restore or remove it"):
        await local.backend.delete_server(case.ref, Absent(), Policy.DELETE)
    assert (local.site.home(case) / "data" / "PG_VERSION").exists()


async def test_a_folder_that_is_not_mounted_is_not_a_server_that_is_gone(
    local: LocalHarness,
) -> None:
    """Its object would be let go as deleted, or be given an empty server."""
    case = server_case()
    await local.converge(case)
    observed = await local.backend.observe_server(case.ref)
    assert isinstance(observed, Present)
    ref = replace(case.ref, recorded=observed.state.effective)
    await local.own.close()
    local.site.stop()  # the machine went down
    folder = local.site.path / "site"
    away = folder.rename(local.site.path / "away")
    folder.mkdir(mode=0o755)
    again = local.site.backend()
    with pytest.raises(Unknown, match="is the folder mounted"):
        await again.observe_server(ref)
    with pytest.raises(Unknown, match="is the folder mounted"):
        await again.delete_server(ref, Absent(), Policy.DELETE)
    shutil.rmtree(folder)
    away.rename(folder)
    local.backend = again
    await local.converge(case)
    assert await local.delete(case, Policy.DELETE) == ()
    await again.close()
