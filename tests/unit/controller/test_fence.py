"""The fence: no write leaves without the lease, however late the process notices."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.trace import NoOpTracerProvider
from tests.unit.controller.scripted import WIDGETS, ScriptedTransport, obj

from hybridpg.controller.client.api import Client
from hybridpg.controller.client.measured import MeasuredTransport
from hybridpg.controller.client.patch import MergePatch
from hybridpg.controller.errors import LeaseLost
from hybridpg.controller.fence import FencedTransport, check_before_sending
from hybridpg.controller.tracing import Tracing
from hybridpg.controller.types import ObjectKey

pytestmark = pytest.mark.virtual_time

KEY = ObjectKey("ns", "a")


class Lease:
    """Ours until a test says otherwise."""

    def __init__(self) -> None:
        self.ours = True
        self.asked: list[str] = []

    def check(self, request: str) -> None:
        self.asked.append(request)
        if not self.ours:
            raise LeaseLost(f"{request} is refused")


@pytest.fixture
def lease() -> Lease:
    return Lease()


@pytest.fixture
def transport() -> ScriptedTransport:
    return ScriptedTransport()


@pytest.fixture
def client(transport: ScriptedTransport, lease: Lease) -> Client:
    return Client(transport).over(FencedTransport(transport, lease.check))


WRITES = [
    pytest.param(lambda c: c.create(WIDGETS, obj(), namespace="ns"), id="create"),
    pytest.param(lambda c: c.update(WIDGETS, KEY, obj()), id="update"),
    pytest.param(lambda c: c.update(WIDGETS, KEY, obj(), subresource="status"), id="status"),
    pytest.param(lambda c: c.patch(WIDGETS, KEY, MergePatch({})), id="patch"),
    pytest.param(lambda c: c.delete(WIDGETS, KEY), id="delete"),
]


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_with_the_lease_is_sent(client, transport, write):
    await write(client)
    assert len(transport.calls) == 1


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_without_the_lease_never_reaches_the_transport(
    client, transport, lease, write
):
    lease.ours = False
    with pytest.raises(LeaseLost):
        await write(client)
    assert transport.calls == []


async def test_reads_stay_allowed(client, transport, lease):
    lease.ours = False
    await client.get(WIDGETS, KEY)
    await client.list(WIDGETS)
    async with asyncio.timeout(1):
        transport.watches.append([])
        assert [lines async for lines in client.watch(WIDGETS, timeout_seconds=1)] == []
    assert transport.verbs() == ["GET", "GET", "WATCH"]
    assert lease.asked == []


async def test_a_write_whose_lease_ends_while_it_waits_for_a_connection_is_not_sent(lease):
    """The transport asks again at the moment of sending."""
    sent: list[str] = []

    class Waiting(ScriptedTransport):
        async def request(self, method, path, **options):
            await asyncio.sleep(5)
            check_before_sending()
            sent.append(method)
            return await super().request(method, path, **options)

    transport = Waiting()
    client = Client(FencedTransport(transport, lease.check))
    asyncio.get_running_loop().call_later(1, setattr, lease, "ours", False)
    with pytest.raises(LeaseLost, match="PUT /apis"):
        await client.update(WIDGETS, KEY, obj())
    assert sent == []
    await client.get(WIDGETS, KEY)
    assert sent == ["GET"]


async def test_the_check_of_one_request_is_not_that_of_another(lease):
    other = Lease()
    seen: list[str] = []

    class Mixed(ScriptedTransport):
        async def request(self, method, path, **options):
            await asyncio.sleep(1)
            check_before_sending()
            seen.append(path)
            return await super().request(method, path, **options)

    mine, theirs = (Client(FencedTransport(Mixed(), each.check)) for each in (lease, other))
    other.ours = False
    asyncio.get_running_loop().call_later(0.5, setattr, other, "ours", False)
    other.ours = True
    done = await asyncio.gather(
        mine.update(WIDGETS, KEY, obj()),
        theirs.update(WIDGETS, ObjectKey("ns", "b"), obj()),
        return_exceptions=True,
    )
    assert isinstance(done[1], LeaseLost)
    assert [path.split("/")[-1] for path in seen] == ["a"]


async def test_closing_the_fence_closes_what_is_behind_it(client, transport):
    await client.close()
    assert transport.closed


async def test_outside_of_a_fence_nothing_is_checked():
    check_before_sending()


def test_work_that_is_no_request_is_refused_like_one(client, lease):
    client.check("a statement")
    lease.ours = False
    with pytest.raises(LeaseLost, match="a statement is refused"):
        client.check("a statement")
    assert lease.asked == ["a statement"] * 2


def test_a_client_that_no_lease_guards_refuses_no_work(transport):
    Client(transport).check("a statement")


WRAPPERS = [
    pytest.param(MeasuredTransport, id="measured"),
    pytest.param(Tracing(NoOpTracerProvider()).transport, id="traced"),
    pytest.param(lambda fenced: FencedTransport(fenced, Lease().check), id="fenced once more"),
    pytest.param(lambda fenced: MeasuredTransport(MeasuredTransport(fenced)), id="measured twice"),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_work_is_refused_through_whatever_wraps_the_fence(client, lease, wrap):
    wrapped = client.over(wrap(client.transport))
    wrapped.check("a statement")
    lease.ours = False
    with pytest.raises(LeaseLost, match="a statement is refused"):
        wrapped.check("a statement")


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_what_wraps_no_fence_refuses_no_work(transport, wrap):
    Client(wrap(transport)).check("a statement")
