"""The hello controllers of the embedding page, ours and the peers': each greets.

The peers are not dependencies of ours: ``pip install -r tests/bench/peers.txt`` has them run here.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from hybridpg.controller import CUSTOM_RESOURCE_DEFINITIONS, Client, ObjectKey, Resource
from hybridpg.controller.testing import FakeCluster, FakeClusterServer, eventually

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "embedding.md").read_text()
HELLOS = Resource("example.com", "v1", "hellos", "Hello")
STARTS: dict[str, list[str]] = {
    "hybridpg": [sys.executable],
    "kopf": [sys.executable, "-m", "kopf", "run", "--all-namespaces"],
    "kr8s": [sys.executable],
    "lightkube": [sys.executable],
}


def program(library: str) -> str:
    """The first block of the page that imports a library."""
    blocks: list[str] = re.findall(r"^```py(?:thon)?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return next(each for each in blocks if re.search(rf"^(import|from) {library}\b", each, re.M))


@pytest.mark.parametrize("library", STARTS)
def test_the_hello_controller_compiles(library):
    compile(program(library), library, "exec")


@pytest.mark.parametrize("library", STARTS)
async def test_the_hello_controller_greets(library: str, tmp_path: Path):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install -r tests/bench/peers.txt")
    source = tmp_path / "hello.py"
    source.write_text(program(library))
    cluster = FakeCluster()
    client = Client(cluster)
    manifests = (ROOT / "examples" / "01-hello" / "hello.yaml").read_text()
    definition, world = yaml.safe_load_all(manifests)
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
    await client.create(HELLOS, world, namespace="default")

    async def greeted() -> bool:
        found = await client.get(HELLOS, ObjectKey("default", "world"))
        return bool(found.get("status") == {"greeting": "hello world"})

    async with FakeClusterServer(cluster) as server:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(server.kubeconfig()))
        process = await asyncio.create_subprocess_exec(
            *STARTS[library],
            source,
            env={
                **os.environ,
                "KUBECONFIG": str(kubeconfig),
                "PYTHONPATH": str(ROOT / "hack" / "import"),
            },
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await eventually(greeted, seconds=30)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    await cluster.close()
