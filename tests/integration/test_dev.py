"""``hybridpg dev`` as a user meets it: a child process, kubectl and psql, Ctrl-C and kill -9."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import yaml
from tests.product import hybridpg
from tests.requirements import require

from hybridpg.app.dev.servers import ROOT_DATA
from hybridpg.backends.local.account import resolve
from hybridpg.backends.local.installations import Installations
from hybridpg.controller import ObjectKey
from hybridpg.controller.testing.persistence import read

pytestmark = pytest.mark.postgres

COMMAND = [sys.executable, "-m", "hybridpg", "dev"]
ROOT = Path(__file__).parents[2]
SOURCES = str(ROOT / "hack" / "import")
READY = "Ctrl-C stops everything"
START_SECONDS = 120
STOP_SECONDS = 10


class Run:
    """One running ``dev`` and what it printed."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.output = home / "output.txt"
        with self.output.open("w") as stream:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments],
                cwd=home,
                env=environment(home),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> list[str]:
        """Wait for the last line of the usage, and return the lines that are to be pasted."""
        end = time.monotonic() + START_SECONDS
        while READY not in self.output.read_text():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)
        lines = self.output.read_text().splitlines()
        usage = lines[lines.index("Look at it:") :]
        return [line.strip() for line in usage if line.startswith("  ")]

    def said(self) -> str:
        """All that can explain a failure."""
        log = self.home / ".hybridpg" / "controller.log"
        return self.output.read_text() + (log.read_text() if log.exists() else "")

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


def environment(home: Path) -> dict[str, str]:
    """A home of its own, so that a touched ~/.kube or ~/.pgpass would be seen."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    paths = filter(None, [SOURCES, os.environ.get("PYTHONPATH", "")])
    return {
        **{name: value for name, value in os.environ.items() if name != "KUBECONFIG"},
        "HOME": str(home),
        "XDG_CACHE_HOME": cache,
        "PYTHONPATH": os.pathsep.join(paths),
    }


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the unprivileged user of the servers can reach; wiped by ``dev`` itself."""
    require(Installations((), resolve(None)).offered(), "no PostgreSQL is installed")
    folder = Path(tempfile.mkdtemp(prefix="hybridpg-dev-"))
    folder.chmod(0o711)
    try:
        yield folder
        assert dev(folder, "--reset").returncode == 0
        assert processes_below(folder) == []
    finally:
        shutil.rmtree(folder)


def dev(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``dev`` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=home,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def paste(home: Path, line: str) -> str:
    """Run a line as a shell would, from where ``dev`` was started."""
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=home,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


def processes_below(folder: Path) -> list[str]:
    """The processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            place = os.readlink(entry / "cwd")
        except OSError:
            continue
        if entry.name.isdigit() and Path(place).is_relative_to(folder):
            found.append(f"{entry.name} in {place}")
    return found


def secret(home: Path, name: str = "app-credentials") -> dict[str, str]:
    """A Secret as the control plane keeps it on disk."""
    state = read(home / ".hybridpg" / "cluster.json")
    assert state is not None
    found = state.objects["", "secrets"][ObjectKey("default", name)]
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def login(home: Path) -> psycopg.Connection:
    """Log in as the application would."""
    data = secret(home)
    return psycopg.connect(
        host=data["host"],
        port=data["port"],
        dbname=data["dbname"],
        user=data["username"],
        password=data["password"],
        sslmode=data["sslmode"],
        sslrootcert=str(home / ".hybridpg" / "ca.crt"),
        autocommit=True,
    )


def test_a_check_does_it_all_and_leaves_nothing_running(home):
    """H8, H34."""
    done = dev(home, "--check")

    assert done.returncode == 0, done.stdout + done.stderr
    titles = [line[10:24].strip() for line in done.stdout.splitlines() if " s  " in line[:10]]
    assert titles == ["PostgreSQL", "control plane", "CRDs", "controller", "example", "login"]
    assert done.stderr == ""
    assert processes_below(home) == []


def test_a_check_touches_nothing_but_its_state_folder(home):
    assert dev(home, "--check").returncode == 0

    assert [each.name for each in home.iterdir()] == [".hybridpg"]
    assert secret(home)["port"] != "5432"
    for name in ("kubeconfig", "cluster.json", ".hybridpg-dev"):
        assert stat.S_IMODE((home / ".hybridpg" / name).stat().st_mode) == 0o600, name


def test_the_printed_lines_work_when_they_are_pasted(home):
    require(shutil.which("kubectl"), "kubectl is not installed")
    require(shutil.which("psql"), "psql is not installed")
    run = Run(home)
    try:
        show, describe, log_in = run.wait_ready()

        assert "True" in paste(home, show)
        assert "Available" in paste(home, describe)
        table = paste(home, f"echo 'create table seen(i int); \\dt' | {log_in}")
        assert "seen" in table
    finally:
        assert run.end(signal.SIGINT) == 0
    assert processes_below(home) == []


def lines_about_the_state(document: str) -> list[str]:
    """The commands of a document that are for a second terminal."""
    text = (ROOT / document).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for line in "".join(blocks).splitlines() if ".hybridpg/" in line]


@pytest.mark.parametrize("document", ["README.md", "docs/quickstart.md"])
def test_the_quick_start_works_as_it_is_written(home, document):
    """H9, H34: followed literally, the password reset of the tutorial included."""
    require(shutil.which("kubectl"), "kubectl is not installed")
    require(shutil.which("psql"), "psql is not installed")
    lines = lines_about_the_state(document)
    assert len(lines) >= 3
    run = Run(home)
    try:
        run.wait_ready()
        before = secret(home)["password"]
        for line in lines:
            paste(home, line)
        if "operator/action=reset-password" in "".join(lines):
            wait_until(lambda: secret(home)["password"] != before)
            with login(home) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        assert run.end(signal.SIGINT) == 0


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_password_and_data_survive_any_end(home, number):
    run = Run(home)
    run.wait_ready()
    with login(home) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    before = secret(home)

    code = run.end(number)
    assert code == (-signal.SIGKILL if number is signal.SIGKILL else 0), run.output.read_text()

    again = Run(home)
    try:
        again.wait_ready()
        with login(home) as connection:
            assert connection.execute("SELECT value FROM kept").fetchone() == (42,)
        assert secret(home)["password"] == before["password"]
    finally:
        assert again.end(signal.SIGTERM) == 0


def test_the_kubeconfig_stays_good_over_a_restart(home):
    assert dev(home, "--check").returncode == 0
    first = (home / ".hybridpg" / "kubeconfig").read_text()

    assert dev(home, "--check").returncode == 0

    assert (home / ".hybridpg" / "kubeconfig").read_text() == first


def test_a_plan_beside_it_is_that_of_its_controller(home):
    """It has the id of the cluster, without which everything would be somebody else's."""
    run = Run(home)
    try:
        run.wait_ready()
        files = ("--config", ".hybridpg/config.yaml", "--kubeconfig", ".hybridpg/kubeconfig")
        planned = hybridpg("plan", *files, home=home)
    finally:
        run.end(signal.SIGTERM)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "Conflict" not in planned.stdout


def test_a_second_dev_on_the_same_folder_is_refused_and_harms_nothing(home):
    run = Run(home)
    try:
        run.wait_ready()

        for arguments in (["--check"], ["--reset"]):
            done = dev(home, *arguments)
            assert done.returncode == 1
            assert "another `hybridpg dev` is running" in done.stderr
        with login(home) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        assert run.end(signal.SIGINT) == 0


def test_a_reset_ends_the_servers_that_a_kill_left_and_removes_the_state(home):
    run = Run(home)
    run.wait_ready()
    run.end(signal.SIGKILL)
    assert processes_below(home) != [], "servers outlive their controller"

    done = dev(home, "--reset")

    assert done.returncode == 0, done.stderr
    assert processes_below(home) == []
    assert not (home / ".hybridpg").exists()


def test_a_first_run_that_is_killed_again_and_again_gets_there_in_the_end(home):
    """Each kill comes a little later, so that they fall between different writes."""
    for moment in range(8):
        run = Run(home)
        while "CRDs" not in run.output.read_text():
            assert run.process.poll() is None, run.output.read_text()
            time.sleep(0.01)
        time.sleep(0.15 * moment)
        run.end(signal.SIGKILL)

    done = dev(home, "--check")

    assert done.returncode == 0, done.stdout + done.stderr
    assert processes_below(home) == []


def test_a_port_that_somebody_else_took_meanwhile_is_named_and_waited_for(home):
    assert dev(home, "--check").returncode == 0
    with socket.create_server(("127.0.0.1", int(secret(home)["port"]))):
        run = Run(home, "--check")
        wait_until(lambda: "is taken" in run.output.read_text())

    assert run.process.wait(START_SECONDS) == 0, run.said()


def test_an_interrupted_check_is_not_a_success(home):
    run = Run(home, "--check")
    while "CRDs" not in run.output.read_text():
        time.sleep(0.01)

    assert run.end(signal.SIGTERM) == 1
    assert "before the check was complete" in run.output.read_text()
    assert processes_below(home) == []


def test_root_keeps_its_data_where_the_unprivileged_user_of_the_servers_gets(home):
    require(os.geteuid() == 0, "only root has a folder that others cannot reach")
    home.chmod(0o700)

    done = dev(home, "--check")

    assert done.returncode == 0, done.stdout + done.stderr
    cluster_id = json.loads((home / ".hybridpg" / ".hybridpg-dev").read_text())["cluster_id"]
    assert (ROOT_DATA / cluster_id / "servers").is_dir()
    assert dev(home, "--reset").returncode == 0
    assert not (ROOT_DATA / cluster_id).exists()


def test_a_cluster_that_does_not_answer_has_an_exit_code_of_its_own(home):
    kubeconfig = home / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    users = [{"name": "c", "user": {}}]
    kubeconfig.write_text(
        yaml.safe_dump(
            {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "c"}
        )
    )

    done = dev(home, "--kubeconfig", str(kubeconfig))

    assert done.returncode == 3
    assert "the Kubernetes API does not answer" in done.stderr


@pytest.mark.testenv
def test_a_real_cluster_can_take_the_place_of_the_control_plane(home, own_testenv):
    done = dev(home, "--check", "--kubeconfig", str(own_testenv.kubeconfig))

    assert done.returncode == 0, done.stdout + done.stderr
    assert own_testenv.host in done.stdout
    assert not (home / ".hybridpg" / "kubeconfig").exists()
    assert processes_below(home) == []
