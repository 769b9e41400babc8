"""What pyproject.toml, tox.ini and the scripts promise is what is there."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import hybridpg

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SCRIPTS = sorted(
    path
    for path in [*(ROOT / "hack").iterdir(), ROOT / ".ci" / "run"]
    if path.is_file() and path.suffix == ""
)


def requirements() -> dict[str, Requirement]:
    """Every declared requirement, the extras' included, by name."""
    lines = list(PROJECT["project"]["dependencies"])
    for extra in PROJECT["project"]["optional-dependencies"].values():
        lines += extra
    return {parsed.name.lower(): parsed for parsed in map(Requirement, lines)}


def test_the_list_of_packages_is_complete():
    found = {
        ".".join(["hybridpg", *path.parent.relative_to(ROOT / "src").parts])
        for path in (ROOT / "src").rglob("__init__.py")
    }

    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


def test_every_folder_of_source_is_a_package():
    folders = {path.parent for path in (ROOT / "src").rglob("*.py")}

    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_changelog_begins_with_the_version():
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert versions[0] == hybridpg.__version__


@pytest.mark.parametrize(
    "name",
    [
        "aiohttp",
        "kubernetes-asyncio",
        "psycopg",
        "pydantic",
        "pytest",
        "pytest-asyncio",
        "structlog",
        "tenacity",
    ],
)
def test_a_library_that_the_project_was_asked_to_use_is_declared(name):
    assert name in requirements()


def test_psycopg_brings_its_own_libpq():
    assert "binary" in requirements()["psycopg"].extras


def imported_by_source() -> set[str]:
    """The top-level names that the source imports, at any place."""
    pattern = re.compile(r"^\s*(?:from|import) ([a-zA-Z_]\w*)", re.MULTILINE)
    return {
        name for path in (ROOT / "src").rglob("*.py") for name in pattern.findall(path.read_text())
    }


MODULES = {
    "kubernetes-asyncio": "kubernetes_asyncio",
    "opentelemetry-api": "opentelemetry",
    "pyyaml": "yaml",
}


@pytest.mark.parametrize(
    ("distribution", "module"),
    [
        (name, MODULES.get(name, name))
        for name in (Requirement(line).name.lower() for line in PROJECT["project"]["dependencies"])
    ],
)
def test_a_declared_dependency_is_used_by_the_source(distribution, module):
    assert module in imported_by_source(), f"{distribution} is declared and never imported"


@pytest.mark.parametrize("target", PROJECT["project"]["scripts"].values())
def test_an_entry_point_can_be_loaded(target):
    module, _, attribute = target.partition(":")

    assert callable(getattr(importlib.import_module(module), attribute))


def test_the_licence_is_the_one_that_is_declared():
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()


def test_importing_the_library_does_not_import_what_it_can_do_without():
    code = (
        "import sys, hybridpg.controller\n"
        "foreign = {'kubernetes_asyncio', 'psycopg', 'pydantic', 'typer', 'celpy'}\n"
        "foreign |= {'opentelemetry', 'prometheus_client'}\n"
        "print(*sorted(foreign & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_a_pod_does_not_hold_what_only_other_verbs_and_backends_need():
    """The configuration is read with the options of all backends, and no more of them."""
    code = (
        "import sys\n"
        "from hybridpg.app.cli.options import installed_options\n"
        "from hybridpg.app.cli.run import run\n"
        "assert 'local' in installed_options()\n"
        "foreign = {'cryptography', 'kubernetes_asyncio', 'hybridpg.controller.testing'}\n"
        "foreign |= {'hybridpg.app.dev', 'hybridpg.backends.local.backend'}\n"
        "print(*sorted(foreign & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_says_how_it_is_used_and_stops_at_the_first_error(script):
    lines = script.read_text().splitlines()
    code = [line for line in lines if line and not line.startswith("#")]

    assert os.access(script, os.X_OK)
    assert lines[0].startswith("#!")
    assert lines[1].startswith("# ") or lines[1].startswith('"""')
    assert "python" in lines[0] or code[0].startswith("set -eu")


def test_tox_knows_every_command_that_the_tests_and_ci_use():
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")

    for environment in ("lint", "types", "generated", "integration", "bench", "dist"):
        assert tox[f"testenv:{environment}"]["commands"]
    assert tox["testenv"]["commands"].startswith("pytest")
