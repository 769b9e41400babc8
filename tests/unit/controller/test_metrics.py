"""Metrics as Prometheus gets them: every one of the table, and none besides."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.controller.loops import running
from tests.unit.controller.scripted import WIDGETS, ScriptedTransport, line, obj, page

from hybridpg.controller.client.api import Client
from hybridpg.controller.client.measured import MeasuredTransport
from hybridpg.controller.errors import Conflict, TerminalError
from hybridpg.controller.informer import Informer
from hybridpg.controller.leader import LeaderElector
from hybridpg.controller.lease import LeaseConfig
from hybridpg.controller.loop import Controller
from hybridpg.controller.metrics import (
    MAX_PRIORITIES,
    METRICS,
    OTHER_PRIORITY,
    RuntimeCollector,
    make_registry,
)
from hybridpg.controller.ratelimit import ExponentialLimiter
from hybridpg.controller.reconcile import Request, Result
from hybridpg.controller.types import ObjectKey

pytestmark = pytest.mark.virtual_time

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
KINDS = {
    CounterMetricFamily: "counter",
    GaugeMetricFamily: "gauge",
    HistogramMetricFamily: "histogram",
}
LIMITER = ExponentialLimiter[ObjectKey](base=1, cap=100)


def key(name: str) -> ObjectKey:
    return ObjectKey("ns", name)


def series(registry: CollectorRegistry, name: str, /, **labels: str) -> dict[str, float]:
    """Samples of one metric with these labels, by the labels that are left."""
    found = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                rest = {k: v for k, v in sample.labels.items() if k not in labels}
                found[",".join(rest.values())] = sample.value
    return found


def value(registry: CollectorRegistry, name: str, /, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def everything() -> CollectorRegistry:
    """A registry over one part of each sort, none of which runs."""
    measured = MeasuredTransport(ScriptedTransport(), host="https://api")
    controller = Controller("widgets", _nothing)
    informer = Informer(Client(measured), WIDGETS)
    elector = LeaderElector(Client(measured), LeaseConfig("ns", "lease"))
    return make_registry(
        controllers=lambda: [controller],
        informers=lambda: [informer],
        elector=elector,
        client=measured,
    )


class Repeating(ScriptedTransport):
    """A transport that sends some requests once more by itself."""

    retries = {("401", "GET"): 2}  # noqa: RUF012  (read only)


async def _nothing(request: Request) -> None:
    """A reconcile function."""


def test_the_documented_table_is_the_one_of_the_code():
    row = re.compile(r"^\| `(\w+)` \| (\w+) \| ([\w, ]+) \| .{10,} \|$", re.MULTILINE)
    rows = row.findall(DOCS.read_text())
    documented = {name: (kind, set(labels.split(", "))) for name, kind, labels in rows}
    assert documented == {
        name: (KINDS[metric.kind], set(metric.labels)) for name, metric in METRICS.items()
    }


async def test_every_metric_of_the_table_is_emitted_and_no_other_with_the_labels_it_names():
    transport = Repeating([page(obj())])
    measured = MeasuredTransport(transport, host="https://api")
    controller = Controller("widgets", _nothing)
    informer = Informer(Client(measured), WIDGETS)
    elector = LeaderElector(Client(measured), LeaseConfig("ns", "lease"))
    registry = make_registry(
        controllers=lambda: [controller],
        informers=lambda: [informer],
        elector=elector,
        client=measured,
    )
    async with running(informer, controller):
        controller.enqueue(key("a"))
        await asyncio.sleep(1)
        labels: dict[str, set[str]] = {}
        for family in registry.collect():
            for sample in family.samples:
                name = re.sub(r"_(bucket|sum|count)$", "", sample.name)
                labels.setdefault(name, set()).update(set(sample.labels) - {"le"})
    assert labels == {name: set(metric.labels) for name, metric in METRICS.items()}


async def test_the_page_can_be_read_by_prometheus():
    families = list(text_string_to_metric_families(generate_latest(everything()).decode()))
    named = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    assert named == set(METRICS)


async def test_runs_are_counted_by_what_became_of_them():
    outcomes: dict[str, list[Result | Exception | None]] = {
        "fine": [None],
        "again": [Result(requeue_after=5), Result()],
        "failed": [OSError("x"), Conflict(409), None],
        "given up": [TerminalError("y")],
        "bug": [KeyError("spec"), None],
    }

    async def reconcile(request: Request) -> Result | None:
        outcome = outcomes[request.key.name].pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    controller = Controller("c", reconcile, workers=3, limiter=LIMITER)
    registry = make_registry(controllers=lambda: [controller])
    async with running(controller):
        for name in outcomes:
            controller.enqueue(key(name))
        await asyncio.sleep(60)

    total = series(registry, "controller_runtime_reconcile_total", controller="c")
    assert total == {"success": 4, "requeue_after": 1, "error": 4}
    prefix = "controller_runtime_"
    numbers = {
        name: value(registry, prefix + name, controller="c")
        for name in (
            "reconcile_errors_total",
            "terminal_reconcile_errors_total",
            "reconcile_panics_total",
            "reconcile_timeouts_total",
            "max_concurrent_reconciles",
            "active_workers",
            "reconcile_time_seconds_count",
        )
    }
    assert list(numbers.values()) == [4, 1, 1, 0, 3, 0, 9]
    labels = {"name": "c", "controller": "c"}
    assert value(registry, "workqueue_retries_total", **labels) == 4
    assert value(registry, "workqueue_adds_total", **labels) == 9


async def test_a_run_that_takes_too_long_is_a_timeout_and_an_error_but_no_panic():
    async def reconcile(request: Request) -> None:
        if not request.attempt:
            await asyncio.sleep(100)

    controller = Controller("c", reconcile, reconcile_timeout=10, limiter=LIMITER)
    registry = make_registry(controllers=lambda: [controller])
    async with running(controller):
        controller.enqueue(key("a"))
        await asyncio.sleep(4)
        labels = {"name": "c", "controller": "c"}
        assert value(registry, "controller_runtime_active_workers", controller="c") == 1
        assert value(registry, "workqueue_unfinished_work_seconds", **labels) == 4
        assert value(registry, "workqueue_longest_running_processor_seconds", **labels) == 4
        await asyncio.sleep(50)

    assert value(registry, "controller_runtime_reconcile_timeouts_total", controller="c") == 1
    assert value(registry, "controller_runtime_reconcile_errors_total", controller="c") == 1
    assert value(registry, "controller_runtime_reconcile_panics_total", controller="c") == 0
    assert value(registry, "controller_runtime_reconcile_time_seconds_sum", controller="c") == 10
    assert value(registry, "workqueue_unfinished_work_seconds", **labels) == 0
    assert value(registry, "workqueue_work_duration_seconds_sum", **labels) == 10


async def test_buckets_are_cumulative_and_end_with_all():
    async def reconcile(request: Request) -> None:
        await asyncio.sleep(float(request.key.name))

    controller = Controller("c", reconcile, workers=3)
    registry = make_registry(controllers=lambda: [controller])
    async with running(controller):
        for seconds in ("0.3", "3", "3000"):
            controller.enqueue(key(seconds))
        await asyncio.sleep(4000)

    buckets = series(registry, "controller_runtime_reconcile_time_seconds_bucket", controller="c")
    assert [buckets[bound] for bound in ("0.25", "0.3", "2.5", "3.0", "60.0", "+Inf")] == [
        *(0, 1, 1, 2, 2, 3)
    ]


async def test_the_depth_of_a_priority_that_was_seen_goes_back_to_0():
    controller = Controller("c", _nothing)
    registry = make_registry(controllers=lambda: [controller])
    for name, priority in (("a", -100), ("b", -100), ("c", 0)):
        controller.enqueue(key(name), priority)
    assert series(registry, "workqueue_depth", name="c", controller="c") == {"0": 1, "-100": 2}
    async with running(controller):
        await asyncio.sleep(1)
    assert series(registry, "workqueue_depth", name="c", controller="c") == {"0": 0, "-100": 0}


async def test_labels_of_priorities_do_not_grow_without_end():
    controller = Controller("c", _nothing)
    registry = make_registry(controllers=lambda: [controller])
    for priority in range(100):
        controller.enqueue(key(f"{priority}"), priority)
    depths = series(registry, "workqueue_depth", name="c", controller="c")
    assert len(depths) == MAX_PRIORITIES + 1
    assert depths[OTHER_PRIORITY] == 100 - MAX_PRIORITIES
    assert sum(depths.values()) == 100


async def test_an_informer_tells_how_much_it_holds_and_how_fresh_that_is():
    transport = ScriptedTransport(
        [page(obj("a"), obj("b"))], [[10.0, [line("DELETED", obj("a", 101))], 600.0]]
    )
    informer = Informer(Client(transport), WIDGETS)
    registry = make_registry(informers=lambda: [informer])
    title = "widgets.example.org"
    assert series(registry, "informer_freshness_seconds") == {}
    assert value(registry, "informer_synced", informer=title) == 0
    async with running(informer):
        await asyncio.sleep(30)
        names = ("objects", "synced", "freshness_seconds", "events_total", "lists_total")
        found = [value(registry, f"informer_{name}", informer=title) for name in names]
    assert found == [1, 1, 20, 1, 1]


async def test_several_informers_of_a_kind_keep_their_numbers():
    client = Client(ScriptedTransport())
    informers = [Informer(client, WIDGETS, namespaces=[each]) for each in ("x", "y", "z")]
    registry = make_registry(informers=lambda: informers)
    title = "widgets.example.org"
    assert set(series(registry, "informer_objects")) == {title, f"{title} #2", f"{title} #3"}
    del informers[0]
    assert set(series(registry, "informer_objects")) == {f"{title} #2", f"{title} #3"}


async def test_requests_come_by_code_and_method():
    measured = MeasuredTransport(ScriptedTransport([page()]), host="https://api")
    client = Client(measured)
    await client.list(WIDGETS)
    await client.create(WIDGETS, {}, namespace="ns")
    registry = make_registry(client=measured)
    assert series(registry, "rest_client_requests_total", host="https://api") == {
        "200,GET": 1,
        "200,POST": 1,
    }
    labels = {"method": "POST", "host": "https://api"}
    assert value(registry, "rest_client_request_size_bytes_sum", **labels) == 2
    assert value(registry, "rest_client_request_duration_seconds_count", **labels) == 1


async def test_two_registries_in_one_process_do_not_meet():
    first, second = Controller("same", _nothing), Controller("same", _nothing)
    registries = [
        make_registry(controllers=lambda: [first]),
        make_registry(controllers=lambda: [second]),
    ]
    first.enqueue(key("a"))
    labels = {"name": "same", "controller": "same"}
    assert [value(each, "workqueue_adds_total", **labels) for each in registries] == [1, 0]
    assert not any(family.name in METRICS for family in REGISTRY.collect())


async def test_one_registry_does_not_take_the_parts_of_two_managers():
    registry = make_registry()
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(RuntimeCollector())


async def test_a_scrape_changes_nothing():
    controller = Controller("c", _nothing)
    registry = make_registry(controllers=lambda: [controller])
    async with running(controller):
        controller.enqueue(key("a"))
        await asyncio.sleep(1)
    assert generate_latest(registry) == generate_latest(registry)


async def test_no_label_comes_from_an_object():
    transport = ScriptedTransport([page(obj("s3cret-name", labels={"token": "hunter2"}))])
    measured = MeasuredTransport(transport, host="https://api")
    informer = Informer(Client(measured), WIDGETS, label_selector="token=hunter2")

    async def reconcile(request: Request) -> None:
        raise ValueError("hunter2")

    controller = Controller("c", reconcile, limiter=LIMITER)
    registry = make_registry(
        controllers=lambda: [controller], informers=lambda: [informer], client=measured
    )
    async with running(informer, controller):
        controller.enqueue(key("s3cret-name"))
        await asyncio.sleep(10)
        text = generate_latest(registry).decode()
    assert 'result="error"' in text
    assert "hunter2" not in text
    assert "s3cret" not in text
