"""FakeCluster: a Kubernetes API server in memory.

It is a :class:`~..protocols.Transport`, so a client in the same process talks to it without
sockets, and :mod:`.server` serves it over HTTP, so that kubectl and other clients reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ..errors import TransportError
from ..protocols import Response
from ..status_error import api_error_from_status
from ..types import Headers, JsonObject, Query
from . import _answers, _api
from ._accept import form_of
from ._builtin import built_in
from ._crds import definition_kind
from ._discovery import discover
from ._gc import Controllers
from ._meta import Stamps
from ._objects import Objects
from ._openapi import openapi
from ._request import Answer, Call, Target
from ._routes import target_of
from ._status import StatusError
from ._storage import Storage
from ._watch import Watch
from .faults import Fault, Faults, cut, lose
from .node import SimulatedNode
from .persistence import Journal, read

NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
RECORDED_REQUESTS: Final = 100_000
"""More than any test makes, and about 30 MB."""
BOOKMARK_SECONDS: Final = 60.0
"""About how often a real server sends bookmarks."""
WATCH: Final = "WATCH"


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as it arrived; ``method`` is ``WATCH`` for streams."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    accept: str = ""
    """The form of the answer that was asked for."""

    @property
    def writes(self) -> bool:
        """Whether it is a write."""
        return self.method not in ("GET", WATCH)


class FakeCluster:
    """An in-memory API server.

    Guarantees: resourceVersions, conflicts, uids, generations, the status subresource, finalizers,
    garbage collection, namespaces, selectors, paging, watches with bookmarks, streaming lists and
    expiry, patches, server-side apply with owners of fields and conflicts, dry runs, metadata alone
    and custom resources with validation, defaulting and pruning behave as on a real server of
    version 1.34; one suite of checks runs over both.

    Caveats, where it differs from a real server:

    - Built-in kinds: Namespace, Secret, ConfigMap, ServiceAccount, Event, Lease,
      CustomResourceDefinition, Pod, Service, EndpointSlice, PersistentVolumeClaim,
      PersistentVolume, StorageClass, StatefulSet, Deployment and ReplicaSet; nothing else, and
      nobody is ever unauthorized in process.
    - Of workloads, the defaults and the refusals that matter to their controllers are there, not
      every check; pods get no token, claims may grow whatever their class allows, a refused change
      of a claim comes without a comparison, and nothing runs without :meth:`node`.
    - Apply as kubectl does not look at the annotation that client-side apply leaves.
    - Answers are JSON: YAML and protobuf are read but not written.
    - CEL rules need cel-python, and are neither type checked nor priced at installation.
    - Definitions convert between versions by name only; webhooks and scale do not exist.
    - Controllers (garbage collection, namespaces, definitions) act as soon as the loop comes
      round, where a real cluster takes its time.
    - A list or watch from the future is refused or waits at once, without the grace of seconds.

    ``seed`` repeats uids and generated names; ``now`` is the clock of all timestamps. It starts no
    thread and waits by the loop alone, so it works in virtual time. ``requests`` records
    what arrived, the last tens of thousands of it, and ``faults`` scripts what goes wrong.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        now: Callable[[], datetime] | None = None,
        bookmark_seconds: float = BOOKMARK_SECONDS,
        state: Path | None = None,
    ) -> None:
        loaded = None if state is None else read(state)
        self._storage = loaded or Storage()
        self._now = now or (lambda: datetime.now(UTC))
        # names and uids of a fake need no cryptography, but a seed to repeat them
        stamps = Stamps(random.Random(seed), self._now)  # noqa: S311
        registry = built_in()
        registry.add(definition_kind())
        self._objects = Objects(self._storage, registry, stamps)
        self._bookmark_seconds = bookmark_seconds
        self._watches: set[Watch] = set()
        self._closed = False
        self.faults = Faults()
        self.requests: list[RecordedRequest] = []
        if loaded is None:
            self._make_namespaces()
        self._controllers = Controllers(self._objects)
        self._controllers.start()
        self._journal = None if state is None else Journal(state, self._storage)

    @classmethod
    def load(cls, path: Path, *, now: Callable[[], datetime] | None = None) -> FakeCluster:
        """Return a cluster whose state lives in a file: read now, written after every change."""
        return cls(now=now, state=path)

    def _make_namespaces(self) -> None:
        kind = self._objects.registry.kinds["", "v1", "namespaces"]
        for name in NAMESPACES:
            obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self._objects.create(kind, "", obj)

    @property
    def resource_version(self) -> str:
        """The version of the last write."""
        return str(self._storage.version)

    @property
    def writes(self) -> list[RecordedRequest]:
        """The recorded requests that write."""
        return [request for request in self.requests if request.writes]

    @property
    def open_watches(self) -> list[str]:
        """The resources that are watched now, one entry per watch."""
        return [str(watch.call.target.kind.resource) for watch in self._watches]

    def compact(self) -> None:
        """Forget all history: older resourceVersions and continue tokens expire."""
        self._storage.compact()

    def drop_watches(self) -> None:
        """End all open watches, as a server does that restarts."""
        for watch in self._watches:
            watch.end()

    def node(self, *, seconds: Mapping[str, float] | None = None) -> SimulatedNode:
        """Return a node for workloads; ``async with`` runs it. ``seconds`` says what steps take."""
        return SimulatedNode(self._objects, seconds=seconds)

    async def close(self) -> None:
        """End all watches and write the state; further requests fail."""
        if not self._closed:
            self._closed = True
            self.drop_watches()
            if self._journal is not None:
                self._journal.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        """Answer one request; a watch is read to its end, as over HTTP."""
        if self.is_watch(method, path, query):
            return await self._read_watch(path, query, headers)
        try:
            fault = await self._begin(method, path, query, headers)
            answer = self._answer(method, path, query, headers, body)
        except StatusError as error:
            return _answers.refusal(error)
        if fault is not None and fault.after:
            raise lose(method, path)
        return _answers.response(answer)

    async def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        """Watch: lines of events, as many per read as there are."""
        try:
            lines = await self.open_watch(path, query, headers)
        except StatusError as error:
            raise api_error_from_status(error.body, status=error.status) from error
        async with contextlib.aclosing(lines):
            async for batch in lines:
                yield batch

    def is_watch(self, method: str, path: str, query: Query) -> bool:
        """Whether a request is answered by a stream."""
        found = target_of(path, self._objects.registry)
        if method != "GET" or found is None:
            return False
        target, watching = found
        return watching or (not target.name and Call(method, target, dict(query)).flag("watch"))

    async def open_watch(
        self, path: str, query: Query = (), headers: Headers = ()
    ) -> AsyncGenerator[list[bytes]]:
        """Open a watch and return its lines.

        Errors: :class:`~._status.StatusError` where it is refused; the client's face of it is
        ``stream``.
        """
        fault = await self._begin(WATCH, path, query, headers)
        target, names = self._target(path), _lower(headers)
        # a form that is not served is refused before the first line
        form_of(names.get("accept", ""))
        call = Call("GET", target, dict(query), names)
        watch = Watch.open(call, self._storage, self._bookmark_seconds)
        self._watches.add(watch)
        events = watch.events() if fault is None else cut(watch.events(), fault)
        return self._lines(watch, events, names)

    async def _lines(
        self,
        watch: Watch,
        events: AsyncIterator[list[JsonObject]],
        headers: Mapping[str, str],
    ) -> AsyncGenerator[list[bytes]]:
        try:
            async for batch in _answers.Lines(watch, headers, self._now).encode(events):
                yield batch
        finally:
            watch.close()
            self._watches.discard(watch)

    async def _read_watch(self, path: str, query: Query, headers: Headers) -> Response:
        try:
            lines = await self.open_watch(path, query, headers)
        except StatusError as error:
            return _answers.refusal(error)
        read_lines = [line async for batch in lines for line in batch]
        body = b"".join(line + b"\n" for line in read_lines)
        return Response(200, {"content-type": _answers.JSON}, body)

    async def _begin(self, method: str, path: str, query: Query, headers: Headers) -> Fault | None:
        """Record a request and let the scripted faults strike."""
        if self._closed:
            raise TransportError("the fake cluster is closed")
        if len(self.requests) >= RECORDED_REQUESTS:
            del self.requests[: RECORDED_REQUESTS // 2]  # a development cluster runs for days
        accept = _lower(headers).get("accept", "")
        self.requests.append(RecordedRequest(method, path, tuple(query), accept))
        # a loaded state may have left work undone, and no loop ran when it was loaded
        self._controllers.schedule()
        # a real request never completes without giving way to other tasks
        await asyncio.sleep(0)
        return await self.faults.strike(method, path)

    def _target(self, path: str) -> Target:
        found = target_of(path, self._objects.registry)
        if found is None:
            raise _nothing_there()
        return found[0]

    def _answer(
        self, method: str, path: str, query: Query, headers: Headers, body: bytes | None
    ) -> Answer:
        registry, names = self._objects.registry, _lower(headers)
        if method == "GET":
            found = discover(path, names.get("accept", ""), registry) or openapi(path, registry)
            if found is not None:
                return found
        target = target_of(path, registry)
        if target is None and path.startswith("/api/"):
            raise _nothing_there()
        if target is None:
            return Answer(404, "404 page not found\n")
        form_of(names.get("accept", ""))
        call = Call(method, target[0], dict(query), names, body)
        return _answers.shaped(_api.handle(self._objects, call), call, self._now())


def _nothing_there() -> StatusError:
    message = "the server could not find the requested resource"
    return StatusError(404, "NotFound", message, {})


def _lower(headers: Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
