"""A bound token that is revoked under an open watch of a real API server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.fix_testenv import TestEnv

from hybridpg.controller.client import AiohttpTransport, Client, Config, TlsConfig, TokenFile
from hybridpg.controller.errors import Unauthorized
from hybridpg.controller.types import SECRETS, ObjectKey, Resource

pytestmark = pytest.mark.testenv

ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture
async def robot(real_client: Client, namespace: str) -> Client:
    """The administrator's client; the account ``robot`` may read Secrets in ``namespace``."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": "robot"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]}],
    }
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "robot"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": namespace}],
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "robot"},
    }
    for resource, made in ((ACCOUNTS, account), (ROLES, role), (BINDINGS, binding)):
        await real_client.create(resource, made, namespace=namespace)
    return real_client


async def create_secret(client: Client, namespace: str, name: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    await client.create(SECRETS, secret, namespace=namespace)


async def bound_token(client: Client, namespace: str, secret: str) -> str:
    """Return a token that is good for as long as that Secret exists."""
    await create_secret(client, namespace, secret)
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": secret}},
    }
    answer = await client.create(
        ACCOUNTS, request, namespace=namespace, name="robot", subresource="token"
    )
    return str(answer["status"]["token"])


async def revoked(client: Client, namespace: str) -> None:
    """Wait until the API server refuses the token; it remembers good ones for some seconds."""
    async with asyncio.timeout(60):
        while True:
            try:
                await client.list(SECRETS, namespace=namespace, limit=1)
            except Unauthorized:
                return
            await asyncio.sleep(0.5)


async def names_until(lines, name: str) -> None:
    async with asyncio.timeout(20):
        while True:
            if any(f'"name":"{name}"'.encode() in line for line in await anext(lines)):
                return


@pytest.mark.slow
@pytest.mark.parametrize("in_place", [True, False], ids=["in-place", "library"])
async def test_a_token_revoked_under_an_open_watch_is_exchanged_and_watches_go_on(
    testenv: TestEnv, robot: Client, namespace: str, tmp_path: Path, in_place: bool
):
    """H27: the open watch goes on, and the next requests and watches use the new token."""
    file = tmp_path / "token"
    file.write_text(await bound_token(robot, namespace, "first"))
    tls = TlsConfig(ca_file=str(testenv.ca_file))
    config = Config(testenv.host, TokenFile(file), tls)
    client = Client(AiohttpTransport(config, in_place=in_place))
    watch = client.watch(SECRETS, namespace=namespace, timeout_seconds=120, resource_version="0")
    await names_until(watch, "first")

    await robot.delete(SECRETS, ObjectKey(namespace, "first"))
    await revoked(client, namespace)
    await create_secret(robot, namespace, "under-the-open-watch")
    await names_until(watch, "under-the-open-watch")

    file.write_text(await bound_token(robot, namespace, "second") + "\n")
    again = client.watch(SECRETS, namespace=namespace, timeout_seconds=120, resource_version="0")
    await names_until(again, "second")
    await names_until(watch, "second")
    assert (await client.list(SECRETS, namespace=namespace)).items
    await client.close()
