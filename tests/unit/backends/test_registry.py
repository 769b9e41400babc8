"""Backends by name: built-in, brought by another package, not built, retired or unknown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridpg.backends import Retired, Unavailable, registry
from hybridpg.backends.external import External
from hybridpg.backends.local import Local

GOOD = """
from pydantic import BaseModel

class Options(BaseModel):
    size: int = 1

class Factory:
    options = Options

    def __init__(self, context):
        self.context = context
"""

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package the way pip leaves it: a module and a dist-info folder on sys.path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(entry_points: str, source: str) -> None:
        info = tmp_path / "acme_backend-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-backend\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[hybridpg.backends]\n{entry_points}\n")
        (tmp_path / "acme_backend.py").write_text(source)
        monkeypatch.delitem(sys.modules, "acme_backend", raising=False)

    return write


@pytest.mark.parametrize(("name", "made"), [("external", External), ("local", Local)])
def test_a_built_in_backend_is_found_by_its_name(name: str, made: object):
    """H4."""
    assert registry.factory(name) is made


@pytest.mark.parametrize("name", ["external", "local"])
def test_the_options_of_a_built_in_backend_are_those_that_it_takes(name: str):
    assert registry.options(name) is registry.factory(name).options


def test_the_options_of_an_installed_backend_are_those_that_it_names(install: Install):
    install("acme = acme_backend:Factory", GOOD)

    assert registry.options("acme") is registry.factory("acme").options


def test_the_options_of_a_backend_that_there_is_not_are_refused():
    with pytest.raises(Unavailable, match="no backend 'nothing'"):
        registry.options("nothing")


def test_the_installed_backends_are_listed_in_order():
    assert [name for name in registry.available() if name in ("local", "external")] == [
        "external",
        "local",
    ]


@pytest.mark.parametrize(
    "name",
    ["awsaurora", "awsrds", "azurepostgresflexible", "helmbitnami", "helmyugabyte"],
)
def test_a_backend_of_the_predecessor_says_that_it_is_not_built(name: str):
    """H4."""
    with pytest.raises(Unavailable, match=f"'{name}' is not built in this version; installed are"):
        registry.factory(name)


def test_a_retired_service_names_its_successor():
    """H4."""
    with pytest.raises(Retired, match="azurepostgresflexible"):
        registry.factory("azurepostgres")


@pytest.mark.parametrize("name", ["", "aws", "azure", "oracle", "../local", "Local"])
def test_an_unknown_name_says_what_there_is(name: str):
    """D47: never the default instead."""
    with pytest.raises(Unavailable, match=r"there is no backend .*; installed are external, local"):
        registry.factory(name)


def test_a_third_party_brings_a_backend_by_an_entry_point(install: Install):
    """N4."""
    install("acme = acme_backend:Factory", GOOD)

    assert "acme" in registry.available()
    assert registry.factory("acme").options.__name__ == "Options"


def test_a_third_party_may_serve_a_name_that_we_do_not_build(install: Install):
    install("awsrds = acme_backend:Factory", GOOD)

    assert registry.factory("awsrds").options.__name__ == "Options"


def test_a_third_party_cannot_take_over_a_built_in_name(install: Install):
    """The login of existing servers would go to whoever is installed last."""
    install("external = acme_backend:Factory", GOOD)

    assert registry.factory("external") is External
    assert registry.available().count("external") == 1


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        ("acme = acme_backend:Factory", "import no_such_module_anywhere"),
        ("acme = acme_backend:Missing", GOOD),
        ("acme = acme_backend:Factory", "raise RuntimeError('at import')"),
        ("acme = acme_backend:Factory", "this is no python"),
    ],
    ids=["missing dependency", "missing name", "error", "syntax"],
)
def test_a_package_that_cannot_be_imported_disables_only_itself(
    install: Install, entry: str, source: str
):
    install(entry, source)
    with pytest.raises(Unavailable, match=r"'acme' .* cannot be imported") as caught:
        registry.factory("acme")

    assert caught.value.__cause__ is not None
    assert registry.factory("external") is External


@pytest.mark.parametrize(
    "source",
    ["Factory = 1", "class Factory: pass", "class Factory:\n    options = dict"],
)
def test_what_is_no_factory_is_refused(install: Install, source: str):
    install("acme = acme_backend:Factory", source)
    with pytest.raises(Unavailable, match="is no factory: it must be callable and have a model"):
        registry.factory("acme")


def test_a_package_is_not_imported_before_it_is_asked_for(install: Install):
    install("acme = acme_backend:Factory", "raise RuntimeError('at import')")

    assert "acme" in registry.available()
    assert "acme_backend" not in sys.modules
