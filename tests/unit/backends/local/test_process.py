"""Processes are told by what they are: a number in a file is not enough."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.backends.local.samples import false_server

from hybridpg.backends.local.account import Account
from hybridpg.backends.local.process import (
    postmaster,
    run,
    send,
    working_below,
    working_folder,
)

ME = Account("me", os.geteuid(), os.getegid(), switch=False)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that works in the test's folder, as a server does in its data."""
    process = subprocess.Popen([false_server(tmp_path), "60"], cwd=tmp_path)
    yield process
    process.kill()
    process.wait()


def _pid_file(folder: Path, pid: object, status: str = "ready   ") -> None:
    lines = [pid, folder, 1700000000, 54320, "", "127.0.0.1", "  1 2", status]
    (folder / "postmaster.pid").write_text("\n".join(map(str, lines)) + "\n")


@pytest.mark.parametrize("status", ["starting", "ready", "stopping"])
def test_a_server_is_the_process_that_works_in_the_folder(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], status: str
) -> None:
    _pid_file(tmp_path, sleeper.pid, status)
    assert postmaster(tmp_path) == (sleeper.pid, status)


def test_a_server_that_has_not_written_all_its_lines_is_starting(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{sleeper.pid}\n{tmp_path}\n")
    assert postmaster(tmp_path) == (sleeper.pid, "starting")


@pytest.mark.parametrize(
    "pid",
    [pytest.param(os.getpid(), id="ours"), 1, 2**22 + 1, -1, "", "x"],
)
def test_a_number_that_names_no_server_of_this_folder_is_none(tmp_path: Path, pid: object) -> None:
    _pid_file(tmp_path, pid)
    assert postmaster(tmp_path) is None


def test_a_shell_that_stands_in_the_folder_is_neither_a_server_nor_signalled(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(["/bin/sleep", "60"], cwd=tmp_path) as shell:
        _pid_file(tmp_path, shell.pid)
        assert postmaster(tmp_path) is None
        assert working_below(tmp_path) == []
        assert not send(shell.pid, signal.SIGKILL, tmp_path)
        assert shell.poll() is None
        shell.kill()


def test_no_file_is_no_server(tmp_path: Path) -> None:
    assert postmaster(tmp_path) is None
    assert postmaster(tmp_path / "nothing") is None


def test_a_zombie_is_no_server(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    _pid_file(tmp_path, sleeper.pid)
    sleeper.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet buried
    assert Path(f"/proc/{sleeper.pid}").exists()
    assert postmaster(tmp_path) is None


def test_processes_below_a_folder_are_found_wherever_it_is_moved(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    with subprocess.Popen([false_server(tmp_path), "60"], cwd=deep) as other:
        assert working_below(tmp_path / "a") == [other.pid]
        assert set(working_below(tmp_path)) == {other.pid, sleeper.pid}
        (tmp_path / "a").rename(tmp_path / "moved")
        assert working_below(tmp_path / "a") == []
        assert working_below(tmp_path / "moved") == [other.pid]
        other.kill()


def test_a_folder_whose_name_only_begins_alike_is_another(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    assert working_below(tmp_path.with_name(tmp_path.name[:-1])) == []


def test_only_what_works_in_the_folder_is_signalled(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    assert not send(sleeper.pid, signal.SIGKILL, tmp_path / "elsewhere")
    assert sleeper.poll() is None
    assert send(sleeper.pid, signal.SIGKILL, tmp_path)
    assert sleeper.wait() == -signal.SIGKILL
    assert not send(sleeper.pid, signal.SIGKILL, tmp_path)
    assert working_folder(sleeper.pid) is None


async def test_a_program_runs_in_its_folder_with_our_environment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYBRIDCLOUD_SECRET", "x")
    script = "pwd; env; echo wrong >&2; exit 3"
    code, output = await run(["/bin/sh", "-c", script], account=ME, cwd=tmp_path)
    assert code == 3
    assert str(tmp_path) in output
    assert "wrong" in output
    assert "HYBRIDCLOUD" not in output


async def test_a_cancelled_program_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    script = "sleep 61 & sleep 62 & touch started; wait"
    task = asyncio.create_task(run(["/bin/sh", "-c", script], account=ME, cwd=tmp_path))
    while not (tmp_path / "started").exists():
        await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while [pid for pid in _everybody() if working_folder(pid) == tmp_path]:
        await asyncio.sleep(0.002)


def _everybody() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
