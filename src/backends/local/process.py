"""Processes of servers: found by what they really are, never by a number in a file alone.

A postmaster is the process that ``postmaster.pid`` names *and* whose working folder is that
data folder: a stale file, a reused process id or a zombie is not taken for a server. Nothing but
PostgreSQL's own programs is ever signalled: an administrator's shell may stand in any folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .account import ENVIRONMENT, Account
from .files import read_text

_PROC = Path("/proc")
_PROGRAMS = {"postgres", "initdb"}
_STATUS_LINE = 7  # of postmaster.pid, counted from 0: starting, ready, standby, stopping


class Postmaster(NamedTuple):
    """A server's main process."""

    pid: int
    status: str
    """``starting``, ``ready`` or ``stopping``, as the server itself keeps it in its file."""


def postmaster(data: Path) -> Postmaster | None:
    """Return the server that runs on this data folder, or None where proven that there is none."""
    lines = (read_text(data / "postmaster.pid") or "").splitlines()
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    if working_folder(pid) != data or not _is_postgresql(pid):
        return None
    status = lines[_STATUS_LINE].strip() if len(lines) > _STATUS_LINE else "starting"
    return Postmaster(pid, status)


def working_folder(pid: int) -> Path | None:
    """Return where a process works; None where it is gone, a zombie or somebody else's."""
    try:
        return Path(os.readlink(_PROC / str(pid) / "cwd"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def working_below(folder: Path) -> list[int]:
    """Return PostgreSQL's processes whose working folder is ``folder`` or below it."""
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if _below(working_folder(pid), folder) and _is_postgresql(pid)]


def send(pid: int, number: signal.Signals, folder: Path) -> bool:
    """Signal a process of PostgreSQL if it (still) works below ``folder``; return whether it did.

    The handle is taken before the check, so the number cannot be reused in between.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not (_below(working_folder(pid), folder) and _is_postgresql(pid)):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


async def run(argv: Sequence[str], *, account: Account, cwd: Path) -> tuple[int, str]:
    """Run a program to its end as ``account``; return exit code and what it printed.

    It gets a session of its own, so Ctrl-C ends the controller and not what it was doing
    half-way; being cancelled kills it with everything it started in that session.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        cwd=cwd,
        env=ENVIRONMENT,
        start_new_session=True,
        **account.identity(),
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        kill_session(process.pid)
        await process.wait()
        raise
    return process.returncode or 0, output.decode(errors="replace")


def kill_session(leader: int) -> None:
    """Kill a program and what it started, where it still runs."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _is_postgresql(pid: int) -> bool:
    try:
        return (_PROC / str(pid) / "comm").read_text().strip() in _PROGRAMS
    except (FileNotFoundError, ProcessLookupError):
        return False


def _below(path: Path | None, folder: Path) -> bool:
    return path is not None and (path == folder or folder in path.parents)
