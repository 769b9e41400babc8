"""Every row of the predecessor's defects, and every invariant, is cited by a test of it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROWS = range(1, 83)
LATER = {
    # these belong to backends of clouds and in the cluster, and come with them
    *(4, 5, 9, 10, 11, 22, 27, 29, 35, 36, 38, 39, 40, *range(46, 75), 76),
}
ALREADY = {4, 5, 9, 10, 11, 29, *range(46, 53), 60, 63, 67}
"""Those of them that mean something on the backends of today."""
INVARIANTS = range(1, 25)
ROW = re.compile(r"\bD(\d{1,2})\b")
INVARIANT = re.compile(r"\binvariants? ((?:\d{1,2}(?:, | and )?)+)", re.IGNORECASE)


def functions_of(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test"
        ):
            yield node


def citations() -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Return which tests cite each row and each invariant, in their docstrings."""
    rows: dict[int, list[str]] = defaultdict(list)
    invariants: dict[int, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        if path == Path(__file__):
            continue
        for test in functions_of(ast.parse(path.read_text())):
            text, where = ast.get_docstring(test) or "", f"{path.relative_to(TESTS)}::{test.name}"
            for number in ROW.findall(text):
                rows[int(number)].append(where)
            for numbers in INVARIANT.findall(text):
                for number in re.findall(r"\d+", numbers):
                    invariants[int(number)].append(where)
    return rows, invariants


CITED, PROVEN = citations()


@pytest.mark.parametrize("row", [r for r in ROWS if r not in LATER or r in ALREADY])
def test_every_row_is_cited_by_a_test(row: int):
    assert CITED[row], f"no test cites D{row}"


@pytest.mark.parametrize("number", INVARIANTS)
def test_every_invariant_is_cited_by_a_test(number: int):
    assert PROVEN[number], f"no test cites invariant {number}"


def test_nothing_is_cited_that_there_is_not():
    assert set(CITED) <= set(ROWS)
    assert set(PROVEN) <= set(INVARIANTS)
