"""Background jobs: one a server, failures kept and tried again with growing pauses."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest

from hybridpg.backends import BackendError, Busy, Quota, Unknown
from hybridpg.backends.local.jobs import FIRST_PAUSE, LONGEST_PAUSE, Job, Jobs

pytestmark = pytest.mark.virtual_time


class Work:
    """Jobs that count themselves and end as told."""

    def __init__(self, *errors: BaseException | None, seconds: float = 1.0) -> None:
        self.runs = 0
        self._errors = list(errors)
        self._seconds = seconds

    def job(self) -> Job:
        """Return the next job."""

        async def run() -> None:
            self.runs += 1
            await asyncio.sleep(self._seconds)
            error = self._errors.pop(0) if self._errors else None
            if error is not None:
                raise error

        return run


async def test_a_server_has_one_job_at_a_time_and_servers_do_not_wait_for_each_other() -> None:
    jobs, work = Jobs(), Work()
    for name in ("a", "a", "b"):
        jobs.start(name, work.job())
    await asyncio.sleep(0)
    assert work.runs == 2
    assert jobs.running("a")
    assert jobs.running("b")
    await asyncio.sleep(1.5)
    assert not jobs.running("a")
    assert jobs.trouble("a") is None


async def test_a_failure_is_kept_and_tried_again_after_growing_pauses() -> None:
    """H19: no tight loop."""
    jobs, work = Jobs(), Work(*[Unknown("no") for _ in range(9)], seconds=0)
    loop = asyncio.get_running_loop()
    starts: list[float] = []
    while len(starts) < 9:
        before = work.runs
        jobs.start("a", work.job())
        await asyncio.sleep(0.01)
        if work.runs > before:
            starts.append(loop.time())
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(starts)]
    assert pauses == [FIRST_PAUSE, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]
    trouble = jobs.trouble("a")
    assert trouble is not None
    assert str(trouble.error) == "no"
    assert trouble.count == 9


async def test_somebody_elses_work_is_no_failure_and_does_not_lengthen_the_pause() -> None:
    jobs, work = Jobs(), Work(*[Busy("locked", retry_after=0.5) for _ in range(4)], seconds=0)
    while work.runs < 5:
        jobs.start("a", work.job())
        await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() == pytest.approx(4 * 0.5, abs=0.1)
    assert jobs.trouble("a") is None


async def test_a_success_or_a_new_wish_ends_the_pause() -> None:
    jobs, work = Jobs(), Work(Unknown("no"), None, seconds=0)
    jobs.start("a", work.job())
    await asyncio.sleep(0.01)
    jobs.start("a", work.job())
    await asyncio.sleep(0.01)
    assert work.runs == 1
    jobs.forgive("a")
    jobs.start("a", work.job())
    await asyncio.sleep(0.01)
    assert work.runs == 2
    assert jobs.trouble("a") is None


@pytest.mark.parametrize(
    ("raised", "kept"),
    [
        pytest.param(Quota("full"), Quota, id="ours"),
        pytest.param(OSError(28, "No space left on device", "/x"), Quota, id="disk"),
        pytest.param(RuntimeError("password is hunter2"), BackendError, id="bug"),
    ],
)
async def test_every_failure_is_an_error_of_a_backend_and_shows_no_foreign_text(
    raised: Exception, kept: type[BackendError], caplog: pytest.LogCaptureFixture
) -> None:
    jobs = Jobs()
    with caplog.at_level(logging.WARNING):
        jobs.start("a", Work(raised).job())
        await asyncio.sleep(2)
    trouble = jobs.trouble("a")
    assert trouble is not None
    assert type(trouble.error) is kept
    assert "hunter2" not in str(trouble.error)
    assert [record.name for record in caplog.records] == ["hybridpg.backends.local.jobs"]


async def test_a_cancelled_job_makes_way_and_is_no_failure() -> None:
    jobs = Jobs()
    jobs.start("a", Work(seconds=100).job())
    await asyncio.sleep(1)
    jobs.cancel("a")
    jobs.cancel("nobody")
    await asyncio.sleep(0.01)
    assert not jobs.running("a")
    assert jobs.trouble("a") is None


async def test_closing_ends_every_job_and_waits_for_its_clean_up() -> None:
    jobs, cleaned = Jobs(), []

    async def careful() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(5)
            cleaned.append("a")

    jobs.start("a", careful)
    await asyncio.sleep(1)
    await jobs.close()
    assert cleaned == ["a"]
    assert asyncio.get_running_loop().time() == pytest.approx(6, abs=0.1)
