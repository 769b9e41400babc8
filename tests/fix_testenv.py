"""Fixtures for a real kube-apiserver and etcd, started by ``hack/testenv/cluster``.

One control plane serves the whole session, the workers of pytest-xdist included. It starts with
the first test that asks for it and ends with the session, however that ends. With
``TESTENV_STATE`` in the environment a control plane started by hand is used and left running,
which saves four seconds a run.

Tests share it: each works in a ``namespace`` of its own and gives cluster-scoped objects names of
its own. A test that stops or floods the API server takes ``own_testenv`` instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.requirements import missing, require

if TYPE_CHECKING:
    from hybridpg.controller.client import Client

CLUSTER = Path(__file__).parents[1] / "hack" / "testenv" / "cluster"
STATE = "TESTENV_STATE"
SESSION_STATE = "HYBRIDPG_TESTENV_SESSION"
"""Set by the first process of a session, inherited by its workers."""
CANNOT_BE_HAD = 3
"""Exit status of ``cluster up`` where there are no binaries and they cannot be built."""


@dataclass(frozen=True)
class TestEnv:
    """One running control plane.

    ``collects_garbage`` is false where ``KUBEBUILDER_ASSETS`` brings no controller manager: then
    owner references have no effect and a deleted namespace stays.
    """

    state: Path
    binaries: Path
    host: str
    etcd: str
    collects_garbage: bool

    __test__ = False

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of an administrator (client certificate)."""
        return self.state / "admin.kubeconfig"

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that signed the API server's."""
        return self.state / "pki" / "ca.crt"

    @property
    def kubectl(self) -> Path:
        """The kubectl that belongs to this server."""
        return self.binaries / "kubectl"

    async def run(self, *arguments: str) -> None:
        """Run a command of ``hack/testenv/cluster``: ``await env.run("kill", "etcd")``."""
        await asyncio.to_thread(_cluster, self.state, *arguments)


def _cluster(state: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(CLUSTER), *arguments],
        env={**os.environ, STATE: str(state)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == CANNOT_BE_HAD:
        missing(f"no kube-apiserver here: {done.stderr.strip().splitlines()[-1]}")
    if done.returncode:
        pytest.fail(f"hack/testenv/cluster {' '.join(arguments)}: {done.stderr}", pytrace=False)
    return done.stdout


def _start(state: Path, *, until: int | None = None) -> TestEnv:
    for program in ("openssl", "flock", "setsid"):
        require(shutil.which(program), f"no kube-apiserver here: {program} is not installed")
    # owned by a process: a session that is killed must not leave servers behind
    arguments = () if until is None else ("--until", str(until))
    output = _cluster(state, "up", *arguments)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in output.splitlines())
    config = yaml.safe_load((state / "admin.kubeconfig").read_text())
    etcd_port = (state / "ports").read_text().split()[1]
    return TestEnv(
        state=state,
        binaries=Path(exports["PATH"].split(":")[0]),
        host=config["clusters"][0]["cluster"]["server"],
        etcd=f"http://127.0.0.1:{etcd_port}",
        collects_garbage=(state / "pids" / "kube-controller-manager").exists(),
    )


async def client_of(env: TestEnv) -> Client:
    """Return a client with an administrator's rights; the caller closes it."""
    # imported here: a plugin that imported our code would hide it from coverage
    from hybridpg.controller.client import AiohttpTransport, Client, load_kubeconfig

    config = await load_kubeconfig(env.kubeconfig)
    return Client(AiohttpTransport(config), field_manager="hybridpg-tests")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the controller of xdist, or the only process
        state = Path(tempfile.gettempdir()) / f"hybridpg-test-{uuid.uuid4().hex[:12]}"
        os.environ[SESSION_STATE] = f"{os.getpid()}:{state}"


def pytest_unconfigure(config: pytest.Config) -> None:
    owner, _, state = os.environ.get(SESSION_STATE, "").partition(":")
    if owner != str(os.getpid()):
        return
    del os.environ[SESSION_STATE]
    if Path(state).exists():  # some test asked for it
        _cluster(Path(state), "down", "--wipe")


@pytest.fixture(scope="session")
def testenv() -> TestEnv:
    """The control plane of this session; skips (or fails, see requirements) without one."""
    if os.environ.get(STATE):
        return _start(Path(os.environ[STATE]))
    owner, _, state = os.environ[SESSION_STATE].partition(":")
    return _start(Path(state), until=int(owner))


@pytest.fixture
def own_testenv(tmp_path: Path) -> Iterator[TestEnv]:
    """A control plane for this test alone, which may crash and restart it."""
    state = tmp_path / "env"
    try:
        yield _start(state, until=os.getpid())
    finally:
        if state.exists():
            _cluster(state, "down", "--wipe")


@pytest.fixture(scope="session")
def kubectl(testenv: TestEnv) -> Path:
    """The path of the kubectl that belongs to the real API server."""
    return testenv.kubectl


@pytest.fixture
async def real_client(testenv: TestEnv) -> AsyncIterator[Client]:
    """A client of the real API server with the rights of an administrator."""
    client = await client_of(testenv)
    yield client
    await client.close()


@pytest.fixture
async def namespace(real_client: Client) -> AsyncIterator[str]:
    """A fresh namespace on the real API server; its deletion is begun, not awaited."""
    from hybridpg.controller.errors import NotFound
    from hybridpg.controller.types import NAMESPACES, ObjectKey

    name = f"test-{uuid.uuid4().hex[:12]}"
    await real_client.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )
    yield name
    with contextlib.suppress(NotFound):
        await real_client.delete(NAMESPACES, ObjectKey("", name))
