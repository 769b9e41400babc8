"""Deletions over many kills come to their end, by policy, and take nothing else with them."""

from __future__ import annotations

import pytest
from tests.controller_process import Controller, Kill
from tests.fix_operator import DATABASES, SERVERS, Stage, decoded
from tests.integration.kill_witnesses import History, Witness
from tests.integration.kill_witnesses import controller as controller
from tests.integration.kill_witnesses import history as history

from hybridpg.backends.local.process import working_below
from hybridpg.controller import SECRETS

pytestmark = [pytest.mark.testenv, pytest.mark.postgres, pytest.mark.slow]


async def test_killed_through_deletions_nothing_is_left_behind_and_nothing_else_goes(
    stage: Stage, controller: Controller, history: History
) -> None:
    """H18: deletions asked for while nobody is there complete, by policy, over many kills."""
    gone = [f"gone-{number}" for number in range(3)]
    kept = [f"kept-{number}" for number in range(3)]
    await stage.create(
        stage.server("stays", deletionPolicy="Retain"),
        stage.server("goes", deletionPolicy="Delete"),
        *(stage.database(name, "stays", deletionPolicy="Delete") for name in gone),
        *(stage.database(name, "stays", deletionPolicy="Retain") for name in kept),
        stage.database("guest", "goes", deletionPolicy="Delete"),
    )
    controller.start()
    await stage.ready()
    controller.kill()
    witness = Witness(stage)
    for name in kept:
        await witness.write_row(name)
    stays, goes = stage.home("stays"), stage.home("goes")
    await stage.inspect(stays, "CREATE DATABASE stranger")
    await stage.inspect(stays, "CREATE ROLE stranger_role")
    logins = {name: await stage.login(name) for name in (*kept, "stays")}
    process = stage.processes()[stays.root.name]

    for kind, names in ((DATABASES, [*gone, *kept, "guest"]), (SERVERS, ["stays", "goes"])):
        for name in names:
            await stage.delete(kind, name)
    died = await until_all_are_gone(stage, controller)

    assert died >= 6
    databases = await stage.inspect(stays, "SELECT datname FROM pg_database WHERE oid > 16000")
    kept_names = {name.replace("-", "_") for name in kept}
    assert {name for (name,) in databases} == {*kept_names, "stranger"}
    roles = await stage.inspect(stays, "SELECT rolname FROM pg_roles WHERE oid > 16000")
    assert {name for (name,) in roles} - {"postgres"} == {*kept_names, "stranger_role"}
    marks = await stage.inspect(stays, MARKS)
    assert len(marks) == len(kept)
    assert all("retained" in mark for (mark,) in marks), marks
    for name, login in logins.items():
        secret = await stage.client.get(SECRETS, stage.key(f"{name}-login"))
        assert not secret["metadata"].get("ownerReferences")
        assert decoded(secret) == login
        assert await stage.logs_in(login)
    await witness.check_rows()
    assert stage.processes() == {stays.root.name: process}
    assert not goes.root.exists()
    assert not working_below(goes.root)
    assert not list((stage.path / "deleted").iterdir())


MARKS = """
SELECT shobj_description(oid, 'pg_authid') FROM pg_roles
WHERE rolname LIKE 'kept\\_%'
"""


async def until_all_are_gone(stage: Stage, controller: Controller) -> int:
    """Kill at ever later writes, on either side in turn, until no object is left; count.

    Each start says anew what it waits for, so that early kills alone might never let it end.
    """
    kills = 0
    while True:
        controller.start()
        order = controller.arm(2 + kills // 4, committed=kills % 2 == 1)

        async def over(order: Kill = order) -> bool:
            left = {**await stage.objects(SERVERS), **await stage.objects(DATABASES)}
            return order.done.is_set() or not left

        await stage.until(over, "the deletions do not end", 60)
        if not order.done.is_set():
            controller.kill()
            return kills
        kills += 1
