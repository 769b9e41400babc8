"""The controller is killed at any moment, and the next one goes on as if nothing had happened.

Servers and applications do not notice: the processes of PostgreSQL stay, what a Secret published
once stays the password, rows stay. Each test kills real processes; here while things are made, and
a stop for comparison.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.controller_process import STOP_SECONDS, Controller, Kill
from tests.fix_operator import (
    DATABASES,
    SERVERS,
    Stage,
    is_settled,
)
from tests.integration.kill_witnesses import History, Witness
from tests.integration.kill_witnesses import controller as controller
from tests.integration.kill_witnesses import history as history

pytestmark = [pytest.mark.testenv, pytest.mark.postgres, pytest.mark.slow]


async def killed_or_ready(stage: Stage, order: Kill) -> bool:
    """Wait until the controller is killed or has nothing left to do; return whether it lives."""
    settled = 0.0

    async def over() -> bool:
        nonlocal settled
        objects = [*(await stage.objects(SERVERS)).values()]
        objects += (await stage.objects(DATABASES)).values()
        if not all(map(is_settled, objects)):
            settled = 0.0
        settled = settled or time.monotonic()
        quiet = settled and time.monotonic() - settled > 1.0  # a started one looks at all again
        return order.done.is_set() or bool(quiet and all(map(is_settled, objects)))

    await stage.until(over, "it neither dies nor gets ready", 60)
    return not order.done.is_set()


async def test_killed_all_through_the_first_creation_everything_is_made_once(
    stage: Stage, controller: Controller, history: History
) -> None:
    """H5, H18, P12: a dozen kills in a row; passwords, rows, oids and processes stay."""
    names = [f"db-{number:02}" for number in range(12)]
    await stage.create(
        stage.server("one"),
        stage.server("two"),
        *(stage.database(name, "one" if int(name[3:]) % 2 else "two") for name in names),
    )
    witness = Witness(stage)
    while True:
        controller.start()
        kills = controller.starts - 1
        # five writes further of about a hundred, on either side in turn
        order = controller.arm(5, committed=kills % 2 == 1)
        if await killed_or_ready(stage, order):
            break
        await witness.look()
        for name, obj in (await stage.objects(DATABASES)).items():
            if is_settled(obj) and not witness.rows:
                await witness.write_row(name)
    await witness.look()
    await witness.check_rows()

    assert kills >= 12
    assert witness.rows
    for name in (*names, "one", "two"):
        login = await stage.login(name)
        assert await history.passwords(name) == [login["password"]], name
        assert await stage.logs_in(login), name
    assert len(witness.oids) == len(names) + 2  # and the two of the name postgres


STAGES_OF_A_BIRTH = {
    "initdb begins": "making",
    "initdb writes": "making/data/global/pg_control",
    "the data folder is complete": "data/PG_VERSION",
    "the server starts": "data/postmaster.pid",
}


async def test_killed_while_the_backend_makes_and_starts_a_server_it_is_made_once(
    stage: Stage, controller: Controller, history: History
) -> None:
    """The programs that the dead controller started are ended or taken over."""
    witness = Witness(stage)
    controller.start()
    for number, path in enumerate(STAGES_OF_A_BIRTH.values()):
        name = f"s{number}"
        await stage.create(stage.server(name), stage.database(f"on-{name}", name))
        while not (stage.home(name).root / path).exists():
            assert controller.process is not None
            assert controller.process.poll() is None, controller.log.read_text()
            await asyncio.sleep(0.001)
        controller.kill()
        controller.start()
        await stage.ready()
        await witness.look()
        await witness.write_row(f"on-{name}")
        assert not stage.home(name).making.exists()
    await witness.check_rows()
    assert len(witness.processes) == len(STAGES_OF_A_BIRTH)
    for name in [each for n in range(len(STAGES_OF_A_BIRTH)) for each in (f"s{n}", f"on-s{n}")]:
        login = await stage.login(name)
        assert await history.passwords(name) == [login["password"]]
        assert await stage.logs_in(login)


async def test_a_stop_ends_the_controller_in_time_and_leaves_the_servers_running(
    stage: Stage, controller: Controller
) -> None:
    """H18: exit code 0 in less than ten seconds, in the middle of the work too."""
    await stage.create(stage.server("one"))
    controller.start()
    await stage.ready()
    processes = stage.processes()

    await stops_in_time(controller)

    more = [stage.database(f"db-{number}", "one") for number in range(6)]
    await stage.create(stage.server("two"), *more)
    controller.start()
    while len(controller.writes) < 15:
        await asyncio.sleep(0.001)
    await stops_in_time(controller)
    assert processes.items() <= stage.processes().items()

    controller.start()
    await stage.ready()
    assert processes.items() <= stage.processes().items()


async def stops_in_time(controller: Controller) -> None:
    """The controller ends by itself, with success."""
    began = time.monotonic()
    assert await controller.stop() == 0, controller.log.read_text()
    assert time.monotonic() - began < STOP_SECONDS
