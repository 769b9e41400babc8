"""The benchmarks measure what they say; on small numbers, so that they cannot rot unseen."""

from __future__ import annotations

import json

import pytest
from tests.bench.__main__ import make_row, print_table
from tests.bench.clients import (
    floor_list,
    floor_watch,
    kubernetes_asyncio_list,
    kubernetes_asyncio_watch,
    ours_list,
    ours_watch,
)
from tests.bench.corpus import PAGE, objects, pages, stream
from tests.bench.replay import replay
from tests.bench.scenarios import SCENARIOS

COUNT = 2 * PAGE + 7
"""Three pages, the last one short."""


@pytest.fixture(scope="module")
def port():
    with replay(listed=COUNT, events=COUNT, keys=100) as made:
        yield made


@pytest.fixture(scope="module")
def watch_port():
    """A server whose list is empty, so that every event comes by the watch."""
    with replay(events=COUNT, keys=100) as made:
        yield made


def test_the_corpus_is_the_same_at_every_run():
    assert list(objects(5)) == list(objects(5))
    assert stream(5, 2) == stream(5, 2)


def test_an_object_has_the_size_of_a_real_one():
    sizes = [len(each) for each in objects(50)]

    assert 2_500 < sum(sizes) / len(sizes) < 4_000


def test_pages_are_cut_and_continued_as_an_api_server_does():
    decoded = [json.loads(page) for page in pages(COUNT)]

    assert [len(page["items"]) for page in decoded] == [PAGE, PAGE, 7]
    assert [page["metadata"].get("continue") for page in decoded] == ["page-1", "page-2", None]
    assert {page["metadata"]["resourceVersion"] for page in decoded} == {str(1000 + COUNT)}


def test_a_stream_is_whole_http_chunks_with_one_event_each():
    data, seen = stream(20, 5), []
    while data:
        size, _, rest = data.partition(b"\r\n")
        chunk, data = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        seen.append(json.loads(chunk)["type"])

    assert seen == ["ADDED"] * 5 + ["MODIFIED"] * 15


@pytest.mark.parametrize("client", [ours_list, kubernetes_asyncio_list, floor_list])
async def test_a_client_lists_every_object(port, client):
    seconds, held = await client(port, COUNT)

    assert seconds > 0
    assert held


@pytest.mark.parametrize("client", [ours_watch, kubernetes_asyncio_watch, floor_watch])
async def test_a_client_sees_every_event(watch_port, client):
    assert await client(watch_port, COUNT) > 0


def test_a_row_holds_medians_and_compares_with_the_floor():
    samples = {"hybridpg": [3.0, 2.0, 9.0], "floor": [1.0, 1.5, 1.2], "kopf": [30.0, 20.0, 40.0]}

    assert make_row("watch.events", "µs", samples) == {
        "name": "watch.events",
        "unit": "µs",
        "ours": 3.0,
        "floor": 1.2,
        "peers": {"kopf": 30.0},
        "ratio": 2.5,
    }


def test_without_a_floor_the_best_peer_is_the_measure():
    samples = {"hybridpg": [2.0], "slow": [30.0], "fast": [4.0]}

    row = make_row("x", "s", samples)

    assert (row["floor"], row["ratio"]) == (None, 0.5)


def test_the_table_has_a_line_for_each_row(capsys):
    print_table([make_row("x", "s", {"hybridpg": [2.0], "floor": [1.0]})])

    assert capsys.readouterr().out.splitlines()[-1] == "| x | s | 2 | 1.0 | 2.0 | - |"


def test_every_scenario_measures_us_and_something_to_compare_with():
    for scenario in SCENARIOS.values():
        assert "hybridpg" in scenario.clients
        assert len(scenario.clients) >= 2
        assert set(scenario.units.values()) <= {"µs", "KB", "ms", "s", "MiB"}
