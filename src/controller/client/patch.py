"""The three ways to change a part of an object.

Strategic merge is left out on purpose: API servers refuse it for custom resources, and what it
does to a list depends on the kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import msgspec

from ..types import JsonObject


@dataclass(frozen=True)
class MergePatch:
    """Fields to set; None removes a field, and a list replaces the whole list.

    With ``metadata.resourceVersion`` in the body the patch fails where the object has changed.
    """

    body: JsonObject
    content_type: ClassVar[str] = "application/merge-patch+json"

    def encode(self) -> bytes:
        """Return the body of the request."""
        return msgspec.json.encode(self.body)


@dataclass(frozen=True)
class JsonPatch:
    """Operations in order (RFC 6902); a ``test`` that fails changes nothing."""

    operations: tuple[JsonObject, ...]
    content_type: ClassVar[str] = "application/json-patch+json"

    def encode(self) -> bytes:
        """Return the body of the request."""
        return msgspec.json.encode(self.operations)


@dataclass(frozen=True)
class ApplyPatch:
    """Server-side apply: the fields that this field manager wants, and no others.

    The body needs ``apiVersion``, ``kind`` and ``metadata.name``; the object is created where it
    is missing. ``force`` takes over fields that belong to another manager; without it they are a
    conflict.
    """

    body: JsonObject
    force: bool = False
    content_type: ClassVar[str] = "application/apply-patch+yaml"

    def encode(self) -> bytes:
        """Return the body of the request: JSON, which is YAML."""
        return msgspec.json.encode(self.body)


Patch: TypeAlias = MergePatch | JsonPatch | ApplyPatch
"""What :meth:`~.api.Client.patch` takes."""


def merge_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> JsonObject:
    """Return the JSON merge patch (RFC 7386) that turns ``old`` into ``new``; empty if equal.

    None is the same as a field that is missing: a merge patch knows no other null.
    """
    patch: JsonObject = {}
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            if inner := merge_difference(before, after):
                patch[key] = inner
        elif before != after:
            patch[key] = after
    return patch
