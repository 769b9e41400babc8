"""JSON patches that change nothing unless what they rest on is still as it was observed.

The API server tests and changes in one step, so such a patch needs no resourceVersion: whatever
others change elsewhere in the object does not disturb it, and is not disturbed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final, Self, TypeAlias

from .client.api import Client
from .client.patch import JsonPatch
from .errors import Conflict, Invalid
from .types import JsonObject, KubeObject, ObjectKey, Resource

Path: TypeAlias = Sequence[str | int]
"""Where a value is in an object: names of fields, and indexes in lists."""

_FINALIZERS: Final = ("metadata", "finalizers")
_UNFIT: Final = "the server rejected our request due to an error in our request"
"""All that the server says of a JSON patch that does not fit the object, a failed test included.
Whatever else ends in 422 has words of its own: validation, admission policies and webhooks."""


class GuardedPatch:
    """Collects changes to one observed object; each tests the value that it rests on.

    The first test is that of the UID: another object of the same name is never changed. A change
    that says what is there already adds nothing, so an object that is as it should be costs no
    request. ``observed`` may come from a cache.
    """

    def __init__(self, observed: KubeObject | JsonObject) -> None:
        # as the object is after the operations so far: a second change rests on the first one
        self._obj: JsonObject = (
            observed.decode() if isinstance(observed, KubeObject) else copy.deepcopy(observed)
        )
        meta = self._obj["metadata"]
        self._key = ObjectKey(meta.get("namespace", ""), meta["name"])
        self._operations: list[JsonObject] = []
        self._test(("metadata", "uid"), meta["uid"])
        self._changes = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to change."""
        return not self._changes

    def expect(self, path: Path) -> Self:
        """Test that the value there, or its absence, is still as observed."""
        depth = self._depth(path)
        self._test(path[: depth + 1], self._at(path) if depth == len(path) else None)
        return self

    def set(self, path: Path, value: Any) -> Self:
        """Set a field, and make the objects above it where they are missing."""
        depth = self._depth(path)
        if depth == len(path):
            if self._at(path) != value:
                self.expect(path)
                self._change("replace", path, value)
            return self
        self.expect(path)
        for name in reversed(path[depth + 1 :]):
            value = {name: value}
        self._change("add", path[: depth + 1], value)
        return self

    def remove(self, path: Path) -> Self:
        """Remove a field, if it is there."""
        if self._depth(path) == len(path):
            self.expect(path)
            self._change("remove", path)
        return self

    def append(self, path: Path, value: Any) -> Self:
        """Add an item to the end of a list, and make the list where it is missing."""
        if self._depth(path) < len(path):
            return self.set(path, [value])
        if value not in self._at(path):
            self.expect(path)
            self._change("add", (*path, "-"), value)
        return self

    def discard(self, path: Path, value: Any) -> Self:
        """Remove an item from a list, if it is there; the others may change meanwhile."""
        if self._depth(path) == len(path) and value in self._at(path):
            self.remove((*path, self._at(path).index(value)))
        return self

    def label(self, name: str, value: str | None) -> Self:
        """Set a label; None removes it."""
        return self._put(("metadata", "labels", name), value)

    def annotation(self, name: str, value: str | None) -> Self:
        """Set an annotation; None removes it."""
        return self._put(("metadata", "annotations", name), value)

    def add_finalizer(self, name: str) -> Self:
        """Add a finalizer; see :func:`~.finalizer.ensure` for when to."""
        return self.append(_FINALIZERS, name)

    def remove_finalizer(self, name: str) -> Self:
        """Remove a finalizer; see :func:`~.finalizer.remove` for when to."""
        return self.discard(_FINALIZERS, name)

    def build(self) -> JsonPatch:
        """Return the patch."""
        return JsonPatch(tuple(self._operations))

    async def send(
        self, client: Client, resource: Resource, *, subresource: str = "", dry_run: bool = False
    ) -> JsonObject | None:
        """Send the patch and return the object as stored, None where there is nothing to change.

        Errors: :class:`~.errors.Conflict` where the object is no longer as it was observed; read
        it again, or let the queue do so. :class:`~.errors.Invalid` where it would not be valid,
        or is not admitted.
        """
        if self.empty:
            return None
        try:
            return await client.patch(
                resource, self._key, self.build(), subresource=subresource, dry_run=dry_run
            )
        except Invalid as error:
            if error.message != _UNFIT:
                raise
            raise Conflict(
                409, "Conflict", f"{resource} {self._key} is no longer as it was observed"
            ) from error

    def _put(self, path: Path, value: str | None) -> Self:
        return self.remove(path) if value is None else self.set(path, value)

    def _test(self, path: Path, value: Any) -> None:
        # a missing field equals null, as long as the object around it is there
        operation = {"op": "test", "path": pointer(path), "value": copy.deepcopy(value)}
        self._operations.append(operation)

    def _change(self, kind: str, path: Path, value: Any = None) -> None:
        operation: JsonObject = {"op": kind, "path": pointer(path)}
        if kind != "remove":
            operation["value"] = copy.deepcopy(value)
        self._operations.append(operation)
        self._changes = True
        around, last = self._at(path[:-1]), path[-1]
        value = copy.deepcopy(value)  # later changes are made to it: not to what is the caller's
        if kind == "remove":
            del around[last]
        elif last == "-" and isinstance(around, list):
            around.append(value)
        else:
            around[last] = value

    def _at(self, path: Path) -> Any:
        value: Any = self._obj
        for step in path:
            value = value[step]
        return value

    def _depth(self, path: Path) -> int:
        """Return how many steps of the path are there; all but the last must lead to objects."""
        value: Any = self._obj
        for depth, step in enumerate(path):
            if isinstance(value, dict) and step not in value:
                return depth
            try:
                value = value[step]
            except (TypeError, IndexError) as error:
                raise ValueError(
                    f"{pointer(path)} leads nowhere in {self._key}: {pointer(path[:depth])} has "
                    f"no {step!r}"
                ) from error
        return len(path)


def pointer(path: Path) -> str:
    """Return the JSON pointer (RFC 6901) of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
