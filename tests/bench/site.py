"""One real PostgreSQL, hung servers, and the controller as in a pod, for thousands of objects.

Everything lies in one folder and ends with the process that made it, however that ends: the
servers are bound to it, and a watcher removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from tests.fix_postgres import PgServer, die_with_us, make_server

from .real import Unavailable

MAJOR = 15
MB_A_DATABASE = 8.0
"""An empty database takes 7.5 MB, its row in the catalogs and the log the rest."""
SPARE_MB = 2_000
"""For the write-ahead log and the API server's own store."""
FOLDER = "HYBRIDPG_BENCH_FOLDER"
SETTINGS = {  # those of PostgreSQL itself, instead of the hurried ones of our tests
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "log_statement": "none",
    "log_connections": "off",
}
_REAPER = """
while kill -0 "$1" 2>/dev/null; do sleep 1; done
for _ in 1 2 3 4 5 6 7 8 9; do rm -rf -- "$2" && [ ! -e "$2" ] && exit; sleep 1; done
"""  # again, because the servers die at the same time and write meanwhile


@contextmanager
def folder(databases: int) -> Iterator[Path]:
    """A folder with room for so many databases; asks for the space before anything is made."""
    parent = Path(os.environ.get(FOLDER) or tempfile.gettempdir())
    needed = databases * MB_A_DATABASE + SPARE_MB
    free = shutil.disk_usage(parent).free / 2**20
    if free < needed:
        raise Unavailable(
            f"{databases} databases take {needed / 1024:.0f} GB, and {parent} has "
            f"{free / 1024:.0f} GB: name another folder in {FOLDER}"
        )
    made = Path(tempfile.mkdtemp(prefix="hybridpg-bench-", dir=parent))
    made.chmod(0o711)  # the unprivileged user of the server goes through
    reaper = subprocess.Popen(
        ["sh", "-c", _REAPER, "sh", str(os.getpid()), str(made)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # it outlives what ends us
    )
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        reaper.kill()  # nothing is left for it to do
        reaper.wait()


@contextmanager
def postgres(place: Path) -> Iterator[PgServer]:
    """A server with the settings that PostgreSQL comes with."""
    home = place / "postgres"
    home.mkdir()
    server = make_server(MAJOR, home)
    try:
        for name, value in SETTINGS.items():
            server.run(f"ALTER SYSTEM SET {name} = '{value}'")
        server.stop()
        server.up()
        yield server
    finally:
        server.stop()


@contextmanager
def hung_servers(count: int) -> Iterator[list[int]]:
    """Ports that accept connections and never say a word."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(256)
            ports.append(listener.getsockname()[1])
        yield ports


def service_account(kubectl: Path, kubeconfig: Path, place: Path) -> Path:
    """Make a service account with all rights; return the folder that a pod would have mounted."""

    def run(*arguments: str) -> str:
        command = [str(kubectl), "--kubeconfig", str(kubeconfig), "-n", "default", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    run("create", "serviceaccount", "bench")
    run(
        "create",
        "clusterrolebinding",
        "bench",
        "--clusterrole=cluster-admin",
        "--serviceaccount=default:bench",
    )
    mounted = place / "account"
    mounted.mkdir()
    (mounted / "token").write_text(run("create", "token", "bench", "--duration=10h"))
    (mounted / "namespace").write_text("default")
    shutil.copy(kubeconfig.parent / "pki" / "ca.crt", mounted / "ca.crt")
    return mounted


@dataclass
class Controller:
    """The controller in a process of its own."""

    child: subprocess.Popen[bytes]
    health: int
    output: Path

    def memory(self) -> float:
        """MiB that it holds."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def cpu(self) -> float:
        """Seconds of processor that it has taken."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def writes(self) -> int:
        """How many requests that are no reads it has sent to the API server."""
        return sum(
            count
            for labels, count in self._metric("rest_client_requests_total")
            if 'method="GET"' not in labels
        )

    def passes(self) -> int:
        """How many databases it has looked at."""
        return sum(
            count
            for labels, count in self._metric("controller_runtime_reconcile_total")
            if 'controller="postgresqldatabase"' in labels
        )

    def _metric(self, name: str) -> list[tuple[str, int]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/metrics", timeout=60) as page:
            lines = page.read().decode().splitlines()
        found = [line.rpartition(" ") for line in lines if line.startswith(f"{name}{{")]
        return [(labels, int(float(value))) for labels, _, value in found]


@contextmanager
def controller(
    place: Path, config: dict[str, object], server: str, account: Path
) -> Iterator[Controller]:
    """Run the controller until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        health = probe.getsockname()[1]
    config["controller"] = {
        "health_address": f"127.0.0.1:{health}",
        "lease": {"enabled": False},  # its renewals would be counted as writes
        **config.get("controller", {}),  # type: ignore[dict-item]
    }
    path = place / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    address = urlsplit(server)
    output = place / "controller.log"
    with output.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.pod", str(path), str(account)],
            env={
                **os.environ,
                "KUBERNETES_SERVICE_HOST": str(address.hostname),
                "KUBERNETES_SERVICE_PORT": str(address.port),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_us,
        )
    made = Controller(child, health, output)
    try:
        _wait_healthy(made)
        yield made
    finally:
        child.terminate()
        try:
            child.wait(30)
        finally:
            child.kill()


def _wait_healthy(made: Controller) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if made.child.poll() is not None:
            break
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{made.health}/readyz", timeout=5),
        ):
            return
        time.sleep(0.1)
    raise AssertionError(f"the controller does not start: {made.output.read_text()[-2000:]}")
