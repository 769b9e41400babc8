"""A real API server with thousands of objects, over TLS, for the samples of one scenario."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import yaml

from .corpus import GROUP, KIND, PLURAL, SEED, VERSION, widget
from .target import Target, write_kubeconfig

CLUSTER = Path(__file__).parents[2] / "hack" / "testenv" / "cluster"
NAMESPACES = 50
WRITERS = 32
CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{PLURAL}.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": PLURAL, "singular": "widget", "kind": KIND},
        "versions": [
            {
                "name": VERSION,
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


class Unavailable(Exception):
    """There is no API server here, and none can be built."""


@contextmanager
def cluster(count: int) -> Iterator[Target]:
    """Run an API server that holds ``count`` objects; yields where it is."""
    with running() as state:
        pki = state / "pki"
        admin = yaml.safe_load((state / "admin.kubeconfig").read_text())
        target = Target(
            url=admin["clusters"][0]["cluster"]["server"],
            ca=str(pki / "ca.crt"),
            certificate=str(pki / "admin.crt"),
            key=str(pki / "admin.key"),
            kubeconfig=str(state / "bench.kubeconfig"),
        )
        write_kubeconfig(Path(target.kubeconfig), target)
        asyncio.run(_fill(target, count))
        yield target


@contextmanager
def running() -> Iterator[Path]:
    """Run an API server; yields the folder with its keys and kubeconfigs."""
    with tempfile.TemporaryDirectory(prefix="hybridpg-bench-") as name:
        state = Path(name) / "env"
        try:
            _command(state, "up", "--until", str(os.getpid()))
            yield state
        finally:
            if state.exists():
                _command(state, "down", "--wipe")


def _command(state: Path, *arguments: str) -> None:
    done = subprocess.run(
        [str(CLUSTER), *arguments],
        env={**os.environ, "TESTENV_STATE": str(state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"no API server here: {done.stderr.strip()}")


async def _fill(target: Target, count: int) -> None:
    from hybridpg.controller import CUSTOM_RESOURCE_DEFINITIONS as CRDS
    from hybridpg.controller import NAMESPACES as NAMESPACE
    from hybridpg.controller import NotFound

    from .ours import connected, kind

    async with connected(target) as client:
        await client.create(CRDS, CRD)
        for number in range(NAMESPACES):
            name = {"name": f"team-{number}"}
            await client.create(
                NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": name}
            )
        while True:
            try:
                await client.list(kind(), limit=1)
                break
            except NotFound:
                await asyncio.sleep(0.1)
        random, numbers = Random(SEED), iter(range(count))

        async def write() -> None:
            for number in numbers:
                obj = _bare(widget(random, number, 1))
                await client.create(kind(), obj, namespace=f"team-{number % NAMESPACES}")

        await asyncio.gather(*(write() for _ in range(WRITERS)))


def _bare(obj: dict[str, Any]) -> dict[str, Any]:
    """An object without what the server sets itself."""
    kept = ("name", "namespace", "labels", "annotations")
    return {**obj, "metadata": {name: obj["metadata"][name] for name in kept}}
