"""The CRDs as a real API server understands them: what it takes, and what it says otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.crd_cases import (
    DATABASE,
    DOCUMENTED_SERVERS,
    EXAMPLES,
    GOOD_OBJECT_NAMES,
    GROUP,
    IMMUTABLE,
    MALFORMED_DATABASES,
    MALFORMED_SERVERS,
    RESERVED,
    RESERVED_OBJECT_NAMES,
    SERVER,
    WINDOW,
    database,
    merged,
    named,
    server,
)
from tests.fix_crds import CRDS, Kubectl, install_crds, kubectl_of
from tests.fix_testenv import TestEnv

from hybridpg.crds.yaml import load_all

pytestmark = [pytest.mark.testenv, pytest.mark.usefixtures("installed_crds")]


def read(run: Kubectl, namespace: str, plural: str, name: str) -> dict[str, Any]:
    done = run("get", "-n", namespace, plural, name, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_both_definitions_are_established_and_free_of_complaints(run_kubectl: Kubectl):
    done = run_kubectl("get", "-f", str(CRDS), "-o", "json")

    for item in json.loads(done.stdout)["items"]:
        conditions = {each["type"]: each["status"] for each in item["status"]["conditions"]}
        assert conditions == {"Established": "True", "NamesAccepted": "True"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_accepted(run_kubectl: Kubectl, path: Path):
    """H1: the manifests of the predecessor's documentation apply unchanged."""
    done = run_kubectl("create", "--dry-run=server", "--validate=strict", "-f", str(path))

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("spec", DOCUMENTED_SERVERS)
def test_every_documented_value_of_a_server_is_accepted(run_kubectl: Kubectl, spec: dict[str, Any]):
    """S1-S12."""
    done = run_kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=server(**spec)
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", GOOD_OBJECT_NAMES)
def test_names_that_need_quoting_are_accepted(run_kubectl: Kubectl, name: str):
    """D2: a keyword of SQL is a good name of a database."""
    done = run_kubectl("create", "--dry-run=server", "-f", "-", stdin=named(DATABASE, name))

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("spec", "message"), MALFORMED_SERVERS)
def test_a_malformed_server_is_refused_with_a_clear_message(
    run_kubectl: Kubectl, spec: dict[str, Any], message: str
):
    """D79: admission refuses what is wrong in shape."""
    done = run_kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=server(**spec)
    )

    assert done.returncode != 0
    assert message in done.stderr
    assert "matches(" not in done.stderr, "nobody should have to read the rule itself"


@pytest.mark.parametrize(("spec", "message"), MALFORMED_DATABASES)
def test_a_malformed_database_is_refused_with_a_clear_message(
    run_kubectl: Kubectl, spec: dict[str, Any], message: str
):
    """D1, D79, H5, H35."""
    done = run_kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=database(**spec)
    )

    assert done.returncode != 0
    assert message in done.stderr
    assert "matches(" not in done.stderr, "nobody should have to read the rule itself"


@pytest.mark.parametrize("name", RESERVED_OBJECT_NAMES)
def test_an_object_whose_own_name_is_reserved_needs_a_name_of_its_database(
    run_kubectl: Kubectl, name: str
):
    """D3, H35: the object's name is the database's where the spec names none."""
    refused = run_kubectl("create", "--dry-run=server", "-f", "-", stdin=named(DATABASE, name))
    accepted = run_kubectl(
        "create",
        "--dry-run=server",
        "-f",
        "-",
        stdin=named(database(database={"name": "orders"}), name),
    )

    assert f"metadata.name {RESERVED}" in refused.stderr
    assert accepted.returncode == 0, accepted.stderr


@pytest.mark.parametrize(("base", "change", "message"), IMMUTABLE)
def test_an_immutable_field_cannot_be_changed(
    run_kubectl: Kubectl, namespace: str, base: dict[str, Any], change: Any, message: str
):
    """D78, S1, S13, S14."""
    created = run_kubectl("create", "-n", namespace, "-f", "-", stdin=base)
    assert created.returncode == 0, created.stderr

    done = run_kubectl(
        "patch", "-n", namespace, base["kind"], base["metadata"]["name"], "--type=merge", "-p",
        json.dumps({"spec": change}),
    )  # fmt: skip

    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("before", [{}, {"backend": ""}], ids=["unset", "empty"])
def test_a_server_can_be_bound_to_a_backend_later(
    run_kubectl: Kubectl, namespace: str, before: dict[str, Any]
):
    run_kubectl("create", "-n", namespace, "-f", "-", stdin=server(**before))

    done = run_kubectl(
        "patch", "-n", namespace, "hpgs", "teamfoo", "--type=merge", "-p",
        json.dumps({"spec": {"backend": "local", "size": {"storageGB": 3}}}),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_a_new_object_has_a_status_that_nobody_takes_for_a_finished_one(
    run_kubectl: Kubectl, namespace: str
):
    written = merged(SERVER, {"status": {"version": "99"}})
    run_kubectl("create", "-n", namespace, "-f", "-", stdin=written)

    found = read(run_kubectl, namespace, "hpgs", "teamfoo")

    assert found["status"] == {"observedGeneration": -1}
    assert found["spec"] == SERVER["spec"], "the schema adds nothing to what the user wrote"


def test_unquoted_start_times_reach_the_server_as_text(run_kubectl: Kubectl, namespace: str):
    """S10: YAML 1.1 would make a number of 03:00."""
    text = json.dumps(server(maintenance={"window": WINDOW})).replace('"03:00"', "03:00")

    run_kubectl("create", "-n", namespace, "-f", "-", stdin=text)

    found = read(run_kubectl, namespace, "hpgs", "teamfoo")
    assert found["spec"]["maintenance"]["window"]["starttime"] == "03:00"


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *((word, "postgresqlserver") for word in ("pg", "postgre", "postgres", "hpgs")),
        *((word, "postgresqldatabase") for word in ("pgdb", "database", "db", "hpgd")),
    ],
)
def test_short_names_resolve(run_kubectl: Kubectl, namespace: str, word: str, kind: str):
    """H1."""
    run_kubectl("create", "-n", namespace, "-f", "-", stdin=named(SERVER, "mine"))
    run_kubectl("create", "-n", namespace, "-f", "-", stdin=named(DATABASE, "mine"))

    done = run_kubectl("get", "-n", namespace, word, "-o", "name")

    assert done.stdout.split() == [f"{kind}.{GROUP}/mine"]


@pytest.mark.parametrize("category", ["hybridcloud", "databases"])
def test_categories_list_both_kinds(run_kubectl: Kubectl, namespace: str, category: str):
    run_kubectl("create", "-n", namespace, "-f", "-", stdin=SERVER)
    run_kubectl("create", "-n", namespace, "-f", "-", stdin=DATABASE)

    done = run_kubectl("get", "-n", namespace, category, "-o", "name")

    assert sorted(done.stdout.split()) == [
        f"postgresqldatabase.{GROUP}/fooservice",
        f"postgresqlserver.{GROUP}/teamfoo",
    ]


SERVER_COLUMNS = "NAME READY REASON BACKEND VERSION CLASS ENDPOINT MESSAGE AGE"
DATABASE_COLUMNS = "NAME READY REASON SERVER DB NAME SECRET AGE"


@pytest.mark.parametrize(
    ("base", "columns"),
    [
        pytest.param(SERVER, SERVER_COLUMNS, id="server"),
        pytest.param(DATABASE, DATABASE_COLUMNS, id="database"),
    ],
)
def test_columns_say_whether_it_works_why_not_and_where(
    run_kubectl: Kubectl, namespace: str, base: dict[str, Any], columns: str
):
    run_kubectl("create", "-n", namespace, "-f", "-", stdin=base)
    name = base["metadata"]["name"]
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "Unreachable",
        "message": "no answer",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"conditions": [condition], "externalName": "ext", "endpoint": {"host": "h.example"}}
    patched = run_kubectl(
        "patch", "-n", namespace, base["kind"], name, "--subresource=status", "--type=merge", "-p",
        json.dumps({"status": status}),
    )  # fmt: skip
    assert patched.returncode == 0, patched.stderr

    header, row = run_kubectl("get", "-n", namespace, base["kind"], "-o", "wide").stdout.split(
        "\n"
    )[:2]

    assert " ".join(header.split()) == columns
    assert row.split()[:3] == [name, "False", "Unreachable"]
    assert ("h.example" if base is SERVER else "ext") in row


def test_a_condition_without_a_reason_is_refused(run_kubectl: Kubectl, namespace: str):
    run_kubectl("create", "-n", namespace, "-f", "-", stdin=SERVER)

    done = run_kubectl(
        "patch", "-n", namespace, "hpgs", "teamfoo", "--subresource=status", "--type=merge", "-p",
        json.dumps({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    )  # fmt: skip

    assert "conditions[0].reason: Required value" in done.stderr


def test_explain_describes_a_field(run_kubectl: Kubectl):
    done = run_kubectl("explain", "hpgs.spec.size.storageGB")

    assert "Storage for the data in GB; it can grow, never shrink." in done.stdout


OPEN: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def first_definition(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition as it was before there were rules: no status subresource, nothing checked."""
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": OPEN, "status": {**OPEN, "nullable": True}},
            }
        },
    }
    return merged(definition, {"spec": {"versions": [version]}})


OLD_OBJECTS = [
    merged(
        SERVER,
        {
            "metadata": {"name": "old", "finalizers": ["example.com/old"]},
            "spec": {
                "version": "13",
                "maintenance": {"window": {"weekday": "Wednesday", "starttime": "3:00"}},
                "extensions": ["Bad Name"],
                "backend": "helmbitnami",
            },
            "status": {"backend": "helmbitnami", "deployment": {"status": "finished"}, "kopf": {}},
        },
    ),
    merged(
        DATABASE,
        {
            "metadata": {"name": "postgres", "finalizers": ["example.com/old"]},
            "spec": {"database": {"extensions": ["Bad Name"]}, "oldField": 1},
        },
    )
    | {"status": None},
]


def changed(patch: dict[str, Any]) -> tuple[str, ...]:
    return ("--type=merge", "-p", json.dumps(patch))


@pytest.mark.slow
def test_objects_that_were_stored_before_the_rules_can_still_be_worked_with(own_testenv: TestEnv):
    """H1, D79: the upgrade must not lock up what is there already, not even its deletion."""
    run = kubectl_of(own_testenv)
    for path in CRDS.glob("*.yaml"):
        [definition] = load_all(path.read_text())
        run("create", "-f", "-", stdin=first_definition(definition))
    run("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
    for stored in OLD_OBJECTS:
        created = run("create", "--validate=false", "-f", "-", stdin=stored)
        assert created.returncode == 0, created.stderr
    assert "status: null" in run("get", "db", "postgres", "-o", "yaml").stdout

    install_crds(run)

    for stored in OLD_OBJECTS:
        address = (stored["kind"], stored["metadata"]["name"])
        steps = [
            changed({"metadata": {"labels": {"a": "b"}}}),
            changed({"metadata": {"finalizers": ["example.com/new"]}}),
            ("--subresource=status", *changed({"status": {"observedGeneration": 1}})),
            changed({"spec": {"deletionPolicy": "Retain"}}),
        ]
        for step in steps:
            done = run("patch", *address, *step)
            assert done.returncode == 0, (step, done.stderr)
        assert run("delete", *address, "--wait=false").returncode == 0
        released = run("patch", *address, *changed({"metadata": {"finalizers": None}}))
        assert released.returncode == 0, released.stderr
        assert "not found" in run("get", *address).stderr
