"""The example of the first run: the same manifest everywhere, and an honest wait for Ready."""

import asyncio
import base64
from pathlib import Path

import pytest
import yaml

from hybridpg.app.dev import example
from hybridpg.app.dev.crds import install_crds
from hybridpg.app.dev.example import DATABASE, SERVER, apply, manifest, wait_ready
from hybridpg.app.dev.login import read_login
from hybridpg.app.dev.steps import StepFailed
from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    SECRETS,
    Client,
    MergePatch,
    NotFound,
    ObjectKey,
)
from hybridpg.controller.testing import FakeCluster, run_virtual

ROOT = Path(__file__).parents[4]


@pytest.fixture
async def cluster():
    made = FakeCluster()
    await install_crds(Client(made))
    yield made
    await made.close()


@pytest.fixture
def client(cluster):
    return Client(cluster)


async def set_ready(client, resource, key, status, reason, message="", generation=1):
    condition = {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": generation,
    }
    patch = {"status": {"observedGeneration": generation, "conditions": [condition]}}
    await client.patch(resource, key, MergePatch(patch), subresource="status")


def test_the_manifest_of_the_wheel_is_the_one_of_the_checkout():
    assert manifest() == (ROOT / "examples" / "quickstart.yaml").read_text()


def test_the_manifest_says_what_the_first_run_waits_for():
    found = {(each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(manifest())}

    assert found == {(SERVERS.kind, SERVER.name), (DATABASES.kind, DATABASE.name)}


async def test_the_crds_are_served_afterwards(client):
    assert await install_crds(client) == ["postgresqlservers", "postgresqldatabases"]
    with pytest.raises(NotFound):
        await client.get(SERVERS, SERVER)


async def test_installing_the_crds_again_writes_nothing(cluster, client):
    before = cluster.resource_version

    await install_crds(client)

    assert cluster.resource_version == before


async def test_older_crds_are_brought_up_to_date(cluster, client):
    key = ObjectKey("", "postgresqlservers.hybridcloud.maibornwolff.de")
    present = await client.get(CUSTOM_RESOURCE_DEFINITIONS, key)
    names = {**present["spec"]["names"], "shortNames": ["pg"]}
    patch = MergePatch({"spec": {"names": names}})
    await client.patch(CUSTOM_RESOURCE_DEFINITIONS, key, patch)

    await install_crds(client)

    found = await client.get(CUSTOM_RESOURCE_DEFINITIONS, key)
    assert found["spec"]["names"]["shortNames"] == present["spec"]["names"]["shortNames"]


async def test_applying_creates_both_objects(client):
    await apply(client)

    assert (await client.get(DATABASES, DATABASE))["spec"]["serverRef"] == {"name": SERVER.name}


async def test_applying_again_keeps_what_the_user_has_changed(client):
    await apply(client)
    await client.patch(SERVERS, SERVER, MergePatch({"spec": {"size": {"memoryMB": 1024}}}))

    await apply(client)

    assert (await client.get(SERVERS, SERVER))["spec"]["size"]["memoryMB"] == 1024


async def test_applying_brings_back_what_is_gone(client):
    await apply(client)
    await client.delete(DATABASES, DATABASE)

    await apply(client)

    assert (await client.get(DATABASES, DATABASE))["metadata"]["name"] == DATABASE.name


def in_virtual_time(test):
    """Run a test that waits on the virtual clock."""

    async def with_cluster():
        cluster = FakeCluster()
        client = Client(cluster)
        await install_crds(client)
        await apply(client)
        try:
            await test(client)
        finally:
            await cluster.close()

    run_virtual(with_cluster())


def test_the_wait_ends_when_both_are_ready():
    async def test(client):
        notes: list[str] = []
        waiting = asyncio.create_task(wait_ready(client, notes.append))
        await asyncio.sleep(1)
        await set_ready(client, SERVERS, SERVER, "True", "Available")
        await asyncio.sleep(1)
        assert not waiting.done(), "the database is not ready yet"
        await set_ready(client, DATABASES, DATABASE, "True", "Available")
        await waiting
        assert notes == []

    in_virtual_time(test)


def test_every_reason_on_the_way_is_said():
    async def test(client):
        notes: list[str] = []
        waiting = asyncio.create_task(wait_ready(client, notes.append))
        for reason, message in (("Creating", "initdb"), ("Creating", "initdb"), ("Denied", "no")):
            await set_ready(client, SERVERS, SERVER, "False", reason, message)
            await asyncio.sleep(1)
        for resource, key in ((SERVERS, SERVER), (DATABASES, DATABASE)):
            await set_ready(client, resource, key, "True", "Available")
        await waiting
        assert list(dict.fromkeys(notes)) == [
            "PostgreSQLServer demo: Creating: initdb",
            "PostgreSQLServer demo: Denied: no",
        ]

    in_virtual_time(test)


def test_ready_of_an_older_generation_does_not_count():
    async def test(client):
        await set_ready(client, SERVERS, SERVER, "True", "Available", generation=0)
        waiting = asyncio.create_task(wait_ready(client, lambda _: None))
        await asyncio.sleep(10)
        assert not waiting.done()
        waiting.cancel()

    in_virtual_time(test)


def test_a_server_that_does_not_get_ready_is_named_with_its_last_reason():
    async def test(client):
        await set_ready(client, SERVERS, SERVER, "False", "Denied", "no right to run initdb")
        loop = asyncio.get_running_loop()
        begin = loop.time()
        with pytest.raises(StepFailed, match=r"demo is not Ready .* Denied: no right") as caught:
            await wait_ready(client, lambda _: None)
        assert loop.time() - begin == pytest.approx(example.READY_TIMEOUT)
        assert caught.value.fix

    in_virtual_time(test)


async def test_the_login_is_what_the_secret_says(client):
    await apply(client)
    values = {
        "host": "localhost",
        "port": "54321",
        "dbname": "app",
        "username": "app",
        "password": "s3cret",
        "sslmode": "verify-full",
        "ca.crt": "PEM",
    }
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    secret = {"metadata": {"name": "app-credentials"}, "data": data}
    await client.create(
        SECRETS, {"apiVersion": "v1", "kind": "Secret", **secret}, namespace="default"
    )

    login = await read_login(client, DATABASE)

    assert (login.host, login.port, login.user) == ("localhost", "54321", "app")
    assert (login.password, login.sslmode, login.ca) == ("s3cret", "verify-full", "PEM")
    assert login.secret == "app-credentials"
    assert "s3cret" not in repr(login)
