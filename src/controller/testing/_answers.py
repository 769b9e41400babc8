"""From answers to bytes: JSON, tables, warnings, and the lines of a watch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from ..protocols import Response
from ..types import JsonObject
from . import _accept, _table
from ._request import Answer, Call
from ._status import StatusError
from ._watch import ERROR, Watch

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"


def shaped(answer: Answer, call: Call, now: datetime) -> Answer:
    """Return the answer in the form that the client prefers, where it holds objects.

    Errors: 406 for a form that is not served, or not for this kind of answer.
    """
    form = _accept.form_of(call.headers.get("accept", ""))
    body = answer.body
    if form == _accept.WHOLE or isinstance(body, str) or body.get("kind") == "Status":
        return answer
    kind = call.target.kind
    listed = "items" in body
    if listed:  # a list that is shown whole says that it does not go on, one of another form not
        body = {**body, "metadata": {name: text for name, text in body["metadata"].items() if text}}
    if form.name == _accept.TABLE:
        if call.method != "GET":
            return answer
        made = _tabled(body, call, now, listed=listed)
    else:
        _accept.check_partial(form, kind, listed=listed)
        show = _accept.partial_list if listed else _accept.partial
        made = show(body, form)
    return Answer(answer.status, made, answer.warnings, answer.headers)


def _tabled(body: JsonObject, call: Call, now: datetime, *, listed: bool) -> JsonObject:
    return _table.table(
        call.target.kind,
        body["items"] if listed else [body],
        meta=body["metadata"] if listed else _version_of(body),
        now=now,
        include=call.query.get("includeObject", "Metadata"),
    )


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

    def __init__(
        self, watch: Watch, headers: Mapping[str, str], now: Callable[[], datetime]
    ) -> None:
        self._watch = watch
        self._form = _accept.form_of(headers.get("accept", ""))
        self._now = now
        self._first = True

    async def encode(self, batches: AsyncIterator[list[JsonObject]]) -> AsyncIterator[list[bytes]]:
        """Encode batches of events, one line each, and close the watch at the end."""
        try:
            # a watch yields objects, never a list: the server ends one that asks for lists
            if self._form.name != _accept.PARTIAL_LIST:
                async for events in batches:
                    yield [msgspec.json.encode(self._shown(event)) for event in events]
        finally:
            self._watch.close()

    def _shown(self, event: JsonObject) -> JsonObject:
        if self._form == _accept.WHOLE or event["type"] == ERROR:
            return event
        if self._form.name == _accept.PARTIAL:
            return {"type": event["type"], "object": _accept.partial(event["object"], self._form)}
        return {"type": event["type"], "object": self._row(event)}

    def _row(self, event: JsonObject) -> JsonObject:
        call, obj = self._watch.call, event["object"]
        made = _table.table(
            call.target.kind,
            [obj],
            meta=_version_of(obj),
            now=self._now(),
            include=call.query.get("includeObject", "Metadata"),
            columns=self._first,
        )
        self._first = False
        return made
