"""``hack/postgres``: where it looks for PostgreSQL, in which order, and what it says otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "hack" / "postgres"


def run(folder: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script with nothing but this folder to look into."""
    environment = {
        "PATH": path or os.environ["PATH"],
        "HOME": str(folder),
        "HYBRIDPG_POSTGRES_ROOT": str(folder / "packages"),
        "TESTENV_PG": str(folder / "cache"),
    }
    return subprocess.run(
        [str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, check=False
    )


def programs(folder: Path) -> Path:
    """Make a folder that looks like a PostgreSQL."""
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres", "pg_ctl"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def bare_path(folder: Path) -> str:
    """A PATH with what the script itself needs, and neither mvn nor unzip."""
    bare = folder / "bin"
    bare.mkdir()
    for name in ("env", "bash", "id", "mkdir", "uname"):
        found = shutil.which(name)
        assert found is not None
        (bare / name).symlink_to(found)
    return str(bare)


def test_the_distributions_packages_come_first(tmp_path: Path):
    packaged = programs(tmp_path / "packages" / "16" / "bin")
    programs(tmp_path / "cache" / "16" / "bin")

    assert run(tmp_path, "16").stdout.strip() == str(packaged)


def test_the_cache_comes_next(tmp_path: Path):
    cached = programs(tmp_path / "cache" / "16" / "bin")

    assert run(tmp_path, "16").stdout.strip() == str(cached)


def test_half_a_package_does_not_count(tmp_path: Path):
    """Client packages alone leave a bin folder without a server."""
    (programs(tmp_path / "packages" / "16" / "bin") / "postgres").unlink()
    cached = programs(tmp_path / "cache" / "16" / "bin")

    assert run(tmp_path, "16").stdout.strip() == str(cached)


def test_without_maven_it_says_what_to_install(tmp_path: Path):
    done = run(tmp_path, "16", path=bare_path(tmp_path))

    assert done.returncode == 3
    assert done.stdout == ""
    assert "install postgresql-16" in done.stderr


@pytest.mark.parametrize("major", ["12", "19", "16.1", "../x", "latest"])
def test_a_version_that_is_not_supported_is_refused(tmp_path: Path, major: str):
    done = run(tmp_path, major)

    assert done.returncode == 2
    assert "choose one of 13 to 18" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_without_a_version_it_shows_its_usage(tmp_path: Path):
    done = run(tmp_path)

    assert done.returncode != 0
    assert "usage: hack/postgres MAJOR" in done.stderr
