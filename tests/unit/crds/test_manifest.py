"""The definitions as a whole: described, bounded, small, and what is committed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import hybridpg
from hybridpg.crds.manifest import KINDS, Kind, crd_yaml, definition
from hybridpg.crds.markers import RULES

CHART = Path(__file__).parents[3] / "charts" / "hybridpg"
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.singular)

LIMIT_OF_CLIENT_SIDE_APPLY = 256 * 1024
"""Bytes of the annotation in which kubectl keeps the last applied object."""
FIRST_FIELDS = {
    "backend": {},
    "credentialsSecret": {},
    "version": {},
    "size": {"class", "cpu", "memoryMB", "storageGB", "storageAutoGrow"},
    "backup": {"retentionDays", "geoRedundant"},
    "extensions": {},
    "network": {"firewallRules"},
    "serverParameters": {},
    "maintenance": {"window"},
    "highavailability": {"enabled"},
}


def version(kind: Kind) -> dict[str, Any]:
    [only] = definition(kind)["spec"]["versions"]
    found: dict[str, Any] = only
    return found


def root(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = version(kind)["schema"]["openAPIV3Schema"]
    return found


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node with its path, but metadata: it is the API server's own."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        if f"{path}.{name}" != ".metadata":
            yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


@each_kind
def test_every_node_is_described_by_a_sentence(kind):
    wrong = [
        path
        for path, node in nodes(root(kind))
        if not node.get("description", "").endswith(".") or not node["description"][0].isupper()
    ]

    assert wrong == []


@each_kind
def test_nothing_is_left_that_a_crd_cannot_say(kind):
    for path, node in nodes(root(kind)):
        assert not {"$ref", "anyOf", "title", "const", "$defs"} & set(node), path
        assert isinstance(node.get("additionalProperties", {}), dict), path


@each_kind
def test_only_the_status_has_a_default(kind):
    """A default in the spec would be written into the objects of users."""
    defaults = {path: node["default"] for path, node in nodes(root(kind)) if "default" in node}

    assert defaults == {".status": {"observedGeneration": -1}}


@each_kind
def test_what_has_rules_is_bounded_so_that_their_cost_can_be_estimated(kind):
    for path, node in nodes(root(kind)["properties"]["spec"]):
        if node["type"] == "string" and RULES in node:
            assert node["maxLength"], path
        if node["type"] == "array":
            assert node["maxItems"], path


@each_kind
def test_every_rule_has_a_message_in_plain_words(kind):
    for path, node in nodes(root(kind)):
        for rule in node.get(RULES, []):
            assert rule["message"], path
            assert "self" not in rule["message"], path


@each_kind
def test_the_first_version_of_the_status_stays_readable(kind):
    """H1: a null that was stored must not make the object invalid."""
    assert root(kind)["properties"]["status"]["nullable"] is True


@each_kind
def test_conditions_are_told_apart_by_type(kind):
    conditions = root(kind)["properties"]["status"]["properties"]["conditions"]

    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert set(conditions["items"]["required"]) == {
        "type",
        "status",
        "reason",
        "message",
        "lastTransitionTime",
    }


@each_kind
def test_a_definition_is_small_enough_for_client_side_apply(kind):
    assert len(crd_yaml(kind)) < 100_000 < LIMIT_OF_CLIENT_SIDE_APPLY


@each_kind
def test_the_status_is_written_apart_from_the_spec(kind):
    assert version(kind)["subresources"] == {"status": {}}


@each_kind
def test_removing_the_release_keeps_the_definition(kind):
    assert definition(kind)["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@each_kind
def test_the_kind_provides_a_service_binding(kind):
    labels = definition(kind)["metadata"]["labels"]
    status = root(kind)["properties"]["status"]["properties"]

    assert labels == {"servicebinding.io/provisioned-service": "true"}
    assert set(status["binding"]["properties"]) == {"name"}


def test_every_field_of_the_first_version_is_there():
    spec = root(KINDS[0])["properties"]["spec"]["properties"]

    assert set(FIRST_FIELDS) <= set(spec)
    for name, inner in FIRST_FIELDS.items():
        assert set(inner) <= set(spec[name].get("properties", {}))


def test_old_short_names_are_kept_and_a_unique_one_is_added():
    """H1, D82."""
    assert KINDS[0].short_names == ("pg", "postgre", "postgres", "hpgs")
    assert KINDS[1].short_names == ("pgdb", "database", "db", "hpgd")
    page = (Path(__file__).parents[3] / "docs" / "status.md").read_text()
    assert all(f"`{kind.short_names[-1]}`" in page for kind in KINDS)


@pytest.mark.parametrize("column", ["Ready", "Reason", "Age"])
@each_kind
def test_the_first_columns_need_no_wide_output(kind, column):
    columns = {each["name"]: each["priority"] for each in version(kind)["additionalPrinterColumns"]}

    assert columns[column] == 0


@each_kind
def test_the_committed_definition_is_what_the_models_say(kind):
    committed = (CHART / "templates" / "crds" / f"{kind.plural}.yaml").read_text()

    assert yaml.safe_load(committed) == definition(kind), "run hack/generate"
    assert "{{" not in committed, "helm would take it for a template"


def test_the_printed_definitions_are_all_of_them():
    assert list(yaml.safe_load_all(crd_yaml())) == [definition(kind) for kind in KINDS]


def test_the_chart_has_the_version_of_the_package():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["version"] == chart["appVersion"] == hybridpg.__version__
