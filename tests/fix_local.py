"""Fixtures for the backend ``local``: real servers in a folder of their own.

The folder lies where the unprivileged user of the servers can reach it; every server is ended
with it. ``LocalHarness`` is what the conformance checks need.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.ports import first_of_a_hundred_ports
from tests.requirements import require

from hybridpg.backends import (
    Backend,
    BackendContext,
    Credentials,
    Done,
    Endpoint,
    Owner,
    Password,
    Policy,
    ServerRef,
    ServerState,
)
from hybridpg.backends._harness import converge_server
from hybridpg.backends.conformance import ServerCase
from hybridpg.backends.local import Local, LocalOptions
from hybridpg.backends.local.process import postmaster, send, working_below
from hybridpg.backends.sql.observer import TTL_SECONDS
from hybridpg.crds import ServerSpec

CLUSTER = "test-cluster"
PREFIX = "hybridpg-site"
STEP_LIMIT = 300


class NoKube:
    """A Kubernetes that the backend never asks anything."""

    async def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """Fail: there is nothing to read."""
        raise AssertionError(f"the backend local read secret {namespace}/{name}")


@dataclass
class LocalSite:
    """A folder with servers, and controllers on it."""

    path: Path
    ports: str
    backends: list[Local] = field(default_factory=list)

    def backend(self, **options: Any) -> Local:
        """Return a new backend on this folder, as after a restart of the controller."""
        chosen = LocalOptions.model_validate(
            {"path": self.path / "site", "ports": self.ports, **options}
        )
        backend = Local(BackendContext("local", chosen, NoKube(), CLUSTER))
        self.backends.append(backend)
        return backend

    def home(self, case: ServerCase) -> Path:
        """Return the folder of a server whose name needs no escapes."""
        return self.path / "site" / "servers" / case.ref.external_name

    def pid(self, case: ServerCase) -> int:
        """Return the process of a server that runs."""
        process = postmaster(self.home(case) / "data")
        assert process is not None, "the server does not run"
        return process.pid

    def end(self) -> None:
        """Kill every server and remove everything."""
        self.stop()
        shutil.rmtree(self.path, ignore_errors=True)

    def stop(self) -> None:
        """Kill every server, and whatever else of PostgreSQL works here."""
        for home in self.path.glob("site/servers/*"):
            process = postmaster(home / "data")
            if process is not None:  # at once, but it takes its shared memory along
                send(process.pid, signal.SIGQUIT, home)
        patience = time.monotonic() + 5
        while pids := working_below(self.path):
            for pid in pids if time.monotonic() > patience else ():
                send(pid, signal.SIGKILL, self.path)
            time.sleep(0.01)


def is_main(pid: int) -> bool:
    """Return whether a process is that of a server: its children rewrite their command line."""
    try:
        return b"postgres\0-D\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def server_case(name: str = "", **spec: Any) -> ServerCase:
    """Return a server that does not exist yet; ``spec`` is its spec in the API's words."""
    name = name or f"s{uuid.uuid4().hex[:8]}"
    ref = ServerRef(Owner(CLUSTER, str(uuid.uuid4()), "team", name), f"team-{name}")
    admin = Credentials("postgres", Password(f"Aa1-{uuid.uuid4().hex}"))
    return ServerCase(ref, changed_spec(**spec), admin)


def changed_spec(**spec: Any) -> ServerSpec:
    """Return a valid spec with these fields, in the API's words."""
    return ServerSpec.model_validate({"credentialsSecret": "login", **spec})


@dataclass
class LocalHarness:
    """The backend under test, as the conformance checks drive it."""

    site: LocalSite
    backend: Backend
    provisions: bool = True
    shared: ServerCase | None = None

    @property
    def own(self) -> Local:
        """The backend with what is not of the protocol."""
        assert isinstance(self.backend, Local)
        return self.backend

    async def server(self, *, fresh: bool = False) -> ServerCase:
        """Return a server; without ``fresh`` the same one each time."""
        if fresh:
            return server_case(size={"storageGB": 1})
        self.shared = self.shared or server_case(serverParameters={"work_mem": "8MB"})
        return self.shared

    async def settle(self, retry_after: float) -> None:
        """Let the processes work."""
        await asyncio.sleep(min(retry_after, 0.04))

    async def disrupt(self, case: ServerCase) -> bool:
        """Kill the server, and wait until what was read of its databases is too old to be used."""
        await self.kill(case)
        await asyncio.sleep(TTL_SECONDS)
        return True

    async def kill(self, case: ServerCase) -> None:
        """Kill the server's main process as the kernel does when memory runs out."""
        os.kill(self.site.pid(case), signal.SIGKILL)
        while working_below(self.site.home(case) / "data"):
            await asyncio.sleep(0.01)

    async def restore(self, case: ServerCase) -> None:
        """Do nothing: the backend starts it by itself."""

    async def converge(self, case: ServerCase) -> ServerState:
        """Observe, plan and apply until nothing is left to do, as the operator does."""
        return await converge_server(self, case)

    async def delete(self, case: ServerCase, policy: Policy) -> tuple[str, ...]:
        """Delete as the operator does, looking again before each call; return the notes."""
        for _ in range(STEP_LIMIT):
            observed = await self.backend.observe_server(case.ref)
            outcome = await self.backend.delete_server(case.ref, observed, policy)
            if isinstance(outcome, Done):
                return outcome.notes
            await self.settle(outcome.retry_after)
        raise AssertionError("the deletion does not end")

    async def connect(
        self, case: ServerCase, dbname: str = "postgres", **login: str
    ) -> psycopg.AsyncConnection[Any]:
        """Log in with the published values: by default as the admin."""
        state = await self.converge(case)
        endpoint = await self.backend.endpoint(case.ref, state)
        return await connect_to(endpoint, self.site.path, case.admin, dbname=dbname, **login)


async def connect_to(
    endpoint: Endpoint, folder: Path, login: Credentials, **more: str
) -> psycopg.AsyncConnection[Any]:
    """Connect as an application does: everything verified."""
    ca = folder / f"{uuid.uuid4().hex}.crt"
    ca.write_text(endpoint.ca)
    values: dict[str, Any] = {
        "host": endpoint.host,
        "port": endpoint.port,
        "user": login.username,
        "password": str(login.password),
        "sslmode": endpoint.sslmode,
        "sslrootcert": str(ca),
        "autocommit": True,
        **more,
    }
    return await psycopg.AsyncConnection.connect(**values)


def _has_room(folder: str) -> bool:
    """Return whether two hundred databases fit there, of which each takes some 8 MB."""
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 4 * 2**30


def _range_of_ports(parent: Path) -> int:
    """Return the first of a hundred ports that no site has; one whose process is gone is ended."""
    taken = set()
    for path in parent.glob(f"{PREFIX}-*"):
        _, _, first, pid, _ = path.name.split("-", 4)
        if Path(f"/proc/{pid}").exists():
            taken.add(int(first))
        else:  # whoever is killed leaves its servers behind
            LocalSite(path, "").end()
    return first_of_a_hundred_ports(taken)


@contextlib.contextmanager
def local_folder() -> Iterator[LocalSite]:
    """Make a site, and end everything in it afterwards."""
    memory = "/dev/shm" if _has_room("/dev/shm") else tempfile.gettempdir()
    first = _range_of_ports(Path(memory))
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{first}-{os.getpid()}-", dir=memory))
    path.chmod(0o755)
    site = LocalSite(path, f"{first}-{first + 99}")
    try:
        yield site
    finally:
        site.end()


@pytest.fixture
async def local() -> AsyncIterator[LocalHarness]:
    """A backend on a site of its own."""
    with local_folder() as site:
        backend = site.backend()
        require(backend._installations.offered(), "no PostgreSQL is installed")
        yield LocalHarness(site, backend)
        for each in site.backends:
            await each.close()


def with_spec(case: ServerCase, **spec: Any) -> ServerCase:
    """Return the same server with another spec."""
    return replace(case, spec=changed_spec(**spec))
