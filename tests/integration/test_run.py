"""``hybridpg run`` as a process: its log, its end, and what it says when it cannot begin."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from hybridpg.app.dev.crds import install_crds
from hybridpg.controller import Client
from hybridpg.controller.testing import FakeCluster, FakeClusterServer

SOURCES = str(Path(__file__).parents[2] / "hack" / "import")
START_SECONDS = 60
STOP_SECONDS = 10
"""A third of what Kubernetes gives a pod."""


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    """A cluster with our CRDs."""
    made = FakeCluster()
    await install_crds(Client(made))
    yield made
    await made.close()


@asynccontextmanager
async def running(
    cluster: FakeCluster, folder: Path, config: str = "backend: local"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the controller against the cluster; killed at the end if it still runs."""
    (folder / "config.yaml").write_text(config)
    async with FakeClusterServer(cluster, token="t0ken") as server:
        (folder / "kubeconfig").write_text(yaml.safe_dump(server.kubeconfig()))
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "hybridpg", "run", "--kubeconfig", "kubeconfig"],
            cwd=folder,
            env={
                **{key: value for key, value in os.environ.items() if key != "OPERATOR_CONFIG"},
                "PYTHONPATH": SOURCES,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def read_until(process: asyncio.subprocess.Process, event: str) -> list[dict[str, object]]:
    """Read the log up to an event."""
    assert process.stderr is not None
    records: list[dict[str, object]] = []
    async with asyncio.timeout(START_SECONDS):
        while not records or records[-1]["event"] != event:
            line = await process.stderr.readline()
            assert line, f"the process ended before {event!r}: {records}"
            records.append(json.loads(line))
    return records


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_logs_json_and_ends_in_time_when_told_to(cluster, tmp_path, number):
    async with running(cluster, tmp_path) as process:
        records = await read_until(process, "manager hybridpg has started")
        assert records[0]["backend"] == "local"
        assert all({"level", "logger", "timestamp"} <= set(record) for record in records)

        process.send_signal(number)
        async with asyncio.timeout(STOP_SECONDS):
            out, _ = await process.communicate()

    assert process.returncode == 0
    assert out == b"", "the standard output belongs to the verbs that print something"


def watches(cluster: FakeCluster) -> int:
    return sum(request.method == "WATCH" for request in cluster.requests)


async def test_it_watches_again_when_the_api_server_ends_its_watches(cluster, tmp_path):
    """H19."""
    async with running(cluster, tmp_path) as process:
        await read_until(process, "manager hybridpg has started")
        before = watches(cluster)

        cluster.drop_watches()

        async with asyncio.timeout(START_SECONDS):
            while watches(cluster) < before + 2:
                await asyncio.sleep(0.02)
        assert process.returncode is None

        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            await process.communicate()

    assert process.returncode == 0


async def test_a_wrong_configuration_ends_it_at_once_with_all_that_is_wrong(cluster, tmp_path):
    """C2."""
    async with running(cluster, tmp_path, "{controller: {workers: 0, colour: red}}") as process:
        async with asyncio.timeout(START_SECONDS):
            _, errors = await process.communicate()

    assert process.returncode == 2
    said = errors.decode().splitlines()
    assert [line.split(": ")[1] for line in said] == [
        "backend",
        "controller.workers",
        "controller.colour",
    ]
    assert cluster.writes == [write for write in cluster.writes if "customresource" in write.path]
