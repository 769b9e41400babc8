"""Spans: which there are, whose children they are, and what must not be in them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.unit.controller.scripted import (
    GADGETS,
    PATH,
    WIDGETS,
    ScriptedTransport,
    failure,
    obj,
    page,
    refused,
)

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import ApiError, TransportError
from hybridpg.controller.handlers import enqueue_self
from hybridpg.controller.loop import Controller
from hybridpg.controller.manager import Manager
from hybridpg.controller.ratelimit import ExponentialLimiter
from hybridpg.controller.reconcile import Request, Result
from hybridpg.controller.tracing import Tracing
from hybridpg.controller.types import NAMESPACES, ObjectKey

pytestmark = pytest.mark.virtual_time

KEY = ObjectKey("ns", "a")
REQUEST = Request(KEY, "f00-1")


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Iterator[Tracing]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Tracing(provider)
    provider.shutdown()


def names(spans: Sequence[ReadableSpan]) -> list[str]:
    return [span.name for span in spans]


async def test_a_run_has_a_span_that_names_the_object(tracing, exporter):
    async def reconcile(request: Request) -> Result:
        return Result(requeue_after=7)

    result = await tracing.reconcile("widgets", reconcile)(REQUEST)

    [span] = exporter.get_finished_spans()
    assert result == Result(requeue_after=7)
    assert span.name == "reconcile widgets"
    assert span.attributes == {
        "controller": "widgets",
        "namespace": "ns",
        "name": "a",
        "reconcile_id": "f00-1",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope.name == "hybridpg.controller"


async def test_requests_within_a_run_are_its_children(tracing, exporter):
    client = Client(tracing.transport(ScriptedTransport(), host="https://api.example.org:6443"))

    async def reconcile(request: Request) -> None:
        await client.get(WIDGETS, request.key, subresource="status")
        await client.create(WIDGETS, {}, namespace="ns")

    await tracing.reconcile("widgets", reconcile)(REQUEST)

    get, create, run = exporter.get_finished_spans()
    assert names([get, create]) == ["GET widgets/status", "POST widgets"]
    assert get.parent.span_id == create.parent.span_id == run.context.span_id
    assert get.kind is SpanKind.CLIENT
    assert get.attributes == {
        "http.request.method": "GET",
        "url.path": f"{PATH.replace('widgets', 'namespaces/ns/widgets')}/a/status",
        "server.address": "api.example.org",
        "http.response.status_code": 200,
    }


async def test_runs_side_by_side_do_not_take_each_others_requests(tracing, exporter):
    client = Client(tracing.transport(ScriptedTransport()))

    async def reconcile(request: Request) -> None:
        await asyncio.sleep(1)
        await client.get(WIDGETS, request.key)

    controller = Controller("widgets", tracing.reconcile("widgets", reconcile), workers=2)
    task = asyncio.create_task(controller.run())
    for name in "ab":
        controller.enqueue(ObjectKey("ns", name))
    await asyncio.sleep(5)
    await controller.stop()
    await task

    spans = exporter.get_finished_spans()
    runs = {s.context.span_id: s.attributes["name"] for s in spans if s.parent is None}
    gets = {runs[s.parent.span_id]: s.attributes["url.path"] for s in spans if s.parent}
    assert {run: path[-1] for run, path in gets.items()} == {"a": "a", "b": "b"}


async def test_a_request_outside_of_a_run_stands_alone(tracing, exporter):
    await Client(tracing.transport(ScriptedTransport())).get(NAMESPACES, ObjectKey("", "ns"))

    [span] = exporter.get_finished_spans()
    assert span.parent is None
    assert span.name == "GET namespaces"


async def test_an_answer_that_is_an_error_marks_the_request_and_the_run_without_its_message(
    tracing, exporter
):
    answers = [failure(422, "Invalid")]
    answers[0] = type(answers[0])(
        422,
        {},
        json.dumps(
            {"kind": "Status", "reason": "Invalid", "code": 422, "message": "password: hunter2"}
        ).encode(),
    )
    client = Client(tracing.transport(ScriptedTransport(writes=answers)))

    async def reconcile(request: Request) -> None:
        await client.create(WIDGETS, {"spec": "hunter2"}, namespace="ns")

    with pytest.raises(ApiError, match="hunter2"):
        await tracing.reconcile("widgets", reconcile)(REQUEST)

    request, run = exporter.get_finished_spans()
    assert request.attributes["http.response.status_code"] == 422
    assert run.attributes["error.type"] == "Invalid"
    assert run.attributes["k8s.status.reason"] == "Invalid"
    assert [span.status.status_code for span in (request, run)] == [StatusCode.ERROR] * 2
    assert all("hunter2" not in span.to_json() for span in (request, run))


async def test_a_request_without_an_answer_is_an_error_of_its_type(tracing, exporter):
    transport = ScriptedTransport(writes=[TransportError("token abc123 refused")])

    with pytest.raises(TransportError):
        await Client(tracing.transport(transport)).get(WIDGETS, KEY)

    [span] = exporter.get_finished_spans()
    assert span.attributes["error.type"] == "TransportError"
    assert "http.response.status_code" not in span.attributes
    assert "abc123" not in span.to_json()


async def test_a_run_that_is_cut_off_is_an_error(tracing, exporter):
    async def reconcile(request: Request) -> None:
        await asyncio.sleep(100)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await tracing.reconcile("widgets", reconcile)(REQUEST)

    [span] = exporter.get_finished_spans()
    assert span.attributes["error.type"] == "CancelledError"
    assert span.status.status_code is StatusCode.ERROR


async def test_the_span_of_a_watch_ends_with_its_first_lines(tracing, exporter):
    transport = ScriptedTransport(watches=[[[b"1"], [b"2"]]])
    lines = Client(tracing.transport(transport)).watch(GADGETS, timeout_seconds=60)

    assert await anext(lines) == [b"1"]
    [span] = exporter.get_finished_spans()
    assert [each async for each in lines] == [[b"2"]]
    assert span.name == "WATCH gadgets"
    assert span.attributes["http.request.method"] == "GET"
    assert names(exporter.get_finished_spans()) == ["WATCH gadgets"]


async def test_a_watch_that_is_refused_is_an_error_and_one_that_ends_at_once_is_none(
    tracing, exporter
):
    transport = ScriptedTransport(watches=[[refused(410, "Gone")], []])
    client = Client(tracing.transport(transport))

    with pytest.raises(ApiError):
        await anext(client.watch(WIDGETS, timeout_seconds=60))
    assert [each async for each in client.watch(WIDGETS, timeout_seconds=60)] == []

    gone, ended = exporter.get_finished_spans()
    assert gone.attributes["http.response.status_code"] == 410
    assert gone.status.status_code is StatusCode.ERROR
    assert ended.status.status_code is StatusCode.UNSET


async def test_a_traced_watch_that_is_left_leaves_the_one_below(tracing):
    left = asyncio.Event()

    class Watched(ScriptedTransport):
        async def stream(self, path, *, query=(), headers=()):
            try:
                yield [b"1"]
                await asyncio.sleep(100)
            finally:
                left.set()

    lines = tracing.transport(Watched()).stream(PATH)
    await anext(lines)
    await lines.aclose()
    assert left.is_set()


async def test_closing_a_traced_transport_closes_the_one_below(tracing):
    below = ScriptedTransport()
    await tracing.transport(below).close()
    assert below.closed


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/pods", "GET pods"),
        ("/api/v1/namespaces", "GET namespaces"),
        ("/api/v1/namespaces/x/status", "GET namespaces/status"),
        ("/api/v1/namespaces/x/pods/y/log", "GET pods/log"),
        ("/apis/apps/v1/namespaces/x/deployments", "GET deployments"),
        ("/apis/apps/v1/namespaces/x/deployments/y", "GET deployments"),
        ("/apis/example.org/v1/widgets/y/scale", "GET widgets/scale"),
        ("/version", "GET /version"),
        ("/apis", "GET /apis"),
    ],
)
async def test_names_of_spans_do_not_name_objects(tracing, exporter, path, name):
    await tracing.transport(ScriptedTransport([page()])).request("GET", path)

    assert names(exporter.get_finished_spans()) == [name]


async def test_failures_are_still_retried_when_they_are_traced(tracing, exporter):
    runs: list[float] = []

    async def reconcile(request: Request) -> None:
        runs.append(asyncio.get_running_loop().time())
        raise RuntimeError("x")

    controller = Controller(
        "widgets",
        tracing.reconcile("widgets", reconcile),
        limiter=ExponentialLimiter(base=1, cap=100),
    )
    task = asyncio.create_task(controller.run())
    controller.enqueue(KEY)
    await asyncio.sleep(4)
    await controller.stop()
    await task

    assert runs == [0, 1, 3]
    assert len(exporter.get_finished_spans()) == 3


async def test_the_runs_of_a_managers_controller_have_spans_with_their_requests_below(
    tracing, exporter
):
    manager = Manager(Client(ScriptedTransport([page(obj("a"))])), tracing=tracing)

    async def reconcile(request: Request) -> None:
        await manager.client.update(WIDGETS, request.key, {})

    controller = manager.controller("widgets", reconcile)
    controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
    async with manager:
        await asyncio.sleep(1)

    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert {"GET widgets", "PUT widgets", "reconcile widgets"} <= set(spans)
    assert spans["PUT widgets"].parent.span_id == spans["reconcile widgets"].context.span_id
    assert spans["GET widgets"].parent is None
