"""What the server serves: kinds, and how a path finds them.

A :class:`Kind` is everything the generic code needs to know of a resource; what is special about
one (Secrets fold ``stringData``, Events have two faces) hangs on it as functions, so that no other
module asks for a kind by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..types import JsonObject, Resource
from ._status import Cause

VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

Prepare = Callable[[JsonObject, JsonObject | None], None]
"""Normalises a new object in place; given the stored one on updates."""
Check = Callable[[JsonObject, JsonObject | None], Sequence[Cause]]
"""Validates a new object against the stored one, or None on creates."""
View = Callable[[JsonObject], JsonObject]
"""Converts between what is stored and what one version shows; never in place."""
Cells = Callable[[JsonObject, Any], list[Any]]
"""The cells of a table row; given the object and the age formatter."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; custom resources name a ``path``, built-in kinds compute cells."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0
    path: str = ""


def _nothing(obj: JsonObject, old: JsonObject | None) -> None:
    """Leave the object as it is."""


def _no_causes(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Accept everything."""
    return ()


def _same(obj: JsonObject) -> JsonObject:
    """Show what is stored."""
    return obj


@dataclass(frozen=True, slots=True)
class Kind:
    """One version of one resource, and the rules that are special to it.

    ``stored_as`` is the (group, plural) under which all versions share their objects; ``schema``
    is structural, None where anything goes. ``custom`` kinds are made by a CRD: they prune,
    default and report type errors as 422 instead of 400.
    ``assign`` fills in what the server decides on its own, which nobody owns then.
    ``begin_delete`` is what a delete does to a kind whose end is brought about by a controller of
    the cluster; without ``unconditional_update`` a PUT must carry a resourceVersion; with
    ``create_on_update`` a PUT of what does not exist makes it. ``zero`` has the structures that an
    object of the kind has from the beginning, so that nobody owns them by making it.
    """

    resource: Resource
    singular: str
    stored_as: tuple[str, str]
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    schema: JsonObject | None = None
    custom: bool = False
    has_status: bool = False
    counts_generations: bool = False
    fields: frozenset[str] = frozenset()
    prepare: Prepare = _nothing
    assign: Prepare = _nothing
    check: Check = _no_causes
    show: View = _same
    store: View = _same
    cells: Cells | None = None
    undeletable: frozenset[str] = frozenset()
    begin_delete: Callable[[JsonObject], None] | None = None
    unconditional_update: bool = True
    create_on_update: bool = False
    verbs: tuple[str, ...] = VERBS
    zero: JsonObject = field(default_factory=dict)

    @property
    def list_name(self) -> str:
        """The kind of a list of these."""
        return self.list_kind or f"{self.resource.kind}List"


@dataclass(slots=True)
class Registry:
    """All kinds by group, version and plural."""

    kinds: dict[tuple[str, str, str], Kind] = field(default_factory=dict)

    def add(self, kind: Kind) -> None:
        """Serve a kind, in place of an older definition of it."""
        resource = kind.resource
        self.kinds[resource.group, resource.version, resource.plural] = kind

    def remove(self, group: str, plural: str) -> None:
        """Stop serving all versions of a resource."""
        for key in [key for key in self.kinds if key[0] == group and key[2] == plural]:
            del self.kinds[key]

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind that a path names, or None."""
        return self.kinds.get((group, version, plural))

    def of_storage(self, stored_as: tuple[str, str]) -> Kind:
        """Return one of the kinds that show what is stored there."""
        return next(kind for kind in self.kinds.values() if kind.stored_as == stored_as)

    def owner_kind(self, api_version: str, kind_name: str) -> Kind | None:
        """Return the kind that an ownerReference names, whatever its version."""
        group = api_version.rpartition("/")[0]
        for kind in self.kinds.values():
            if kind.resource.group == group and kind.resource.kind == kind_name:
                return kind
        return None

    def groups(self) -> dict[str, list[str]]:
        """Return the versions of every group, built-in groups first."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self.kinds:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        return found

    def of(self, group: str, version: str) -> Iterator[Kind]:
        """Yield the kinds of one group version."""
        for key, kind in self.kinds.items():
            if key[:2] == (group, version):
                yield kind
