"""The documentation is true: its commands exist, its examples run, its tables are fresh."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from hybridpg.app.cli.root import app
from hybridpg.app.dev.crds import install_crds
from hybridpg.controller import Client
from hybridpg.controller.testing import FakeCluster, eventually
from hybridpg.crds import DatabaseSpec, ServerSpec

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
KNOWN = {
    "echo",
    "curl",
    "hybridpg",
    "kubectl",
    "opentelemetry-instrument",
    "pip",
    "psql",
    "pytest",
    "shiv",
    "tox",
}


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def shell_lines() -> list[Any]:
    return [
        pytest.param(line, id=f"{path.name}: {line[:50]}")
        for path in DOCUMENTS
        for block in blocks(path, "sh")
        for line in block.splitlines()
        if line.strip()
    ]


def words(line: str) -> list[str]:
    """The words of a command without comment and leading assignments."""
    found = shlex.split(line, comments=True)
    while found and re.match(r"[A-Z_]+=", found[0]):
        found.pop(0)
    return found


@pytest.mark.parametrize("line", shell_lines())
def test_a_command_in_the_documentation_exists(line):
    program, *arguments = words(line)

    if program in KNOWN:
        return
    path = ROOT / program
    assert path.is_file(), line
    for option in (each for each in arguments if each.startswith("--")):
        assert option in help_of(path), f"{program} has no option {option}"


def help_of(path: Path) -> str:
    """What a script says about itself; hack/dev passes its arguments on to ``hybridpg dev``."""
    return "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))


@pytest.mark.parametrize(
    "line", [line for line in shell_lines() if "hybridpg" in words(line.values[0])[:1]]
)
def test_a_verb_in_the_documentation_exists(line):
    verbs = {each.callback.__name__ for each in app.registered_commands if each.callback}
    groups = {each.name for each in app.registered_groups}

    assert words(line)[1] in verbs | groups


@pytest.mark.parametrize(
    "name", ["lint", "types", "generated", "integration", "bench", "peers", "dist"]
)
def test_the_environments_of_tox_are_named_where_contributors_look(name):
    assert f"`{name}`" in (ROOT / "CONTRIBUTING.md").read_text().replace("tox -e ", "")


def python_blocks() -> list[Any]:
    return [
        pytest.param(path, block, id=f"{path.name}-{number}")
        for path in DOCUMENTS
        for number, block in enumerate(blocks(path, "python"))
    ]


@pytest.mark.parametrize(("path", "block"), python_blocks())
def test_the_imports_of_an_example_work(path, block):
    code = compile(block, str(path), "exec")

    imports = [line for line in block.splitlines() if line.startswith(("from ", "import "))]
    # the blocks of these pages rest on those before them
    assert imports or path.name in ("controller.md", "embedding.md")
    assert code is not None


def test_the_example_of_the_testing_page_passes():
    (block,) = blocks(ROOT / "docs" / "testing.md", "python")

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def embedding() -> dict[str, Any]:
    """The names that the blocks of the embedding page define, read one after the other."""
    names: dict[str, Any] = {}
    for block in blocks(ROOT / "docs" / "embedding.md", "python"):
        exec(compile(block, "embedding.md", "exec"), names)
    return names


def test_the_hello_controller_of_the_embedding_page_is_the_one_of_the_examples():
    block = blocks(ROOT / "docs" / "embedding.md", "python")[0]

    assert block == (ROOT / "examples" / "01-hello" / "hello.py").read_text()


async def test_the_operator_of_the_embedding_page_starts_and_stops():
    cluster = FakeCluster()
    await install_crds(Client(cluster))
    stop = asyncio.Event()
    running = asyncio.create_task(embedding()["run_with_databases"](cluster, stop))

    async def watches() -> bool:
        return sum(each.method == "WATCH" for each in cluster.requests) >= 2

    await eventually(watches)
    stop.set()
    await running


def manifests() -> list[Any]:
    """Every manifest of ours: the examples, and those in the documentation."""
    texts = {path.name: path.read_text() for path in (ROOT / "examples").glob("*.yaml")}
    for path in DOCUMENTS:
        for number, block in enumerate(blocks(path, "yaml")):
            texts[f"{path.name}-{number}"] = block
    return [
        pytest.param(document, id=f"{name}: {document['kind']}")
        for name, text in texts.items()
        for document in yaml.safe_load_all(text)
        if str(document.get("apiVersion", "")).startswith("hybridcloud.")
    ]


@pytest.mark.parametrize("document", manifests())
def test_a_manifest_is_valid(document):
    models: dict[str, type[BaseModel]] = {
        "PostgreSQLServer": ServerSpec,
        "PostgreSQLDatabase": DatabaseSpec,
    }

    models[document["kind"]].model_validate(document["spec"])


def test_the_tables_are_what_the_code_says():
    done = subprocess.run(
        [sys.executable, str(ROOT / "hack" / "docs-tables"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_every_document_is_on_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}

    assert {page for page in pages if f"({page})" not in index} == set()
