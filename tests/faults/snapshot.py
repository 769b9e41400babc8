"""The world after a run, without what differs between equal runs.

Masked are UIDs, versions, times, ports, and the bytes of passwords; nothing else. What was observed
of an object is told by how many generations it is behind: a world that was worked on before counts
from another number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from tests.fix_operator import decoded

from hybridpg.controller import JsonObject

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_METADATA = ("name", "labels", "annotations", "finalizers", "ownerReferences")
_ROTATION = "rotation"
_OBSERVED = "observedGeneration"
NUDGE = "faults/nudge"
"""Annotation by which the harness says that somebody has mended what was forbidden."""
Snapshot = dict[str, Any]


class Administrator(Protocol):
    """Runs statements behind the back of the controller."""

    def run(self, statement: str, dbname: str = ...) -> list[Any]:
        """Run statements and return the rows of the last one."""
        ...


def of_kubernetes(
    objects: Iterable[tuple[tuple[str, str], JsonObject]], names: Mapping[str, str]
) -> Snapshot:
    """Return objects and Secrets; ``names`` are the aliases of what the lane is called."""
    return {
        f"{plural}/{name}": _masked(_shown(plural, obj), names)
        for (plural, name), obj in sorted(objects)
    }


def _shown(plural: str, obj: JsonObject) -> dict[str, Any]:
    metadata = {key: obj["metadata"][key] for key in _METADATA if key in obj["metadata"]}
    if NUDGE in (metadata.get("annotations") or {}):
        others = {k: v for k, v in metadata.pop("annotations").items() if k != NUDGE}
        metadata |= {"annotations": others} if others else {}
    metadata["deleting"] = "deletionTimestamp" in obj["metadata"]
    if plural != "secrets":
        status = _behind(obj.get("status"), obj["metadata"]["generation"])
        return {"metadata": metadata, "spec": obj.get("spec"), "status": status}
    values = decoded(obj)
    passwords = [values[key] for key in ("password", "next-password") if values.get(key)]
    text = json.dumps(values)
    for password in passwords:
        text = text.replace(json.dumps(password)[1:-1], "<password>")
    for key in metadata.get("annotations") or {}:
        if key.endswith(_ROTATION):
            metadata["annotations"][key] = "<rotation>"
    return {"metadata": metadata, "type": obj.get("type"), "values": json.loads(text)}


def _behind(status: Any, generation: int) -> Any:
    """Return a status, or a part of it, with what was observed counted back from the present."""
    if isinstance(status, dict):
        told = {key: _behind(value, generation) for key, value in status.items()}
        if _OBSERVED in status:
            told[_OBSERVED] = f"{generation - status[_OBSERVED]} behind"
        return told
    return [_behind(each, generation) for each in status] if isinstance(status, list) else status


def _masked(document: dict[str, Any], names: Mapping[str, str]) -> Any:
    text = _UUID.sub("<uid>", json.dumps(document, sort_keys=True))
    for name, alias in names.items():
        text = text.replace(name, alias)
    return json.loads(_TIME.sub("<time>", text))


_DATABASES = """
SELECT d.datname, pg_get_userbyid(d.datdba), d.datacl::text, pg_encoding_to_char(d.encoding),
       d.datcollate, d.datallowconn, d.datconnlimit, shobj_description(d.oid, 'pg_database')
FROM pg_database d WHERE d.oid >= 16384 ORDER BY 1
"""
_ROLES = """
SELECT r.rolname, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolinherit,
       r.rolconnlimit, r.rolvaliduntil::text, r.rolpassword IS NOT NULL,
       shobj_description(r.oid, 'pg_authid'),
       (SELECT string_agg(g.rolname, ',' ORDER BY g.rolname) FROM pg_auth_members m
        JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid),
       (SELECT string_agg(g.rolname, ',' ORDER BY g.rolname) FROM pg_auth_members m
        JOIN pg_roles g ON g.oid = m.member WHERE m.roleid = r.oid)
FROM pg_authid r WHERE r.oid >= 16384 ORDER BY 1
"""
_INSIDE = """
SELECT 'extension ' || extname, '' FROM pg_extension
UNION ALL SELECT 'schema ' || nspname, coalesce(nspacl::text, '') || pg_get_userbyid(nspowner)
FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
UNION ALL SELECT 'table ' || relname, pg_get_userbyid(relowner) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
ORDER BY 1
"""


def of_postgres(sql: Administrator, names: Mapping[str, str]) -> Snapshot:
    """Return databases, roles and what lies in them."""
    databases = sql.run(_DATABASES)
    found = {"databases": databases, "roles": sql.run(_ROLES)}
    found["inside"] = [[name, sql.run(_INSIDE, name)] for name, *_ in databases]
    masked: Snapshot = _masked(found, names)
    return masked


def differences(wanted: Any, found: Any, where: str = "") -> list[str]:
    """Return where two snapshots differ, one line each."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        lines: list[str] = []
        for key in sorted(wanted.keys() | found.keys()):
            lines += differences(wanted.get(key), found.get(key), f"{where}/{key}")
        return lines
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        lines = []
        for number, (one, other) in enumerate(zip(wanted, found, strict=True)):
            lines += differences(one, other, f"{where}/{number}")
        return lines
    return [] if wanted == found else [f"{where}: {wanted!r} became {found!r}"]
