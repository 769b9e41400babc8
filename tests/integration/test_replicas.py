"""``hybridpg run`` as the processes of a Deployment: one works, and its token is exchanged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from tests.fix_testenv import TestEnv
from tests.relay import Relay

from hybridpg.app.kinds import SERVERS
from hybridpg.controller import (
    LEASES,
    SECRETS,
    AiohttpTransport,
    Client,
    MergePatch,
    NotFound,
    ObjectKey,
    Resource,
    Unauthorized,
)
from hybridpg.controller.client import Config, StaticAuth, TlsConfig

SOURCES = str(Path(__file__).parents[2] / "hack" / "import")
SECONDS = 60.0
"""For what takes a few where the machine has nothing else to do."""
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False
)


@dataclass
class Process:
    """One ``hybridpg run`` and what it says."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    async def read(self) -> None:
        """Take its log to the end."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode().rstrip())

    def said(self, pattern: str) -> re.Match[str] | None:
        """Find words in its log."""
        found = (re.search(pattern, line) for line in self.lines)
        return next((match for match in found if match), None)

    async def check(self, path: str) -> tuple[int, str]:
        """Ask its health server."""
        match = self.said(r"health and metrics on port (\d+)")
        assert match is not None
        url = f"http://127.0.0.1:{match[1]}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()

    async def ended(self) -> int:
        """Wait for its end; return the exit code."""
        async with asyncio.timeout(SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def running(folder: Path, config: dict[str, Any]) -> AsyncIterator[Process]:
    """Run the controller with the kubeconfig in the folder; killed at the end if it still runs."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    variables = {k: v for k, v in os.environ.items() if not k.startswith("HYBRIDCLOUD_")}
    variables.pop("OPERATOR_CONFIG", None)
    made = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "hybridpg", "run", "--kubeconfig", "kubeconfig"],
        cwd=folder,
        env={**variables, "PYTHONPATH": SOURCES},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    process = Process(made)
    reading = asyncio.create_task(process.read())
    try:
        await until(lambda: process.said("manager hybridpg has started"), process)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.kill()
        await made.wait()
        await reading


async def until(condition: Callable[[], Any], process: Process | None = None) -> None:
    """Look until a condition, which may be awaited, holds."""
    deadline = time.monotonic() + SECONDS
    while True:
        result = condition()
        if await result if asyncio.iscoroutine(result) else result:
            return
        said = "\n".join(process.lines[-20:]) if process else ""
        assert time.monotonic() < deadline, f"does not hold: {said}"
        await asyncio.sleep(0.05)


def config_of(namespace: str, **lease: Any) -> dict[str, Any]:
    """Return a configuration whose servers cannot be had: their status still says who looked."""
    return {
        "backend": "external",
        "controller": {
            "cluster_id": "replicas",
            "watch_namespaces": [namespace],
            "health_address": "127.0.0.1:0",
            "lease": {"namespace": namespace, **lease},
        },
    }


def server(name: str) -> dict[str, Any]:
    return {
        "apiVersion": SERVERS.api_version,
        "kind": SERVERS.kind,
        "metadata": {"name": name},
        "spec": {"size": {"storageGB": 1}, "credentialsSecret": f"{name}-login"},
    }


async def seen(client: Client, namespace: str, name: str) -> bool:
    """Return whether a controller has looked at a server and said what it thinks."""
    obj = await client.get(SERVERS, ObjectKey(namespace, name))
    return bool((obj.get("status") or {}).get("conditions"))


async def test_of_two_replicas_one_works_and_the_other_takes_over(
    testenv: TestEnv, real_client: Client, namespace: str, tmp_path: Path, installed_crds: None
):
    """D77."""
    key = ObjectKey(namespace, "hybridpg")
    short = {"duration_seconds": 4, "renew_deadline_seconds": 3, "retry_period_seconds": 0.5}
    config = config_of(namespace, **short)
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kubeconfig").write_text(testenv.kubeconfig.read_text())
    async with (
        running(tmp_path / "one", config) as one,
        running(tmp_path / "two", config) as two,
    ):
        await until(lambda: one.said("holds lease"), one)
        assert "leader election: leads" in (await one.check("/readyz?verbose"))[1]
        status, text = await two.check("/readyz?verbose")
        assert status == 200, "a replica with complete caches is ready"
        assert "leader election: waits, the lease is held by" in text
        await real_client.create(SERVERS, server("first"), namespace=namespace)
        await until(lambda: seen(real_client, namespace, "first"), one)
        _, metrics = await one.check("/metrics")
        assert 'leader_election_master_status{name="hybridpg"} 1.0' in metrics

        one.process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        await real_client.create(SERVERS, server("second"), namespace=namespace)
        await until(lambda: seen(real_client, namespace, "second"), two)
        assert time.monotonic() - killed < 4 + 4.4 * 0.5 + 5, "and a moment for the pass"

        async with running(tmp_path / "three", config) as three:
            patch = MergePatch({"spec": {"holderIdentity": "somebody else"}})
            await real_client.patch(LEASES, key, patch)
            assert await two.ended() == 1
            assert two.lines[-1] == (
                f"hybridpg: leader election lost: lease {namespace}/hybridpg is held by "
                "somebody else"
            )
            await until(lambda: three.said("holds lease"), three)
            three.process.send_signal(signal.SIGTERM)
            assert await three.ended() == 0
            assert (await real_client.get(LEASES, key))["spec"]["holderIdentity"] == ""


async def make_token(client: Client, namespace: str, name: str) -> str:
    """Return a token that is good as long as a Secret of that name exists."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    made = await client.create(SECRETS, secret, namespace=namespace)
    bound = {"kind": "Secret", "apiVersion": "v1", "name": name, "uid": made["metadata"]["uid"]}
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600, "boundObjectRef": bound},
    }
    answer = await client.create(
        ACCOUNTS, request, namespace=namespace, name="operator", subresource="token"
    )
    return str(answer["status"]["token"])


@pytest.fixture
async def operator_account(real_client: Client, namespace: str) -> AsyncIterator[None]:
    """A service account that may do everything."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}}
    await real_client.create(ACCOUNTS, account, namespace=namespace)
    binding = {
        "apiVersion": BINDINGS.api_version,
        "kind": BINDINGS.kind,
        "metadata": {"name": namespace},
        "roleRef": {
            "apiGroup": BINDINGS.group,
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
    }
    await real_client.create(BINDINGS, binding)
    yield
    with contextlib.suppress(NotFound):
        await real_client.delete(BINDINGS, ObjectKey("", namespace))


@pytest.mark.usefixtures("operator_account", "installed_crds")
async def test_a_token_that_is_exchanged_under_a_running_controller_ends_no_watch(
    testenv: TestEnv, real_client: Client, namespace: str, tmp_path: Path
):
    """H27: the kubelet writes a new token into the file, and the old one stops being good."""
    folder = tmp_path / "pod"
    folder.mkdir()
    async with Relay(testenv.host) as relay:
        document = yaml.safe_load(testenv.kubeconfig.read_text())
        document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{relay.port}"
        document["users"][0]["user"] = {"tokenFile": "token"}
        (folder / "kubeconfig").write_text(yaml.safe_dump(document))
        (folder / "token").write_text(await make_token(real_client, namespace, "former") + "\n")
        async with running(folder, config_of(namespace)) as controller:
            await until(lambda: controller.said("holds lease"), controller)
            await real_client.create(SERVERS, server("before"), namespace=namespace)
            await until(lambda: seen(real_client, namespace, "before"), controller)

            stale = (folder / "token").read_text().strip()
            written = folder / "token.new"
            written.write_text(await make_token(real_client, namespace, "next") + "\n")
            written.rename(folder / "token")  # as the kubelet does
            await real_client.delete(SECRETS, ObjectKey(namespace, "former"))
            await until(lambda: refused(testenv, stale))

            relay.cut()  # every watch has to be opened anew, with the token of now
            relay.heal()
            await real_client.create(SERVERS, server("after"), namespace=namespace)
            await until(lambda: seen(real_client, namespace, "after"), controller)
            await real_client.patch(
                SERVERS,
                ObjectKey(namespace, "before"),
                MergePatch({"spec": {"size": {"storageGB": 2}}}),
            )
            await until(lambda: observed(real_client, namespace, "before"), controller)
            assert controller.process.returncode is None
            assert (await controller.check("/readyz"))[0] == 200
            events = [json.loads(line) for line in controller.lines]
            assert not [each for each in events if each["level"] in ("error", "critical")]
            assert stale not in "\n".join(controller.lines)


async def refused(env: TestEnv, token: str) -> bool:
    """Return whether the API server knows a token no more."""
    tls = TlsConfig(ca_file=str(env.ca_file))
    config = Config(env.host, auth=StaticAuth(f"Bearer {token}"), tls=tls)
    client = Client(AiohttpTransport(config))
    try:
        await client.list(SECRETS, namespace="default")
    except Unauthorized:
        return True
    finally:
        await client.close()
    return False


async def observed(client: Client, namespace: str, name: str) -> bool:
    """Return whether the newest spec of a server was looked at."""
    obj = await client.get(SERVERS, ObjectKey(namespace, name))
    return bool(obj["status"].get("observedGeneration") == obj["metadata"]["generation"])
