"""Programs of PostgreSQL are found wherever they lie, and asked what they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hybridpg.backends import Unavailable
from hybridpg.backends.local.account import Account
from hybridpg.backends.local.installations import Installations, candidates

ME = Account("me", os.geteuid(), os.getegid(), switch=False)


def _install(folder: Path, version: str, *, working: bool = True) -> Path:
    """Put programs into a folder that answer as PostgreSQL's do, and count their runs."""
    folder.mkdir(parents=True)
    answer = f"""#!/bin/sh
echo run >> "{folder}/runs"
case $1 in
--version) echo "postgres (PostgreSQL) {version} (Distribution 1)";;
--describe-config) printf 'work_mem\\tuser\\tResource Usage / Memory\\tINTEGER\\n';;
esac
exit {0 if working else 1}
"""
    for name in ("postgres", "initdb", "pg_ctl"):
        (folder / name).write_text(answer)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hybridpg.backends.local.installations.SYSTEM_ROOTS", ())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")


def test_every_major_is_offered_with_its_newest_minor(tmp_path: Path) -> None:
    """D55."""
    _install(tmp_path / "pg" / "15" / "bin", "15.2")
    _install(tmp_path / "other" / "bin", "15.10")
    _install(tmp_path / "cache" / "hybridpg" / "postgres" / "17" / "bin", "17.1")
    offered = Installations([tmp_path / "pg", tmp_path / "other" / "bin"], ME).offered()
    assert {major: found.version for major, found in offered.items()} == {15: "15.10", 17: "17.1"}
    assert offered[15].folder == tmp_path / "other" / "bin"
    assert offered[15].parameters["work_mem"].context == "user"


def test_programs_in_the_path_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(_install(tmp_path / "bin", "16.4")))
    installations = Installations([], ME)
    assert installations.newest().version == "16.4"
    assert installations.get(16).program("initdb") == str(tmp_path / "bin" / "initdb")


@pytest.mark.parametrize("version", ["12.9", "18beta", "unknown"])
def test_what_is_too_old_or_no_release_is_not_offered(tmp_path: Path, version: str) -> None:
    _install(tmp_path / "bin", version)
    assert Installations([tmp_path / "bin"], ME).offered() == {}


def test_broken_or_incomplete_programs_are_not_offered(tmp_path: Path) -> None:
    _install(tmp_path / "a" / "bin", "16.1", working=False)
    (_install(tmp_path / "b" / "bin", "16.1") / "initdb").unlink()
    assert Installations([tmp_path / "a", tmp_path / "b"], ME).offered() == {}


def test_nothing_installed_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"user me can run; install the package postgresql"):
        Installations([tmp_path], ME).newest()
    with pytest.raises(Unavailable, match=r"postgresql 16 is not installed"):
        Installations([tmp_path], ME).get(16)


async def test_a_program_is_asked_once_and_again_when_it_changes(tmp_path: Path) -> None:
    folder = _install(tmp_path / "bin", "16.1")
    installations = Installations([folder], ME)
    installations.offered()
    await installations.refresh()
    assert (folder / "runs").read_text().count("run") == 2  # its version, its parameters
    text = (folder / "postgres").read_text().replace("16.1", "16.2")
    (folder / "postgres").write_text(text)
    os.utime(folder / "postgres", ns=(1, 1))
    await installations.refresh()
    assert installations.get(16).version == "16.2"


async def test_a_major_installed_meanwhile_is_offered_after_a_refresh(tmp_path: Path) -> None:
    installations = Installations([tmp_path], ME)
    assert installations.offered() == {}
    _install(tmp_path / "17" / "bin", "17.1")
    assert installations.offered() == {}
    await installations.refresh()
    assert set(installations.offered()) == {17}


def test_a_library_is_looked_for_in_both_usual_places(tmp_path: Path) -> None:
    found = Installations([_install(tmp_path / "bin", "16.1")], ME).newest()
    assert not found.has_library("pg_cron")
    (tmp_path / "lib" / "postgresql").mkdir(parents=True)
    (tmp_path / "lib" / "a.so").touch()
    (tmp_path / "lib" / "postgresql" / "b.so").touch()
    assert found.has_library("a")
    assert found.has_library("b")


def test_configured_folders_come_first(tmp_path: Path) -> None:
    (tmp_path / "pg" / "16" / "bin").mkdir(parents=True)
    first, second, *_ = candidates([tmp_path / "pg"])
    assert (first, second) == (tmp_path / "pg", tmp_path / "pg" / "16" / "bin")
