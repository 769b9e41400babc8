"""A controller that was replaced sends no further statement, in whatever work it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from tests.fix_postgres import PgServer

from hybridpg.backends.sql import SqlDatabases

from .cases import Case, databases, drop, ensure, exists, fresh_login, make_case

pytestmark = pytest.mark.postgres


class ReplacedError(Exception):
    """What the fence of this test raises; no error of a backend."""


@dataclass
class Lease:
    """Ours for some statements; ``asked`` counts how often it was asked for."""

    ours_for: int = 1_000_000
    asked: int = 0

    def check(self, what: str) -> None:
        self.asked += 1
        if self.asked > self.ours_for:
            raise ReplacedError(what)


async def reset(backend: SqlDatabases, case: Case) -> None:
    """Give the role another password."""
    await backend.update_user_password(case.ref, fresh_login(case.name))


WORK: dict[str, Callable[[SqlDatabases, Case], Awaitable[object]]] = {
    "create": ensure,
    "reset": reset,
    "drop": drop,
}
"""In their order each prepares the next one."""


@pytest.mark.parametrize("work", WORK)
async def test_stopped_before_any_statement_it_sends_none_any_more(pg: PgServer, work):
    """Invariant 10: every statement of the work is a place where the process may stand still."""
    before = [WORK[name] for name in WORK if list(WORK).index(name) < list(WORK).index(work)]
    case = make_case(pg, extensions=["pg_trgm"])
    sent = 0
    while True:
        lease = Lease()
        async with databases(fence=lease.check, snapshot_seconds=0) as backend:
            for step in before if not sent else ():
                await step(backend, case)
            lease.ours_for, lease.asked = sent, 0
            with pg.statements() as arrived:
                try:
                    await WORK[work](backend, case)
                except ReplacedError as error:
                    refused = str(error)
                else:
                    break
        assert len(arrived) == sent
        assert refused.startswith("a statement on 127.0.0.1:")
        sent += 1
    assert sent >= 2
    assert exists(pg, case.name) == ((work != "drop"),) * 2
    if work != "drop":
        async with databases() as backend:
            await drop(backend, case)


async def test_the_fence_is_asked_when_the_statement_is_sent_and_not_when_it_is_planned(pg):
    """A process that stands still while it waits has planned its statement before."""
    lease = Lease()
    case = make_case(pg)
    async with databases(fence=lease.check) as backend:
        await backend.observe_database(case.ref)
        lease.ours_for = lease.asked
        asked = asyncio.create_task(backend.create_or_update_user(case.ref, case.role))
        with pytest.raises(ReplacedError):
            await asked
    assert exists(pg, case.name) == (False, False)


async def test_what_the_fence_raises_leaves_the_server_in_good_standing(pg):
    """It is about us: the sessions stay, and no pause begins before the next login."""
    lease = Lease(ours_for=0)
    case = make_case(pg)
    async with databases(fence=lease.check) as backend:
        with pytest.raises(ReplacedError):
            await ensure(backend, case)
        lease.ours_for = 1_000_000
        await ensure(backend, case)
        await drop(backend, case)
