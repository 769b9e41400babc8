"""Create, update and delete: the rules every object obeys, whatever its kind.

Everything here works on stored objects, is synchronous, and either writes once or raises a
:class:`~._status.StatusError`: a request never leaves half of itself behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..types import JsonObject, ObjectKey
from . import _cel, _meta
from ._kinds import Kind, Registry
from ._managed import after_create, after_update, cluster_writer
from ._names import label_problems
from ._ownership import Manager, write
from ._prune import fill_defaults
from ._request import DeleteOptions
from ._schema import BLOCKING, MISSING, validate
from ._status import (
    Cause,
    StatusError,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    invalid_value,
    modified,
    not_found,
)
from ._storage import Storage, copy

NAMESPACES = ("", "namespaces")
UNCHECKED = Cause(
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


@dataclass(slots=True)
class Objects:
    """The objects of a cluster, by the rules of its API."""

    storage: Storage
    registry: Registry
    stamps: _meta.Stamps

    def get(self, kind: Kind, key: ObjectKey) -> JsonObject:
        """Return a stored object, or raise a 404."""
        found = self.storage.get(kind.stored_as, key)
        if found is None:
            raise not_found(kind.resource, key.name)
        return found

    def create(
        self,
        kind: Kind,
        namespace: str,
        obj: JsonObject,
        *,
        by: Manager | None = None,
        named: JsonObject | None = None,
        dry_run: bool = False,
    ) -> JsonObject:
        """Add a new object and return it as stored; ``named`` is the manifest of an apply."""
        self._check_place(kind, namespace, obj)
        had_name = bool(_meta.name_of(obj))
        _meta.stamp_new(obj, namespace, self.stamps, generation=kind.counts_generations)
        if kind.has_status:
            obj.pop("status", None)
        _fill(kind, obj, None)
        by = by or cluster_writer(kind)
        owners = write(after_create(kind, obj, by, named, self.stamps.time()))
        self._complete(kind, obj, None)
        key = ObjectKey(namespace, obj["metadata"]["name"])
        if self.storage.get(kind.stored_as, key) is not None:
            if not had_name:
                again = _renamed(obj)
                return self.create(kind, namespace, again, by=by, named=named, dry_run=dry_run)
            raise already_exists(kind.resource, key.name)
        if owners:
            obj["metadata"]["managedFields"] = owners
        return obj if dry_run else self.storage.put(kind.stored_as, key, obj)

    def update(
        self,
        kind: Kind,
        key: ObjectKey,
        change: Callable[[JsonObject], JsonObject],
        *,
        subresource: str = "",
        patch: bool = False,
        by: Manager | None = None,
        dry_run: bool = False,
    ) -> JsonObject:
        """Replace an object by what ``change`` makes of a copy of the stored one.

        A write that changes nothing is no write: the resourceVersion stays.
        """
        old = self.get(kind, key)
        obj = change(copy(old))
        self._check_identity(kind, key, obj, old, patch=patch)
        causes = [] if subresource else _meta.deletion_causes(obj, old)
        entries = obj["metadata"].get("managedFields")
        _meta.stamp_update(obj, old)
        obj = _isolated(kind, obj, old, subresource)
        _fill(kind, obj, old)
        by = by or cluster_writer(kind)
        owners = after_update(kind, obj, old, by, entries, self.stamps.time())
        self._complete(kind, obj, old, causes)
        obj["metadata"] = {**obj["metadata"], "managedFields": owners}
        if not owners:
            del obj["metadata"]["managedFields"]
        if obj == old:
            return old
        if _counts(kind, obj, old):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if dry_run:
            return obj
        return self._write(kind, key, obj)

    def delete(self, kind: Kind, key: ObjectKey, options: DeleteOptions) -> JsonObject | None:
        """Delete an object; return it where it waits for finalizers, None where it is gone."""
        old = self.get(kind, key)
        if key.name in kind.undeletable:
            raise forbidden(kind.resource, key.name, "this namespace may not be deleted")
        _check_preconditions(kind, key, old, options)
        obj = self._marked(kind, old, options)
        if obj is None:
            if not options.dry_run:
                self.storage.remove(kind.stored_as, key, old)
            return None
        if obj == old or options.dry_run:
            return obj
        return self.storage.put(kind.stored_as, key, obj)

    def drop(self, kind: Kind, key: ObjectKey) -> None:
        """Remove an object whatever its finalizers say; for the cluster's own controllers."""
        old = self.storage.get(kind.stored_as, key)
        if old is not None:
            self.storage.remove(kind.stored_as, key, old)

    def _write(self, kind: Kind, key: ObjectKey, obj: JsonObject) -> JsonObject:
        meta = obj["metadata"]
        waits = meta.get("finalizers") or kind.begin_delete is not None
        if meta.get("deletionTimestamp") and not waits:
            self.storage.remove(kind.stored_as, key, obj)
            return obj
        return self.storage.put(kind.stored_as, key, obj)

    def _check_place(self, kind: Kind, namespace: str, obj: JsonObject) -> None:
        own = obj["metadata"].get("namespace", "")
        if own and own != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        if not kind.resource.namespaced:
            return
        place = self.storage.get(NAMESPACES, ObjectKey("", namespace))
        if place is None:
            raise not_found(self.registry.kinds["", "v1", "namespaces"].resource, namespace)
        if place["metadata"].get("deletionTimestamp"):
            problem = (
                f"unable to create new content in namespace {namespace} because it is being "
                "terminated"
            )
            ends = f"namespace {namespace} is being terminated"
            cause = Cause("metadata.namespace", ends, "NamespaceTerminating")
            raise forbidden(kind.resource, _meta.name_of(obj), problem, cause)

    def _check_identity(
        self, kind: Kind, key: ObjectKey, obj: JsonObject, old: JsonObject, *, patch: bool
    ) -> None:
        meta = obj["metadata"]
        check_name(obj, key)
        if meta.get("namespace", key.namespace) != key.namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        meta["name"] = key.name
        if key.namespace:
            meta["namespace"] = key.namespace
        self._check_version(kind, key, meta, old)
        uid = old["metadata"]["uid"]
        if not patch and meta.get("uid", uid) != uid:
            problem = (
                "StorageError: invalid object, Code: 4, Key: "
                f"{_meta.describe_key(kind.resource, *key)}, ResourceVersion: 0, "
                f"AdditionalErrorMsg: Precondition failed: UID in precondition: {meta['uid']}, "
                f"UID in object meta: {uid}"
            )
            raise conflict(kind.resource, key.name, problem)

    def _check_version(self, kind: Kind, key: ObjectKey, meta: JsonObject, old: JsonObject) -> None:
        version = meta.get("resourceVersion") or ""
        if not version and not kind.unconditional_update:
            cause = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            resource = kind.resource
            raise invalid(resource.plural, resource.group, key.name, [cause])
        if version and not version.isdigit():
            problem = f'strconv.ParseUint: parsing "{version}": invalid syntax'
            raise StatusError(500, "", problem)
        if version and version != old["metadata"]["resourceVersion"]:
            raise modified(kind.resource, key.name)

    def _complete(
        self, kind: Kind, obj: JsonObject, old: JsonObject | None, known: Sequence[Cause] = ()
    ) -> None:
        """Assign what the server decides to an object, and validate it before it is stored."""
        kind.assign(obj, old)
        causes = [*known, *_meta.metadata_causes(obj, old, _name_rule(kind))]
        if kind.custom and kind.schema is not None:
            causes += _schema_causes(kind, obj, old)
        causes += kind.check(obj, old)
        if causes:
            # by the group under which it is stored: both faces of an event complain alike
            raise invalid(kind.resource.kind, kind.stored_as[0], _meta.name_of(obj), causes)

    def _marked(self, kind: Kind, old: JsonObject, options: DeleteOptions) -> JsonObject | None:
        """Return the object as it waits for its end, or None where nothing holds it."""
        obj = copy(old)
        meta = obj["metadata"]
        finalizers = _finalizers(meta.get("finalizers") or [], options.propagation)
        if kind.begin_delete is None and not finalizers:
            return None
        if finalizers:
            meta["finalizers"] = finalizers
        if not meta.get("deletionTimestamp"):
            meta["deletionTimestamp"] = self.stamps.time()
            if kind.begin_delete is None:
                meta["deletionGracePeriodSeconds"] = 0
                if "generation" in meta:
                    meta["generation"] += 1
            else:
                kind.begin_delete(obj)
        return obj


def check_name(obj: JsonObject, key: ObjectKey) -> None:
    """Refuse an object whose name is another one than that on the URL."""
    name = obj["metadata"].get("name", key.name)
    if name != key.name:
        raise bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({key.name})"
        )


def _fill(kind: Kind, obj: JsonObject, old: JsonObject | None) -> None:
    """Default and normalise an object: whoever writes it owns that too."""
    if kind.custom and kind.schema is not None:
        fill_defaults(obj, kind.schema)
    try:
        kind.prepare(obj, old)
    except ValueError as error:
        name, version = kind.resource.kind, kind.resource.api_version
        text = f'{name} in version "{version}" cannot be handled as a {name}: {error}'
        raise bad_request(text) from error


def _renamed(obj: JsonObject) -> JsonObject:
    """Return the object without its generated name: another one will do."""
    meta = {key: value for key, value in obj["metadata"].items() if key != "name"}
    return {**obj, "metadata": meta}


def _name_rule(kind: Kind) -> Callable[[str], list[str]] | None:
    return label_problems if kind.stored_as == NAMESPACES else None


def _isolated(kind: Kind, obj: JsonObject, old: JsonObject, subresource: str) -> JsonObject:
    """Keep what the other endpoint owns: status on a plain write, all else on a status write."""
    if subresource:
        kept = {key: value for key, value in copy(old).items() if key != "status"}
        return {**kept, "status": obj["status"]} if "status" in obj else kept
    if kind.has_status:
        obj.pop("status", None)
        if "status" in old:
            obj["status"] = copy(old)["status"]
    return obj


def _counts(kind: Kind, obj: JsonObject, old: JsonObject) -> bool:
    """Whether a change is one of the desired state."""
    if not kind.counts_generations:
        return False
    apart = {"metadata", "status"} if kind.has_status else {"metadata"}
    return any(obj.get(key) != old.get(key) for key in (obj.keys() | old.keys()) - apart)


def _finalizers(finalizers: list[str], propagation: str) -> list[str]:
    own = {"Foreground": _meta.FOREGROUND, "Orphan": _meta.ORPHAN}.get(propagation)
    if propagation:
        finalizers = [name for name in finalizers if name not in (_meta.FOREGROUND, _meta.ORPHAN)]
    return [*finalizers, own] if own else finalizers


def _check_preconditions(
    kind: Kind, key: ObjectKey, old: JsonObject, options: DeleteOptions
) -> None:
    uid, version = old["metadata"]["uid"], old["metadata"]["resourceVersion"]
    if options.uid and options.uid != uid:
        problem = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid})."
            " The object might have been deleted and then recreated"
        )
        raise conflict(kind.resource, key.name, problem, by_kind=True)
    if options.resource_version and options.resource_version != version:
        problem = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match "
            f"the ResourceVersion in record ({version}). The object might have been modified"
        )
        raise conflict(kind.resource, key.name, problem, by_kind=True)


def _schema_causes(kind: Kind, obj: JsonObject, old: JsonObject | None) -> list[Cause]:
    schema = kind.schema or {}
    before = MISSING if old is None else old
    causes = validate(obj, schema, "", before)
    if any(cause.as_json()["reason"] in BLOCKING for cause in causes):
        return [*causes, UNCHECKED] if _cel.has_rules(schema) else causes
    return [*causes, *_cel.check(obj, schema, old)]
