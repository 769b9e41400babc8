"""Caps per namespace: what is made for new servers, and how far those that run may grow.

What was admitted is kept in memory, because the cache lags behind our own writes: two servers that
are created at the same moment count for each other. Every decision is made without giving the
event loop away, so caps are exact. A server that runs is never touched because of a cap; it keeps
the size that it was admitted with, which status shows as ``effective.size``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from ..backends import Quota, Refused, Rejected
from ..controller import ObjectKey, ReadStore
from ..crds import ServerSpec
from .config import Config, NamespaceConfig
from .subject import Subject

EFFECTIVE_SIZE: Final = "size"
"""The key in ``status.effective`` under which an admitted size survives a restart."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The part of a server's size that is capped; None where the spec says nothing."""

    storage_gb: float | None = None
    cpu: float | None = None
    class_: str | None = None

    @classmethod
    def read(cls, size: Mapping[str, Any]) -> Admitted:
        """Read a size as it is written in a spec or in status; what is no number is not set."""
        return cls(_number(size.get("storageGB")), _number(size.get("cpu")), size.get("class"))

    def written(self) -> dict[str, Any]:
        """Return the size as it is written in status."""
        full = {"storageGB": self.storage_gb, "cpu": self.cpu, "class": self.class_}
        return {key: value for key, value in full.items() if value is not None}


@dataclass(frozen=True, slots=True)
class OverCap(Refused):
    """A wish that a cap of the namespace does not allow; the server keeps its size."""


class Quotas:
    """What was admitted by this process, by server; later objects count against it."""

    def __init__(self, config: Config, servers: ReadStore) -> None:
        self._config = config
        self._servers = servers
        self._admitted: dict[ObjectKey, tuple[str, Admitted]] = {}

    def forget(self, key: ObjectKey) -> None:
        """Give back what a server took that is gone."""
        self._admitted.pop(key, None)

    def admit(self, subject: Subject, spec: ServerSpec) -> None:
        """Admit a server that is not made yet; repeating it is harmless.

        Raises:
            Quota: it would take its namespace over a cap; the message names the cap.
            Rejected: its class is not allowed in its namespace.
        """
        wanted = Admitted.read(subject.spec.get("size") or {})
        for problem in self._problems(subject, wanted, spec):
            if problem.field == "size.class":
                raise Rejected(problem.field, problem.message)
            raise Quota(problem.message)
        self._admitted[subject.key] = (subject.uid, wanted)

    def confine(self, subject: Subject, spec: ServerSpec) -> tuple[ServerSpec, tuple[OverCap, ...]]:
        """Return the spec of a server that runs without what a cap forbids, and what that is."""
        wanted = Admitted.read(subject.spec.get("size") or {})
        refused = tuple(self._problems(subject, wanted, spec))
        if not refused:
            self._admitted[subject.key] = (subject.uid, wanted)
            return spec, ()
        # one that no pass admitted yet ran before there was the cap
        before = self._of(subject) or _shown_before(subject) or wanted
        fields = {problem.field for problem in refused}
        kept = Admitted(
            _smaller(wanted.storage_gb, before.storage_gb, "size.storageGB" in fields),
            _smaller(wanted.cpu, before.cpu, "size.cpu" in fields),
            before.class_ if "size.class" in fields else wanted.class_,
        )
        self._admitted[subject.key] = (subject.uid, kept)
        refused = tuple(each for each in refused if not _is_kept(each.field, wanted, kept))
        size = {"storage_gb": _whole(kept.storage_gb), "cpu": _whole(kept.cpu)}
        changed = spec.size.model_copy(update={**size, "class_": kept.class_})
        return spec.model_copy(update={"size": changed}), refused

    def shown(self, subject: Subject) -> dict[str, Any]:
        """Return what status says of the admitted size; empty where nothing is capped."""
        capped = any(_is_capped(each) for each in self._policies(subject.namespace))
        admitted = self._of(subject) if capped else None
        return admitted.written() if admitted else {}

    def _of(self, subject: Subject) -> Admitted | None:
        uid, admitted = self._admitted.get(subject.key, ("", None))
        return admitted if uid == subject.uid else None

    def _policies(self, namespace: str) -> Iterator[NamespaceConfig]:
        for pattern, policy in self._config.namespaces.items():
            if fnmatchcase(namespace, pattern):
                yield policy

    def _problems(self, subject: Subject, wanted: Admitted, spec: ServerSpec) -> Iterator[OverCap]:
        namespace = subject.namespace
        others = list(self._others(subject))
        for policy in self._policies(namespace):
            limits, allowed = policy.limits, policy.allowed_classes
            storage = (wanted.storage_gb or 0) + sum(o.storage_gb or 0 for o in others)
            cpu = (wanted.cpu or 0) + sum(o.cpu or 0 for o in others)
            yield from _over("servers", "", limits.servers, len(others) + 1, namespace)
            yield from _over("storageGB", "size.storageGB", limits.storage_gb, storage, namespace)
            yield from _over("cpu", "size.cpu", limits.cpu, cpu, namespace)
            if allowed and spec.size.class_ and spec.size.class_ not in allowed:
                yield OverCap(
                    "size.class",
                    f"class {spec.size.class_!r} is not allowed in namespace {namespace}; "
                    f"allowed: {', '.join(allowed)}",
                )

    def _others(self, subject: Subject) -> Iterator[Admitted]:
        """Yield the other servers of the namespace that are made or may be made by now."""
        for cached in self._servers.list(subject.namespace):
            if cached.uid == subject.uid:
                continue
            uid, admitted = self._admitted.get(cached.key, ("", None))
            if admitted is not None and uid == cached.uid:
                yield admitted
                continue
            obj = cached.decode()
            if (obj.get("status") or {}).get("backend"):
                yield Admitted.read((obj.get("spec") or {}).get("size") or {})


def _over(
    what: str, field: str, limit: float | None, total: float, namespace: str
) -> Iterator[OverCap]:
    if limit is not None and total > limit:
        yield OverCap(
            field,
            f"namespace {namespace} may have {limit:g} {what} in all; with this server it would "
            f"be {total:g}; ask the administrator or make another server smaller",
        )


def _is_capped(policy: NamespaceConfig) -> bool:
    limits = policy.limits
    return limits.storage_gb is not None or limits.cpu is not None or bool(policy.allowed_classes)


def _shown_before(subject: Subject) -> Admitted | None:
    size = (subject.status.get("effective") or {}).get(EFFECTIVE_SIZE)
    return Admitted.read(size) if isinstance(size, dict) else None


def _smaller(wanted: float | None, before: float | None, refused: bool) -> float | None:
    if not refused or wanted is None:
        return wanted
    return None if before is None else min(wanted, before)


def _is_kept(field: str, wanted: Admitted, kept: Admitted) -> bool:
    """Return whether a server over a cap asks for no more than it has: then nothing is refused."""
    pairs = {
        "size.storageGB": (wanted.storage_gb, kept.storage_gb),
        "size.cpu": (wanted.cpu, kept.cpu),
        "size.class": (wanted.class_, kept.class_),
    }
    asked, has = pairs.get(field, (None, None))
    return asked == has


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
