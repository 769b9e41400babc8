"""The page of guarantees names tests that exist, and the faults that are really run."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from tests.peers.clients import CLIENTS
from tests.peers.faults import FAULTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "runtime.md"
ROW = re.compile(r"^\| (?P<behaviour>.+?) \| `(?P<file>[\w/]+\.py)::(?P<test>test_\w+)` \|$")
SECTIONS = {
    "List and watch",
    "Store and handlers",
    "Work queue",
    "Controllers",
    "Leader election",
    "Events",
    "Writes",
    "Manager, health, tracing",
    "Transport and login",
    "FakeCluster",
    "Embedding",
}


def rows() -> list[tuple[str, str, str]]:
    found = (ROW.match(line) for line in PAGE.read_text().splitlines())
    return [(match["behaviour"], match["file"], match["test"]) for match in found if match]


@cache
def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, functions)}


@pytest.mark.parametrize(("behaviour", "file", "test"), rows())
def test_the_test_of_a_behaviour_exists(behaviour: str, file: str, test: str):
    path = ROOT / "tests" / file

    assert path.is_file()
    assert test in functions_of(path), behaviour


def test_every_line_of_the_tables_of_behaviours_is_checked():
    """A row that is written in another way would not be looked at."""
    tables = PAGE.read_text().partition("## Behaviour and test")[2]
    lines = [line for line in tables.splitlines() if line.startswith("|")]
    heads = [line for line in lines if line in ("| behaviour | test |", "|---|---|")]

    assert len(lines) - len(heads) == len(rows())
    assert len(rows()) > 100


def test_a_behaviour_stands_once():
    behaviours = [behaviour for behaviour, _, _ in rows()]

    assert sorted(behaviours) == sorted(set(behaviours))


def test_every_part_of_the_runtime_has_its_section():
    assert set(re.findall(r"^### (.*)$", PAGE.read_text(), re.MULTILINE)) == SECTIONS


def test_the_matrix_shows_every_fault_and_every_client_and_ours_survives_all():
    matrix = PAGE.read_text().partition("| fault |")[2].partition("\n\n")[0].splitlines()
    clients = [cell.strip() for cell in matrix[0].strip("| ").split("|")]
    body = [[cell.strip() for cell in line.strip("| ").split("|")] for line in matrix[2:]]
    faults = {line[0]: line[1 + clients.index("hybridpg")] for line in body}

    assert clients == list(CLIENTS)
    assert faults.pop(f"survived of {len(FAULTS)}") == str(len(FAULTS))
    assert list(faults) == [fault.title for fault in FAULTS.values()]
    assert all(outcome.startswith("survives") for outcome in faults.values())
