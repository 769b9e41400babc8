"""Fixtures for our CRDs on the real API server, and kubectl as a function."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hybridpg.crds import GROUP

if TYPE_CHECKING:
    from tests.fix_testenv import TestEnv

CRDS = Path(__file__).parents[1] / "charts" / "hybridpg" / "templates" / "crds"

Kubectl = Callable[..., subprocess.CompletedProcess[str]]
"""Runs kubectl with its arguments; ``stdin`` is an object or a text for ``-f -``."""


def kubectl_of(env: TestEnv) -> Kubectl:
    """Return a function that runs the environment's kubectl and does not raise."""

    def run(*arguments: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        text = stdin if isinstance(stdin, str | None) else json.dumps(stdin)
        return subprocess.run(
            [str(env.kubectl), "--kubeconfig", str(env.kubeconfig), *arguments],
            input=text or "",
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def install_crds(run: Kubectl) -> None:
    """Apply the committed CRDs and wait until the API server serves them."""
    applied = run("apply", "--validate=strict", "-f", str(CRDS))
    assert applied.returncode == 0, applied.stderr[-2000:]
    waited = run("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
    assert waited.returncode == 0, waited.stderr


def wait_for_collector(run: Kubectl) -> None:
    """Wait until the garbage collector knows our kinds: it looks for new ones every half minute.

    Whoever deletes an object before that finds what it owned still there.
    """
    owner = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "PostgreSQLDatabase",
        "name": "gone",
        "uid": str(uuid.uuid4()),
    }
    metadata = {"name": "without-owner", "namespace": "default", "ownerReferences": [owner]}
    orphan = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    made = run("create", "-f", "-", stdin=orphan)
    assert made.returncode == 0, made.stderr
    waited = run(
        "wait", "--for=delete", "--timeout=120s", "-n", "default", "configmap/without-owner"
    )
    assert waited.returncode == 0, waited.stderr


@pytest.fixture(scope="session")
def run_kubectl(testenv: TestEnv) -> Kubectl:
    """Run kubectl against the real API server as an administrator."""
    return kubectl_of(testenv)


@pytest.fixture(scope="session")
def installed_crds(run_kubectl: Kubectl) -> None:
    """The CRDs of both kinds, installed on the real API server."""
    install_crds(run_kubectl)
