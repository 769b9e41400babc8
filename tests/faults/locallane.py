"""The lane of the backend ``local``: servers that the controller makes, and their programs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from tests.faults import snapshot
from tests.faults.actions import DATABASE, LOCAL, PAIR, SERVER
from tests.faults.lane import SENTINEL, Lane
from tests.faults.programs import ProgramSeam
from tests.faults.seam import Seam
from tests.faults.workloads import Workload
from tests.fix_local import is_main, local_folder
from tests.fix_postgres import programs

from hybridpg.backends.local.files import read_text
from hybridpg.backends.local.layout import Home, Layout
from hybridpg.backends.local.process import postmaster, working_below
from hybridpg.backends.local.record import load
from hybridpg.backends.local_options import OPERATOR_ROLE

MAJOR = 15
FOLDERS = ("servers", "deleted", "snapshots")
NO_SERVER: snapshot.Snapshot = {"databases": [], "roles": [], "inside": []}


class LocalLane(Lane):
    """Works on a folder of its own; what runs there is struck where it is started."""

    backend: ClassVar[str] = LOCAL

    async def open(self) -> Sequence[Seam]:
        """Make the folder, and stand in the way of its programs."""
        self.site = self._stack.enter_context(local_folder())
        # the site may lie in memory, where a machine runs no programs
        folder = tempfile.TemporaryDirectory(prefix="hybridpg-programs-")
        scripts = Path(self._stack.enter_context(folder))
        scripts.chmod(0o755)  # servers run as another user
        self.programs = await self._stack.enter_async_context(
            ProgramSeam(self.trace, programs(MAJOR), scripts)
        )
        subprocess.run([scripts / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL)
        return (self.programs,)

    @property
    def _layout(self) -> Layout:
        return Layout(self.site.path / "site")

    @property
    def home(self) -> Home:
        """The folder of the server."""
        return self._layout.home(f"{self.namespace}-{SERVER}")

    @property
    def port(self) -> int | None:
        """Where the server listens; None where there is none."""
        record = load(self.home)
        return None if record is None else record.port

    @property
    def names(self) -> dict[str, str]:
        """What is called otherwise in each lane, and its alias."""
        authority = self._layout.authority / "ca.crt"
        text = authority.read_text().strip() if authority.exists() else "none"
        names = {
            self.namespace: "tenant",
            self.platform: "platform",
            text.replace("\n", "\\n"): "<authority>",
            str(self.site.path): "<site>",
            (read_text(self._layout.identity) or "no site").strip(): "<site id>",
        }
        return names if self.port is None else {**names, str(self.port): "5432"}

    @property
    def sql(self) -> LocalLane:
        """The lane itself: it logs in as the operator does."""
        return self

    def run(self, statement: str, dbname: str = "postgres") -> list[Any]:
        """Run statements and return the rows of the last one."""
        with psycopg.connect(**self._operator(), dbname=dbname, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _operator(self) -> dict[str, Any]:
        """Return how the operator logs in; raises psycopg's error where there is no server."""
        port = self.port
        if port is None:
            raise psycopg.OperationalError("there is no server")
        authority = self._layout.authority
        return {
            "host": "127.0.0.1",
            "port": port,
            "user": OPERATOR_ROLE,
            "sslmode": "require",
            "sslcert": str(authority / "operator.crt"),
            "sslkey": str(authority / "operator.key"),
        }

    async def sampled(self) -> psycopg.AsyncConnection[Any]:
        """Connect as the operator."""
        return await psycopg.AsyncConnection.connect(
            **self._operator(), dbname="postgres", autocommit=True
        )

    def backends(self) -> dict[str, Any]:
        """Return the configuration of the backends."""
        options = {
            "path": str(self._layout.path),
            "ports": self.site.ports,
            "binaries": [str(self.programs.folder)],
            "default_version": MAJOR,
        }
        return {"backend": "local", "backends": {"local": options}}

    def begin_with(self, workload: Workload) -> None:
        """Leave a row in the database."""
        if workload.setting == PAIR:
            self.run(SENTINEL, DATABASE)

    def world(self) -> snapshot.Snapshot:
        """Return what is on the server, what lies in the folders, and how many servers run."""
        here = postmaster(self.home.data) is not None
        inside = snapshot.of_postgres(self, self.names) if here else NO_SERVER
        mains = [pid for pid in working_below(self.site.path) if is_main(pid)]
        folders = {name: self._content(self._layout.path / name) for name in FOLDERS}
        return {**inside, "runs": len(mains), "folders": folders}

    def _content(self, folder: Path) -> list[str]:
        """Return the paths below, down to what a server's folder holds."""
        found = [*folder.glob("*"), *folder.glob("*/*")]
        names = [str(path.relative_to(folder)) for path in found]
        return sorted(name.replace(self.namespace, "tenant") for name in names)

    def wipe(self) -> None:
        """End the server and remove what is left of it."""
        self.site.stop()
        for name in FOLDERS:
            shutil.rmtree(self._layout.path / name, ignore_errors=True)
