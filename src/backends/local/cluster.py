"""One server's data folder and process: made, checked, started, reloaded.

Every step may be repeated and may be cut off at any moment: a data folder gets its name when it
is complete, and whatever a dead controller left running is found by its working folder.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import Unknown
from ..local_options import OPERATOR_ROLE
from .account import Account
from .configuration import (
    CLIENT_AUTHORITY,
    SERVER_KEY,
    files,
    main_file,
    published_host,
)
from .files import PRIVATE, make_folder, read_text, sync_folder, write_atomic
from .installations import Installation
from .layout import Home
from .process import postmaster, run, send
from .record import Record
from .state import SERVER_CERTIFICATE
from .stopping import end_leftovers, kill_below, until
from .tls import Authority

START_SECONDS = 60  # what pg_ctl itself waits; a longer recovery is seen by the next look
TEXT_LIMIT = 300  # of a program's output in a message: a sentence, never a dump

_LINE = re.compile(r"(LOG|ERROR|FATAL|HINT|DETAIL):  (.*)")
_OFFENDER = re.compile(r'parameter "([^"]+)"')
_PLACE = re.compile(r' in file ".*" line \d+')


class StartFailed(Unknown):
    """The server did not start; the message has its own reason."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server on this machine: its folder, its programs and how it runs."""

    home: Home
    installation: Installation
    account: Account
    authority: Authority
    address: str

    async def initialize(self) -> None:
        """Make the data folder; a half-made one of an earlier attempt is removed first."""
        await kill_below(self.home.making)
        await asyncio.to_thread(self._clear)
        code, output = await run(
            [
                self.installation.program("initdb"),
                f"--pgdata={self.home.making / 'data'}",
                f"--username={OPERATOR_ROLE}",
                "--auth=reject",  # nobody gets in before our own file says who
                "--encoding=UTF8",
                "--locale=C.UTF-8",  # its order never changes with the system's libraries
                "--data-checksums",
            ],
            account=self.account,
            cwd=self.home.making,
        )
        if code != 0:
            raise Unknown(f"initdb failed: {tail(output)}")
        await asyncio.to_thread(self._name)

    async def tidy(self) -> None:
        """Remove the empty folder of an initdb whose controller died right after its end."""
        if self.home.making.exists():
            await asyncio.to_thread(shutil.rmtree, self.home.making)

    async def refused(self, record: Record, settings: Mapping[str, str]) -> dict[str, str]:
        """Ask the program whether it takes the settings; return those it refuses, and why."""
        candidate = self.home.data / "candidate.conf"
        content = main_file(self.home, record, self.address, settings)
        await asyncio.to_thread(self._write, candidate, content)
        argv = [self.installation.program("postgres"), "-D", str(self.home.data), "-C", "port"]
        code, output = await run(
            [*argv, "-c", f"config_file={candidate}"], account=self.account, cwd=self.home.data
        )
        candidate.unlink(missing_ok=True)
        if code == 0:
            return {}
        reasons = complaints(output, settings)
        if not reasons:
            raise Unknown(f"the configuration is refused: {tail(output)}")
        return reasons

    def configure(self, record: Record, settings: Mapping[str, str]) -> None:
        """Write the configuration files and, where it is due, the certificate; blocks."""
        make_folder(self.home.log, owner=self.account.files)
        for path, content in files(self.home, record, self.address, settings).items():
            self._write(path, content)
        self._write(self.home.data / CLIENT_AUTHORITY, self.authority.certificate)
        present = read_text(self.home.data / SERVER_CERTIFICATE)
        has_key = (self.home.data / SERVER_KEY).exists()
        if present is None or not has_key or not self.authority.vouches_for(present):
            certificate, key = self.authority.issue(
                record.name, [published_host(self.address), "localhost"], [self.address]
            )
            # a crash in between leaves no certificate, and never one of another key
            (self.home.data / SERVER_CERTIFICATE).unlink(missing_ok=True)
            self._write(self.home.data / SERVER_KEY, key)
            self._write(self.home.data / SERVER_CERTIFICATE, certificate)

    async def start(self) -> None:
        """Start the server and wait until it answers; raises :class:`StartFailed`."""
        if not await end_leftovers(self.home):
            return await self.answers()  # a start of a controller that died went through
        log = self.home.log / "start.log"
        await asyncio.to_thread(self._write, log, "")
        argv = [self.installation.program("pg_ctl"), "start", "-D", str(self.home.data), "-s"]
        code, output = await run(
            [*argv, "-l", str(log), "-w", "-t", str(START_SECONDS)],
            account=self.account,
            cwd=self.home.log,
        )
        if code != 0:
            raise StartFailed(tail(f"{self._complaints(log)}\n{output}"))
        return None

    async def answers(self) -> None:
        """Wait until a server that runs is ready, as its own file says."""

        def settled() -> bool:
            process = postmaster(self.home.data)
            return process is None or process.status == "ready"

        if not await until(settled, START_SECONDS) or postmaster(self.home.data) is None:
            raise StartFailed(f"the server does not get ready; see {self.home.log}")

    def reload(self) -> None:
        """Make a running server read its configuration again."""
        process = postmaster(self.home.data)
        if process is not None:
            send(process.pid, signal.SIGHUP, self.home.data)

    def _clear(self) -> None:
        if self.home.making.exists():
            shutil.rmtree(self.home.making)
        make_folder(self.home.making, owner=self.account.files)

    def _name(self) -> None:
        (self.home.making / "data").rename(self.home.data)
        sync_folder(self.home.root)
        shutil.rmtree(self.home.making)

    def _write(self, path: Path, content: str) -> None:
        if read_text(path) != content:
            write_atomic(path, content, mode=PRIVATE, owner=self.account.files)

    def _complaints(self, start_log: Path) -> str:
        """Return what the server said about its failure, before and after it had its own log."""
        logs = [start_log, *self.home.log.glob("postgresql-*.log")]
        newest = max(logs, key=lambda path: path.stat().st_mtime_ns)
        lines = "\n".join(read_text(path) or "" for path in (newest, start_log)).splitlines()
        return "\n".join(line for line in lines[-200:] if re.search("FATAL|PANIC|HINT", line))


def complaints(output: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Return which settings a program complained of, each with its own sentence and hint."""
    reasons: dict[str, str] = {}
    # the program writes names as it knows them (TimeZone), however they are set
    known = {each.lower(): each for each in settings}
    name = ""
    for severity, text in _LINE.findall(output):
        if severity in ("HINT", "DETAIL"):
            if name:
                reasons[name] += f"; {text}"
            continue
        match = _OFFENDER.search(text)
        name = known.get(match[1].lower(), "") if match else ""
        if name:
            reasons[name] = _PLACE.sub("", text)
    return {name: reason[:TEXT_LIMIT] for name, reason in reasons.items()}


def tail(output: str) -> str:
    """Return the end of a program's output as one line for a message."""
    text = "; ".join(line.strip() for line in output.splitlines() if line.strip())
    return text[-TEXT_LIMIT:]


def port_is_free(address: str, port: int) -> bool:
    """Return whether nobody listens there; tried the way that the server itself will do it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True
