"""FakeCluster: a Kubernetes API server in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from ..errors import TransportError
from ..protocols import Response
from ..status_error import api_error_from_status
from ..types import Headers, Query
from . import _api
from ._builtin import built_in
from ._crds import definition_kind
from ._gc import Controllers
from ._meta import Stamps
from ._objects import Objects
from ._request import Answer, Call
from ._routes import target_of
from ._status import StatusError
from ._storage import Storage
from ._watch import Watch

NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
BOOKMARK_SECONDS: Final = 60.0
"""About how often a real server sends bookmarks."""


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as it arrived; ``method`` is ``WATCH`` for streams."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()


class FakeCluster:
    """An in-memory API server that is a :class:`~..protocols.Transport`."""

    def __init__(
        self,
        *,
        seed: int | None = None,
        now: Callable[[], datetime] | None = None,
        bookmark_seconds: float = BOOKMARK_SECONDS,
    ) -> None:
        self._storage = Storage()
        registry = built_in()
        registry.add(definition_kind())
        # names and uids of a fake need no cryptography, but a seed to repeat them
        source = random.Random(seed)  # noqa: S311
        stamps = Stamps(source, now or (lambda: datetime.now(UTC)))
        self._objects = Objects(self._storage, registry, stamps)
        self._controllers = Controllers(self._objects)
        self._bookmark_seconds = bookmark_seconds
        self._watches: set[Watch] = set()
        self._closed = False
        self.requests: list[RecordedRequest] = []
        self._make_namespaces()
        self._controllers.start()

    def _make_namespaces(self) -> None:
        kind = self._objects.registry.kinds["", "v1", "namespaces"]
        for name in NAMESPACES:
            obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self._objects.create(kind, "", obj)

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
        self._check_open()
        self.requests.append(RecordedRequest(method, path, tuple(query)))
        # a real request never completes without giving way to other tasks
        await asyncio.sleep(0)
        try:
            answer = self._answer(method, path, query, headers, body)
        except StatusError as error:
            return _refusal(error)
        return _response(answer)

    def _answer(
        self, method: str, path: str, query: Query, headers: Headers, body: bytes | None
    ) -> Answer:
        found = target_of(path, self._objects.registry)
        if found is None:
            return Answer(404, "404 page not found\n")
        names = {name.lower(): value for name, value in headers}
        return _api.handle(self._objects, Call(method, found[0], dict(query), names, body))

    async def stream(self, path: str, *, query: Query = ()) -> AsyncIterator[list[bytes]]:
        """Watch: lines of events, as many per read as there are."""
        self._check_open()
        self.requests.append(RecordedRequest("WATCH", path, tuple(query)))
        await asyncio.sleep(0)
        found = target_of(path, self._objects.registry)
        try:
            if found is None:
                raise StatusError(404, "NotFound", "404 page not found")
            call = Call("GET", found[0], dict(query))
            watch = Watch.open(call, self._storage, self._bookmark_seconds)
        except StatusError as error:
            raise api_error_from_status(error.body, status=error.status) from error
        self._watches.add(watch)
        try:
            async for events in watch.events():
                yield [msgspec.json.encode(event) for event in events]
        finally:
            watch.close()
            self._watches.discard(watch)

    async def close(self) -> None:
        """End all watches; further requests fail."""
        self._closed = True
        for watch in self._watches:
            watch.end()

    def _check_open(self) -> None:
        if self._closed:
            raise TransportError("the fake cluster is closed")

    def compact(self) -> None:
        """Forget all history: older resourceVersions and continue tokens expire."""
        self._storage.compact()


def _response(answer: Answer) -> Response:
    headers = {"content-type": "application/json", **answer.headers}
    if answer.warnings:
        headers["warning"] = ", ".join(f"299 - {_quoted(text)}" for text in answer.warnings)
    if isinstance(answer.body, str):
        headers["content-type"] = "text/plain; charset=utf-8"
        return Response(answer.status, headers, answer.body.encode())
    return Response(answer.status, headers, msgspec.json.encode(answer.body))


def _refusal(error: StatusError) -> Response:
    headers = {"content-type": "application/json", **error.headers}
    return Response(error.status, headers, msgspec.json.encode(error.body))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
