"""Objects of our kinds, good and bad, with what an API server must say to them.

The real API server and the one in memory are held to the same table.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

GROUP = "hybridcloud.maibornwolff.de"
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.yaml"))

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


DOCUMENTED_SERVERS = [
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
    pytest.param(
        {"serverParameters": {"work_mem": "64MB", "auto_explain.x": "", "TimeZone": "UTC"}},
        id="parameters",
    ),
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
]

RESERVED_OBJECT_NAMES = [
    "postgres",
    "template0",
    "template1",
    "admin",
    "pg-catalog",
    "rdsadmin",
    "azure-maintenance",
]
GOOD_OBJECT_NAMES = [
    "user",
    "order",
    "select",
    "all",
    "1abc",
    "foo.bar",
    "pgbench",
    "azure",
    "administrator",
]

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
    *(
        pytest.param({"serverParameters": {name: "1"}}, "a parameter has a name of", id=f"{name!r}")
        for name in ("work mem", "", "a=b", "x\nport")
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


RESERVED = "is reserved: a database must not be named postgres, template0, template1 or admin"

MALFORMED_DATABASES = [
    pytest.param({"oldField": 1}, 'unknown field "spec.oldField"', id="unknown at the top"),
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
    *(
        pytest.param(
            merged(SERVER, {"spec": {"backendOptions": {"server": "main"}}}),
            {"backendOptions": new},
            "backendOptions.server is immutable once it is set",
            id=f"backendOptions.server: {what}",
        )
        for what, new in (
            ("changed", {"server": "other"}),
            ("removed", {"server": None}),
            ("removed with its section", None),
        )
    ),
]
