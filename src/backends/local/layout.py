"""Where things lie: one folder a server, named by an injective spelling of its name.

::

    <path>/site.id                  which folder this is: servers remember where they were made
    <path>/lost-sites               ids of folders that are lost for good; an administrator's
    <path>/ca/                      the certificate authority and the operator's own login
    <path>/servers/<name>/          server.json (the mark), data/, log/
    <path>/snapshots/<name>-<time>/ what the policy Snapshot kept, with its mark
    <path>/deleted/<name>-<random>/ what is being removed
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from ..errors import Busy
from .files import PRIVATE

LOCKED_RETRY = 0.5  # seconds; another controller holds a lock only while it works on the server


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one server."""

    root: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder; it has this name only when it is complete."""
        return self.root / "data"

    @property
    def making(self) -> Path:
        """Where a data folder is made."""
        return self.root / "making"

    @property
    def log(self) -> Path:
        """Where the server logs."""
        return self.root / "log"

    @property
    def record(self) -> Path:
        """The file with the mark."""
        return self.root / "server.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the server against other controllers; raises ``Busy`` where one works on it.

        The lock goes with its process: nothing is left after a crash.
        """
        handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy(
                    f"another controller works on {self.root.name}", retry_after=LOCKED_RETRY
                ) from error
            try:
                yield
            finally:  # at once: a child that is just being started has a copy of the handle
                fcntl.flock(handle, fcntl.LOCK_UN)
        finally:
            os.close(handle)


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of the backend; ``path`` must be resolved, process checks compare it."""

    path: Path

    @property
    def identity(self) -> Path:
        """The file that tells this folder from an empty mount point, or from another one."""
        return self.path / "site.id"

    @property
    def lost(self) -> Path:
        """The file in which an administrator gives up other folders, one id a line."""
        return self.path / "lost-sites"

    @property
    def authority(self) -> Path:
        """The folder of the certificate authority."""
        return self.path / "ca"

    @property
    def servers(self) -> Path:
        """The folder of the servers."""
        return self.path / "servers"

    @property
    def snapshots(self) -> Path:
        """The folder of what the policy Snapshot kept."""
        return self.path / "snapshots"

    @property
    def deleted(self) -> Path:
        """The folder of what is being removed."""
        return self.path / "deleted"

    def home(self, name: str) -> Home:
        """Return the folder of a server, whether or not it exists."""
        return Home(self.servers / spelling(name))

    def names(self) -> list[str]:
        """Return the names of all servers; half-made folders begin with a dot and are left out."""
        try:
            entries = sorted(os.listdir(self.servers))
        except FileNotFoundError:
            return []
        return [unquote(entry) for entry in entries if not entry.startswith(".")]

    def tombstone(self, name: str) -> Path:
        """Return a fresh place for a server's folder on its way out."""
        return self.deleted / f"{spelling(name)}-{secrets.token_hex(4)}"

    def tombstones(self, name: str) -> list[Path]:
        """Return what of servers of this name is still being removed."""
        return sorted(self.deleted.glob(f"{spelling(name)}-" + "[0-9a-f]" * 8))

    @contextmanager
    def claims(self) -> Iterator[None]:
        """Hold the right to take a name or a port; held for milliseconds, so it waits."""
        handle = os.open(self.path / ".claims", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                yield
            finally:  # at once: a child that is just being started has a copy of the handle
                fcntl.flock(handle, fcntl.LOCK_UN)
        finally:
            os.close(handle)


def spelling(name: str) -> str:
    """Spell a name as a folder: no two names share one, and none is special to a file system."""
    return quote(name, safe="").replace(".", "%2E").replace("~", "%7E")
