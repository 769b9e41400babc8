"""The state in a file: complete, private, whole, and there again after a restart."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.unit.controller.testing.conftest import SECRETS, Api

from hybridpg.controller.testing import FakeCluster

pytestmark = pytest.mark.virtual_time


async def test_everything_is_there_again(tmp_path: Path):
    path = tmp_path / "state" / "cluster.json"
    first = FakeCluster.load(path)
    api = Api(first)
    things = await api.define({"type": "object", "properties": {"x": {"type": "integer"}}})
    made = (await api.thing({"x": 1}))[1]
    version = first.resource_version
    await first.close()

    second = FakeCluster.load(path)
    api = Api(second)
    assert second.resource_version == version
    assert (await api("GET", f"{things}/a"))[1] == made
    assert await api.problems({"x": "y"})
    other = await api.secret("later")
    assert other["metadata"]["uid"] != made["metadata"]["uid"]
    assert int(other["metadata"]["resourceVersion"]) > int(version)
    await second.close()


async def test_the_namespaces_keep_their_uids(tmp_path: Path):
    uids = []
    for _ in range(2):
        cluster = FakeCluster.load(tmp_path / "state")
        _, found = await Api(cluster)("GET", "/api/v1/namespaces/kube-system")
        uids.append(found["metadata"]["uid"])
        await cluster.close()
    assert uids[0] == uids[1]


async def test_the_file_is_private_and_holds_a_write_before_it_is_answered(tmp_path: Path):
    path = tmp_path / "state"
    cluster = FakeCluster.load(path)
    await Api(cluster).secret("a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]
    killed = tmp_path / "copy"
    killed.write_bytes(path.read_bytes())
    after = FakeCluster.load(killed)
    assert (await Api(after)("GET", f"{SECRETS}/a"))[0] == 200
    await after.close()
    await cluster.close()


async def test_what_was_deleted_stays_deleted(tmp_path: Path):
    path = tmp_path / "state"
    first = FakeCluster.load(path)
    await Api(first).secret("a")
    await Api(first)("DELETE", f"{SECRETS}/a")
    version = first.resource_version
    await first.close()
    second = FakeCluster.load(path)
    assert (await Api(second)("GET", f"{SECRETS}/a"))[0] == 404
    assert second.resource_version == version
    await second.close()


async def test_reading_writes_nothing(tmp_path: Path):
    path = tmp_path / "state"
    cluster = FakeCluster.load(path)
    await Api(cluster).secret("a")
    before = path.stat().st_size
    await Api(cluster)("GET", SECRETS)
    await cluster.close()
    assert path.stat().st_size == before


async def test_a_half_written_file_of_an_earlier_run_is_no_obstacle(tmp_path: Path):
    path = tmp_path / "state"
    path.with_name("state.partial").write_text("{")
    cluster = FakeCluster.load(path)
    await Api(cluster).secret("a")
    await cluster.close()
    assert b'"name":"a"' in path.read_bytes()


async def test_an_older_version_expires_after_a_restart(tmp_path: Path):
    path = tmp_path / "state"
    first = FakeCluster.load(path)
    await Api(first).secret("a")
    await first.close()
    second = FakeCluster.load(path)
    answer = await second.request(
        "GET", SECRETS, query=(("watch", "true"), ("resourceVersion", "1"))
    )
    assert b'"code":410' in answer.body
    await second.close()


async def test_what_was_going_on_is_finished_after_a_restart(tmp_path: Path):
    path = tmp_path / "state"
    first = FakeCluster.load(path)
    api = Api(first)
    await api("POST", "/api/v1/namespaces", {"metadata": {"name": "end"}})
    held = {"metadata": {"name": "a", "finalizers": ["example.com/hold"]}}
    await api("POST", "/api/v1/namespaces/end/secrets", held)
    await api("DELETE", "/api/v1/namespaces/end")
    await first.close()
    second = FakeCluster.load(path)
    api = Api(second)
    body, kind = {"metadata": {"finalizers": None}}, "application/merge-patch+json"
    await api("PATCH", "/api/v1/namespaces/end/secrets/a", body, kind=kind)
    assert (await api("GET", "/api/v1/namespaces/end"))[0] == 404
    await second.close()
