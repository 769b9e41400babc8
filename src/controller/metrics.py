"""Turns what the runtime counts into samples of Prometheus, and only when somebody asks for them.

Nothing on a hot path knows of this module, and nothing imports it but whoever wants a registry: the
library costs memory. Names and labels are those of controller-runtime and client-go, so that their
dashboards and alerts fit; :data:`METRICS` is the list, and ``docs/metrics.md`` explains it.

A label is a name that the program was written with (controller, kind), one of few values (result,
code, method), or the address of the API server. None comes from an object of the cluster.

How it is wired, by the manager or by whoever runs the parts without one::

    registry = make_registry(
        controllers=lambda: manager.controllers,    # any number of Controller
        informers=lambda: manager.informers,        # any number of Informer
        elector=manager.elector,                    # LeaderElector or None
        client=measured,                            # MeasuredTransport or None
        now=loop_time,                              # the clock of the event loop
    )
    page = prometheus_client.generate_latest(registry)

``RuntimeCollector`` takes the same arguments and can be registered in a registry of one's own; one
registry takes one of them. A scrape must run in the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ._clock import loop_time
from ._histogram import Histogram
from .client.measured import MeasuredTransport
from .informer import Informer
from .leader import LeaderElector
from .loop import Controller
from .protocols import Now

MAX_PRIORITIES: Final = 25
"""Different values of the label ``priority``; whatever comes later shares one."""
OTHER_PRIORITY: Final = "exceeded_cardinality_limit"


class Measured(NamedTuple):
    """One metric: a counter, a gauge or a histogram."""

    kind: type[CounterMetricFamily] | type[GaugeMetricFamily] | type[HistogramMetricFamily]
    help: str
    labels: tuple[str, ...]


_QUEUE: Final = ("name", "controller")
_CONTROLLER: Final = ("controller",)
_REQUEST: Final = ("method", "host")
_INFORMER: Final = ("informer",)
_LEASE: Final = ("name",)
_C, _G, _H = CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

METRICS: Final[Mapping[str, Measured]] = {
    "workqueue_adds_total": Measured(_C, "Keys added to the queue", _QUEUE),
    "workqueue_retries_total": Measured(_C, "Keys to be added after a delay", _QUEUE),
    "workqueue_depth": Measured(_G, "Keys that wait", (*_QUEUE, "priority")),
    "workqueue_queue_duration_seconds": Measured(_H, "Time from adding to taking a key", _QUEUE),
    "workqueue_work_duration_seconds": Measured(_H, "Time from taking a key to its end", _QUEUE),
    "workqueue_unfinished_work_seconds": Measured(
        _G, "Age of all work in progress, added up", _QUEUE
    ),
    "workqueue_longest_running_processor_seconds": Measured(
        _G, "Age of the oldest work in progress", _QUEUE
    ),
    "controller_runtime_reconcile_total": Measured(
        _C, "Runs that ended, by result", (*_CONTROLLER, "result")
    ),
    "controller_runtime_reconcile_errors_total": Measured(_C, "Runs that failed", _CONTROLLER),
    "controller_runtime_terminal_reconcile_errors_total": Measured(
        _C, "Failed runs that are not repeated", _CONTROLLER
    ),
    "controller_runtime_reconcile_panics_total": Measured(
        _C, "Runs that failed by a bug of the reconcile function", _CONTROLLER
    ),
    "controller_runtime_reconcile_timeouts_total": Measured(
        _C, "Runs that took longer than they may", _CONTROLLER
    ),
    "controller_runtime_reconcile_time_seconds": Measured(_H, "Duration of a run", _CONTROLLER),
    "controller_runtime_max_concurrent_reconciles": Measured(_G, "Workers", _CONTROLLER),
    "controller_runtime_active_workers": Measured(_G, "Workers that have a key", _CONTROLLER),
    "rest_client_requests_total": Measured(_C, "Requests to the API server", ("code", *_REQUEST)),
    "rest_client_request_retries_total": Measured(
        _C, "Requests that were sent once more", ("code", *_REQUEST)
    ),
    "rest_client_request_duration_seconds": Measured(_H, "Duration of a request", _REQUEST),
    "rest_client_request_size_bytes": Measured(_H, "Size of what was sent", _REQUEST),
    "rest_client_response_size_bytes": Measured(_H, "Size of the answer", _REQUEST),
    "leader_election_master_status": Measured(_G, "1 where the lease is held", _LEASE),
    "leader_election_slowpath_total": Measured(
        _C, "Renewals that had to read the lease first", _LEASE
    ),
    "informer_objects": Measured(_G, "Objects in the cache", _INFORMER),
    "informer_synced": Measured(_G, "1 where the cache is complete", _INFORMER),
    "informer_freshness_seconds": Measured(
        _G, "Time since the API server was last heard of", _INFORMER
    ),
    "informer_events_total": Measured(_C, "Events of watches", _INFORMER),
    "informer_lists_total": Measured(_C, "Lists that were taken over", _INFORMER),
    "informer_list_failures_total": Measured(_C, "Lists that came to nothing", _INFORMER),
    "informer_relists_total": Measured(_C, "Lists after the first one", _INFORMER),
    "informer_watches_total": Measured(_C, "Watches that were opened", _INFORMER),
    "informer_watch_failures_total": Measured(_C, "Watches that failed", _INFORMER),
}
"""Every metric by its name."""


class _Samples:
    """The families of one scrape."""

    def __init__(self) -> None:
        self.families = {
            name: metric.kind(name, metric.help, labels=metric.labels)
            for name, metric in METRICS.items()
        }

    def add(self, name: str, value: float | Histogram, *labels: str) -> None:
        """Add one sample; labels in the order of the table."""
        family = self.families[name]
        if isinstance(value, Histogram):
            assert isinstance(family, HistogramMetricFamily)  # noqa: S101 - the table says so
            family.add_metric(labels, _buckets(value), value.sum)
        else:
            assert not isinstance(family, HistogramMetricFamily)  # noqa: S101
            family.add_metric(labels, value)


class RuntimeCollector(Collector):
    """Reads the counters of one manager's parts at each scrape."""

    def __init__(
        self,
        *,
        controllers: Callable[[], Iterable[Controller]] = tuple,
        informers: Callable[[], Iterable[Informer]] = tuple,
        elector: LeaderElector | None = None,
        client: MeasuredTransport | None = None,
        now: Now = loop_time,
    ) -> None:
        self._controllers = controllers
        self._informers = informers
        self._elector = elector
        self._client = client
        self._now = now
        # the priorities that have a label of their own, by controller
        self._priorities: dict[str, dict[int, None]] = {}
        # an informer keeps its label as long as it lives
        self._titles: WeakKeyDictionary[Informer, str] = WeakKeyDictionary()

    def describe(self) -> Iterable[Metric]:
        """Return the families without samples: for a registry that looks for duplicates."""
        return _Samples().families.values()

    def collect(self) -> Iterator[Metric]:
        """Return the families with all samples."""
        samples, now = _Samples(), self._now()
        for controller in self._controllers():
            self._queue(samples, controller, now)
            _controller(samples, controller)
        for informer in self._informers():
            _informer(samples, informer, self._title(informer), now)
        if self._client is not None:
            _client(samples, self._client)
        if self._elector is not None:
            name = self._elector.config.name
            samples.add("leader_election_master_status", self._elector.is_leader, name)
            samples.add("leader_election_slowpath_total", self._elector.slowpaths, name)
        yield from samples.families.values()

    def _queue(self, samples: _Samples, controller: Controller, now: float) -> None:
        name, queue = controller.name, controller.queue
        ages = queue.under_way(now)
        samples.add("workqueue_adds_total", queue.adds, name, name)
        samples.add("workqueue_retries_total", controller.retries, name, name)
        samples.add("workqueue_queue_duration_seconds", queue.queue_duration, name, name)
        samples.add("workqueue_work_duration_seconds", queue.work_duration, name, name)
        samples.add("workqueue_unfinished_work_seconds", sum(ages), name, name)
        longest = max(ages, default=0.0)
        samples.add("workqueue_longest_running_processor_seconds", longest, name, name)
        for priority, depth in self._depths(controller).items():
            samples.add("workqueue_depth", depth, name, name, priority)

    def _depths(self, controller: Controller) -> dict[str, int]:
        """Return the depths by label; a priority that was seen stays, be it at 0."""
        seen = self._priorities.setdefault(controller.name, {})
        found = controller.queue.depths()
        depths = {str(priority): found.get(priority, 0) for priority in seen}
        for priority, depth in found.items():
            if priority in seen:
                continue
            if len(seen) < MAX_PRIORITIES:
                seen[priority] = None
                depths[str(priority)] = depth
            else:
                depths[OTHER_PRIORITY] = depths.get(OTHER_PRIORITY, 0) + depth
        return depths

    def _title(self, informer: Informer) -> str:
        """Return the label of an informer: its kind, numbered where there are several."""
        title = self._titles.get(informer)
        if title is None:
            taken = set(self._titles.values())
            title, number = str(informer.resource), 1
            while title in taken:
                number += 1
                title = f"{informer.resource} #{number}"
            self._titles[informer] = title
        return title


def make_registry(
    *,
    controllers: Callable[[], Iterable[Controller]] = tuple,
    informers: Callable[[], Iterable[Informer]] = tuple,
    elector: LeaderElector | None = None,
    client: MeasuredTransport | None = None,
    now: Now = loop_time,
) -> CollectorRegistry:
    """Return a registry of its own that holds the collector: no state is shared with others."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(
        RuntimeCollector(
            controllers=controllers, informers=informers, elector=elector, client=client, now=now
        )
    )
    return registry


def _controller(samples: _Samples, controller: Controller) -> None:
    name, stats = controller.name, controller.stats
    prefix = "controller_runtime_"
    results = {"success": stats.successes, "requeue_after": stats.requeues, "error": stats.errors}
    for result, count in results.items():
        samples.add(prefix + "reconcile_total", count, name, result)
    samples.add(prefix + "reconcile_errors_total", stats.errors, name)
    samples.add(prefix + "terminal_reconcile_errors_total", stats.terminal, name)
    samples.add(prefix + "reconcile_panics_total", stats.panics, name)
    samples.add(prefix + "reconcile_timeouts_total", stats.timeouts, name)
    samples.add(prefix + "reconcile_time_seconds", stats.durations, name)
    samples.add(prefix + "max_concurrent_reconciles", controller.workers, name)
    samples.add(prefix + "active_workers", controller.queue.processing, name)


def _informer(samples: _Samples, informer: Informer, title: str, now: float) -> None:
    stats, freshness = informer.stats, informer.freshness(now)
    if freshness is not None:
        samples.add("informer_freshness_seconds", freshness, title)
    samples.add("informer_objects", stats.objects, title)
    samples.add("informer_synced", informer.synced, title)
    samples.add("informer_events_total", stats.events, title)
    samples.add("informer_lists_total", stats.lists, title)
    samples.add("informer_list_failures_total", stats.list_failures, title)
    samples.add("informer_relists_total", stats.relists, title)
    samples.add("informer_watches_total", stats.watches, title)
    samples.add("informer_watch_failures_total", stats.watch_failures, title)


def _client(samples: _Samples, client: MeasuredTransport) -> None:
    for (code, method), count in client.retries.items():
        samples.add("rest_client_request_retries_total", count, code, method, client.host)
    for method, stats in client.stats.items():
        for code, count in stats.codes.items():
            samples.add("rest_client_requests_total", count, code, method, client.host)
        labels = (method, client.host)
        samples.add("rest_client_request_duration_seconds", stats.durations, *labels)
        samples.add("rest_client_request_size_bytes", stats.sent, *labels)
        samples.add("rest_client_response_size_bytes", stats.received, *labels)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Return the cumulative form of the counts."""
    total, buckets = 0, []
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else repr(float(bound)), float(total)))
    return buckets
