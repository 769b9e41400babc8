"""Reading objects: lenient about what is unknown, strict about what is known."""

from typing import Any

import pytest
from pydantic import ValidationError

from hybridpg.crds import PostgreSQLDatabase, PostgreSQLServer, ServerSpec, set_fields
from hybridpg.crds.meta import camel_case


def spec(**fields: Any) -> ServerSpec:
    return ServerSpec.model_validate({"credentialsSecret": "s", **fields})


@pytest.mark.parametrize(
    ("attribute", "written"),
    [
        ("storage_gb", "storageGB"),
        ("wal_storage_gb", "walStorageGB"),
        ("memory_mb", "memoryMB"),
        ("class_", "class"),
        ("start_ip", "startIp"),
        ("highavailability", "highavailability"),
        ("allow_major_upgrade", "allowMajorUpgrade"),
    ],
)
def test_attributes_have_the_documented_names_in_manifests(attribute, written):
    assert camel_case(attribute) == written


def test_a_spec_can_be_made_by_attribute_names():
    assert ServerSpec(credentials_secret="s") == spec()


def test_fields_that_are_not_known_are_ignored():
    """A newer definition must not break an older controller."""
    assert spec(invented={"a": 1}, size={"invented": 2}) == spec()


def test_a_null_counts_as_not_written():
    assert spec(version=None, size=None, extensions=None, network={"firewallRules": None}) == spec()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"version": 16}, id="number for text"),
        pytest.param({"size": {"cpu": "2"}}, id="text for a number"),
        pytest.param({"size": {"cpu": True}}, id="boolean for a number"),
        pytest.param({"size": {"cpu": 2.0}}, id="fraction for a number"),
        pytest.param({"size": {"storageAutoGrow": "true"}}, id="text for a boolean"),
        pytest.param({"size": []}, id="list for an object"),
        pytest.param({"extensions": "a"}, id="text for a list"),
        pytest.param({"extensions": [1]}, id="number in a list of text"),
        pytest.param({"serverParameters": {"a": 1}}, id="number in a map of text"),
    ],
)
def test_nothing_is_converted(fields):
    with pytest.raises(ValidationError):
        spec(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"extensions": ["a; b"]}, "an extension is a lower-case letter", id="ext"),
        pytest.param({"extensions": ["a\n"]}, "an extension is a lower-case letter", id="newline"),
        pytest.param({"extensions": ["a" * 64]}, "an extension is a lower-case", id="too long"),
        pytest.param({"serverParameters": {"a = 1": "x"}}, "a parameter has a name", id="key"),
        pytest.param({"credentialsSecret": "A"}, "must be the name of an object", id="secret"),
        pytest.param(
            {"maintenance": {"window": {"weekday": "Mon", "starttime": "3:00"}}},
            "must be hour:minute, from 00:00 to 23:59",
            id="time",
        ),
    ],
)
def test_formats_hold_for_objects_that_were_stored_before_the_rules(fields, message):
    """D1: the API server does not look at stored objects again."""
    with pytest.raises(ValidationError) as caught:
        spec(**fields)

    [error] = caught.value.errors()
    assert error["msg"].startswith(message)


def test_a_minimal_spec_sets_nothing():
    assert set_fields(spec(backend="local", deletionPolicy="Retain")) == frozenset()


def test_set_fields_are_the_paths_that_the_user_wrote():
    written = spec(
        version="16",
        size={"class": "dev", "storageGB": 3},
        serverParameters={"work_mem": "64MB"},
        highavailability={"enabled": True},
        network={"exposure": {"type": "NodePort"}},
        placement={"affinity": {"nodeAffinity": {}}},
    )

    assert set_fields(written) == {
        "version",
        "size.class",
        "size.storageGB",
        "serverParameters",
        "highavailability.enabled",
        "network.exposure.type",
        "placement.affinity",
    }


def test_a_value_that_asks_for_nothing_is_not_set():
    """The predecessor's documented example writes all of these, and every backend honours them."""
    written = spec(
        backup={"geoRedundant": False, "retentionDays": 0},
        size={"storageAutoGrow": False},
        extensions=[],
        serverParameters={},
        network={"firewallRules": []},
        highavailability={"enabled": False},
    )

    assert set_fields(written) == frozenset()


def test_an_object_whose_parts_need_each_other_is_one_value():
    written = spec(maintenance={"window": {"weekday": "Mon", "starttime": "03:00"}})

    assert set_fields(written) == {"maintenance.window"}


def test_the_set_fields_of_a_database_are_those_of_the_database_itself():
    written = PostgreSQLDatabase.model_validate(
        {
            "spec": {
                "serverRef": {"name": "demo"},
                "credentialsSecret": "s",
                "database": {"charset": "UTF8", "extensions": ["hstore"]},
            }
        }
    )

    assert set_fields(written.spec) == {"database.charset", "database.extensions"}


@pytest.mark.parametrize("stored", [{}, {"status": None}, {"status": {}}])
def test_an_object_without_a_status_reads_as_not_observed(stored):
    found = PostgreSQLServer.model_validate({"spec": {"credentialsSecret": "s"}, **stored})

    assert found.status.observed_generation == -1
    assert found.status.conditions == ()


def test_a_whole_object_is_read():
    found = PostgreSQLServer.model_validate(
        {
            "apiVersion": "hybridcloud.maibornwolff.de/v1alpha1",
            "kind": "PostgreSQLServer",
            "metadata": {
                "name": "demo",
                "namespace": "default",
                "uid": "u",
                "labels": {"a": "b"},
                "ownerReferences": [{"kind": "Team", "name": "t", "controller": True}],
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"credentialsSecret": "s"},
            "status": {
                "backend": "local",
                "endpoint": {"host": "h", "port": 5432},
                "deployment": {"status": "finished", "latest-update": "2026-01-01T00:00:00"},
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True",
                        "reason": "Available",
                        "message": "it answers",
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }
                ],
            },
        }
    )

    assert found.metadata.owner_references[0].kind == "Team"
    assert found.status.endpoint is not None
    assert found.status.endpoint.port == 5432
    assert found.status.deployment is not None
    assert found.status.deployment.latest_update == "2026-01-01T00:00:00"
    assert [condition.reason for condition in found.status.conditions] == ["Available"]
