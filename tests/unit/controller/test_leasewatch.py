"""The watch of one Lease: it tells what happens, and nothing that it is told ends it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.unit.controller.scripted import ScriptedTransport, line, refused, status

from hybridpg.controller._leasewatch import LeaseWatch
from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import TransportError
from hybridpg.controller.types import JsonObject, ObjectKey

pytestmark = pytest.mark.virtual_time

KEY = ObjectKey("ns", "controller")


def now() -> float:
    return asyncio.get_running_loop().time()


def lease(holder: str) -> JsonObject:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": "ns", "name": "controller", "resourceVersion": "1"},
        "spec": {"holderIdentity": holder},
    }


class Told:
    """What the watch told."""

    def __init__(self) -> None:
        self.holders: list[str | None] = []

    def __call__(self, obj: JsonObject | None) -> None:
        self.holders.append(None if obj is None else obj["spec"]["holderIdentity"])


@asynccontextmanager
async def watching(transport: ScriptedTransport, told: Told) -> AsyncIterator[None]:
    watch = LeaseWatch(Client(transport), KEY, told, now=now)
    task = asyncio.create_task(watch.run())
    yield
    assert not task.done(), "nothing ends it"
    task.cancel()
    await asyncio.wait([task])


async def test_it_asks_for_the_one_lease_from_its_newest_state_on():
    transport = ScriptedTransport(watches=[])
    async with watching(transport, Told()):
        await asyncio.sleep(1)
    (call,) = transport.calls
    assert call.path == "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
    assert call.query["fieldSelector"] == "metadata.name=controller"
    assert "resourceVersion" not in call.query


async def test_it_tells_every_state_and_the_deletion_and_nothing_of_bookmarks():
    told = Told()
    bookmark = line("BOOKMARK", {"kind": "Lease", "metadata": {"resourceVersion": "5"}})
    steps: list[list[bytes] | float | Exception] = [
        [line("ADDED", lease("a")), line("MODIFIED", lease("b"))],
        [bookmark, line("DELETED", lease("b"))],
        1000.0,
    ]
    async with watching(ScriptedTransport(watches=[steps]), told):
        await asyncio.sleep(1)
    assert told.holders == ["a", "b", None]


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(TransportError("reset"), id="reset"),
        pytest.param(refused(403, "Forbidden"), id="no right to watch"),
        pytest.param([b"<html>maintenance</html>"], id="html"),
        pytest.param([b'{"type":"ADDED","object":{"ki'], id="truncated"),
        pytest.param([line("ERROR", status(410, "Expired"))], id="expired"),
        pytest.param([line("PECULIAR", lease("x"))], id="unknown event"),
        pytest.param(0.0, id="ended"),
    ],
)
async def test_whatever_ends_a_watch_the_next_one_follows_soon_and_then_less_often(step):
    told = Told()
    good: list[list[bytes] | float | Exception] = [[line("ADDED", lease("a"))], 1000.0]
    transport = ScriptedTransport(watches=[*([[step]] * 5), good])
    async with watching(transport, told):
        await asyncio.sleep(120)
    times = [call.at for call in transport.of("WATCH")]
    pauses = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert told.holders == ["a"]
    assert len(pauses) == 5
    assert 0.8 <= pauses[0] <= 1.6
    assert pauses == sorted(pauses)


async def test_a_bug_in_who_is_told_is_logged_and_ends_nothing(caplog):
    told: list[str] = []

    def broken(obj: JsonObject | None) -> None:
        assert obj is not None
        told.append(obj["spec"]["holderIdentity"])
        if len(told) == 1:
            raise ZeroDivisionError("bug")

    steps: list[list[bytes] | float | Exception] = [[line("ADDED", lease("a"))], 1000.0]
    transport = ScriptedTransport(watches=[steps, steps])
    watch = LeaseWatch(Client(transport), KEY, broken, now=now)
    with caplog.at_level(logging.ERROR):
        task = asyncio.create_task(watch.run())
        await asyncio.sleep(5)
    assert told == ["a", "a"]
    assert "the watch of lease ns/controller failed" in caplog.text
    task.cancel()
    await asyncio.wait([task])
