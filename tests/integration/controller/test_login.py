"""Ways to log in to a real API server: client certificate, service account, rotated token."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from tests.fix_testenv import TestEnv

from hybridpg.controller.client import (
    AiohttpTransport,
    Client,
    Config,
    StaticAuth,
    TlsConfig,
    TokenFile,
    load_in_cluster,
    load_kubeconfig,
)
from hybridpg.controller.errors import ConnectionRefused, Forbidden, Unauthorized
from hybridpg.controller.types import SECRETS, Resource

pytestmark = pytest.mark.testenv

ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
REVIEWS = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)


async def who(config: Config) -> str:
    """Return the name under which the API server knows us."""
    client = Client(AiohttpTransport(config))
    try:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await client.create(REVIEWS, review)
    finally:
        await client.close()
    return str(answer["status"]["userInfo"]["username"])


@pytest.fixture
async def token(real_client: Client, namespace: str) -> str:
    """A token of the service account ``robot``, as the kubelet asks for it."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    await real_client.create(ACCOUNTS, account, namespace=namespace)
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600},
    }
    answer = await real_client.create(
        ACCOUNTS, request, namespace=namespace, name="robot", subresource="token"
    )
    return str(answer["status"]["token"])


@pytest.fixture
def mounted(tmp_path: Path, testenv: TestEnv, token: str, namespace: str) -> Path:
    """The folder of a service account, as in a pod."""
    (tmp_path / "token").write_text(token + "\n")
    (tmp_path / "namespace").write_text(namespace)
    (tmp_path / "ca.crt").write_bytes(testenv.ca_file.read_bytes())
    return tmp_path


async def test_the_kubeconfig_of_an_administrator_logs_in_by_certificate(testenv: TestEnv):
    config = await load_kubeconfig(testenv.kubeconfig)

    assert config.host == testenv.host
    assert await who(config) == "admin"


async def test_a_pod_logs_in_as_its_service_account(
    mounted: Path, testenv: TestEnv, namespace: str
):
    parts = urlsplit(testenv.host)
    environ = {
        "KUBERNETES_SERVICE_HOST": str(parts.hostname),
        "KUBERNETES_SERVICE_PORT": str(parts.port),
    }

    config = load_in_cluster(folder=mounted, environ=environ)

    assert config.namespace == namespace
    assert await who(config) == f"system:serviceaccount:{namespace}:robot"


async def test_a_kubeconfig_with_a_token_file_logs_in(
    mounted: Path, testenv: TestEnv, namespace: str
):
    content = yaml.safe_load(testenv.kubeconfig.read_text())
    content["users"][0]["user"] = {"tokenFile": "token"}
    path = mounted / "kubeconfig"
    path.write_text(yaml.safe_dump(content))

    config = await load_kubeconfig(path)

    assert await who(config) == f"system:serviceaccount:{namespace}:robot"


async def test_a_token_that_was_rotated_is_picked_up_by_requests_and_watches(
    mounted: Path, testenv: TestEnv, token: str, namespace: str
):
    """H27."""
    file = mounted / "token"
    file.write_text("expired")
    tls = TlsConfig(ca_file=str(testenv.ca_file))
    client = Client(AiohttpTransport(Config(testenv.host, TokenFile(file), tls)))

    with pytest.raises(Unauthorized):
        await client.list(SECRETS, namespace=namespace)
    file.write_text(token + "\n")
    with pytest.raises(Forbidden, match="robot"):  # known now, without rights
        await client.list(SECRETS, namespace=namespace)
    with pytest.raises(Forbidden, match="robot"):
        await anext(client.watch(SECRETS, namespace=namespace, timeout_seconds=1))
    await client.close()


async def test_without_credentials_the_server_says_so(testenv: TestEnv, namespace: str):
    tls = TlsConfig(ca_file=str(testenv.ca_file))
    client = Client(AiohttpTransport(Config(testenv.host, StaticAuth("Bearer x"), tls)))

    with pytest.raises(Unauthorized):
        await client.list(SECRETS, namespace=namespace)
    await client.close()


async def test_a_server_of_another_authority_is_not_trusted(testenv: TestEnv):
    client = Client(AiohttpTransport(Config(testenv.host)))

    with pytest.raises(ConnectionRefused, match="not trusted"):
        await client.list(SECRETS)
    await client.close()
