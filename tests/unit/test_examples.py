"""The examples are true: each is run, and does what its README says."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest
import yaml

from hybridpg.app import Config, prepare_backends
from hybridpg.controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    Client,
    JsonObject,
    Manager,
    MergePatch,
    NotFound,
    ObjectKey,
    Resource,
    find_condition,
)
from hybridpg.controller.testing import FakeCluster, eventually, settled
from hybridpg.crds import ServerSpec

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())
HELLO_LINES = 20
NAMESPACE = "default"
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]

virtual = pytest.mark.virtual_time


def load(folder: str, module: str) -> ModuleType:
    """Import a module of an example by its path."""
    path = EXAMPLES / folder / f"{module}.py"
    spec = importlib.util.spec_from_file_location(f"example_{module}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def definition(kind: Resource) -> JsonObject:
    """A definition that accepts anything."""
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": str(kind)},
        "spec": {
            "group": kind.group,
            "names": {"kind": kind.kind, "plural": kind.plural},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


async def define(client: Client, kind: Resource) -> None:
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition(kind))


async def apply(client: Client, folder: str, name: str) -> None:
    """Make what the manifest of an example holds: a definition and an object."""
    crd, obj = yaml.safe_load_all((EXAMPLES / folder / f"{name}.yaml").read_text())
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, crd)
    names = crd["spec"]["names"]
    kind = Resource(crd["spec"]["group"], "v1", names["plural"], names["kind"])
    await client.create(kind, obj, namespace=obj["metadata"]["namespace"])


async def make(client: Client, kind: Resource, name: str, **spec: object) -> JsonObject:
    body = {"metadata": {"name": name}, "spec": spec}
    full = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
    return await client.create(kind, full, namespace=NAMESPACE)


def key(name: str) -> ObjectKey:
    return ObjectKey(NAMESPACE, name)


async def gone(read: Callable[[], Awaitable[JsonObject]]) -> bool:
    try:
        await read()
    except NotFound:
        return True
    return False


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_example_says_what_it_is(folder):
    readme = (folder / "README.md").read_text()
    assert readme.startswith("# ")
    assert all(path.name in readme or path.name == "__init__.py" for path in folder.glob("*.py"))


def test_the_hello_controller_has_twenty_lines_at_most():
    source = (EXAMPLES / "01-hello" / "hello.py").read_text()
    lines = [line for line in source.splitlines() if line.strip()]
    prose = [line for line in lines if line.strip().startswith('"""')]
    assert len(lines) - len(prose) <= HELLO_LINES


def test_the_examples_are_typed_strictly():
    programs = [*EXAMPLES.glob("0[1-68]-*/*.py"), *EXAMPLES.glob("09-*/acme_platform/*.py")]
    bases = [ROOT / "hack" / "import", EXAMPLES / "09-platform-team"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *sorted(programs)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": ":".join(map(str, bases))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@virtual
async def test_hello_greets_and_greets_again(fake_cluster: FakeCluster):
    hello = load("01-hello", "hello")
    client = Client(fake_cluster)
    crd, world = yaml.safe_load_all((EXAMPLES / "01-hello" / "hello.yaml").read_text())
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, crd)
    await client.create(hello.HELLOS, world, namespace=NAMESPACE)

    async def greeting() -> object:
        found = await client.get(hello.HELLOS, key("world"))
        return (found.get("status") or {}).get("greeting")

    async def right() -> bool:
        return await greeting() == "hello world"

    async with hello.hello(client):
        await eventually(right)
        wrong = MergePatch({"status": {"greeting": "bye"}})
        await client.patch(hello.HELLOS, key("world"), wrong, subresource="status")
        await eventually(right)
        await settled(fake_cluster)


@virtual
async def test_an_owned_object_is_made_repaired_and_goes_with_its_owner(fake_cluster: FakeCluster):
    website = load("02-owned-objects", "website")
    client = Client(fake_cluster)
    await apply(client, "02-owned-objects", "website")

    async def page() -> JsonObject:
        return await client.get(website.CONFIG_MAPS, key("shop"))

    async def right() -> bool:
        return bool((await page())["data"] == {"index.html": "<h1>Shop</h1>"})

    async with website.websites(client):
        await eventually(right)
        await client.patch(
            website.CONFIG_MAPS, key("shop"), MergePatch({"data": {"index.html": "x"}})
        )
        await eventually(right)
        await client.delete(website.CONFIG_MAPS, key("shop"))
        await eventually(right)
        await settled(fake_cluster)
        await client.delete(website.WEBSITES, key("shop"))
        await eventually(lambda: gone(page))


@virtual
async def test_a_finalizer_holds_the_object_until_the_bucket_is_gone(fake_cluster: FakeCluster):
    bucket = load("03-finalizer", "bucket")

    class Stubborn(bucket.Shelf):  # type: ignore[name-defined,misc]  # imported by path
        refusals = 3

        async def delete(self, uid: str) -> None:
            if self.refusals:
                self.refusals -= 1
                raise OSError("not now")
            await super().delete(uid)

    client, storage = Client(fake_cluster), Stubborn()
    await apply(client, "03-finalizer", "bucket")
    made = await client.get(bucket.BUCKETS, key("photos"))
    async with bucket.buckets(client, storage):
        await eventually(lambda: storage.sizes == {made["metadata"]["uid"]: 5})
        await client.delete(bucket.BUCKETS, key("photos"))
        await eventually(lambda: gone(lambda: client.get(bucket.BUCKETS, key("photos"))))
    assert storage.sizes == {}
    assert storage.refusals == 0


async def condition(client: Client, kind: Resource, name: str) -> tuple[str, str]:
    found = await client.get(kind, key(name))
    ready = find_condition((found.get("status") or {}).get("conditions") or [], "Ready")
    return (ready["status"], ready["reason"]) if ready else ("", "")


@virtual
async def test_a_ticket_is_looked_at_every_minute_until_it_is_printed(fake_cluster: FakeCluster):
    ticket = load("04-status-and-events", "ticket")
    client = Client(fake_cluster)
    looks: list[float] = []

    async def printed(place: str) -> bool:
        looks.append(asyncio.get_running_loop().time())
        return len(looks) == 4

    await apply(client, "04-status-and-events", "ticket")
    await make(client, ticket.TICKETS, "b", to="nowhere")
    async with ticket.tickets(client, printed):
        await asyncio.sleep(3600)
        assert await condition(client, ticket.TICKETS, "a") == ("True", "Printed")
        assert await condition(client, ticket.TICKETS, "b") == ("False", "NoSuchPlace")
        notes = {item.decode()["reason"] for item in (await client.list(EVENTS)).items}
    assert [round(later - looks[0]) for later in looks] == [0, 60, 120, 180]
    assert notes == {"Ordered", "Printed", "NoSuchPlace"}


async def fetch(manager: Manager, path: str) -> tuple[int, str]:
    assert manager.health is not None
    url = f"http://127.0.0.1:{manager.health.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_a_watched_process_says_how_it_is_and_what_it_did(fake_cluster: FakeCluster):
    watched = load("05-metrics-and-health", "watched")
    manager: Manager = watched.watched(Client(fake_cluster), "127.0.0.1", 0)

    async def counted() -> bool:
        _, metrics = await fetch(manager, "/metrics")
        line = 'controller_runtime_reconcile_total{controller="namespace",result="success"}'
        return any(
            each.startswith(line) and not each.endswith(" 0.0") for each in metrics.split("\n")
        )

    async with manager:
        await eventually(counted)
        assert (await fetch(manager, "/healthz"))[0] == 200
        status, parts = await fetch(manager, "/readyz?verbose")
    assert status == 200
    assert "namespaces" in parts


@virtual
async def test_of_two_replicas_one_greets_and_the_other_follows_at_once(fake_cluster: FakeCluster):
    elected = load("06-leader-election", "elected")
    client = Client(fake_cluster)
    await define(client, elected.HELLOS)
    await make(client, elected.HELLOS, "world", who="world")

    async def greeting() -> object:
        found = await client.get(elected.HELLOS, key("world"))
        return (found.get("status") or {}).get("greeting")

    async def of(name: str) -> bool:
        return await greeting() == f"from {name}"

    stop = asyncio.Event()
    first = asyncio.create_task(elected.elected(client, "one").run(stop))
    await eventually(lambda: of("one"))
    stop_second = asyncio.Event()
    second = asyncio.create_task(elected.elected(client, "two").run(stop_second))
    await asyncio.sleep(60)
    assert await of("one")
    stop.set()
    await first
    left = asyncio.get_running_loop().time()
    await eventually(lambda: of("two"))
    assert asyncio.get_running_loop().time() - left < elected.LEASE.retry_period
    stop_second.set()
    await second


def test_the_tests_of_an_embedder_pass():
    done = subprocess.run(
        [*PYTEST, "--rootdir", ".", "-c", "/dev/null", "."],
        cwd=EXAMPLES / "07-testing",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout or "3 passed" in done.stdout


@virtual
async def test_a_backend_of_the_program_itself_has_its_say(fake_cluster: FakeCluster, tmp_path):
    house = load("08-custom-backend", "house")
    values = {**house.CONFIG, "backends": {"house": {"path": str(tmp_path)}}}
    config = Config.model_validate(values)
    backends = await prepare_backends(
        config, Client(fake_cluster), factories={"house": house.House}
    )
    backend = backends.get("house")
    spec = {"credentialsSecret": "login"}
    small = ServerSpec.model_validate({**spec, "size": {"storageGB": 10}})
    large = ServerSpec.model_validate({**spec, "size": {"storageGB": 11}})
    assert [each.field for each in backend.server_spec_valid(large)] == ["size.storageGB"]
    assert backend.server_spec_valid(small) == ()
    await backends.close()
