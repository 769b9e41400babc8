"""Discovery: what the server says it serves, in the old form and the aggregated one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..types import JsonObject
from ._kinds import Kind, Registry
from ._request import Answer

AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION: Final[JsonObject] = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.0+fake",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}
HEALTH: Final = frozenset({"/healthz", "/livez", "/readyz"})
STATUS_VERBS: Final = ("get", "patch", "update")


def discover(path: str, accept: str, registry: Registry) -> Answer | None:
    """Answer a path of discovery, health or version; None for all others."""
    parts = [part for part in path.split("/") if part]
    if path in HEALTH:
        return Answer(200, "ok")
    if parts == ["version"]:  # kr8s asks for it with a slash behind
        return Answer(200, VERSION)
    if parts == ["api"] or parts == ["apis"]:
        return _root(parts[0], accept, registry)
    if parts[:1] == ["api"] and len(parts) == 2:
        return _resources("", parts[1], registry)
    if parts[:1] == ["apis"] and len(parts) == 2:
        return _group(parts[1], registry)
    if parts[:1] == ["apis"] and len(parts) == 3:
        return _resources(parts[1], parts[2], registry)
    return None


def _root(root: str, accept: str, registry: Registry) -> Answer:
    groups = registry.groups()
    core = root == "api"
    named = {group: versions for group, versions in groups.items() if (group == "") is core}
    if AGGREGATED in accept.replace(" ", ""):
        items = [_aggregated(group, versions, registry) for group, versions in named.items()]
        body = {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        }
        return Answer(200, body, headers={"content-type": AGGREGATED})
    if core:
        address = {"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}
        versions = groups.get("", [])
        return Answer(
            200,
            {
                "kind": "APIVersions",
                "versions": versions,
                "serverAddressByClientCIDRs": [address],
            },
        )
    entries = [_group_entry(group, versions) for group, versions in named.items()]
    return Answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": entries})


def _group_entry(group: str, versions: list[str]) -> JsonObject:
    known = [{"groupVersion": f"{group}/{name}", "version": name} for name in versions]
    return {"name": group, "versions": known, "preferredVersion": known[0]}


def _group(group: str, registry: Registry) -> Answer | None:
    versions = registry.groups().get(group)
    if versions is None:
        return None
    return Answer(200, {"kind": "APIGroup", "apiVersion": "v1", **_group_entry(group, versions)})


def _resources(group: str, version: str, registry: Registry) -> Answer | None:
    kinds = list(registry.of(group, version))
    if not kinds:
        return None
    return Answer(
        200,
        {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": kinds[0].resource.api_version,
            "resources": [entry for kind in kinds for entry in _entries(kind)],
        },
    )


def _entries(kind: Kind) -> Iterable[JsonObject]:
    resource = kind.resource
    entry: JsonObject = {
        "name": resource.plural,
        "singularName": kind.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(kind.verbs),
    }
    yield {**entry, **_aliases(kind)}
    if kind.has_status:
        yield {
            "name": f"{resource.plural}/status",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(STATUS_VERBS),
        }


def _aliases(kind: Kind) -> JsonObject:
    aliases = {"shortNames": list(kind.short_names), "categories": list(kind.categories)}
    return {name: value for name, value in aliases.items() if value}


def _aggregated(group: str, versions: list[str], registry: Registry) -> JsonObject:
    return {
        "metadata": {"name": group} if group else {},
        "versions": [
            {
                "version": version,
                "resources": [_aggregated_entry(kind) for kind in registry.of(group, version)],
                "freshness": "Current",
            }
            for version in versions
        ],
    }


def _aggregated_entry(kind: Kind) -> JsonObject:
    resource = kind.resource
    response_kind = {
        "group": resource.group,
        "version": resource.version,
        "kind": resource.kind,
    }
    entry: JsonObject = {
        "resource": resource.plural,
        "responseKind": response_kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
        **_aliases(kind),
    }
    if kind.has_status:
        status = {
            "subresource": "status",
            "responseKind": response_kind,
            "verbs": list(STATUS_VERBS),
        }
        entry["subresources"] = [status]
    return entry
