"""A platform team's own controller with hybridpg in it, packed as one file and run from it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from tests.requirements import require

from hybridpg.controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    SECRETS,
    Client,
    JsonObject,
    ObjectKey,
    Resource,
    find_condition,
)
from hybridpg.controller.testing import FakeCluster, FakeClusterServer, eventually
from hybridpg.crds import GROUP, VERSION

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "09-platform-team"
TEAMS = Resource("platform.acme.example", "v1", "teams", "Team")
SERVERS = Resource(GROUP, VERSION, "postgresqlservers", "PostgreSQLServer")
SHIPPED = ("src", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, packed with everything that it needs except Python."""
    shiv = Path(sys.executable).with_name("shiv")
    require(shiv.exists(), "no shiv here: pip install shiv")
    folder = tmp_path_factory.mktemp("packed")
    # copies: a build leaves its traces where the sources are
    ours, theirs = folder / "hybridpg", folder / "acme"
    ours.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, ours / name)
    shutil.copytree(EXAMPLE, theirs)
    packed = folder / "acme-platform"
    options = ["--quiet", "--output-file", str(packed), "--console-script", "acme-platform"]
    done = subprocess.run(
        [str(shiv), *options, str(ours), str(theirs)], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    if done.returncode:
        require("connection broken" not in said, "the package index cannot be reached")
    assert done.returncode == 0, said
    return packed


def environment(executable: Path) -> dict[str, str]:
    """Nothing of this checkout: no PYTHONPATH, and a folder of its own to unpack into."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    home = str(executable.parent)
    return {**kept, "HOME": home, "SHIV_ROOT": f"{home}/unpacked"}


@asynccontextmanager
async def running(executable: Path, kubeconfig: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        executable, "run", "--kubeconfig", kubeconfig, cwd="/", env=environment(executable)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_packed_program_makes_both_kinds_ready_and_ends_when_told(executable, tmp_path):
    printed = subprocess.run(
        [executable, "crd"], env=environment(executable), capture_output=True, text=True, check=True
    )
    cluster = FakeCluster()
    client = Client(cluster)
    for document in yaml.safe_load_all(printed.stdout):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, document)
    for document in yaml.safe_load_all((EXAMPLE / "manifests.yaml").read_text()):
        kind = TEAMS if document["kind"] == "Team" else SERVERS
        await client.create(kind, document, namespace="default")
    kubeconfig = tmp_path / "kubeconfig"
    async with FakeClusterServer(cluster) as server:
        kubeconfig.write_text(json.dumps(server.kubeconfig()))
        async with running(executable, kubeconfig) as process:
            for kind, name in ((TEAMS, "payments"), (SERVERS, "payments"), (SERVERS, "reporting")):
                await is_ready(client, kind, name)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 20) == 0
    secret = await client.get(SECRETS, ObjectKey("default", "payments-postgres"))
    assert secret["metadata"]["ownerReferences"][0]["kind"] == "PostgreSQLServer"
    found = await client.get(SERVERS, ObjectKey("default", "payments"))
    assert found["status"]["backend"] == "shelf"
    assert found["metadata"]["ownerReferences"][0]["kind"] == "Team"
    await cluster.close()


async def is_ready(client: Client, kind: Resource, name: str) -> None:
    async def ready() -> bool:
        obj: JsonObject = await client.get(kind, ObjectKey("default", name))
        condition = find_condition((obj.get("status") or {}).get("conditions") or [], "Ready")
        return condition is not None and condition["status"] == "True"

    await eventually(ready, seconds=60)
