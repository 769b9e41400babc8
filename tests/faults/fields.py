"""Every leaf of both specs, with a value that is good and one that is not: the points of ``spec``.

The leaves come from the schema that the API server has, so that a new field is a new point. A value
that the schema alone does not tell is in :data:`GOOD`; one that the schema lets through and the
controller must refuse is in :data:`UNFIT`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tests.faults.actions import DATABASE_LOGIN, SERVER_LOGIN
from tests.faults.seam import SPEC, Call, Fault
from tests.fix_operator import DATABASES, SERVERS

from hybridpg.controller import JsonObject, Resource
from hybridpg.crds.manifest import KINDS, definition

LETTER: Final = "U"
"""The user, who is no seam: his calls are of this workload alone."""
CHANGE: Final = "CHANGE"
ITEM: Final = "[]"
TO_GOOD: Final = Fault(SPEC, "good")
TO_WRONG: Final = Fault(SPEC, "wrong")
"""A value that the schema refuses."""
TO_UNFIT: Final = Fault(SPEC, "unfit")
"""A value that the schema knows nothing against, and the controller does."""
Schema = dict[str, Any]

GOOD: Final[Mapping[str, Any]] = {
    "postgresqlservers/backend": "external",
    "postgresqlservers/version": "15",
    "postgresqlservers/size.class": "small",
    "postgresqlservers/size.storageClass": "fast",
    "postgresqlservers/extensions": ["hstore", "citext"],
    "postgresqlservers/network.firewallRules.[].name": "office",
    "postgresqlservers/network.firewallRules.[].startIp": "192.0.2.1",
    "postgresqlservers/network.firewallRules.[].endIp": "192.0.2.9",
    "postgresqlservers/network.exposure.allowedSourceRanges": ["192.0.2.0/24"],
    "postgresqlservers/serverParameters": {"work_mem": "8MB"},
    "postgresqlservers/maintenance.window.starttime": "03:00",
    "postgresqlservers/highavailability.zones": ["a", "b"],
    "postgresqlservers/placement.tolerations.[].key": "dedicated",
    "postgresqlservers/placement.tolerations.[].value": "databases",
    "postgresqlservers/placement.tolerations.[].tolerationSeconds": 60,
    "postgresqlservers/placement.affinity": {"nodeAffinity": {}},
    "postgresqlservers/placement.topologySpread.[].topologyKey": "zone",
    "postgresqlservers/credentials.rotateEvery": "90d",
    "postgresqlservers/credentialsSecret": "another-login",
    "postgresqlservers/deletionPolicy": "Retain",
    "postgresqlservers/backendOptions": {"server": "main", "note": "kept"},
    "postgresqldatabases/serverRef.name": "elsewhere",
    "postgresqldatabases/database.name": "other",
    "postgresqldatabases/database.charset": "UTF8",
    "postgresqldatabases/database.collation": "C",
    "postgresqldatabases/database.extensions": ["hstore", "citext"],
    "postgresqldatabases/credentials.rotateEvery": "90d",
    "postgresqldatabases/credentialsSecret": "another-login",
    "postgresqldatabases/deletionPolicy": "Retain",
}
UNFIT: Final[Mapping[str, Any]] = {
    "postgresqlservers/backend": "nosuch",
    "postgresqlservers/version": "99",
    "postgresqlservers/size.class": "nosuch",
    "postgresqlservers/serverParameters": {"nosuch_parameter": "1"},
    "postgresqlservers/credentialsSecret": DATABASE_LOGIN,
    "postgresqlservers/deletionPolicy": "Snapshot",
    "postgresqlservers/backendOptions": {"server": "nosuch"},
    "postgresqldatabases/database.extensions": ["nosuch"],
    "postgresqldatabases/credentialsSecret": SERVER_LOGIN,
}
REQUIRED: Final[Mapping[str, JsonObject]] = {
    "postgresqlservers/network.firewallRules": {
        "name": "office",
        "startIp": "192.0.2.1",
        "endIp": "192.0.2.9",
    },
    "postgresqlservers/placement.topologySpread": {
        "topologyKey": "zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
    },
    "postgresqlservers/maintenance.window": {"weekday": "Sun", "starttime": "03:00"},
}
"""What an object needs beside the field that is looked at."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field without fields below it."""

    kind: Resource
    path: tuple[str, ...]
    schema_text: str

    def __str__(self) -> str:
        return f"{self.kind.plural}/{'.'.join(self.path)}"

    @property
    def schema(self) -> Schema:
        """What the API server checks."""
        schema: Schema = json.loads(self.schema_text)
        return schema

    def value(self, fault: Fault) -> Any:
        """Return what the field is set to."""
        if fault == TO_UNFIT:
            return UNFIT[str(self)]
        return wrong(self.schema) if fault == TO_WRONG else self._good()

    def _good(self) -> Any:
        if str(self) in GOOD:
            return GOOD[str(self)]
        schema = self.schema
        if "enum" in schema:
            return schema["enum"][-1]
        simple = {
            "boolean": True,
            "integer": max(1, schema.get("minimum", 1)),
            "object": {"k": "v"},
        }
        return simple[schema["type"]]

    def patch(self, fault: Fault) -> JsonObject:
        """Return the merge patch that sets the field."""
        value = self.value(fault)
        for number in reversed(range(len(self.path))):
            beside = REQUIRED.get(f"{self.kind.plural}/{'.'.join(self.path[:number])}", {})
            if self.path[number] == ITEM:
                value = [value]
            else:
                value = {**beside, **_in_item(beside, self.path, number), self.path[number]: value}
        return {"spec": value}


def _in_item(beside: JsonObject, path: tuple[str, ...], number: int) -> JsonObject:
    """Return what an item of a list needs: its requirements are named by the list."""
    if beside or not number or path[number - 1] != ITEM:
        return {}
    return REQUIRED.get(f"{SERVERS.plural}/{'.'.join(path[: number - 1])}", {})


def wrong(schema: Schema) -> Any:
    """Return a value that a schema refuses."""
    if "enum" in schema:
        return "Perhaps"
    match schema["type"]:
        case "integer":
            return schema["minimum"] - 1 if "minimum" in schema else "many"
        case "boolean":
            return "perhaps"
        case "array":
            return "no list"
        case "object":
            return "no object"
        case _:
            rules = schema.get("x-kubernetes-validations")
            return "!" if rules else "x" * (int(schema["maxLength"]) + 1)


@cache
def leaves() -> tuple[Leaf, ...]:
    """Return every leaf of the specs of both kinds."""
    found: list[Leaf] = []
    for resource in (SERVERS, DATABASES):
        for kind in KINDS:
            document = definition(kind)
            if document["spec"]["names"]["plural"] != resource.plural:
                continue
            root = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            found += [
                Leaf(resource, path, json.dumps(schema))
                for path, schema in _walk(root["properties"]["spec"])
            ]
    return tuple(found)


def _walk(schema: Schema, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    items = schema.get("items", {})
    if schema.get("properties"):
        for name, each in schema["properties"].items():
            yield from _walk(each, (*path, name))
    elif items.get("properties"):
        yield from _walk(items, (*path, ITEM))
    else:
        yield path, schema


def faults(leaf: Leaf) -> tuple[Fault, ...]:
    """Return to what a leaf is changed."""
    return (TO_GOOD, TO_WRONG, *((TO_UNFIT,) if str(leaf) in UNFIT else ()))


def calls() -> list[tuple[str, list[str]]]:
    """Return the changes as calls with their faults, as a recording has them."""
    return [
        (str(Call(LETTER, CHANGE, str(leaf), 1)), [str(fault) for fault in faults(leaf)])
        for leaf in leaves()
    ]


def leaf_of(call: Call) -> Leaf:
    """Return the leaf that a call changes."""
    return next(leaf for leaf in leaves() if str(leaf) == call.target)
