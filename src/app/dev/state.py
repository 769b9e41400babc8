"""The state folder of ``hybridpg dev``: what is found again at the next start.

::

    .hybridpg/
    ├── .hybridpg-dev     proof that the folder is ours; holds port, token and cluster id
    ├── lock              held by the running ``dev``
    ├── kubeconfig        for kubectl (0600)
    ├── config.yaml       the controller's configuration, for ``hybridpg plan`` beside it
    ├── ca.crt            what psql trusts
    ├── pg_service.conf   the login for psql (0600)
    ├── controller.log
    ├── cluster.json      objects of the control plane (0600)
    ├── tls/              certificate authority of the control plane
    └── postgres/         data of the ``local`` backend
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from .steps import StepFailed

MARK: Final = ".hybridpg-dev"
FIRST_PORT: Final = 20_000
PORTS: Final = 50
PORT_BLOCKS: Final = 240
"""Blocks of ports from 20,000 on, which end below Linux's ephemeral ports (32,768)."""
TOKEN_BYTES: Final = 24
"""192 random bits: the token is all that keeps other users of the machine out."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What stays the same over restarts, so that a written kubeconfig stays good."""

    cluster_id: str
    token: str
    first_server_port: int
    port: int = 0

    @classmethod
    def new(cls) -> Settings:
        """Make the settings of a new folder."""
        return cls(
            cluster_id=str(uuid.uuid4()),
            token=secrets.token_urlsafe(TOKEN_BYTES),
            first_server_port=FIRST_PORT + secrets.randbelow(PORT_BLOCKS) * PORTS,
        )

    @property
    def server_ports(self) -> str:
        """The ports of the PostgreSQL servers.

        Servers that were stopped get their ports back only if nobody took them meanwhile. So each
        folder has a block of its own: two that take turns do not take each other's ports.
        """
        return f"{self.first_server_port}-{self.first_server_port + PORTS - 1}"


class State:
    """A state folder that this process holds; made by :func:`hold`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings

    @property
    def kubeconfig(self) -> Path:
        """The file that is handed to kubectl."""
        return self.folder / "kubeconfig"

    @property
    def certificate(self) -> Path:
        """The authority that psql trusts."""
        return self.folder / "ca.crt"

    @property
    def service_file(self) -> Path:
        """The login in the form that psql reads."""
        return self.folder / "pg_service.conf"

    @property
    def config_file(self) -> Path:
        """The configuration of the controller."""
        return self.folder / "config.yaml"

    @property
    def log(self) -> Path:
        """What the controller says."""
        return self.folder / "controller.log"

    @property
    def cluster(self) -> Path:
        """The file in which the control plane keeps its objects."""
        return self.folder / "cluster.json"

    @property
    def tls(self) -> Path:
        """The certificate authority of the control plane."""
        return self.folder / "tls"

    def keep(self, settings: Settings) -> None:
        """Write the settings for the next start."""
        write_private(self.folder / MARK, json.dumps(asdict(settings), indent=2) + "\n")
        self.settings = settings


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner can read, at no moment anybody else."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    part.replace(path)


def is_ours(folder: Path) -> bool:
    """Return whether ``dev`` made this folder."""
    return (folder / MARK).is_file()


@contextmanager
def hold(folder: Path) -> Iterator[State]:
    """Open the folder, or make it, and keep every other ``dev`` out of it meanwhile."""
    _refuse_foreign(folder)
    with _open_lock(folder) as lock:
        _lock(lock.fileno(), folder)
        state = State(folder, _read(folder / MARK) or Settings.new())
        state.keep(state.settings)
        yield state


def remove(state: State, data: Path) -> None:
    """Remove the folder, and the data wherever it lies; the servers have been stopped."""
    if data.exists():
        shutil.rmtree(data)
    shutil.rmtree(state.folder)


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise StepFailed(f"{folder} is not a folder", fix="choose another one with --state DIR")
    if any(each.name != "lock" for each in folder.iterdir()) and not is_ours(folder):
        raise StepFailed(
            f"{folder} holds files that `hybridpg dev` did not make",
            fix="choose another folder with --state DIR",
        )


def _open_lock(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "lock").open("a+")
    except OSError as error:
        raise StepFailed(
            f"{folder} cannot be used: {error.strerror}", fix="choose another one with --state DIR"
        ) from error


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StepFailed(
            f"another `hybridpg dev` is running on {folder}",
            fix="stop it, or choose another folder with --state DIR",
        ) from error


def _read(path: Path) -> Settings | None:
    if not path.exists():
        return None
    try:
        return Settings(**json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise StepFailed(f"{path} is damaged: {error}", fix="remove the folder") from error
