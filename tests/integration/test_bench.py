"""The benchmarks that need more than a replay server: a real API server, and Go."""

from __future__ import annotations

import json

import pytest
from tests.bench import golang
from tests.bench.__main__ import main
from tests.bench.real import Unavailable, cluster
from tests.bench.replay import Served, replay
from tests.bench.samples import listing, long, paced, real, watch, work
from tests.bench.scenarios import SCENARIOS
from tests.requirements import missing, require

COUNT = 120
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def filled():
    """A control plane of its own, as the benchmark takes it; it ends with this module."""
    try:
        with cluster(COUNT) as target:
            yield target
    except Unavailable as error:
        missing(str(error))


@pytest.fixture(scope="module")
def go():
    require(not golang.unavailable(), golang.unavailable())
    golang.build()


@pytest.mark.testenv
@pytest.mark.parametrize("client", ["hybridpg", "kubernetes-asyncio", "floor", "floor+raw"])
async def test_everything_on_a_real_api_server_is_seen(filled, client):
    figures = await real(client, filled, COUNT)

    assert figures
    assert all(figure > 0 for figure in figures.values())


@pytest.mark.testenv
@pytest.mark.usefixtures("go")
async def test_client_go_sees_everything_on_a_real_api_server(filled):
    figures = await real("client-go", filled, COUNT)

    assert figures["sync.real.10k"] > 0
    assert figures["sync.real.10k.wall"] > 0


@pytest.mark.usefixtures("go")
async def test_client_go_does_the_same_work_on_the_same_bytes():
    with replay(Served(listed=COUNT, streaming=False, tls=True)) as target:
        listed = await listing("50k")("client-go", target, COUNT)
    with replay(Served(events=COUNT, keys=COUNT, tls=True)) as target:
        watched = await watch("watch.decode.tls")("client-go", target, COUNT)
        worked = await work("client-go", target, COUNT)
    with replay(Served(events=COUNT, keys=COUNT, pace=1000.0, tls=True)) as target:
        aged = await paced("1000", 0.99)("client-go", target, COUNT)

    assert listed["list.50k"] > 0
    assert listed["memory.object"] > 0
    assert watched["watch.decode.tls"] > 0
    assert worked["watch.e2e.noop"] == worked["watch.e2e.decode"] > 0
    assert aged["latency.1000"] > 0


@pytest.mark.usefixtures("go")
async def test_client_go_says_why_it_cannot_read_an_event_of_twenty_megabytes():
    with (
        replay(Served(events=1, long=20 * 2**20)) as target,
        pytest.raises(RuntimeError, match="longer than maximum allowed size"),
    ):
        await long("client-go", target, 1)


@pytest.mark.usefixtures("go")
def test_a_reduced_run_has_client_go_beside_us(tmp_path):
    output = tmp_path / "bench.json"

    assert main(["--quick", "--only", "client-go", "--output", str(output), "e2e"]) == 0

    (noop, decode) = json.loads(output.read_text())
    assert noop["peers"]["client-go"] == decode["peers"]["client-go"] > noop["ours"]


@pytest.mark.testenv
@pytest.mark.postgres
async def test_databases_are_created_checked_and_held_on_a_small_scale():
    from tests.bench.scale import sample  # here: it needs what other tests of this module do not

    scenario = SCENARIOS["scale"]
    try:
        figures = await sample(scenario.quick)
    except Unavailable as error:
        missing(str(error))

    assert set(scenario.units) <= {name.partition("@")[0] for name in figures}
    assert figures["db.steady.writes"] == 0
    assert 1 <= figures["db.check.roundtrips"] <= 20, "the looks into each are not repeated"
    assert figures["db.create.ratio"] > 0 < figures["db.create.ratio@floor"]
    assert 0 < figures["db.edit.p99"] < 60
    assert 30 < figures["rss.10k"] < 200
