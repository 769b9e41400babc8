"""A password reset over kills at each of its writes changes the password exactly once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from tests.controller_process import Controller, Kill
from tests.fix_operator import DATABASES, LOOK_SECONDS, SERVERS, Stage
from tests.integration.kill_witnesses import History, Witness
from tests.integration.kill_witnesses import controller as controller
from tests.integration.kill_witnesses import history as history

pytestmark = [pytest.mark.testenv, pytest.mark.postgres, pytest.mark.slow]
RESET = {"metadata": {"labels": {"operator/action": "reset-password"}}}
RESET_WRITES = 6
"""Accepted in status, staged in the Secret, proven in the Secret, label off, closed, status."""


async def killed(stage: Stage, order: Kill, *, seconds: float = 60) -> None:
    """Wait until the kill has happened."""

    async def done() -> bool:
        return order.done.is_set()

    await stage.until(done, f"write {order.at} does not come", seconds)


class Application:
    """Logs in all the time with what the Secret publishes, as a pool of an application does."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self._name = name
        self.logins = 0

    async def work(self) -> None:
        """Log in again and again; one of the published passwords must always work."""
        while True:
            await self.once()
            self.logins += 1
            await asyncio.sleep(LOOK_SECONDS)  # leaves the processor to the controller

    async def once(self) -> None:
        """Log in once with one of the published passwords."""
        while True:
            before = await self._stage.login(self._name)
            passwords = [before[key] for key in ("password", "next-password") if key in before]
            for password in passwords:
                if await self._stage.logs_in(before, password=password):
                    return
            # only a Secret that changed between the look and the login excuses it
            assert await self._stage.login(self._name) != before, "no published password works"


@contextlib.asynccontextmanager
async def at_work(application: Application) -> AsyncIterator[None]:
    """Let the application work beside the block, and fail with it."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(application.work(), name="application")
        yield
        working.cancel()


async def test_killed_at_each_write_of_a_reset_the_password_changes_once(
    stage: Stage, controller: Controller, history: History
) -> None:
    """H9: one change for one label, and a published password works at every instant."""
    await stage.create(stage.server("one"), stage.database("app", "one"))
    controller.start()
    await stage.ready()
    witness = Witness(stage)
    await witness.look()
    await witness.write_row("app")
    for kind, name in ((SERVERS, "one"), (DATABASES, "app")):
        application = Application(stage, name)
        async with at_work(application):
            made = controller.made
            await stage.patch(kind, name, RESET)
            await stage.ready()
            await writes_are(controller, made + RESET_WRITES)
            for committed in (False, True):
                for write in range(1, RESET_WRITES + 1):
                    before = await history.passwords(name)
                    order = controller.arm(write, committed=committed)
                    await stage.patch(kind, name, RESET)
                    await killed(stage, order)
                    await application.once()
                    controller.start()
                    await stage.ready()
                    await reset_once(stage, history, name, before)
        assert application.logins > 0
    await witness.look()
    await witness.check_rows()


async def writes_are(controller: Controller, count: int) -> None:
    """The controller made so many writes; one that is refused as stale may still be under way."""

    async def as_many() -> bool:
        return controller.made == count

    await controller.stage.until(as_many, f"not {count} writes: {controller.writes}", 5)


async def reset_once(stage: Stage, history: History, name: str, before: list[str]) -> None:
    """The Secret published one more password than before, and it alone logs in."""
    login = await stage.login(name)
    assert await history.passwords(name) == [*before, login["password"]]
    assert "next-password" not in login
    assert await stage.logs_in(login)
    assert not await stage.logs_in(login, password=before[-1])
