"""The product as its users have it: a child process beside a control plane, and kubectl.

Nothing here knows the insides of the product. Everything that is started is ended by its owner,
the PostgreSQL servers included.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import yaml
from tests.requirements import require

GROUP = "hybridcloud.maibornwolff.de"
API_VERSION = f"{GROUP}/v1alpha1"
SOURCES = str(Path(__file__).parents[1] / "hack" / "import")
START_SECONDS = 60
"""A start takes two seconds; a busy machine with a cold disk takes many more."""
STOP_SECONDS = 15
WAIT_SECONDS = 60

Done = subprocess.CompletedProcess[str]
T = TypeVar("T")


def until(check: Callable[[], T], what: str, seconds: float = WAIT_SECONDS) -> T:
    """Return the first true result of ``check``; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < end, f"{what}: not within {seconds} s, last: {result!r}"
        time.sleep(0.05)


def hybridpg(*arguments: str, home: Path, **variables: str) -> Done:
    """Run the command line to its end, away from the user's home."""
    return subprocess.run(
        [sys.executable, "-m", "hybridpg", *arguments],
        cwd=home,
        env=environment(home) | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def environment(home: Path) -> dict[str, str]:
    """An environment without any configuration of the person who runs the tests."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HYBRIDCLOUD_", "KUBE", "OPERATOR_", "PG"))
    }
    paths = filter(None, [SOURCES, os.environ.get("PYTHONPATH", "")])
    return kept | {"HOME": str(home), "PYTHONPATH": os.pathsep.join(paths)}


@dataclass
class Process:
    """A running ``hybridpg`` with its output in a file."""

    child: subprocess.Popen[bytes]
    output: Path

    @property
    def text(self) -> str:
        """What it said so far."""
        return self.output.read_text()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.child.poll() is None

    def wait_for(self, line: str) -> None:
        """Wait until the output holds ``line``."""

        def seen() -> bool:
            assert self.alive, self.text
            return line in self.text

        until(seen, f"{line!r} in the output", START_SECONDS)

    def stop(self) -> int:
        """End it as a pod is ended, and return its exit code."""
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(STOP_SECONDS)


@contextmanager
def process(home: Path, *arguments: str) -> Iterator[Process]:
    """Run ``hybridpg`` in the background; killed where the test did not end it."""
    output = home / f"output-{uuid.uuid4().hex[:6]}.txt"
    with output.open("wb") as stream:
        child = subprocess.Popen(
            [sys.executable, "-m", "hybridpg", *arguments],
            cwd=home,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Process(child, output)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


@contextmanager
def home_folder() -> Iterator[Path]:
    """A folder that the unprivileged user of the PostgreSQL servers can pass through."""
    require(
        shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb")),
        "no PostgreSQL is installed",
    )
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="hybridpg-product-", dir=memory))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        end_processes_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def end_processes_below(folder: Path) -> None:
    """Kill what works in a folder: PostgreSQL servers outlive their controller on purpose."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")).is_relative_to(folder):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue  # it ended meanwhile


@dataclass
class Plane:
    """A control plane with the running product, as kubectl and an application see both.

    ``written`` collects every password that was read, so that a log can be searched for them;
    ``collects_garbage`` is whether what an object owns goes with it.
    """

    title: str
    binary: Path
    kubeconfig: Path
    namespace: str
    home: Path
    controller: Process
    log: Path
    collects_garbage: bool = True
    written: list[str] = field(default_factory=list, repr=False)

    @property
    def command(self) -> list[str]:
        """kubectl with what goes before the verb; a later ``--namespace`` wins."""
        options = ("--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace)
        return [str(self.binary), *options]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of kubectl, whose cache is not that of the person at the machine."""
        return environment(self.home) | {"KUBECACHEDIR": str(self.home / "kubectl")}

    def kubectl(self, *arguments: str, stdin: Any = None) -> Done:
        """Run kubectl in the namespace of the tests, as typed; ``stdin`` is for ``-f -``."""
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environment,
            input=stdin if isinstance(stdin, str) else _documents(stdin),
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS * 2,
            check=False,
        )

    def ok(self, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl, which must succeed, and return what it printed."""
        done = self.kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl, which must fail, and return why."""
        done = self.kubectl(*arguments, stdin=stdin)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)}: {done.stdout}"
        return done.stderr

    def apply(self, *documents: dict[str, Any]) -> str:
        """Apply manifests with strict validation."""
        return self.ok("apply", "--validate=strict", "-f", "-", stdin=documents)

    def wait_ready(self, *objects: str) -> None:
        """Wait with kubectl until objects are Ready."""
        self.ok("wait", "--for=condition=Ready", f"--timeout={WAIT_SECONDS}s", *objects)

    def get(self, name: str) -> dict[str, Any]:
        """Read an object: ``pg/demo``."""
        found: dict[str, Any] = json.loads(self.ok("get", name, "-o", "json"))
        return found

    def exists(self, name: str) -> bool:
        """Return whether an object is there."""
        return bool(self.ok("get", name, "-o", "name", "--ignore-not-found"))

    def condition(self, name: str, type_: str = "Ready") -> dict[str, Any]:
        """Read one condition that was made of the present spec; empty while there is none."""
        found = self.get(name)
        status = found.get("status") or {}
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return {}
        return next((c for c in status.get("conditions") or [] if c["type"] == type_), {})

    def wait_reason(self, name: str, reason: str, type_: str = "Ready") -> dict[str, Any]:
        """Wait until a condition has a reason, and return it."""

        def reached() -> dict[str, Any]:
            found = self.condition(name, type_)
            return found if found.get("reason") == reason else {}

        try:
            return until(reached, f"{type_} of {name} is {reason}")
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.get(name).get('status')}") from error

    def events(self, name: str) -> list[tuple[str, str, str]]:
        """Return type, reason and message of the events about an object: ``pg/demo``."""
        kind = self.get(name)["kind"] if self.exists(name) else ""
        found = json.loads(self.ok("get", "events", "-o", "json"))["items"]
        return [
            (event["type"], event["reason"], event["message"])
            for event in found
            if event["involvedObject"]["name"] == name.partition("/")[2]
            and kind in ("", event["involvedObject"]["kind"])
        ]

    def wait_event(self, name: str, reason: str) -> tuple[str, str, str]:
        """Wait until an event about an object has a reason: events are written behind."""

        def found() -> list[tuple[str, str, str]]:
            return [event for event in self.events(name) if event[1] == reason]

        return until(found, f"event {reason} about {name}")[0]

    def secret(self, name: str) -> dict[str, str]:
        """Read a Secret as scripts do."""
        data = json.loads(self.ok("get", "secret", name, "-o", "jsonpath={.data}"))
        values = {key: base64.b64decode(value).decode() for key, value in data.items()}
        self.written += [v for k, v in values.items() if k in ("password", "next-password")]
        return values

    def login(self, secret: dict[str, str], **other: str) -> psycopg.Connection[Any]:
        """Log in with the values of a Secret, everything verified."""
        ca = self.home / f"ca-{uuid.uuid4().hex[:8]}.crt"
        ca.write_text(secret["ca.crt"])
        values: dict[str, Any] = {
            "host": secret["hostname"],
            "port": secret["port"],
            "dbname": secret["dbname"],
            "user": secret["username"],
            "password": secret["password"],
            **other,
        }
        return psycopg.connect(
            **values,
            sslmode="verify-full",
            sslrootcert=str(ca),
            autocommit=True,
            connect_timeout=10,
        )

    def execute(self, secret: dict[str, str], statement: str) -> list[tuple[Any, ...]]:
        """Log in, run one statement and return its rows."""
        with self.login(secret) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def logs_in(self, secret: dict[str, str]) -> bool:
        """Return whether a password is accepted; any other trouble is an error."""
        try:
            self.login(secret).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                return False
            raise
        return True


def _documents(documents: Any) -> str:
    if documents is None:
        return ""
    return yaml.safe_dump_all([documents] if isinstance(documents, dict) else documents)


def server(name: str, **spec: Any) -> dict[str, Any]:
    """A PostgreSQLServer; its data goes with it unless ``spec`` says otherwise."""
    base = {
        "size": {"storageGB": 1},
        "deletionPolicy": "Delete",
        "credentialsSecret": f"{name}-login",
    }
    return _object("PostgreSQLServer", name, base | spec)


def database(name: str, on: str, **spec: Any) -> dict[str, Any]:
    """A PostgreSQLDatabase on a server; its data goes with it unless ``spec`` says otherwise."""
    base = {
        "serverRef": {"name": on},
        "deletionPolicy": "Delete",
        "credentialsSecret": f"{name}-login",
    }
    return _object("PostgreSQLDatabase", name, base | spec)


def annotated(document: dict[str, Any], **annotations: str) -> dict[str, Any]:
    """The same object with annotations of our group: ``adopt="name"``."""
    marks = {f"{GROUP}/{key}": value for key, value in annotations.items()}
    return document | {"metadata": document["metadata"] | {"annotations": marks}}


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
