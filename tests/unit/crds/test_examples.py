"""The manifests that users copy are read by the models, and mean what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hybridpg.crds import PostgreSQLDatabase, PostgreSQLServer, set_fields
from hybridpg.crds.yaml import load_all

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
MODELS = {model.__name__: model for model in (PostgreSQLServer, PostgreSQLDatabase)}


def objects(name: str) -> list[Any]:
    documents = load_all((ROOT / "examples" / name).read_text())
    return [MODELS[document["kind"]].model_validate(document) for document in documents]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_field_of_an_example_is_known(path: Path):
    """A field that is misspelt would be ignored, and the example would still seem to work."""
    for document in load_all(path.read_text()):
        model = MODELS[document["kind"]].model_validate(document)
        known = model.model_dump(by_alias=True, mode="json")

        assert unknown(document["spec"], known["spec"]) == []


def unknown(written: Any, known: Any) -> list[str]:
    if not isinstance(written, dict) or not known:
        return []
    missing = [key for key in written if key not in known]
    return missing + [
        f"{key}.{inner}"
        for key in written
        if key in known
        for inner in unknown(written[key], known[key])
    ]


def test_the_quick_start_is_the_one_that_dev_applies():
    applied = ROOT / "src" / "app" / "dev" / "quickstart.yaml"

    assert (ROOT / "examples" / "quickstart.yaml").read_text() == applied.read_text()


def test_the_database_of_an_example_is_on_the_server_of_the_example():
    for name in ("quickstart.yaml", "simple.yaml"):
        server, database = objects(name)

        assert database.spec.server_ref.name == server.metadata.name


def test_the_full_server_asks_for_what_it_sets():
    """S1-S12: false, zero and empty ask for nothing."""
    [server] = objects("full-server.yaml")

    assert set_fields(server.spec) == {
        "version",
        "size.class",
        "size.cpu",
        "size.memoryMB",
        "size.storageGB",
        "backup.retentionDays",
        "network.firewallRules",
        "maintenance.window",
    }
    assert server.spec.maintenance.window.starttime == "03:00"


def test_the_full_database_asks_for_what_it_sets():
    """S13-S16."""
    [database] = objects("full-database.yaml")

    assert set_fields(database.spec) == {"database.charset", "database.collation"}
    assert database.spec.database.collation == "de-DE"
