"""From a configuration to backends: one that cannot be used says why and stops no other."""

from __future__ import annotations

from typing import Any

import pytest

from hybridpg.app import Config, ConfigError, prepare_backends
from hybridpg.app.cluster_id import resolve_cluster_id
from hybridpg.app.kube import ClientKubeApi
from hybridpg.backends import BackendContext, Denied, Retired, Unavailable, Unknown
from hybridpg.backends.external import External, ExternalOptions
from hybridpg.controller import (
    NAMESPACES,
    SECRETS,
    Client,
    LeaseConfig,
    LeaseLost,
    Manager,
    ObjectKey,
)
from hybridpg.controller.testing import FakeCluster

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def cluster() -> FakeCluster:
    return FakeCluster(seed=1)


def config_of(**values: Any) -> Config:
    return Config.model_validate({"backend": "external", **values})


async def test_the_cluster_id_is_the_uid_of_kube_system(cluster: FakeCluster):
    client = Client(cluster)
    namespace = await client.get(NAMESPACES, ObjectKey("", "kube-system"))
    assert await resolve_cluster_id(config_of(), client) == namespace["metadata"]["uid"]


async def test_a_configured_cluster_id_asks_nobody(cluster: FakeCluster):
    config = config_of(controller={"cluster_id": "mine"})
    assert await resolve_cluster_id(config, Client(cluster)) == "mine"
    assert cluster.requests == []


async def test_without_the_right_to_read_it_the_line_to_add_is_named(cluster: FakeCluster):
    cluster.faults.error(403, "Forbidden", method="GET", times=10)
    with pytest.raises(ConfigError, match=r"controller: \{cluster_id:"):
        await resolve_cluster_id(config_of(), Client(cluster))


async def test_an_api_server_that_restarts_is_waited_for(cluster: FakeCluster):
    cluster.faults.error(503, "ServiceUnavailable", method="GET", times=3)
    cluster.faults.refused(times=2)
    assert await resolve_cluster_id(config_of(), Client(cluster))


async def test_a_backend_with_wrong_options_is_unavailable_and_the_rest_works(
    cluster: FakeCluster,
):
    """D48: a condition on its objects, no exit."""
    config = config_of(
        allowed_backends=["external", "local"],
        backends={"external": {"servers": {}}, "local": {"prots": "1-2"}},
        controller={"cluster_id": "c"},
    )
    backends = await prepare_backends(config, Client(cluster))
    assert backends.get("external").name == "external"
    with pytest.raises(Unavailable, match=r"backends\.local\.prots"):
        backends.get("local")
    await backends.close()


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("azurepostgres", Retired, "flexible"),
        ("awsrds", Unavailable, "awsrds"),
        ("nonsense", Unavailable, "nonsense"),
    ],
)
async def test_a_name_without_a_backend_says_so(
    cluster: FakeCluster, name: str, kind: type[Exception], words: str
):
    """H4."""
    config = config_of(backends={name: {}}, controller={"cluster_id": "c"})
    backends = await prepare_backends(config, Client(cluster))
    with pytest.raises(kind, match=words):
        backends.get(name)


async def test_a_backend_that_nobody_named_is_not_configured(cluster: FakeCluster):
    backends = await prepare_backends(config_of(controller={"cluster_id": "c"}), Client(cluster))
    with pytest.raises(Unavailable, match=r"backends\.local"):
        backends.get("local")


async def test_a_secret_is_read_decoded_and_its_absence_is_proven(cluster: FakeCluster):
    client = Client(cluster)
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "admin"},
        "stringData": {"password": "x"},
    }
    await client.create(SECRETS, body, namespace="default")
    kube = ClientKubeApi(client)
    assert await kube.get_secret("default", "admin") == {"password": b"x"}
    assert await kube.get_secret("default", "other") is None


@pytest.mark.parametrize(
    ("status", "kind"), [(403, Denied), (500, Unknown), (429, Unknown), (401, Unknown)]
)
async def test_a_secret_that_cannot_be_read_is_not_absent(
    cluster: FakeCluster, status: int, kind: type[Exception]
):
    """D17."""
    cluster.faults.error(status, "Any", method="GET", times=5)
    with pytest.raises(kind, match="default/admin"):
        await ClientKubeApi(Client(cluster)).get_secret("default", "admin")


async def test_a_lost_answer_is_unknown_to_a_backend(cluster: FakeCluster):
    cluster.faults.lost_before(times=5)
    with pytest.raises(Unknown):
        await ClientKubeApi(Client(cluster)).get_secret("default", "admin")


async def test_a_factory_of_the_program_goes_before_an_installed_one_and_gets_its_options(cluster):
    """Embedding: no package and no entry point is needed for a backend of one's own."""

    class House(External):
        """A backend that tells what it was made of."""

        def __init__(self, context: BackendContext) -> None:
            super().__init__(context)
            self.context = context

    server = {"host": "db", "secret": "ops/db"}
    config = config_of(
        controller={"cluster_id": "mine"}, backends={"external": {"servers": {"one": server}}}
    )
    backends = await prepare_backends(config, Client(cluster), factories={"external": House})
    made = backends.get("external")
    assert isinstance(made, House)
    assert made.context.cluster_id == "mine"
    assert isinstance(made.context.options, ExternalOptions)
    assert list(made.context.options.servers) == ["one"]


async def test_backends_are_fenced_by_the_lease_that_guards_their_client(cluster: FakeCluster):
    """Invariant 10: a replica that does not lead changes nothing elsewhere either."""
    contexts: list[BackendContext] = []

    class Told(External):
        """A backend that tells what it was made of."""

        def __init__(self, context: BackendContext) -> None:
            super().__init__(context)
            contexts.append(context)

    config = config_of(controller={"cluster_id": "mine"})
    manager = Manager(Client(cluster), leader_election=LeaseConfig("default", "x"))
    for client in (manager.client, Client(cluster)):
        await prepare_backends(config, client, factories={"external": Told})
    guarded, free = contexts
    with pytest.raises(LeaseLost, match="a statement is not begun: lease default/x is not ours"):
        guarded.fence("a statement")
    free.fence("a statement")


async def test_a_factory_of_the_program_with_wrong_options_says_which(cluster):
    config = config_of(controller={"cluster_id": "mine"}, backends={"external": {"no": 1}})
    backends = await prepare_backends(config, Client(cluster), factories={"external": External})
    with pytest.raises(Unavailable, match=r"backends\.external\.no"):
        backends.get("external")
