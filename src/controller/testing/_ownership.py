"""Who owns which field: ``metadata.managedFields``, kept as a real server keeps them.

A write by create, update or patch takes over what it changed. An apply owns what its manifest
names: it is refused where that changes what somebody else owns, and a field that it no longer
names is removed unless somebody else owns it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..types import JsonObject
from . import _meta
from ._fieldset import (
    EMPTY,
    Difference,
    FieldSet,
    Path,
    compare,
    decode,
    encode,
    fields_of,
    shown,
    with_structures,
    without,
)
from ._merge import merge, remove
from ._status import StatusError

APPLY: Final = "Apply"
UPDATE: Final = "Update"
FORMAT: Final = "FieldsV1"
BEFORE: Final = "before-first-apply"
"""The owner of everything in an object whose owners are not known, once somebody applies to it."""
ANCIENT: Final = "ancient-changes"
UPDATERS: Final = 10
"""Managers by update that are told apart; older ones are merged into one."""
UNKNOWN: Final = "unknown"
NAME_LIMIT: Final = 128

_NEVER: Final = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            *("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation"),
            *("managedFields", "resourceVersion", "deletionTimestamp"),
            "deletionGracePeriodSeconds",
        )
    }
)
"""Fields that the server fills in: nobody owns them."""


class Manager(NamedTuple):
    """One owner; two versions of an applier are one, of an updater two."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What tells it from others."""
        version = "" if self.operation == APPLY else self.api_version
        return (self.name, self.operation, version, self.subresource)

    @property
    def shown(self) -> str:
        """The name in a conflict."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return text if self.operation == APPLY else f"{text} using {self.api_version}"


class Owned(NamedTuple):
    """What one manager owns, and since when."""

    manager: Manager
    fields: FieldSet
    time: str


Owners = dict[tuple[str, str, str, str], Owned]


def manager_name(query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return who writes: the field manager that is named, else the first word of the client."""
    agent = headers.get("user-agent", "").split("/")[0][:NAME_LIMIT]
    return query.get("fieldManager") or "".join(c for c in agent if c.isprintable()) or UNKNOWN


def read(entries: Any) -> Owners | None:
    """Return the owners that an object names, None where that is not readable."""
    owners: Owners = {}
    for entry in entries or ():
        if entry.get("operation") not in (APPLY, UPDATE) or entry.get("fieldsType") != FORMAT:
            return None
        manager = Manager(
            entry.get("manager", ""),
            entry["operation"],
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
        )
        fields = decode(entry.get("fieldsV1") or {})
        owners[manager.identity] = Owned(manager, fields, entry.get("time") or "")
    return owners


def write(owners: Owners) -> list[JsonObject]:
    """Return ``managedFields``, in the order of the server."""

    def order(owned: Owned) -> tuple[str, ...]:
        manager = owned.manager
        return (
            *(manager.operation, owned.time, manager.name),
            *(manager.api_version, manager.subresource),
        )

    return [_entry(owned) for owned in sorted(owners.values(), key=order)]


def _entry(owned: Owned) -> JsonObject:
    manager = owned.manager
    entry = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": owned.time,
        "fieldsType": FORMAT,
        "fieldsV1": encode(owned.fields),
    }
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return {name: value for name, value in entry.items() if value or name == "fieldsV1"}


def given(obj: JsonObject, old: JsonObject | None, *, subresource: str) -> Owners:
    """Return the owners that a write starts from.

    A client may write them, or empty them by a list of one empty entry; what cannot be read is
    ignored, and a client that leaves them out leaves them alone.
    """
    live = (read((old or {}).get("metadata", {}).get("managedFields")) or {}) if old else {}
    entries = obj["metadata"].get("managedFields")
    if subresource or old is None:
        return live
    if entries == [{}]:
        return {}
    return read(entries) or live


@dataclass(frozen=True, slots=True)
class Ownership:
    """The fields of one kind as one endpoint sees them.

    ``schema`` has metadata in it; what is below ``ignored`` belongs to another endpoint.
    """

    schema: JsonObject
    ignored: tuple[Path, ...]
    now: str

    def updated(self, owners: Owners, old: JsonObject, new: JsonObject, by: Manager) -> Owners:
        """Return the owners after a write that is no apply."""
        change = self._compare(old, new)
        left = self._taken(owners, change, None)
        took = change.added | change.modified
        if took:
            before = left.get(by.identity)
            fields = took | (before.fields if before else EMPTY)
            left[by.identity] = Owned(by, fields, self.now)
        return _capped(left)

    def applied(
        self, owners: Owners, live: JsonObject, manifest: JsonObject, by: Manager, *, force: bool
    ) -> tuple[JsonObject, Owners]:
        """Return the object with the manifest in it, and the owners after that.

        Errors: 409 where the manifest changes what others own, unless it is forced.
        """
        last = owners.get(by.identity)
        fields = self._own(frozenset(fields_of(manifest, self.schema)))
        now_owned = {**owners, by.identity: Owned(by, fields, self.now)}
        merged = merge(live, manifest, self.schema)
        if last is not None and last.fields:
            merged = self._pruned(merged, now_owned, last.fields)
        change = self._compare(live, merged)
        if not force:
            _check_conflicts(now_owned, change, by)
        return merged, self._taken(now_owned, change, by)

    def adopted(self, owners: Owners, live: JsonObject, zero: JsonObject, version: str) -> Owners:
        """Return the owners of an object that somebody applies to for the first time."""
        if owners:
            return owners
        return self.updated({}, zero, live, Manager(BEFORE, UPDATE, version))

    def _compare(self, old: JsonObject, new: JsonObject) -> Difference:
        return Difference(*(self._own(fields) for fields in compare(old, new, self.schema)))

    def _own(self, fields: FieldSet) -> FieldSet:
        return without(fields, self.ignored) - _NEVER

    def _taken(self, owners: Owners, change: Difference, by: Manager | None) -> Owners:
        """Return the owners without what a write changed or removed."""
        left: Owners = {}
        for identity, owned in owners.items():
            fields = owned.fields
            if by is None or identity != by.identity:
                fields = fields - change.added - change.modified - change.removed
            if fields:
                left[identity] = owned._replace(fields=fields)
        return left

    def _pruned(self, merged: JsonObject, owners: Owners, last: FieldSet) -> JsonObject:
        """Take out what the applier named before and nobody names now."""
        schema = self.schema
        everything = frozenset(fields_of(merged, schema))
        present = with_structures(everything, schema)
        kept = remove(merged, with_structures(last, schema), schema) or {}
        owned = frozenset().union(*(entry.fields for entry in owners.values()))
        staying = with_structures(frozenset(fields_of(kept, schema)), schema)
        staying = staying | with_structures(owned, schema)
        kept = remove(merged, present - staying, schema) or {}
        left = with_structures(frozenset(fields_of(kept, schema)), schema)
        gone = (present - left) & with_structures(last, schema)
        pruned: JsonObject = remove(merged, gone, schema) or {}
        return pruned


def _check_conflicts(owners: Owners, change: Difference, by: Manager) -> None:
    changed = change.added | change.modified
    conflicts = [
        (owned.manager, path)
        for identity, owned in sorted(owners.items())
        if identity != by.identity
        for path in sorted(owned.fields & changed, key=_listed)
    ]
    if conflicts:
        raise _conflict(conflicts)


def _listed(path: Path) -> tuple[tuple[bool, str], ...]:
    """Return the order of conflicts: what is a field itself before what is further down."""
    last = len(path) - 1
    return tuple((at < last, step) for at, step in enumerate(path))


def _conflict(conflicts: list[tuple[Manager, Path]]) -> StatusError:
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        text = f"1 conflict: conflict with {manager.shown}: {shown(path)}"
    else:
        lines: dict[str, list[str]] = {}
        for manager, path in conflicts:
            lines.setdefault(f"conflicts with {manager.shown}:", []).append(f"- {shown(path)}")
        listed = "\n".join("\n".join((head, *paths)) for head, paths in lines.items())
        text = f"{len(conflicts)} conflicts: {listed}"
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {manager.shown}",
            "field": shown(path),
        }
        for manager, path in conflicts
    ]
    message = f"Apply failed with {text}"
    return StatusError(409, "Conflict", message, {"causes": causes})


def _capped(owners: Owners) -> Owners:
    """Merge the oldest of too many updaters into one."""
    updaters = [owned for owned in owners.values() if owned.manager.operation == UPDATE]
    extra = len(updaters) - UPDATERS
    if extra <= 0:
        return owners
    oldest = sorted(updaters, key=lambda owned: (owned.time, owned.manager))[: extra + 1]
    bucket = Manager(ANCIENT, UPDATE, oldest[-1].manager.api_version)
    merged = frozenset().union(*(owned.fields for owned in oldest))
    gone = {owned.manager.identity for owned in oldest}
    left = {identity: owned for identity, owned in owners.items() if identity not in gone}
    return {**left, bucket.identity: Owned(bucket, merged, oldest[-1].time)}


def same_but_times(one: list[JsonObject], other: list[JsonObject]) -> bool:
    """Whether two lists of owners differ in nothing but times."""
    return _timeless(one) == _timeless(other)


def _timeless(entries: list[JsonObject]) -> list[JsonObject]:
    bare = [{name: v for name, v in entry.items() if name != "time"} for entry in entries]
    return sorted(bare, key=lambda entry: (entry["operation"], entry["manager"], str(entry)))


def ownership(
    schema: JsonObject | None, subresource: str, now: str, *, has_status: bool
) -> Ownership:
    """Return the ownership of a kind as one of its endpoints sees it."""
    known = schema or {}
    whole = {**known, "properties": {**(known.get("properties") or {}), **_ROOT}}
    other = {"": "status", "status": "spec"}.get(subresource, "")
    ignored = ((f"f:{other}",),) if other and (subresource or has_status) else ()
    return Ownership(whole, ignored, now)


_ROOT: Final[JsonObject] = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": _meta.SCHEMA,
}
