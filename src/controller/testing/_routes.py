"""Paths: which kind, object and subresource a URL names, if any."""

from __future__ import annotations

from ._kinds import Registry
from ._request import Target


def target_of(path: str, registry: Registry) -> tuple[Target, bool] | None:
    """Return what a path names, and whether it is one of the old ``/watch/`` paths.

    None where the server has nothing under that path: unknown groups and kinds, and kinds asked
    for at the wrong scope.
    """
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    watching = rest[0] == "watch" and len(rest) > 1
    target = _target(group, version, rest[1:] if watching else rest, registry)
    return None if target is None else (target, watching)


def _target(group: str, version: str, rest: list[str], registry: Registry) -> Target | None:
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = registry.find(group, version, rest[0])
    if kind is None or len(rest) > 3:
        return None
    name, subresource = [*rest[1:], "", ""][:2]
    if namespace and not kind.resource.namespaced:
        return None
    if kind.resource.namespaced and not namespace and name:
        return None
    return Target(kind, namespace, name, subresource)
