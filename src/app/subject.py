"""One object of ours as a reconcile function sees it: typed access to what both kinds share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..controller import JsonObject, KubeObject, ObjectKey, ObjectReference, Resource
from .kinds import ACTION_LABEL, ADOPT, PAUSED
from .reasons import Condition


@dataclass(frozen=True, slots=True)
class Subject:
    """A decoded object with its resource; the dict belongs to the reader and may be stale."""

    resource: Resource
    obj: JsonObject

    @classmethod
    def of(cls, resource: Resource, cached: KubeObject) -> Subject:
        """Decode an object of the cache."""
        return cls(resource, cached.decode())

    @property
    def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = self.obj["metadata"]
        return metadata

    @property
    def namespace(self) -> str:
        """The namespace."""
        return str(self._metadata["namespace"])

    @property
    def name(self) -> str:
        """The name."""
        return str(self._metadata["name"])

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        return ObjectKey(self.namespace, self.name)

    @property
    def uid(self) -> str:
        """The UID: what tells it from an earlier object of the same name."""
        return str(self._metadata["uid"])

    @property
    def identity(self) -> tuple[str, ObjectKey]:
        """Kind and key: by this it is remembered, and forgotten when it is gone."""
        return self.resource.kind, self.key

    @property
    def resource_version(self) -> str:
        """The version that was read."""
        return str(self._metadata["resourceVersion"])

    @property
    def generation(self) -> int:
        """Counts the changes of the spec."""
        return int(self._metadata.get("generation", 0))

    @property
    def deleting(self) -> bool:
        """Whether it waits for its finalizers."""
        return bool(self._metadata.get("deletionTimestamp"))

    @property
    def finalizers(self) -> tuple[str, ...]:
        """The finalizers, in order."""
        return tuple(self._metadata.get("finalizers") or ())

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations."""
        return dict(self._metadata.get("annotations") or {})

    @property
    def action(self) -> str:
        """The one-shot action asked for by label, or an empty string."""
        return str((self._metadata.get("labels") or {}).get(ACTION_LABEL, ""))

    @property
    def paused(self) -> bool:
        """Whether the user asked for no writes."""
        return self.annotations.get(PAUSED) == "true"

    def adopts(self, external_name: str) -> bool:
        """Return whether the user handed over exactly this thing."""
        return self.annotations.get(ADOPT) == external_name

    @property
    def spec(self) -> dict[str, Any]:
        """The spec as stored."""
        spec: dict[str, Any] = self.obj.get("spec") or {}
        return spec

    @property
    def secret_name(self) -> str:
        """The name of the credentials Secret; empty in a spec that no schema has seen."""
        return str(self.spec.get("credentialsSecret") or "")

    @property
    def status(self) -> dict[str, Any]:
        """The status as stored; the predecessor's objects may have ``null``."""
        status: dict[str, Any] = self.obj.get("status") or {}
        return status

    @property
    def ready(self) -> bool:
        """Whether the status as stored says that it can be used."""
        conditions = self.status.get("conditions") or []
        found = [c.get("status") for c in conditions if c.get("type") == Condition.READY]
        return "True" in found

    @property
    def reference(self) -> ObjectReference:
        """What events about it refer to."""
        return ObjectReference(
            self.resource.api_version, self.resource.kind, self.namespace, self.name, self.uid
        )
