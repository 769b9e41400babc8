"""A node in memory: what controllers and a kubelet do with workloads, step by step.

Pods start and become ready, claims are bound and grow, services get endpoints. Time is that of the
loop, and each step can be slowed down, held, or made to fail.

::

    async with cluster.node() as node:
        node.hold(READY, "db-1")
        ...
        node.release(READY, "db-1")
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Final, Self

from ..types import JsonObject, ObjectKey
from . import _node_sets, _node_volumes
from ._kinds import Kind
from ._objects import Objects
from ._request import DeleteOptions
from ._storage import Subscription

BIND: Final = "bind"
START: Final = "start"
READY: Final = "ready"
RESIZE: Final = "resize"
FILESYSTEM: Final = "filesystem"
SECONDS: Final = {BIND: 0.02, START: 1.0, READY: 2.0, RESIZE: 1.0, FILESYSTEM: 35.0}
"""What each step took on a real node; a file system grows with the kubelet's next look at a pod."""


class SimulatedNode:
    """The controllers of workloads and one node; ``async with`` runs them.

    Guarantees: a StatefulSet gets its claims and pods in order, is scaled and rolled as its policy
    says, and its status tells so; a claim is bound to a new volume, and one that grows goes through
    the conditions of a real one; a service has a slice of the endpoints that its selector finds.

    Caveats: pods have no processes and end at once; Deployments and ReplicaSets make none; there
    is one node with room for everything.
    """

    def __init__(self, objects: Objects, *, seconds: Mapping[str, float] | None = None) -> None:
        self._objects = objects
        self._seconds = {**SECONDS, **(seconds or {})}
        self._held: set[tuple[str, str]] = set()
        self._failing: dict[tuple[str, str], str] = {}
        self._due: dict[tuple[str, str], float] = {}
        self._task: asyncio.Task[None] | None = None
        self._changes: Subscription | None = None

    async def __aenter__(self) -> Self:
        """Start to act."""
        self._changes = self._objects.storage.subscribe()
        self._task = asyncio.create_task(self._run(self._changes), name="simulated node")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop acting; what is there stays."""
        if self._task is not None and self._changes is not None:
            self._changes.close()
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def hold(self, step: str, name: str = "") -> None:
        """Let a step wait, for one object or for all."""
        self._held.add((step, name))

    def release(self, step: str, name: str = "") -> None:
        """Let a step go on that was held or failed."""
        self._held.discard((step, name))
        self._failing.pop((step, name), None)
        if self._changes is not None:
            self._changes.wake()

    def fail(self, step: str, message: str, name: str = "") -> None:
        """Let a step fail with a message, until it is released."""
        self._failing[step, name] = message
        if self._changes is not None:
            self._changes.wake()

    def failure(self, step: str, name: str) -> str:
        """Return why a step fails, empty where it does not."""
        return self._failing.get((step, name)) or self._failing.get((step, ""), "")

    def may(self, step: str, obj: JsonObject) -> bool:
        """Whether a step of an object is done by now: its time has passed, and nothing holds it."""
        meta = obj["metadata"]
        name = meta["name"]
        if {(step, name), (step, "")} & self._held or self.failure(step, name):
            return False
        now = asyncio.get_running_loop().time()
        due = self._due.setdefault((step, f"{meta['uid']}/{name}"), now + self._seconds[step])
        return now >= due

    def done(self, step: str, obj: JsonObject) -> None:
        """Forget that a step was waited for: it may come again."""
        self._due.pop((step, f"{obj['metadata']['uid']}/{obj['metadata']['name']}"), None)

    def kind(self, name: str) -> Kind:
        """Return a kind by its plural."""
        kinds = self._objects.registry.kinds.values()
        return next(kind for kind in kinds if kind.resource.plural == name and not kind.custom)

    def all(self, plural: str, namespace: str = "") -> Iterator[JsonObject]:
        """Yield the objects of a kind."""
        for key, obj in list(self._objects.storage.items(self.kind(plural).stored_as)):
            if not namespace or key.namespace == namespace:
                yield obj

    def get(self, plural: str, namespace: str, name: str) -> JsonObject | None:
        """Return an object, or None."""
        return self._objects.storage.get(self.kind(plural).stored_as, ObjectKey(namespace, name))

    def create(self, plural: str, obj: JsonObject) -> JsonObject:
        """Make an object."""
        kind = self.kind(plural)
        body = {"apiVersion": kind.resource.api_version, "kind": kind.resource.kind, **obj}
        return self._objects.create(kind, obj["metadata"].get("namespace", ""), body)

    def update(
        self, plural: str, obj: JsonObject, change: Callable[[JsonObject], None], *, sub: str = ""
    ) -> None:
        """Change an object, or its status."""

        def changed(copy: JsonObject) -> JsonObject:
            change(copy)
            return copy

        self._objects.update(self.kind(plural), _key(obj), changed, subresource=sub)

    def set_status(self, plural: str, obj: JsonObject, status: JsonObject) -> None:
        """Write a status, where it differs."""
        if obj.get("status") != status:
            self.update(plural, obj, lambda copy: copy.update(status=status), sub="status")

    def delete(self, plural: str, obj: JsonObject) -> None:
        """Delete an object."""
        self._objects.delete(self.kind(plural), _key(obj), DeleteOptions())

    def place(self, pod: JsonObject, name: str) -> None:
        """Bind a pod to a node, which no update may do."""
        placed = {**pod, "spec": {**pod["spec"], "nodeName": name}}
        self._objects.storage.put(self.kind("pods").stored_as, _key(pod), placed)

    @property
    def now(self) -> str:
        """The time that goes into conditions."""
        return self._objects.stamps.time()

    async def _run(self, changes: Subscription) -> None:
        """Look at everything after each change, and when a step's time has come."""
        loop = asyncio.get_running_loop()
        while True:
            self._settle()
            waiting = [due - loop.time() for due in self._due.values()]
            soon = min((left for left in waiting if left > 0), default=None)
            await changes.take(soon)

    def _settle(self) -> None:
        version = -1
        while version != self._objects.storage.version:
            version = self._objects.storage.version
            _node_volumes.act(self)
            _node_sets.act(self)


def _key(obj: JsonObject) -> ObjectKey:
    return ObjectKey(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
