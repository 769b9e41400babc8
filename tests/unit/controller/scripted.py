"""The far end of the runtime in its tests: an API server that reads its answers from a script."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

from hybridpg.controller.decode import decode_object
from hybridpg.controller.errors import ApiError
from hybridpg.controller.protocols import Response
from hybridpg.controller.status_error import api_error_from_status
from hybridpg.controller.types import Headers, KubeObject, Query, Resource

WIDGETS = Resource("example.org", "v1", "widgets", "Widget")
GADGETS = Resource("example.org", "v1", "gadgets", "Gadget")
PATH = "/apis/example.org/v1/widgets"


class Call(NamedTuple):
    """One request as it arrived; ``verb`` is the method, ``WATCH``, or ``STREAM``."""

    at: float
    verb: str
    path: str
    query: dict[str, str]
    body: Any
    accept: str = ""


class ScriptedTransport:
    """Answers in the order of its scripts, and records what it was asked.

    ``lists`` holds answers; the last one is repeated. ``watches`` holds one list of steps per
    watch: lines to send in one read, seconds to wait, or an error; after the last step the stream
    ends. Without a script a watch stays open, with a bookmark a minute. ``streams`` holds the same
    for watches that are to begin with the list; None is a server that does not know such, and what
    it was asked is in ``refused_streams`` alone. ``writes`` holds answers to all other requests;
    without a script they succeed.
    """

    def __init__(
        self,
        lists: Iterable[Response | Exception] = (),
        watches: Iterable[Sequence[list[bytes] | float | Exception]] = (),
        writes: Iterable[Response | Exception] = (),
        *,
        streams: Iterable[Sequence[list[bytes] | float | Exception]] | None = None,
    ) -> None:
        self.lists = deque(lists) or deque([page()])
        self.watches = deque(watches)
        self.writes = deque(writes)
        self.streams = None if streams is None else deque(streams)
        self.calls: list[Call] = []
        self.refused_streams: list[float] = []
        self.closed = False

    def verbs(self) -> list[str]:
        return [call.verb for call in self.calls]

    def of(self, verb: str) -> list[Call]:
        return [call for call in self.calls if call.verb == verb]

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        self._record(method, path, query, body, headers)
        if method == "GET" and path.split("/")[-1].endswith("s"):
            return _answer(self.lists.popleft() if len(self.lists) > 1 else self.lists[0])
        if self.writes:
            return _answer(self.writes.popleft())
        return Response(200, {}, b"{}")

    async def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        script = self.watches
        if ("sendInitialEvents", "true") in query:
            if self.streams is None:
                self.refused_streams.append(asyncio.get_running_loop().time())
                raise refused(422, "Invalid")
            script = self.streams
            self._record("STREAM", path, query, None, headers)
        else:
            self._record("WATCH", path, query, None, headers)
        while not script:
            await asyncio.sleep(60)
            yield [bookmark(dict(query).get("resourceVersion", "100"))]
        for step in script.popleft():
            if isinstance(step, Exception):
                raise step
            if isinstance(step, list):
                yield step
            else:
                await asyncio.sleep(step)

    async def close(self) -> None:
        self.closed = True

    def _record(
        self, verb: str, path: str, query: Query, body: bytes | None, headers: Headers
    ) -> None:
        now = asyncio.get_running_loop().time()
        decoded = json.loads(body) if body else None
        accept = dict(headers).get("accept", "")
        self.calls.append(Call(now, verb, path, dict(query), decoded, accept))


def _answer(answer: Response | Exception) -> Response:
    if isinstance(answer, Exception):
        raise answer
    return answer


def obj(name: str = "a", version: int | str = 1, **changes: Any) -> dict[str, Any]:
    """A widget; ``changes`` are fields of its metadata, or its spec."""
    spec = changes.pop("spec", {"size": 1})
    meta = {"namespace": "ns", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {
        "apiVersion": WIDGETS.api_version,
        "kind": WIDGETS.kind,
        "metadata": {**meta, "generation": 1, **changes},
        "spec": spec,
    }


def kube(name: str = "a", version: int | str = 1, **changes: Any) -> KubeObject:
    return decode_object(json.dumps(obj(name, version, **changes)).encode())


def page(*items: dict[str, Any], version: str = "100", token: str = "") -> Response:
    meta = {"resourceVersion": version, **({"continue": token} if token else {})}
    body = {"kind": "WidgetList", "apiVersion": "example.org/v1", "metadata": meta}
    return Response(200, {}, json.dumps({**body, "items": list(items)}).encode())


def status(code: int, reason: str, message: str = "no", **details: Any) -> dict[str, Any]:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return {**body, "reason": reason, "message": message, "details": details}


def failure(
    code: int,
    reason: str = "",
    message: str = "no",
    *,
    retry_after: int | None = None,
    **details: Any,
) -> Response:
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return Response(code, headers, json.dumps(status(code, reason, message, **details)).encode())


def unfit() -> Response:
    """What the server says of a JSON patch that does not fit: of a test that failed, for one."""
    message = "the server rejected our request due to an error in our request"
    return failure(422, "Invalid", message)


def refused(code: int, reason: str = "", message: str = "no", **options: Any) -> ApiError:
    """What a transport raises where the server refuses a stream."""
    return api_error_from_status(status(code, reason, message), status=code, **options)


def line(type_: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"type": type_, "object": body}, separators=(",", ":")).encode()


def bookmark(version: int | str) -> bytes:
    return line("BOOKMARK", {"kind": "Widget", "metadata": {"resourceVersion": str(version)}})


async def settle(rounds: int = 20) -> None:
    """Let everything run that can run without time passing."""
    for _ in range(rounds):
        await asyncio.sleep(0)
