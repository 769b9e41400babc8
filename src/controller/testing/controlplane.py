"""A real kube-apiserver with etcd on loopback, for tests whose last word a fake must not have.

No nodes, no pods, no root. With a kube-controller-manager beside the other programs, garbage is
collected and deleted namespaces go away.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..errors import ControllerError
from ..types import JsonObject

PROGRAMS: Final = ("etcd", "kube-apiserver")
MANAGER: Final = "kube-controller-manager"
HOST: Final = "127.0.0.1"
READY_SECONDS: Final = 60.0
"""A cold start takes four seconds; a busy machine may need ten times that."""
STOP_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.1
LOG_TAIL: Final = 400
"""Characters of a log that reach a message: its last lines say why a program ended."""


def find_programs(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of kube-apiserver and etcd, or None.

    Looked at are ``KUBEBUILDER_ASSETS``, the folders of ``setup-envtest`` (the newest first), the
    cache of hybridpg's own tests, and ``PATH``.
    """
    home = Path(environment.get("HOME", "/"))
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    candidates = [Path(given)] if (given := environment.get("KUBEBUILDER_ASSETS")) else []
    versions = (data / "kubebuilder-envtest" / "k8s").glob("*")
    candidates += sorted(versions, key=_numbers, reverse=True)
    candidates += [home / ".cache/hybridpg/testenv/bin", Path("/usr/local/kubebuilder/bin")]
    found = shutil.which("kube-apiserver", path=environment.get("PATH", ""))
    candidates += [Path(found).parent] if found else []
    return next((each for each in candidates if _complete(each)), None)


def _numbers(folder: Path) -> list[int]:
    return [int(each) for each in re.findall(r"\d+", folder.name)]


def _complete(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS)


class ControlPlane:
    """A control plane in a temporary folder; ``with`` starts it, waits for it and removes it.

    Errors: :class:`~..errors.ControllerError`, with the end of a log, where it does not start.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path()
        self._port = 0
        self._token = secrets.token_urlsafe(24)
        # in the order of their start
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def kubeconfig(self) -> Path:
        """The path of a kubeconfig with all rights."""
        return self._folder / "kubeconfig"

    @property
    def url(self) -> str:
        """The address of the API server."""
        return f"https://{HOST}:{self._port}"

    @property
    def collects_garbage(self) -> bool:
        """Whether owner references and deleted namespaces have their effect."""
        return MANAGER in self._running

    def __enter__(self) -> Self:
        """Start it; the API server is ready afterwards."""
        self._folder = Path(tempfile.mkdtemp(prefix="hybridpg-control-plane-"))
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it and remove its state."""
        self._stop()

    def _start(self) -> None:
        folder = self._folder
        client, peer, self._port = _free_ports(3)
        self._launch(
            "etcd",
            f"--data-dir={folder / 'etcd'}",
            "--unsafe-no-fsync",  # the state need not outlive the machine
            f"--listen-client-urls=http://{HOST}:{client}",
            f"--advertise-client-urls=http://{HOST}:{client}",
            f"--listen-peer-urls=http://{HOST}:{peer}",
            f"--initial-advertise-peer-urls=http://{HOST}:{peer}",
            f"--initial-cluster=default=http://{HOST}:{peer}",
        )
        _write(folder / "accounts.key", _private_key())
        _write(folder / "tokens", f"{self._token},admin,admin,system:masters\n")
        self._launch(
            "kube-apiserver",
            f"--etcd-servers=http://{HOST}:{client}",
            f"--bind-address={HOST}",
            f"--advertise-address={HOST}",
            f"--secure-port={self._port}",
            f"--cert-dir={folder / 'certificates'}",  # it makes a certificate of its own there
            f"--token-auth-file={folder / 'tokens'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'accounts.key'}",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
        )
        authority = folder / "certificates" / "apiserver.crt"
        self._wait(authority)
        _write(self.kubeconfig, json.dumps(self._render(authority)))
        if os.access(self._programs / MANAGER, os.X_OK):
            self._launch(
                MANAGER,
                f"--kubeconfig={self.kubeconfig}",
                "--controllers=garbage-collector-controller,namespace-controller",
                "--leader-elect=false",
                "--secure-port=0",
            )

    def _launch(self, name: str, *arguments: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603  # found by us, no shell
                [self._programs / name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for the tests, which then stop it in order
            )

    def _wait(self, authority: Path) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not (authority.exists() and self._ready(authority)):
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise ControllerError(f"{name} ended while it started: {self._tail(name)}")
            if time.monotonic() >= deadline:
                raise ControllerError(
                    f"kube-apiserver is not ready after {READY_SECONDS:g} s: "
                    f"{self._tail('kube-apiserver')}"
                )
            time.sleep(LOOK_SECONDS)

    def _ready(self, authority: Path) -> bool:
        request = urllib.request.Request(  # noqa: S310  # always https, on loopback
            f"{self.url}/readyz", headers={"authorization": f"Bearer {self._token}"}
        )
        try:
            context = ssl.create_default_context(cafile=str(authority))
            with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _render(self, authority: Path) -> JsonObject:
        name = "control-plane"
        cluster = {"server": self.url, "certificate-authority": str(authority)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": self._token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }

    def _tail(self, name: str) -> str:
        text = (self._folder / f"{name}.log").read_text(errors="replace")
        return " ".join(text[-LOG_TAIL:].split())

    def _stop(self) -> None:
        for process in reversed(self._running.values()):
            # the API server takes 15 s to close its watches, and nobody needs that here
            process.send_signal(signal.SIGKILL)
        for process in self._running.values():
            process.wait(STOP_SECONDS)
        self._running.clear()
        shutil.rmtree(self._folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind((HOST, 0))
        return [listener.getsockname()[1] for listener in listeners]


def _private_key() -> str:
    # imported here: it is large, and who runs only the fake needs none of it
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    ).decode()


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
