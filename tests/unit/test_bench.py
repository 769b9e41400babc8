"""The benchmarks measure what they say; on small numbers, so that they cannot rot unseen."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
from tests.bench import corpus, floor, golang, ours
from tests.bench.__main__ import main
from tests.bench.goals import GOALS, judge, report
from tests.bench.peers import open_peer
from tests.bench.replay import RECORD, Served, replay
from tests.bench.run import Failed, collect, make_row, measure, merged, take
from tests.bench.samples import listing, long, paced, streaming, watch
from tests.bench.scenarios import GO, SCENARIOS
from tests.bench.table import BEGIN, END, insert, render, versions
from tests.bench.target import Target

COUNT = 2 * corpus.PAGE + 7
"""Three pages, the last one short."""
KEYS = 100


@pytest.fixture(scope="module")
def listed():
    """A server without streaming lists."""
    with replay(Served(listed=COUNT, streaming=False)) as target:
        yield target


@pytest.fixture(scope="module")
def watched():
    """A server whose list is empty, so that every event comes by the watch."""
    with replay(Served(events=COUNT, keys=KEYS)) as target:
        yield target


@pytest.fixture(scope="module")
def encrypted():
    with replay(Served(listed=COUNT, events=COUNT, keys=KEYS, tls=True)) as target:
        yield target


def unchunk(data):
    seen = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        chunk, data = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        seen.append(chunk)
    return seen


# --- the corpus ------------------------------------------------------------------------------


def test_the_corpus_is_the_same_at_every_run():
    assert list(corpus.objects(5)) == list(corpus.objects(5))
    assert list(corpus.events(5, 2)) == list(corpus.events(5, 2))


def test_an_object_has_the_size_of_a_real_one():
    sizes = [len(each) for each in corpus.objects(50)]

    assert 2_500 < sum(sizes) / len(sizes) < 4_000


def test_pages_are_cut_and_continued_as_an_api_server_does():
    decoded = [json.loads(page) for page in corpus.pages(COUNT)]

    assert [len(page["items"]) for page in decoded] == [corpus.PAGE, corpus.PAGE, 7]
    assert [page["metadata"].get("continue") for page in decoded] == ["page-1", "page-2", None]


def test_events_add_each_key_once_and_change_it_after():
    seen = [json.loads(line) for line in corpus.events(20, 5)]

    assert [each["type"] for each in seen] == ["ADDED"] * 5 + ["MODIFIED"] * 15
    versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in seen]
    assert versions == list(range(versions[0], versions[0] + 20))
    assert len({each["object"]["metadata"]["name"] for each in seen}) == 5


def test_a_long_event_is_as_long_as_asked_for():
    (line,) = corpus.events(1, 1, long=100_000)

    assert 100_000 <= len(line) < 101_000
    assert json.loads(line)["object"]["spec"]["data"]


def test_a_churn_can_be_repeated_without_end():
    known: set[str] = set()
    for _ in range(3):
        for line in corpus.events(200, 10, churn=True):
            decoded = json.loads(line)
            uid = decoded["object"]["metadata"]["uid"]
            (known.discard if decoded["type"] == "DELETED" else known.add)(uid)
        assert len(known) == 10


def test_a_streaming_list_ends_with_the_bookmark_that_says_so():
    *added, last = (json.loads(line) for line in corpus.initial(3))

    assert [each["type"] for each in added] == ["ADDED"] * 3
    assert last["type"] == "BOOKMARK"
    assert last["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_chunks_hold_as_many_lines_as_asked_for():
    lines = list(corpus.events(5, 5))

    assert unchunk(corpus.chunks(iter(lines), 2)) == [
        lines[0] + lines[1],
        lines[2] + lines[3],
        lines[4],
    ]


# --- the server ------------------------------------------------------------------------------


def test_tls_records_are_as_small_as_those_of_a_real_api_server(encrypted):
    with floor.connect(encrypted, f"{corpus.COLLECTION}?watch=1") as connection:
        reads = [len(connection.recv(1 << 20)) for _ in range(20)]

    assert max(reads) == RECORD


def test_a_server_without_streaming_lists_refuses_them(listed):
    with (
        pytest.raises(AssertionError, match="422"),
        floor.connect(listed, f"{corpus.COLLECTION}?watch=1&sendInitialEvents=true") as connection,
    ):
        next(floor.lines(connection))


def test_paced_events_are_born_when_they_are_sent():
    with replay(Served(events=5, keys=5, pace=500.0)) as target:
        began = time.time_ns()
        _, ages = floor.paced(target, 5)
        took = (time.time_ns() - began) / 1e6

    assert took >= 5 / 500 * 1e3
    assert all(0 < age < took for age in ages)


def test_bookmarks_come_when_all_events_were_sent():
    with (
        replay(Served(events=1, bookmarks=0.01)) as target,
        floor.connect(target, f"{corpus.COLLECTION}?watch=1") as connection,
    ):
        seen = []
        for batch in floor.lines(connection):
            seen += [json.loads(line)["type"] for line in batch]
            if len(seen) >= 3:
                break

    assert seen[:3] == ["ADDED", "BOOKMARK", "BOOKMARK"]


@pytest.mark.parametrize("per_chunk", [1, 16])
def test_the_floor_reads_every_line_whatever_the_chunks(per_chunk):
    with (
        replay(Served(events=500, keys=10, per_chunk=per_chunk)) as target,
        floor.connect(target, f"{corpus.COLLECTION}?watch=1") as connection,
    ):
        seen = []
        for batch in floor.lines(connection):
            seen += batch
            if len(seen) == 500:
                break

    assert seen == [line.rstrip(b"\n") for line in corpus.events(500, 10)]


# --- the clients -----------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["hybridpg", "kubernetes-asyncio", "floor"])
async def test_a_client_lists_every_object(listed, client):
    figures = await listing("10k")(client, listed, COUNT)

    assert figures["list.10k"] > 0
    assert figures["list.10k.wall"] > 0


@pytest.mark.parametrize("client", ["hybridpg", "kubernetes-asyncio", "floor"])
async def test_a_client_sees_every_event(watched, client):
    figures = await watch("watch.decode")(client, watched, COUNT)

    assert figures["watch.decode"] > 0


@pytest.mark.parametrize("client", ["hybridpg", "floor"])
async def test_a_client_checks_certificates_and_sees_every_event(encrypted, client):
    figures = await watch("watch.decode.tls")(client, encrypted, COUNT)

    assert figures["watch.decode.tls"] > 0


@pytest.mark.parametrize("client", ["hybridpg", "floor"])
async def test_a_streaming_list_is_read_to_its_end(encrypted, client):
    figures = await streaming(client, encrypted, COUNT)

    assert figures["list.stream.50k"] > 0


async def test_every_event_goes_through_the_manager_to_a_worker(watched):
    clock = await ours.work(watched, COUNT, KEYS)

    assert clock.cpu > 0


async def test_every_object_is_decoded_on_the_way_to_a_worker(watched):
    clock = await ours.decoding(watched, COUNT)

    assert clock.cpu > 0


async def test_an_event_of_twenty_megabytes_is_handled():
    with replay(Served(events=2, long=20 * 2**20)) as target:
        assert (await long("hybridpg", target, 2))["event.20mb"] > 0
        assert (await long("floor", target, 2))["event.20mb"] > 0


@pytest.mark.parametrize("client", ["hybridpg", "floor"])
async def test_the_age_of_an_event_is_taken_in_the_handler(client):
    with replay(Served(events=20, keys=20, pace=400.0, tls=True)) as target:
        figures = await paced("1000", 0.99)(client, target, 20)

    assert 0 < figures["latency.1000"] < 1_000
    assert figures["latency.1000.cpu"] > 0


async def test_churn_reports_what_is_held_on_the_way():
    reports = []
    served = Served(events=2_000, keys=20, churn=True, repeats=100)
    with replay(served) as target:
        warm, held = await ours.churn(target, 6_000, 2_000, lambda *each: reports.append(each))

    assert [seen for seen, _ in reports] == [2_000, 4_000, 6_000]
    assert held == reports[-1][1]
    assert warm == reports[0][1]


async def test_idle_watches_cost_little_and_are_open():
    with replay(Served(bookmarks=0.02)) as target:
        clock = await ours.idle(target, 3, 0.04, settle=0.01)

    assert 0 < clock.cpu < clock.wall


async def test_a_peer_without_workers_says_so(watched):
    peer = await open_peer("kubernetes-asyncio", watched)
    with pytest.raises(NotImplementedError, match="KubernetesAsyncio"):
        await peer.work(1)
    await peer.close()


def test_without_go_its_peer_is_left_out_with_a_reason(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))

    rows = measure("queue", rounds=1, quick=True)

    assert golang.unavailable() == "no Go here to build client-go with"
    assert [row["name"] for row in rows] == ["queue.cycle"]


def test_the_go_program_is_pinned():
    pins = (golang.SOURCE / "go.mod").read_text()

    assert "k8s.io/client-go v0.34.4" in pins
    assert (golang.SOURCE / "go.sum").stat().st_size > 1_000


# --- rows, goals and the table ---------------------------------------------------------------


def test_a_row_holds_medians_and_compares_with_the_floor():
    samples = {"hybridpg": [3.0, 2.0, 9.0], "floor": [1.0, 1.5, 1.2], "kopf": [30.0, 20.0, 40.0]}

    assert make_row("watch.decode", "µs", samples) == {
        "name": "watch.decode",
        "unit": "µs",
        "ours": 3.0,
        "floor": 1.2,
        "peers": {"kopf": 30.0},
        "ratio": 2.5,
    }


def test_without_a_floor_the_best_peer_is_the_measure():
    row = make_row("x", "s", {"hybridpg": [2.0], "slow": [30.0], "fast": [4.0]})

    assert (row["floor"], row["ratio"]) == (None, 0.5)


def test_a_client_that_failed_is_named_with_its_reason():
    row = make_row("x", "s", {"hybridpg": [2.0]}, {"slow": "ValueError: too long"})

    assert row["failed"] == {"slow": "ValueError: too long"}
    assert "slow has no figure in `x`: ValueError: too long" in render([row])


def test_variants_and_floors_are_collected_where_they_belong():
    samples: dict[str, dict[str, list[float]]] = {"a": {}, "b": {}}

    collect(samples, "hybridpg", {"a": 1.0})
    collect(samples, "hybridpg+decode", {"b": 2.0, "b@floor": 0.5, "unknown": 9.0})

    assert samples == {"a": {"hybridpg": [1.0]}, "b": {"hybridpg": [2.0], "floor": [0.5]}}


def test_a_second_run_replaces_its_rows_and_keeps_the_others_in_place():
    old = [{"name": "a", "ours": 1}, {"name": "b", "ours": 2}]

    assert merged(old, [{"name": "c", "ours": 4}, {"name": "a", "ours": 3}]) == [
        {"name": "a", "ours": 3},
        {"name": "b", "ours": 2},
        {"name": "c", "ours": 4},
    ]


def test_a_sample_that_fails_says_why(watched):
    with pytest.raises(Failed):
        take("watch", "nobody", watched.text(), 5)


def goal_rows():
    """Rows that meet every goal exactly."""
    rows: dict[str, dict[str, Any]] = {}
    for goal in GOALS:
        least = 1.0 if goal.at_least else min(1.0, goal.limit)
        row = rows.setdefault(
            goal.row, {"name": goal.row, "unit": "µs", "ours": least, "floor": 1.0, "peers": {}}
        )
        if goal.at_least:
            row["peers"] |= dict.fromkeys(("kopf", GO, "asyncio.Queue"), 100.0)
    return list(rows.values())


def test_every_goal_is_of_a_row_that_is_measured():
    measured = {row for each in SCENARIOS.values() for row in each.units}

    assert {goal.row for goal in GOALS} <= measured


def test_goals_are_met_by_good_rows(capsys):
    assert report(goal_rows()) == 0
    assert f"{len(GOALS)} of {len(GOALS)} goals met" in capsys.readouterr().out


def test_a_missed_goal_fails_the_check_and_slack_lets_it_pass(capsys):
    rows = goal_rows()
    (row,) = (row for row in rows if row["name"] == "watch.decode")
    row["ours"] = 1.6

    assert report(rows) == 1
    assert "not ok       watch.decode" in capsys.readouterr().out
    assert report(rows, slack=0.1) == 0


def test_a_goal_that_was_not_measured_is_missed(capsys):
    rows = [row for row in goal_rows() if row["name"] != "churn.10m"]

    assert report(rows) == 1
    assert "not measured churn.10m" in capsys.readouterr().out


def test_the_best_python_peer_is_not_client_go():
    rows = [{"name": "watch.decode", "ours": 1.0, "floor": 1.0, "peers": {GO: 2.0, "kopf": 6.0}}]
    figures = {goal.text: figure for goal, figure, _ in judge(rows) if goal.row == "watch.decode"}

    assert figures == {"times the floor": 1.0, "times less than the best Python peer": 6.0}


def test_the_table_has_a_line_for_each_row():
    table = render([make_row("x", "s", {"hybridpg": [2.0], "floor": [1.0], "kopf": [1234.5]})])

    assert table.splitlines()[-1] == "| `x` | s | 2 | 1 | 2 | kopf 1,234 |"


def test_the_table_replaces_what_stands_between_the_marks(tmp_path):
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    insert(document, [make_row("x", "s", {"hybridpg": [2.0]})])

    text = document.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| row |")
    assert "| `x` | s | 2 |" in text
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text


def test_a_document_without_marks_is_left_alone(tmp_path):
    document = tmp_path / "benchmarks.md"
    document.write_text("text\n")

    with pytest.raises(ValueError, match="has no marks"):
        insert(document, [])
    assert document.read_text() == "text\n"


def test_the_versions_are_those_of_the_pins():
    assert versions()[0].startswith("kopf ")
    assert versions()[-1] == "client-go v0.34.4"


def test_every_scenario_measures_us_and_says_in_which_unit():
    for scenario in SCENARIOS.values():
        assert "hybridpg" in scenario.clients
        assert set(scenario.units.values()) <= {"µs", "KB", "ms", "s", "MiB", "count"}


def test_every_row_that_was_asked_for_is_measured():
    rows = {row for each in SCENARIOS.values() for row in each.units}

    assert rows >= {
        "apply.ready",
        "churn.10m",
        "db.check.roundtrips",
        "db.create.ratio",
        "db.edit.p99",
        "db.steady.writes",
        "event.20mb",
        "list.10k",
        "list.50k",
        "memory.object",
        "pause.50k",
        "queue.cycle",
        "sync.real.10k",
        "watch.decode",
        "watch.decode.tls",
        "watch.e2e.decode",
        "watch.e2e.noop",
        "watch.idle50",
        "rss.10k",
    }


def test_slow_clients_take_a_part_of_the_events():
    scenario = SCENARIOS["watch"]

    assert scenario.part("kr8s", 1000) == 100
    assert scenario.part("hybridpg", 1000) == 1000


def test_a_target_crosses_the_border_of_a_process(encrypted):
    assert Target.parse(encrypted.text()) == encrypted
    assert os.path.exists(encrypted.kubeconfig)


@pytest.mark.slow
def test_a_reduced_run_writes_rows_and_judges_them(tmp_path, capsys):
    output = tmp_path / "bench.json"
    arguments = ["--quick", "--only", "kubernetes-asyncio", "--output", str(output)]

    assert main([*arguments, "watch.tls", "e2e", "list.10k", "queue"]) == 0
    rows = {row["name"]: row for row in json.loads(output.read_text())}

    assert set(rows) >= {"watch.decode.tls", "watch.e2e.noop", "watch.e2e.decode", "list.10k"}
    assert all(row["ours"] > 0 and row["floor"] > 0 for row in rows.values())
    assert "kubernetes-asyncio" in rows["watch.decode.tls"]["peers"]
    assert main(["--output", str(output), "--check"]) == 1
    assert "not measured sync.real.10k" in capsys.readouterr().out
    assert main(["--output", str(output), "--table"]) == 0
    assert "| `watch.decode.tls` | µs |" in capsys.readouterr().out
