"""A request as the routes see it: what it is about, and the query options of writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..types import JsonObject, ObjectKey
from ._kinds import Kind
from ._status import Cause, invalid_options, unsupported

TRUE: Final = frozenset({"true", "True", "TRUE", "t", "T", "1", "yes", "y"})
"""Everything but a Go false switches a boolean parameter on; these are the ones that clients send,
the capitalised one by the generated Python client."""
FALSE: Final = frozenset({"", "false", "False", "FALSE", "f", "F", "0"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names: a collection (no name), an object, or a subresource of one."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        return ObjectKey(self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: method, target, options and body; header names are in lower case."""

    method: str
    target: Target
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def flag(self, name: str) -> bool:
        """Whether a boolean parameter is on."""
        return self.query.get(name, "") not in FALSE

    def dry_run(self, options: str) -> bool:
        """Whether the request is only to be tried."""
        return "dryRun" in self.query and _only_all(options, [self.query["dryRun"]])


def _only_all(options: str, stages: list[Any]) -> bool:
    """Return true: ``All`` is the only stage that a write can be tried to."""
    if stages != ["All"]:
        raise invalid_options(options, unsupported("dryRun", stages, ["All"]))
    return True


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request that is no stream: an object, or text for the few odd paths."""

    status: int
    body: JsonObject | str
    warnings: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The options of a delete, from its body or its query."""

    uid: str = ""
    resource_version: str = ""
    propagation: str = ""
    dry_run: bool = False

    @classmethod
    def parse(cls, body: Any, query: Mapping[str, str]) -> DeleteOptions:
        """Read the options; what the body says wins over the query."""
        fields = body if isinstance(body, dict) else {}
        preconditions = fields.get("preconditions") or {}
        stages = fields.get("dryRun") or ([query["dryRun"]] if "dryRun" in query else [])
        propagation = fields.get("propagationPolicy") or query.get("propagationPolicy", "")
        if propagation not in ("", "Foreground", "Background", "Orphan"):
            allowed = '"Foreground", "Background", "Orphan", "nil"'
            problem = f'Unsupported value: "{propagation}": supported values: {allowed}'
            raise invalid_options("DeleteOptions", Cause("propagationPolicy", problem))
        return cls(
            uid=preconditions.get("uid") or "",
            resource_version=preconditions.get("resourceVersion") or "",
            propagation=propagation,
            dry_run=bool(stages) and _only_all("DeleteOptions", stages),
        )
