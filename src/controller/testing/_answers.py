"""From answers to bytes: JSON, tables, warnings, and the lines of a watch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from ..protocols import Response
from ..types import JsonObject
from . import _table
from ._request import Answer, Call
from ._status import StatusError
from ._watch import ERROR, Watch

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"


def tabled(answer: Answer, call: Call, now: datetime) -> Answer:
    """Return the answer as a table where the client prefers one and there are objects in it."""
    body = answer.body
    if not _table.wants_table(call.headers.get("accept", "")) or isinstance(body, str):
        return answer
    if call.method != "GET" or body.get("kind") == "Status":
        return answer
    kind = call.target.kind
    listed = not call.target.name
    objects = body["items"] if listed else [body]
    meta = body["metadata"] if listed else _version_of(body)
    include = call.query.get("includeObject", "Metadata")
    made = _table.table(kind, objects, meta=meta, now=now, include=include)
    return Answer(answer.status, made, answer.warnings, answer.headers)


def _version_of(obj: JsonObject) -> JsonObject:
    return {"resourceVersion": obj["metadata"]["resourceVersion"]}


def response(answer: Answer) -> Response:
    """Return an answer as it goes out."""
    headers = {"content-type": JSON, **answer.headers}
    if answer.warnings:
        headers["warning"] = ", ".join(f"299 - {_quoted(text)}" for text in answer.warnings)
    if isinstance(answer.body, str):
        headers["content-type"] = TEXT
        return Response(answer.status, headers, answer.body.encode())
    return Response(answer.status, headers, msgspec.json.encode(answer.body))


def refusal(error: StatusError) -> Response:
    """Return a refusal as it goes out."""
    headers = {"content-type": JSON, **error.headers}
    return Response(error.status, headers, msgspec.json.encode(error.body))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Lines:
    """The lines of one watch, in the form that its client prefers."""

    def __init__(self, watch: Watch, headers: Mapping[str, str], now: datetime) -> None:
        self._watch = watch
        self._table = _table.wants_table(headers.get("accept", ""))
        self._now = now
        self._first = True

    async def encode(self, batches: AsyncIterator[list[JsonObject]]) -> AsyncIterator[list[bytes]]:
        """Encode batches of events, one line each, and close the watch at the end."""
        try:
            async for events in batches:
                yield [msgspec.json.encode(self._shown(event)) for event in events]
        finally:
            self._watch.close()

    def _shown(self, event: JsonObject) -> JsonObject:
        if not self._table or event["type"] == ERROR:
            return event
        call, obj = self._watch.call, event["object"]
        rows = [] if event["type"] == "BOOKMARK" else [obj]
        made = _table.table(
            call.target.kind,
            rows,
            meta=_version_of(obj),
            now=self._now,
            include=call.query.get("includeObject", "Metadata"),
            columns=self._first,
        )
        self._first = False
        return {"type": event["type"], "object": made}
