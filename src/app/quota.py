"""Caps per namespace, checked before a server is bound: a server that runs is never touched."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from ..backends import Quota
from ..crds import ServerSpec
from .config import LimitsConfig
from .runtime import Runtime
from .subject import Subject


def check_server_quota(runtime: Runtime, subject: Subject, spec: ServerSpec) -> None:
    """Refuse a new server that would take its namespace over a configured cap.

    Raises:
        Quota: naming the cap.
    """
    for limits in _limits(runtime, subject.namespace):
        bound = list(_bound_sizes(runtime, subject))
        _check("servers", limits.servers, len(bound) + 1, subject.namespace)
        storage = (spec.size.storage_gb or 0) + sum(s.get("storageGB") or 0 for s in bound)
        _check("storageGB", limits.storage_gb, storage, subject.namespace)
        cpu = (spec.size.cpu or 0) + sum(s.get("cpu") or 0 for s in bound)
        _check("cpu", limits.cpu, cpu, subject.namespace)


def _limits(runtime: Runtime, namespace: str) -> Iterator[LimitsConfig]:
    for pattern, policy in runtime.config.namespaces.items():
        if fnmatchcase(namespace, pattern):
            yield policy.limits


def _bound_sizes(runtime: Runtime, subject: Subject) -> Iterator[dict[str, Any]]:
    """Yield the sizes of the other servers of the namespace that are bound to a backend."""
    for cached in runtime.servers.list(subject.namespace):
        obj = cached.decode()
        if cached.uid != subject.uid and (obj.get("status") or {}).get("backend"):
            yield (obj.get("spec") or {}).get("size") or {}


def _check(what: str, limit: float | None, wanted: float, namespace: str) -> None:
    if limit is not None and wanted > limit:
        raise Quota(
            f"namespace {namespace} may have {limit:g} {what} in all; with this server it "
            f"would be {wanted:g}; ask the administrator or make another server smaller"
        )
