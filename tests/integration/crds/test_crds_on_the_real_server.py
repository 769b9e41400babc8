"""The CRDs as a real API server understands them: what it takes, and what it says otherwise."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tests.fix_crds import CRDS, Kubectl, install_crds, kubectl_of
from tests.fix_testenv import TestEnv

from hybridpg.crds.yaml import load_all

pytestmark = [pytest.mark.testenv, pytest.mark.usefixtures("installed_crds")]

GROUP = "hybridcloud.maibornwolff.de"
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))

SERVER: dict[str, Any] = {
    "apiVersion": f"{GROUP}/v1alpha1",
    "kind": "PostgreSQLServer",
    "metadata": {"name": "teamfoo"},
    "spec": {"credentialsSecret": "teamfoo-credentials"},
}
DATABASE: dict[str, Any] = {
    "apiVersion": f"{GROUP}/v1alpha1",
    "kind": "PostgreSQLDatabase",
    "metadata": {"name": "fooservice"},
    "spec": {"serverRef": {"name": "teamfoo"}, "credentialsSecret": "fooservice-credentials"},
}
RULE = {"name": "office", "startIp": "192.0.2.1", "endIp": "192.0.2.9"}
WINDOW = {"weekday": "Wed", "starttime": "03:00"}
SPREAD = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}

A_NAME = "must be the name of an object: lower-case letters, digits, '-' and '.'"
AN_EXTENSION = "an extension is a lower-case letter followed by lower-case letters, digits"
AN_ADDRESS = "must be an IPv4 address, such as 192.0.2.1"
A_RANGE = "must be an IPv4 range, such as 192.0.2.0/24"
A_TIME = "must be hour:minute, from 00:00 to 23:59"
A_DURATION = "must be a number and a unit (s, m, h or d), such as 90d"
A_DATABASE_NAME = "must be 1 to 63 letters, digits, '_', '-' and '.'"


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """RFC 7386: a None removes."""
    result = deepcopy(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def server(**spec: Any) -> dict[str, Any]:
    return merged(SERVER, {"spec": spec})


def database(**spec: Any) -> dict[str, Any]:
    return merged(DATABASE, {"spec": spec})


def named(base: dict[str, Any], name: str) -> dict[str, Any]:
    return merged(base, {"metadata": {"name": name}})


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


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"backend": ""}, id="no backend"),
        *(pytest.param({"version": v}, id=f"version {v!r}") for v in ("", "latest", "11", "15.2")),
        pytest.param({"size": {"class": "dev", "cpu": 1, "memoryMB": 512}}, id="class wins"),
        pytest.param({"size": {"storageGB": 1}}, id="smallest storage"),
        pytest.param({"backup": {"retentionDays": 0}}, id="backups off"),
        pytest.param({"extensions": ["uuid-ossp", "pg_trgm"]}, id="extensions"),
        pytest.param({"network": {"firewallRules": []}}, id="no rules"),
        *(
            pytest.param({"maintenance": {"window": {**WINDOW, "weekday": day}}}, id=day)
            for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
        ),
        *(
            pytest.param({"maintenance": {"window": {**WINDOW, "starttime": time}}}, id=time)
            for time in ("00:00", "09:30", "23:59")
        ),
        pytest.param({"serverParameters": {"work_mem": "64MB"}}, id="parameters"),
        *(pytest.param({"deletionPolicy": p}, id=p) for p in ("Delete", "Retain", "Snapshot")),
        pytest.param(
            {
                "allowMajorUpgrade": True,
                "size": {"walStorageGB": 2, "storageClass": "fast"},
                "network": {
                    "exposure": {
                        "type": "LoadBalancer",
                        "annotations": {"example.com/internal": "true"},
                        "allowedSourceRanges": ["0.0.0.0/0", "10.0.0.0/8"],
                    }
                },
                "maintenance": {"apply": "InWindow"},
                "highavailability": {"instances": 3, "synchronous": True, "zones": ["a", "b"]},
                "placement": {
                    "nodeSelector": {"disk": "ssd"},
                    "tolerations": [{"key": "db", "operator": "Exists", "effect": "NoSchedule"}],
                    "affinity": {"nodeAffinity": {"anything": [1, 2]}},
                    "topologySpread": [SPREAD],
                },
                "credentials": {"rotateEvery": "90d"},
                "backendOptions": {"server": "shared"},
            },
            id="everything new",
        ),
    ],
)
def test_every_documented_value_of_a_server_is_accepted(run_kubectl: Kubectl, spec: dict[str, Any]):
    """S1-S12."""
    done = run_kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=server(**spec)
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name",
    ["user", "order", "select", "all", "1abc", "foo.bar", "pgbench", "azure", "administrator"],
)
def test_names_that_need_quoting_are_accepted(run_kubectl: Kubectl, name: str):
    """D2: a keyword of SQL is a good name of a database."""
    done = run_kubectl("create", "--dry-run=server", "-f", "-", stdin=named(DATABASE, name))

    assert done.returncode == 0, done.stderr


MALFORMED_SERVERS = [
    pytest.param(
        {"credentialsSecret": None}, "spec.credentialsSecret: Required value", id="no secret"
    ),
    pytest.param({"credentialsSecret": 5}, "must be of type string", id="secret is a number"),
    pytest.param({"credentialsSecret": ""}, A_NAME, id="empty secret"),
    pytest.param({"credentialsSecret": "Team_Foo"}, A_NAME, id="secret in capitals"),
    pytest.param({"credentialsSecret": "other/secret"}, A_NAME, id="secret elsewhere"),
    pytest.param({"version": 16}, "spec.version: Invalid value", id="version is a number"),
    pytest.param({"backend": ["a"]}, "spec.backend: Invalid value", id="backend is a list"),
    pytest.param({"size": {"cpu": "2"}}, "must be of type integer", id="cpu is text"),
    pytest.param({"size": {"cpu": 0}}, "greater than or equal to 1", id="no cpu"),
    pytest.param({"size": {"memoryMB": 0}}, "greater than or equal to 1", id="no memory"),
    pytest.param({"size": {"storageGB": -5}}, "greater than or equal to 1", id="negative storage"),
    pytest.param({"size": {"storageGB": 1.5}}, "must be of type integer", id="half a GB"),
    pytest.param({"size": {"storageAutoGrow": "yes"}}, "must be of type boolean", id="yes"),
    pytest.param({"size": "small"}, "spec.size: Invalid value", id="size is a word"),
    pytest.param(
        {"backup": {"retentionDays": -1}}, "greater than or equal to 0", id="negative days"
    ),
    pytest.param({"extensions": "pgcrypto"}, "must be of type array", id="extensions no list"),
    pytest.param({"extensions": ["pgcrypto", "pgcrypto"]}, "Duplicate value", id="extension twice"),
    pytest.param({"extensions": ["PostGIS"]}, AN_EXTENSION, id="extension in capitals"),
    pytest.param(
        {"extensions": ["plpgsql; CREATE ROLE evil SUPERUSER"]}, AN_EXTENSION, id="injection"
    ),
    pytest.param(
        {"network": {"firewallRules": [{**RULE, "startIp": "192.0.2"}]}}, AN_ADDRESS, id="three"
    ),
    pytest.param(
        {"network": {"firewallRules": [{**RULE, "endIp": "192.0.2.256"}]}}, AN_ADDRESS, id="256"
    ),
    pytest.param({"network": {"firewallRules": [{**RULE, "endIp": "::1"}]}}, AN_ADDRESS, id="IPv6"),
    pytest.param({"network": {"firewallRules": [RULE, RULE]}}, "Duplicate value", id="rule twice"),
    pytest.param(
        {"network": {"firewallRules": [{"name": "a", "startIp": "192.0.2.1"}]}},
        "firewallRules[0].endIp: Required value",
        id="rule without end",
    ),
    pytest.param(
        {"network": {"firewallRules": [{**RULE, "name": ""}]}}, "at least 1 chars", id="nameless"
    ),
    pytest.param(
        {"network": {"exposure": {"type": "Ingress"}}}, "supported values:", id="exposure"
    ),
    pytest.param(
        {"network": {"exposure": {"allowedSourceRanges": ["10.0.0.0"]}}}, A_RANGE, id="no mask"
    ),
    pytest.param(
        {"network": {"exposure": {"allowedSourceRanges": ["10.0.0.0/33"]}}}, A_RANGE, id="mask 33"
    ),
    pytest.param(
        {"serverParameters": {"max_connections": 100}}, "must be of type string", id="parameter"
    ),
    pytest.param(
        {"maintenance": {"window": {**WINDOW, "weekday": "Wednesday"}}},
        'supported values: "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"',
        id="long weekday",
    ),
    *(
        pytest.param({"maintenance": {"window": {**WINDOW, "starttime": t}}}, A_TIME, id=f"at {t}")
        for t in ("3:00", "24:00", "03:60", "03.00", "")
    ),
    pytest.param(
        {"maintenance": {"window": {"weekday": "Mon"}}}, "starttime: Required value", id="no start"
    ),
    pytest.param({"maintenance": {"apply": "Later"}}, "supported values:", id="apply"),
    pytest.param(
        {"highavailability": {"instances": 0}}, "greater than or equal to 1", id="no instance"
    ),
    pytest.param(
        {"highavailability": {"enabled": "true"}}, "must be of type boolean", id="enabled is text"
    ),
    pytest.param({"highavailability": {"zones": ["a", "a"]}}, "Duplicate value", id="zone twice"),
    pytest.param(
        {"placement": {"tolerations": [{"operator": "In"}]}}, "supported values:", id="toleration"
    ),
    pytest.param(
        {"placement": {"topologySpread": [{**SPREAD, "maxSkew": 0}]}},
        "greater than or equal to 1",
        id="skew",
    ),
    pytest.param({"credentials": {"rotateEvery": "90 days"}}, A_DURATION, id="90 days"),
    pytest.param({"credentials": {"rotateEvery": "0d"}}, A_DURATION, id="0d"),
    pytest.param({"deletionPolicy": "delete"}, "supported values:", id="policy in lower case"),
    pytest.param({"backendOptions": {"port": 1}}, "must be of type string", id="option"),
    pytest.param({"sise": {}}, 'unknown field "spec.sise"', id="unknown field"),
    pytest.param({"size": {"storageGb": 5}}, 'unknown field "spec.size.storageGb"', id="misspelt"),
]


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


RESERVED = "is reserved: a database must not be named postgres, template0, template1 or admin"

MALFORMED_DATABASES = [
    pytest.param({"serverRef": None}, "spec.serverRef: Required value", id="no server"),
    pytest.param({"serverRef": {"name": None}}, "serverRef.name: Required value", id="nameless"),
    pytest.param({"serverRef": {"name": "other/demo"}}, A_NAME, id="server elsewhere"),
    pytest.param(
        {"serverRef": {"namespace": "other"}}, 'unknown field "spec.serverRef.namespace"', id="H5"
    ),
    pytest.param({"credentialsSecret": None}, "credentialsSecret: Required value", id="no secret"),
    *(
        pytest.param({"database": {"name": name}}, f"database.name {RESERVED}", id=name)
        for name in ("postgres", "template0", "template1", "admin", "pg_x", "rdsadmin", "azure_sys")
    ),
    pytest.param({"database": {"name": "foo bar"}}, A_DATABASE_NAME, id="name with a space"),
    pytest.param({"database": {"name": '"; DROP'}}, A_DATABASE_NAME, id="name with a quote"),
    pytest.param({"database": {"name": ""}}, A_DATABASE_NAME, id="empty name"),
    pytest.param({"database": {"name": "x" * 64}}, "Too long", id="long name"),
    pytest.param(
        {"database": {"charset": "UTF 8"}}, "must be the name of a character set", id="charset"
    ),
    pytest.param(
        {"database": {"collation": "C' x"}}, "must be the name of a collation", id="collation"
    ),
    pytest.param({"database": {"extensions": ["a b"]}}, AN_EXTENSION, id="extension"),
    pytest.param({"database": {"extensions": ["a", "a"]}}, "Duplicate value", id="twice"),
    pytest.param({"deletionPolicy": "Snapshot"}, 'supported values: "Delete", "Retain"', id="snap"),
    pytest.param({"database": {"owner": "x"}}, 'unknown field "spec.database.owner"', id="unknown"),
]


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


@pytest.mark.parametrize(
    "name",
    ["postgres", "template0", "template1", "admin", "pg-catalog", "rdsadmin", "azure-maintenance"],
)
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


IMMUTABLE = [
    pytest.param(
        DATABASE, {"serverRef": {"name": "other"}}, "serverRef is immutable", id="serverRef"
    ),
    *(
        pytest.param(
            merged(DATABASE, {"spec": {"database": old}}),
            {"database": new},
            f"database.{field} is immutable",
            id=f"{field}: {what}",
        )
        for field, value, other in (
            ("name", "orders", "invoices"),
            ("charset", "UTF8", "LATIN1"),
            ("collation", "de-DE", "C"),
        )
        for what, old, new in (
            ("changed", {field: value}, {field: other}),
            ("removed", {field: value}, {field: None}),
            ("removed with its section", {field: value}, None),
            ("set later", {}, {field: value}),
        )
    ),
    *(
        pytest.param(
            merged(SERVER, {"spec": {"backend": "local"}}),
            {"backend": new},
            "backend is immutable once it is set",
            id=f"backend: {new!r}",
        )
        for new in ("external", "", None)
    ),
]


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
