"""A handler that knows of the objects only what it is told, and notices nonsense."""

from __future__ import annotations

from hybridpg.controller import KubeObject, ObjectKey


class Mirror:
    """Knows of the objects only what it is told, and says what it should not have been told."""

    def __init__(self) -> None:
        self.objects: dict[ObjectKey, KubeObject] = {}
        self.wrong: list[str] = []
        self.told: list[tuple[str, str]] = []

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        self._check(obj.key not in self.objects, f"{obj.key} was there already")
        self.told.append(("add", obj.name))
        self.objects[obj.key] = obj

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        known = self.objects.get(new.key)
        same = known is not None and identity(known) == identity(old)
        self._check(same, f"{new.key} was another one before")
        self._check(old.uid == new.uid, f"{new.key} became another object")
        forward = int(old.resource_version) < int(new.resource_version)
        self._check(forward, f"{new.key} went back in time")
        self.told.append(("update", new.name))
        self.objects[new.key] = new

    def on_delete(self, obj: KubeObject) -> None:
        self.told.append(("delete", obj.name))
        known = self.objects.pop(obj.key, None)
        self._check(known is not None and known.uid == obj.uid, f"{obj.key} was not there")

    def _check(self, holds: bool, problem: str) -> None:
        if not holds:
            self.wrong.append(problem)


def identity(obj: KubeObject) -> tuple[ObjectKey, str, str]:
    return obj.key, obj.uid, obj.resource_version
