"""The PostgreSQL programs of this machine: any major that is found is offered.

Looked for in the folders of the configuration, in the distribution's, in the caches that
``hack/postgres`` fills and in ``PATH``. A program is asked what it is as the user that would run
it, so what that user cannot execute is not offered. Scanning blocks for some milliseconds for
each program that was not seen before.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import Unavailable
from .account import ENVIRONMENT, Account
from .parameters import Parameter, parse_description

logger = logging.getLogger(__name__)

OLDEST = 13  # what we are tested with; older ones lack what the SQL layer uses
PROGRAM_SECONDS = 10  # a program that prints its version takes milliseconds; a hung mount for ever
SYSTEM_ROOTS: tuple[Path, ...] = (Path("/usr/lib/postgresql"), Path("/var/cache/hybridpg/postgres"))
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)\.(\d+)")  # a beta has no point


@dataclass(frozen=True, slots=True)
class Installation:
    """One PostgreSQL: its programs and what they know."""

    major: int
    minor: int
    folder: Path
    parameters: Mapping[str, Parameter] = field(repr=False)

    @property
    def version(self) -> str:
        """The full version, such as ``16.4``."""
        return f"{self.major}.{self.minor}"

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.folder / name)

    def has_library(self, name: str) -> bool:
        """Return whether a library that can be preloaded comes with it."""
        base = self.folder.parent / "lib"
        return any((folder / f"{name}.so").exists() for folder in (base, base / "postgresql"))


class Installations:
    """What is installed, remembered by path and time of change of each program."""

    def __init__(self, folders: Sequence[Path], account: Account) -> None:
        self._folders = folders
        self._account = account
        self._known: dict[tuple[str, int], Installation | None] = {}
        self._offered: dict[int, Installation] | None = None

    def offered(self) -> Mapping[int, Installation]:
        """Return the newest minor of each major; the first call scans."""
        if self._offered is None:
            self._offered = self._scan()
        return self._offered

    async def refresh(self) -> None:
        """Scan again without blocking the event loop; unchanged programs are not run again."""
        self._offered = await asyncio.to_thread(self._scan)

    def newest(self) -> Installation:
        """Return the newest major; raises ``Unavailable`` where nothing is installed."""
        offered = self.offered()
        if not offered:
            raise Unavailable(
                f"no postgresql {OLDEST} or newer that user {self._account.name} can run; install "
                "the package postgresql, or name its folder in backends.local.binaries"
            )
        return offered[max(offered)]

    def get(self, major: int) -> Installation:
        """Return a major that a server needs; raises ``Unavailable`` where it is missing."""
        found = self.offered().get(major)
        if found is None:
            raise Unavailable(
                f"postgresql {major} is not installed; install it, or name its folder in "
                "backends.local.binaries"
            )
        return found

    def _scan(self) -> dict[int, Installation]:
        offered: dict[int, Installation] = {}
        for folder in candidates(self._folders):
            found = self._remembered(folder)
            if found is None or found.major < OLDEST:
                continue
            best = offered.get(found.major)
            if best is None or found.minor > best.minor:
                offered[found.major] = found
        return offered

    def _remembered(self, folder: Path) -> Installation | None:
        try:
            key = (str(folder), (folder / "postgres").stat().st_mtime_ns)
        except OSError:
            return None
        if key not in self._known:
            self._known[key] = _examine(folder, self._account)
        return self._known[key]


def candidates(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders that may hold programs, the configured ones first."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache")
    for root in (*folders, *SYSTEM_ROOTS, cache / "hybridpg" / "postgres"):
        yield root
        try:
            yield from sorted(root.glob("*/bin"))
        except OSError:
            continue
    yield from (Path(entry) for entry in os.get_exec_path() if entry)


def _examine(folder: Path, account: Account) -> Installation | None:
    """Ask the programs in a folder what they are."""
    if not all(os.access(folder / name, os.X_OK) for name in ("initdb", "pg_ctl")):
        return None
    try:
        version = _ask(folder, "--version", account)
        description = _ask(folder, "--describe-config", account)
    except (OSError, subprocess.SubprocessError) as error:
        logger.info("postgresql in %s cannot be used: %s", folder, error)
        return None
    match = _VERSION.search(version)
    if match is None:
        return None
    return Installation(int(match[1]), int(match[2]), folder, parse_description(description))


def _ask(folder: Path, question: str, account: Account) -> str:
    return subprocess.run(  # noqa: S603 - an absolute path of the configuration or the system
        [str(folder / "postgres"), question],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        cwd="/",
        env=ENVIRONMENT,
        **account.identity(),
    ).stdout
