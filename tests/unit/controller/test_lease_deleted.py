"""A Lease that is deleted while it is held: who waits, who cannot know, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.controller.elections import KEY, Candidate, now, read

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import Conflict
from hybridpg.controller.testing import FakeCluster, eventually
from hybridpg.controller.types import LEASES

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    made = FakeCluster(seed=1)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("watching", "hangs", "shortest", "longest"),
    [
        pytest.param(True, False, 0, 0.1, id="at once by the watch"),
        pytest.param(False, False, 1, 2, id="at the next renewal without it"),
        pytest.param(False, True, 5, 10, id="at the deadline where nothing is answered"),
    ],
)
async def test_one_that_never_saw_a_deleted_lease_works_beside_its_holder_for_so_long(
    cluster, watching, hangs, shortest, longest
):
    """The one window in which two lead; its length is documented with the Lease."""
    one, third = Candidate(cluster, "one", watching=watching), Candidate(cluster, "third")
    one.start()
    await one.leads()
    await asyncio.sleep(30.5)
    one.line.trouble = "hang" if hangs else ""

    # at the same moment, so that the third is there before the first one hears of it
    deletion = asyncio.create_task(Client(cluster).delete(LEASES, KEY))
    third.start()
    await deletion
    await third.leads()
    begun = now()
    while one.elector.is_leader:
        await asyncio.sleep(0.001)

    assert shortest <= now() - begun <= longest
    assert (await read(cluster))["holderIdentity"] == "third"
    await one.die()
    await third.die()


async def test_a_leader_whose_lease_others_write_all_the_time_says_that(cluster):
    one = Candidate(cluster, "one").start()
    await one.leads()

    async def disturb(method: str, *arguments: Any, **options: Any) -> Any:
        if method == "PUT":
            raise Conflict(409, "Conflict", "the object has been modified")
        return await request(method, *arguments, **options)

    request, one.line.request = one.line.request, disturb  # type: ignore[method-assign]
    await eventually(lambda: one.lost is not None, seconds=60)
    assert one.lost is not None
    assert "others write it all the time" in str(one.lost[1])
    await one.die()
