"""The versioned store: one counter, past moments, compaction; and the journal on disk."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from tests.unit.controller.testing.conftest import SECRETS, Api

from hybridpg.controller.testing import FakeCluster
from hybridpg.controller.testing import _storage as storages
from hybridpg.controller.testing import persistence as journals
from hybridpg.controller.testing._storage import Storage
from hybridpg.controller.types import JsonObject, ObjectKey

pytestmark = pytest.mark.virtual_time
THINGS = ("example.com", "things")
OTHERS = ("", "secrets")
A, B = ObjectKey("default", "a"), ObjectKey("default", "b")


def named(key: ObjectKey, **fields: object) -> JsonObject:
    return {"metadata": {"name": key.name, "uid": key.name}, **fields}


@pytest.fixture
def storage() -> Storage:
    """Versions: 1 adds a, 2 adds b, 3 changes a, 4 adds a Secret, 5 removes b."""
    storage = Storage()
    storage.put(THINGS, A, named(A, x=1))
    last = storage.put(THINGS, B, named(B))
    storage.put(THINGS, A, named(A, x=2))
    storage.put(OTHERS, A, named(A))
    storage.remove(THINGS, B, last)
    return storage


def test_every_write_takes_the_next_version_and_shows_it(storage: Storage):
    assert [change.version for change in storage.log] == [1, 2, 3, 4, 5]
    assert [change.obj["metadata"]["resourceVersion"] for change in storage.log] == list("12345")
    assert [change.type for change in storage.log] == [
        "ADDED",
        "ADDED",
        "MODIFIED",
        "ADDED",
        "DELETED",
    ]


@pytest.mark.parametrize(
    ("version", "there"),
    [
        (0, {}),
        (1, {"a": 1}),
        (2, {"a": 1, "b": None}),
        (3, {"a": 2, "b": None}),
        (4, {"a": 2, "b": None}),
        (5, {"a": 2}),
    ],
)
def test_the_past_is_shown_as_it_was(storage: Storage, version: int, there: JsonObject):
    assert {key.name: obj.get("x") for key, obj in storage.at(THINGS, version)} == there


def test_stored_objects_are_never_changed_in_place(storage: Storage):
    before = storage.get(THINGS, A)
    storage.put(THINGS, A, named(A, x=3))
    assert before is not None
    assert (before["x"], before["metadata"]["resourceVersion"]) == (2, "3")


def test_compaction_forgets_up_to_a_version_and_never_remembers(storage: Storage):
    storage.compact(3)
    assert [change.version for change in storage.since(0)] == [4, 5]
    storage.compact(1)
    assert storage.compacted == 3
    storage.compact()
    assert (storage.compacted, storage.log) == (5, [])


def test_a_log_that_has_grown_forgets_its_older_half(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(storages, "LOG_LIMIT", 10)
    storage = Storage()
    for n in range(11):
        storage.put(THINGS, A, named(A, x=n))
    assert [change.version for change in storage.log] == [7, 8, 9, 10, 11]
    assert storage.compacted == 6


def test_a_copy_shares_nothing():
    original: JsonObject = {"a": {"b": [1]}}
    copied = storages.copy(original)
    copied["a"]["b"].append(2)
    assert original == {"a": {"b": [1]}}


async def test_a_subscription_closed_twice_is_closed(storage: Storage):
    subscription = storage.subscribe()
    storage.put(THINGS, B, named(B))
    assert [change.key for change in await subscription.take(1)] == [B]
    subscription.close()
    subscription.close()
    storage.put(THINGS, B, named(B, x=1))
    assert await subscription.take(1) == []


async def filled(path: Path, count: int) -> None:
    cluster = FakeCluster.load(path)
    for n in range(count):
        await Api(cluster).secret(f"s{n}")
    await cluster.close()


async def secrets(path: Path) -> list[str]:
    cluster = FakeCluster.load(path)
    _, answer = await Api(cluster)("GET", SECRETS)
    await cluster.close()
    return [item["metadata"]["name"] for item in answer["items"]]


@pytest.mark.parametrize("cut", [1, 20])
async def test_a_last_line_that_was_cut_off_does_not_count(tmp_path: Path, cut: int):
    path = tmp_path / "state"
    await filled(path, 3)
    path.write_bytes(path.read_bytes()[:-cut])
    assert await secrets(path) == ["s0", "s1"]
    # what is written after it stands on a line of its own
    cluster = FakeCluster.load(path)
    await Api(cluster).secret("later")
    await cluster.close()
    assert await secrets(path) == ["later", "s0", "s1"]


async def test_a_line_broken_in_the_middle_is_no_silent_loss(tmp_path: Path):
    path = tmp_path / "state"
    await filled(path, 3)
    lines = path.read_bytes().split(b"\n")
    lines[-3] = lines[-3][:20]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(msgspec.DecodeError):
        FakeCluster.load(path)


async def test_a_journal_that_has_grown_is_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journals, "SNAPSHOT_AFTER", 5)
    path = tmp_path / "state"
    cluster = FakeCluster.load(path)
    api = Api(cluster)
    await api.secret("a")
    for n in range(7):
        body = {"metadata": {"labels": {"n": str(n)}}}
        await api("PATCH", f"{SECRETS}/a", body, kind="application/merge-patch+json")
    lines = path.read_bytes().splitlines()
    # four namespaces and the Secret, as of the fifth change, and what came after
    assert len(lines) == 5 + 3
    await cluster.close()
    again = FakeCluster.load(path)
    _, found = await Api(again)("GET", f"{SECRETS}/a")
    assert found["metadata"]["labels"] == {"n": "6"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]
    await again.close()


async def test_a_journal_writes_on_where_the_kernel_takes_little_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, write = tmp_path / "state", os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, bytes(data[:7])))
    await filled(path, 2)
    assert await secrets(path) == ["s0", "s1"]


async def test_a_kill_between_any_two_writes_loses_nothing_that_was_answered(tmp_path: Path):
    path = tmp_path / "state"
    cluster = FakeCluster.load(path)
    api = Api(cluster)
    images = []
    for n in range(4):
        await api.secret(f"s{n}")
        images.append(path.read_bytes())
    await cluster.close()
    for n, image in enumerate(images):
        path.write_bytes(image + b'{"version":99,"gro')
        assert await secrets(path) == [f"s{k}" for k in range(n + 1)]


async def test_garbage_that_was_not_yet_collected_is_collected_after_a_kill(tmp_path: Path):
    path = tmp_path / "state"
    cluster = FakeCluster.load(path)
    api = Api(cluster)
    owner = await api.secret("owner")
    reference = {"apiVersion": "v1", "kind": "Secret", "name": "owner"}
    reference["uid"] = owner["metadata"]["uid"]
    await api.secret("child", ownerReferences=[reference])
    await api("DELETE", f"{SECRETS}/owner")
    # the moment after the answer: the collector has not come round yet
    image = path.read_bytes()
    await cluster.close()
    path.write_bytes(image)
    again = FakeCluster.load(path)
    assert (await Api(again)("GET", f"{SECRETS}/child"))[0] == 404
    await again.close()
