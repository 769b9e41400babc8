"""``hybridpg run``: what it takes from the configuration and from where it runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hybridpg.app.cli.run import health_address, run
from hybridpg.app.config import Config
from hybridpg.controller import Address, ConnectionRefused, LeaseConfig, LeaseLost


def config_of(**controller: object) -> Config:
    return Config.model_validate({"backend": "external", "controller": controller})


@pytest.mark.parametrize(
    ("text", "in_pod", "address"),
    [
        pytest.param(None, False, None, id="a laptop"),
        pytest.param(None, True, Address("", 8080), id="a pod"),
        pytest.param("127.0.0.1:9090", False, Address("127.0.0.1", 9090), id="said"),
        pytest.param(":0", True, Address("", 0), id="said in a pod"),
        pytest.param("[::1]:9090", False, Address("::1", 9090), id="IPv6"),
    ],
)
def test_health_is_served_in_a_pod_and_where_it_is_asked_for(text, in_pod, address):
    found = health_address(config_of(health_address=text).controller, in_pod=in_pod)
    assert found == address


@pytest.mark.parametrize(
    ("lease", "found"),
    [
        ({}, LeaseConfig("own", "hybridpg")),
        ({"namespace": "platform", "name": "b"}, LeaseConfig("platform", "b")),
        ({"enabled": False}, None),
    ],
)
def test_the_lease_is_in_the_namespace_of_the_pod_unless_it_is_said(lease, found):
    assert config_of(lease=lease).controller.lease.lease("own") == found


@pytest.fixture
def _collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    gc.enable()


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
contexts: [{name: c, context: {cluster: c, user: u, namespace: platform}}]
"""


@pytest.mark.usefixtures("_collector")
@pytest.mark.parametrize("tuned", [True, False])
def test_the_collector_is_left_alone_where_that_is_asked_for(tmp_path, monkeypatch, tuned):
    """The far end is an operator that looks at what it was given and ends as one that lost."""
    seen: dict[str, object] = {}

    async def operator(config, transport, stop, *, lease, health, tracing, on_started):
        seen.update(lease=lease, collects=gc.isenabled(), health=health, tracing=tracing)
        if on_started is not None:
            on_started()
        seen["later"] = gc.isenabled()
        await transport.close()
        raise LeaseLost("leader election lost: x")

    monkeypatch.setattr("hybridpg.app.cli.run.run_operator", operator)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    (tmp_path / "config.yaml").write_text(
        f"backend: external\ncontroller: {{tune_collector: {str(tuned).lower()}}}\n"
    )
    with pytest.raises(LeaseLost):
        run(tmp_path / "config.yaml", tmp_path / "kubeconfig")
    assert seen == {
        "lease": LeaseConfig("platform", "hybridpg"),
        "collects": not tuned,
        "health": None,
        "tracing": None,
        "later": True,
    }


@pytest.mark.usefixtures("_collector")
def test_spans_are_those_of_the_provider_of_the_process_where_they_are_asked_for(
    tmp_path, monkeypatch
):
    """The far end is an operator that sends one request, which nobody answers."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)

    async def operator(config, transport, stop, *, tracing, **others):
        try:
            await tracing.transport(transport).request("GET", "/api/v1/namespaces")
        finally:
            await transport.close()

    monkeypatch.setattr("hybridpg.app.cli.run.run_operator", operator)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    (tmp_path / "config.yaml").write_text("backend: external\ncontroller: {tracing: true}\n")
    with pytest.raises(ConnectionRefused):
        run(tmp_path / "config.yaml", tmp_path / "kubeconfig")
    assert [span.name for span in exporter.get_finished_spans()] == ["GET namespaces"]
    provider.shutdown()
