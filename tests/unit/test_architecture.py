"""The house rules that no linter checks: sizes, docstrings, exports, paths in the documentation."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

MODULE_LINES = 400
BODY_LINES = 50
TEST_LINES_PER_SOURCE_LINE = 1.3

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.ClassDef | Function


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


each_module = pytest.mark.parametrize("path", SOURCES, ids=name_of)
each_package = pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.name == "__init__.py"], ids=name_of
)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def body_length(function: Function) -> int:
    """Lines from the first statement after the docstring to the end."""
    statements = function.body
    if ast.get_docstring(function) is not None and len(statements) > 1:
        statements = statements[1:]
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1


def public(node: ast.Module | ast.ClassDef) -> list[Documented]:
    """The public definitions of a module, and of its public classes."""
    found: list[Documented] = []
    for child in node.body:
        if isinstance(child, Documented) and not child.name.startswith("_"):
            found.append(child)
            if isinstance(child, ast.ClassDef):
                found += public(child)
    return found


def is_overload(node: Documented) -> bool:
    """Setters and overloads are described where the name is defined first or last."""
    return any(
        (isinstance(decorator, ast.Attribute) and decorator.attr == "setter")
        or (isinstance(decorator, ast.Name) and decorator.id == "overload")
        for decorator in node.decorator_list
    )


@each_module
def test_a_module_stays_within_its_length(path):
    assert len(path.read_text().splitlines()) <= MODULE_LINES


@each_module
def test_a_body_stays_within_its_length(path):
    functions = [node for node in ast.walk(parse(path)) if isinstance(node, Function)]
    long = {node.name: body_length(node) for node in functions if body_length(node) > BODY_LINES}

    assert long == {}


@each_module
def test_a_module_says_what_it_is(path):
    docstring = ast.get_docstring(parse(path)) or ""

    assert len(docstring) > 15, "the docstring of the module is missing or empty"


@each_module
def test_every_public_name_has_a_docstring_whose_first_line_is_a_sentence(path):
    wrong = [
        f"{node.name} (line {node.lineno})"
        for node in public(parse(path))
        if not is_overload(node)
        and not (ast.get_docstring(node) or "").split("\n\n")[0].rstrip().endswith((".", ":", "?"))
    ]

    assert wrong == []


@each_module
def test_inside_the_source_all_imports_of_ours_are_relative(path):
    absolute = [
        f"line {node.lineno}"
        for node in ast.walk(parse(path))
        if (isinstance(node, ast.ImportFrom) and not node.level and node.module == "hybridpg")
        or (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and str(node.module).startswith(("hybridpg.", "src."))
        )
        or (
            isinstance(node, ast.Import)
            and any(alias.name.split(".")[0] in {"hybridpg", "src"} for alias in node.names)
        )
    ]

    assert absolute == []


def exported(tree: ast.Module) -> list[str]:
    """The value of ``__all__``, or nothing."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign)
            return list(ast.literal_eval(node.value))
    return []


@each_package
def test_a_package_is_a_docstring_imports_and_a_sorted_list_of_exports(path):
    tree = parse(path)
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    } - {"annotations"}
    names = exported(tree)

    assert names == sorted(names)
    assert imported == set(names), "what __init__ imports is what it exports"
    others = [
        node
        for node in tree.body[1:]
        if not isinstance(node, ast.Import | ast.ImportFrom | ast.Assign)
    ]
    assert others == [], "__init__ holds nothing but imports and __all__"


def test_the_root_package_imports_nothing():
    tree = parse(ROOT / "src" / "__init__.py")

    assert not [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


def test_no_module_is_left_with_open_ends():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
    found = [name_of(path) for path in SOURCES if marks.search(path.read_text())]

    assert found == []


def test_there_are_more_lines_of_tests_than_of_source():
    source = sum(len(path.read_text().splitlines()) for path in SOURCES)
    tests = sum(len(path.read_text().splitlines()) for path in TESTS)

    assert tests >= TEST_LINES_PER_SOURCE_LINE * source, f"{tests} lines test {source}"


def linked_paths(document: Path) -> set[str]:
    """Relative link targets, and the paths that stand in backticks."""
    text = document.read_text()
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    quoted = re.findall(r"`\.?/?((?:src|tests|hack|docs|examples|charts|\.ci)/[\w./-]+)`", text)
    return {str((document.parent / link).resolve()) for link in links} | {
        str(ROOT / path) for path in quoted
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_that_the_documentation_names_exists(document):
    missing = sorted(path for path in linked_paths(document) if not Path(path).exists())

    assert missing == []


def test_contributing_ends_in_a_table_of_what_to_touch():
    lines = (ROOT / "CONTRIBUTING.md").read_text().rstrip().splitlines()

    assert lines[-1].startswith("|")
    assert any(re.match(r"\| *to add", line, re.IGNORECASE) for line in lines)
