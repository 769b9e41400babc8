"""The state file of FakeCluster: what was answered is in it, whatever happens after."""

import stat

import pytest

from hybridpg.controller import SECRETS, AlreadyExists, Client, NotFound, ObjectKey
from hybridpg.controller.testing import FakeCluster, persistence

KEY = ObjectKey("default", "login")


def secret(value="c2VjcmV0"):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": KEY.name},
        "data": {"password": value},
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "cluster.json"


async def create(path, obj=None):
    """A cluster in which one Secret was created; it is never closed, as after a kill."""
    cluster = FakeCluster.load(path)
    await Client(cluster).create(SECRETS, obj or secret(), namespace=KEY.namespace)
    return cluster


async def test_what_was_answered_is_found_by_the_next_process_without_any_farewell(path):
    await create(path)

    found = await Client(FakeCluster.load(path)).get(SECRETS, KEY)

    assert found["data"] == {"password": "c2VjcmV0"}


async def test_identity_and_version_survive(path):
    before = await Client(await create(path)).get(SECRETS, KEY)

    after = await Client(FakeCluster.load(path)).get(SECRETS, KEY)

    assert after["metadata"] == before["metadata"]


async def test_the_last_change_of_an_object_counts(path):
    client = Client(await create(path))
    obj = await client.get(SECRETS, KEY)
    await client.update(SECRETS, KEY, {**obj, "data": {"password": "bmV3"}})

    found = await Client(FakeCluster.load(path)).get(SECRETS, KEY)

    assert found["data"] == {"password": "bmV3"}


async def test_what_was_deleted_stays_deleted(path):
    await Client(await create(path)).delete(SECRETS, KEY)

    with pytest.raises(NotFound):
        await Client(FakeCluster.load(path)).get(SECRETS, KEY)


async def test_versions_go_on_after_a_deletion_was_the_last_change(path):
    cluster = await create(path)
    await Client(cluster).delete(SECRETS, KEY)

    assert FakeCluster.load(path).resource_version == cluster.resource_version


async def test_a_line_that_a_crash_cut_off_is_as_if_it_was_never_asked_for(path):
    await create(path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:40])

    cluster = FakeCluster.load(path)

    with pytest.raises(AlreadyExists):
        await Client(cluster).create(SECRETS, secret(), namespace=KEY.namespace)


async def test_after_a_cut_line_the_file_is_whole_again(path):
    await create(path)
    path.write_bytes(path.read_bytes() + b'{"version": 99')

    FakeCluster.load(path)

    assert persistence.read(path) is not None
    assert b'"version": 99' not in path.read_bytes()


async def test_a_start_writes_one_line_for_each_object(path):
    client = Client(await create(path))
    for number in range(20):
        obj = await client.get(SECRETS, KEY)
        await client.update(SECRETS, KEY, {**obj, "data": {"password": f"{number:04d}"}})
    grown = len(path.read_bytes().splitlines())

    FakeCluster.load(path)

    assert len(path.read_bytes().splitlines()) == grown - 20


async def test_a_long_run_does_not_grow_the_file_for_ever(path, monkeypatch):
    monkeypatch.setattr(persistence, "SNAPSHOT_AFTER", 5)
    client = Client(await create(path))
    for number in range(50):
        obj = await client.get(SECRETS, KEY)
        await client.update(SECRETS, KEY, {**obj, "data": {"password": f"{number:04d}"}})

    assert len(path.read_bytes().splitlines()) < 20
    found = await Client(FakeCluster.load(path)).get(SECRETS, KEY)
    assert found["data"] == {"password": "0049"}


async def test_nobody_but_the_owner_can_read_it(path):
    await create(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_watch_from_before_the_restart_expires(path):
    cluster = await create(path)
    before = str(int(cluster.resource_version) - 1)

    again = FakeCluster.load(path)

    lines = [
        line
        async for batch in Client(again).watch(SECRETS, resource_version=before, timeout_seconds=1)
        for line in batch
    ]
    assert b"410" in lines[0]


async def test_a_closed_cluster_keeps_its_file(path):
    cluster = await create(path)
    await cluster.close()
    await cluster.close()

    assert (await Client(FakeCluster.load(path)).get(SECRETS, KEY))["data"]


def test_without_a_file_there_is_nothing_to_read(path):
    assert persistence.read(path) is None
