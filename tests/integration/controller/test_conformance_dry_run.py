"""Dry runs in every world: checked and answered as if, and nothing happens.

Where a world differs, FakeCluster is wrong.
"""

from __future__ import annotations

import pytest
from tests.integration.controller.worlds import APPLY, Answer, World

ALL = {"dryRun": "All"}


async def seen(world: World) -> list[tuple[str, str]]:
    """Return what a watch of all that was written in the namespace sees."""
    return await world.watched(world.secrets)


async def test_a_tried_create_answers_an_object_that_is_not_there(world: World):
    tried = await world.post(world.secrets, {"metadata": {"name": "a"}}, **ALL)
    assert tried.status == 201
    assert tried.meta["uid"]
    assert "resourceVersion" not in tried.meta
    assert (await world.get(f"{world.secrets}/a")).status == 404
    assert await seen(world) == []


async def test_a_tried_write_changes_nothing(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    path = f"{world.secrets}/a"
    data = {"k": "YQ=="}
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": data}
    tried = [
        await world.put(path, {"metadata": {"name": "a"}, "data": data}, **ALL),
        await world.merge(path, {"data": data}, **ALL),
        await world.apply(path, manifest, **ALL),
    ]
    for answer in tried:
        assert (answer.status, answer.json["data"]) == (200, data)
        assert answer.version == made.version
    after = await world.get(path)
    assert after.version == made.version
    assert "data" not in after.json


async def test_a_tried_apply_shows_the_conflict_and_the_owners(world: World):
    path = f"{world.widgets}/a"
    made = await world.apply(path, world.widget("a", size=4), fieldManager="m1")
    other = world.widget("a", size=5)
    assert (await world.apply(path, other, fieldManager="m2", **ALL)).status == 409
    forced = await world.apply(path, other, fieldManager="m2", force="true", **ALL)
    assert {entry["manager"] for entry in forced.meta["managedFields"]} == {"m1", "m2"}
    assert forced.meta["generation"] == 2
    assert (await world.get(path)).json == made.json


async def test_a_tried_delete_deletes_nothing(world: World):
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    path = f"{world.secrets}/a"
    assert (await world.delete(path, **ALL)).json["status"] == "Success"
    assert (await world.delete(path, {"dryRun": ["All"]})).status == 200
    assert (await world.delete(world.secrets, **ALL)).status == 200
    assert (await world.get(path)).status == 200


async def test_a_tried_write_is_checked_like_a_real_one(world: World):
    assert (await world.post(world.widgets, world.widget("a", size=11), **ALL)).status == 422
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    again = await world.post(world.secrets, {"metadata": {"name": "a"}}, **ALL)
    assert (again.status, again.json["reason"]) == (409, "AlreadyExists")
    gone = await world.delete(f"{world.secrets}/none", **ALL)
    assert gone.status == 404


@pytest.mark.parametrize("value", ["Some", ""])
@pytest.mark.parametrize("verb", ["Create", "Update", "Patch", "Apply", "Delete"])
async def test_there_is_no_other_stage_than_all(world: World, verb: str, value: str):
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    path, body = f"{world.secrets}/a", {"metadata": {"name": "a"}}
    asked: Answer
    if verb == "Create":
        asked = await world.post(world.secrets, {"metadata": {"name": "b"}}, dryRun=value)
    elif verb == "Update":
        asked = await world.put(path, body, dryRun=value)
    elif verb == "Patch":
        asked = await world.merge(path, body, dryRun=value)
    elif verb == "Apply":
        query = {"fieldManager": "m", "dryRun": value}
        asked = await world.call("PATCH", path, body, kind=APPLY, **query)
    else:
        asked = await world.delete(path, dryRun=value)
    kind = {"Apply": "Patch"}.get(verb, verb)
    problem = f'Unsupported value: ["{value}"]: supported values: "All"'
    assert asked.status == 422
    assert asked.causes == {("dryRun", problem)}
    assert asked.json["details"]["kind"] == f"{kind}Options"
