"""How often our informer asks a server that closes every watch at once, in virtual time."""

from __future__ import annotations

import asyncio

from tests.peers.run import CONFIG_MAPS
from tests.proxy.rules import FOR_EVER

from hybridpg.controller import Client, Informer
from hybridpg.controller.testing import FakeCluster, run_virtual

BEGIN, END = 60.0, 600.0
"""Minute 2 to 10: by then the back-off has grown as far as it does."""


def requests_per_second() -> float:
    """Return the mean from minute 2 to 10."""
    return run_virtual(_requests_per_second())


async def _requests_per_second() -> float:
    cluster = FakeCluster(seed=1)
    cluster.faults.cut_watch(times=FOR_EVER)
    informer = Informer(Client(cluster), CONFIG_MAPS)
    running = asyncio.create_task(informer.run())
    await asyncio.sleep(BEGIN)
    before = len(cluster.requests)
    await asyncio.sleep(END - BEGIN)
    asked = len(cluster.requests) - before
    running.cancel()
    await asyncio.wait([running])
    await cluster.close()
    return asked / (END - BEGIN)
