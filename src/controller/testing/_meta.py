"""``metadata``: what the server fills in, keeps, and refuses."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ..types import JsonObject, Resource
from ._names import label_value_problems, qualified_name_problems, subdomain_problems
from ._status import Cause, forbidden_value, invalid_value, required

SUFFIX_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of generated names: no vowels, so that no words come out, and nothing looks alike."""
SUFFIX_LENGTH: Final = 5
GENERATED_LIMIT: Final = 63 - SUFFIX_LENGTH
FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"
IMMUTABLE: Final = "field is immutable"
ANNOTATIONS_LIMIT: Final = 256 * 1024

SCHEMA: Final[JsonObject] = {
    "type": "object",
    "description": "Standard object's metadata.",
    "properties": {
        "name": {"type": "string"},
        "generateName": {"type": "string"},
        "namespace": {"type": "string"},
        "selfLink": {"type": "string"},
        "uid": {"type": "string"},
        "resourceVersion": {"type": "string"},
        "generation": {"type": "integer"},
        "creationTimestamp": {"type": "string", "format": "date-time", "nullable": True},
        "deletionTimestamp": {"type": "string", "format": "date-time", "nullable": True},
        "deletionGracePeriodSeconds": {"type": "integer"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "ownerReferences": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "items": {
                "type": "object",
                "x-kubernetes-map-type": "atomic",
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "name": {"type": "string"},
                    "uid": {"type": "string"},
                    "controller": {"type": "boolean"},
                    "blockOwnerDeletion": {"type": "boolean"},
                },
            },
        },
        "finalizers": {
            "type": "array",
            "x-kubernetes-list-type": "set",
            "items": {"type": "string"},
        },
        "managedFields": {
            "type": "array",
            "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    },
}


@dataclass(slots=True)
class Stamps:
    """Where uids, generated names and times come from: a seed and a clock, so tests can repeat."""

    random: random.Random
    now: Callable[[], datetime]

    def uid(self) -> str:
        """Return a new uid."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def time(self) -> str:
        """Return the present in the form of all timestamps."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def generated(self, prefix: str) -> str:
        """Return a name for ``generateName``."""
        suffix = "".join(self.random.choices(SUFFIX_ALPHABET, k=SUFFIX_LENGTH))
        return prefix[:GENERATED_LIMIT] + suffix


def stamp_new(obj: JsonObject, namespace: str, stamps: Stamps, *, generation: bool) -> None:
    """Fill in what only the server may set on a new object; what the client set of it is lost."""
    meta: JsonObject = dict(obj.get("metadata") or {})
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = stamps.generated(meta["generateName"])
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"):
        meta.pop(name, None)
    meta.pop("generation", None)
    meta.pop("resourceVersion", None)
    if namespace:
        meta["namespace"] = namespace
    else:
        meta.pop("namespace", None)
    meta["uid"] = stamps.uid()
    meta["creationTimestamp"] = stamps.time()
    if generation:
        meta["generation"] = 1
    obj["metadata"] = _without_empty(meta)


def stamp_update(obj: JsonObject, old: JsonObject) -> None:
    """Keep what clients cannot change."""
    meta = dict(obj.get("metadata") or {})
    kept = ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
    for name in (*kept, "resourceVersion", "generateName"):
        meta.pop(name, None)
        if name in old["metadata"]:
            meta[name] = old["metadata"][name]
    for name in ("selfLink", "managedFields"):
        meta.pop(name, None)
    if not meta.get("uid"):
        meta["uid"] = old["metadata"]["uid"]
    obj["metadata"] = _without_empty(meta)


def _without_empty(meta: JsonObject) -> JsonObject:
    return {key: value for key, value in meta.items() if value not in (None, "", [], {})}


def metadata_causes(
    obj: JsonObject, old: JsonObject | None, name_problems: Callable[[str], list[str]] | None = None
) -> list[Cause]:
    """Return everything that is wrong with ``metadata``."""
    meta = obj["metadata"]
    causes: list[Cause] = []
    if old is None:
        causes += _name_causes(meta, name_problems or subdomain_problems)
    causes += _label_causes(meta)
    causes += _finalizer_causes(meta, old)
    causes += _owner_causes(meta)
    if old is not None and meta["uid"] != old["metadata"]["uid"]:
        causes.append(invalid_value("metadata.uid", meta["uid"], IMMUTABLE))
    return causes


def deletion_causes(obj: JsonObject, old: JsonObject) -> list[Cause]:
    """Return the complaint about an update that would begin a deletion."""
    wanted = (obj.get("metadata") or {}).get("deletionTimestamp")
    if not wanted or old["metadata"].get("deletionTimestamp"):
        return []
    return [invalid_value("metadata.deletionTimestamp", wanted, IMMUTABLE)]


def _name_causes(meta: JsonObject, problems: Callable[[str], list[str]]) -> list[Cause]:
    name = meta.get("name", "")
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    return _invalid("metadata.name", name, problems(name))


def _invalid(path: str, value: str, problems: list[str]) -> list[Cause]:
    return [invalid_value(path, value, problem) for problem in problems]


def _label_causes(meta: JsonObject) -> list[Cause]:
    causes: list[Cause] = []
    for key, value in (meta.get("labels") or {}).items():
        causes += _invalid("metadata.labels", key, qualified_name_problems(key))
        causes += _invalid("metadata.labels", value, label_value_problems(value))
    size = 0
    for key, value in (meta.get("annotations") or {}).items():
        size += len(key) + len(value)
        causes += _invalid("metadata.annotations", key, qualified_name_problems(key.lower()))
    if size > ANNOTATIONS_LIMIT:
        problem = f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"
        causes.append(Cause("metadata.annotations", problem))
    return causes


def _finalizer_causes(meta: JsonObject, old: JsonObject | None) -> list[Cause]:
    causes = []
    finalizers: list[str] = meta.get("finalizers") or []
    for finalizer in finalizers:
        causes += _invalid("metadata.finalizers", finalizer, qualified_name_problems(finalizer))
    if old is not None and old["metadata"].get("deletionTimestamp"):
        known = old["metadata"].get("finalizers") or []
        added = sorted(set(finalizers) - set(known))
        if added:
            listed = ", ".join(f'"{name}"' for name in added)
            problem = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
            causes.append(forbidden_value("metadata.finalizers", problem))
    return causes


_OWNER_FIELDS: Final = {"apiVersion": "version ", "kind": "", "name": "", "uid": ""}
"""What an owner reference must name, and how the server begins its complaint."""


def _owner_causes(meta: JsonObject) -> list[Cause]:
    causes: list[Cause] = []
    path = "metadata.ownerReferences"
    controllers = []
    for reference in meta.get("ownerReferences") or ():
        for name, subject in _OWNER_FIELDS.items():
            if not reference.get(name):
                causes.append(invalid_value(f"{path}.{name}", "", f"{subject}must not be empty"))
        if reference.get("controller"):
            controllers.append(reference)
    if len(controllers) > 1:
        problem = (
            "Only one reference can have Controller set to true. Found "
            f'"true" in references for {_named(controllers[0])} and {_named(controllers[1])}'
        )
        causes.append(invalid_value(path, meta["ownerReferences"], problem))
    return causes


def _named(reference: JsonObject) -> str:
    return f"{reference.get('kind')}/{reference.get('name')}"


def name_of(obj: JsonObject) -> str:
    """Return the name of an object, empty where it has none."""
    meta: Any = obj.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    return name if isinstance(name, str) else ""


def describe_key(resource: Resource, namespace: str, name: str) -> str:
    """Return the storage key that messages about preconditions show."""
    group = f"{resource.group}/" if resource.group else ""
    place = f"{namespace}/" if namespace else ""
    return f"/registry/{group}{resource.plural}/{place}{name}"
