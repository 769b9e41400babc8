"""What the parts of the simulated node need of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from ..types import JsonObject


class Node(Protocol):
    """The node as its parts see it."""

    @property
    def now(self) -> str:
        """The time that goes into conditions."""
        ...

    def may(self, step: str, obj: JsonObject) -> bool:
        """Whether a step of an object is done by now."""
        ...

    def done(self, step: str, obj: JsonObject) -> None:
        """Forget that a step was waited for."""
        ...

    def failure(self, step: str, name: str) -> str:
        """Return why a step fails, empty where it does not."""
        ...

    def all(self, plural: str, namespace: str = "") -> Iterator[JsonObject]:
        """Yield the objects of a kind."""
        ...

    def get(self, plural: str, namespace: str, name: str) -> JsonObject | None:
        """Return an object, or None."""
        ...

    def create(self, plural: str, obj: JsonObject) -> JsonObject:
        """Make an object."""
        ...

    def update(
        self, plural: str, obj: JsonObject, change: Callable[[JsonObject], None], *, sub: str = ""
    ) -> None:
        """Change an object, or its status."""
        ...

    def set_status(self, plural: str, obj: JsonObject, status: JsonObject) -> None:
        """Write a status, where it differs."""
        ...

    def place(self, pod: JsonObject, name: str) -> None:
        """Bind a pod to a node, which no update may do."""
        ...

    def delete(self, plural: str, obj: JsonObject) -> None:
        """Delete an object."""
        ...


def condition(type_: str, status: str, now: str, reason: str = "", message: str = "") -> JsonObject:
    """Return a condition."""
    found = {"type": type_, "status": status, "lastTransitionTime": now}
    return {**found, **({"reason": reason} if reason else {}), **_message(message)}


def _message(message: str) -> JsonObject:
    return {"message": message} if message else {}


def claims_of(pod: JsonObject) -> list[str]:
    """Return the names of the claims that a pod uses."""
    volumes = pod["spec"].get("volumes") or ()
    return [
        v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v
    ]


def is_ready(pod: JsonObject) -> bool:
    """Whether a pod is ready."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
