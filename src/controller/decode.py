"""Decodes lists and watch events: identity at once, everything else on demand.

One validated scan of the bytes finds the few fields of ``metadata`` that caches, predicates and
queues need. The body stays bytes until somebody asks for it: dicts of whole objects cost several
times the time and the memory, and every one of them is work for the garbage collector.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import msgspec

from .errors import DecodeError, UnknownEvent
from .status_error import api_error_from_status
from .types import JsonObject, KubeObject

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"
BOOKMARK: Final = "BOOKMARK"
ERROR: Final = "ERROR"

_OF_OBJECTS: Final = (ADDED, MODIFIED, DELETED, BOOKMARK)
_FRAMES: Final = {name: f'{{"type":"{name}","object":'.encode() for name in _OF_OBJECTS}
"""How an API server begins an event of each type."""
_PARTIAL: Final = "PartialObjectMetadata"
"""The kind of whatever is watched for its metadata alone."""
_ITEMS: Final = b'"items":['
_BEGINS: Final = b'"metadata":{'
_BEGUN_WITHIN: Final = 1024
"""Bytes of an item before its metadata: kind and apiVersion, as a rule."""
_STAND_IN: Final = b'{"items":"here"}'
_EXCERPT: Final = 64
_RUBBISH: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for bytes from the network, nesting without end included."""


class _Meta(msgspec.Struct, gc=False, rename="camel"):
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None


class _Object(msgspec.Struct, gc=False):
    kind: str = ""
    metadata: _Meta | None = None


class _Usual(msgspec.Struct, gc=False):
    """An object whose metadata is as usual, and is decoded into what is kept of it."""

    kind: str = ""
    metadata: KubeObject | None = None


class _Event(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An event as an API server frames it: with nothing beside its type and its object."""

    object: _Usual
    type: str = ""


class _AnyEvent(msgspec.Struct, gc=False):
    object: msgspec.Raw
    type: str = ""


class _ListMeta(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str = ""
    continue_: str | None = msgspec.field(default=None, name="continue")
    remaining_item_count: int | None = None


class _List(msgspec.Struct, gc=False):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None
    kind: str = ""


_Pieces: TypeAlias = tuple[_List, list[KubeObject]]
"""A list without its items, and they beside it."""

_set: Final = msgspec.structs.force_setattr
_decode_object: Final = msgspec.json.Decoder(_Object).decode
_decode_usual: Final = msgspec.json.Decoder(_Usual).decode
_event_decoder: Final = msgspec.json.Decoder(_Event)
_any_event_decoder: Final = msgspec.json.Decoder(_AnyEvent)
_list_decoder: Final = msgspec.json.Decoder(_List)
_status_decoder: Final = msgspec.json.Decoder(JsonObject)


class ListPage(NamedTuple):
    """One page of a list; ``continue_token`` is empty on the last one."""

    items: list[KubeObject]
    resource_version: str
    continue_token: str
    remaining: int | None


class WatchEvent(msgspec.Struct, frozen=True, gc=False):
    """One event: ``type`` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: KubeObject


def decode_object(body: bytes) -> KubeObject:
    """Decode the identity of one object and keep the bytes.

    Errors: :class:`~.errors.DecodeError` for anything that is not an object with a name.
    """
    return _object(_scan(body), body, 0)


def decode_list(body: bytes) -> ListPage:
    """Decode one page of a list; every item keeps the bytes of itself alone.

    Errors: :class:`~.errors.DecodeError` if the body is no list or an item is no object.
    """
    page, objects = _cut(body) or _scanned(body)
    meta = page.metadata
    return ListPage(objects, meta.resource_version, meta.continue_ or "", meta.remaining_item_count)


def _scanned(body: bytes) -> _Pieces:
    try:
        page = _list_decoder.decode(body)
    except _RUBBISH as error:
        raise DecodeError(f"not a list: {error}: {_excerpt(body)}") from error
    if page.kind == "Table":
        raise DecodeError("the server answered a Table instead of a list")
    # a Raw is a view that would keep the whole page alive
    items = map(bytes, page.items or ())
    return page, [_object(_scan(item), item, 0) for item in items]


def _cut(body: bytes) -> _Pieces | None:
    """Cut a list where its items look like they begin; None if that is not where they do.

    This saves one of two scans. Nothing is taken on trust: each piece is decoded, and if all of
    them are JSON objects, and so is what is left with a stand-in in the place of all, then they
    are the items. A cut anywhere else leaves halves of an object.
    """
    start = first = body.find(_ITEMS) + len(_ITEMS)
    last = body.rfind(b"}]") + 1
    begun = body.find(_BEGINS, first, first + _BEGUN_WITHIN) + len(_BEGINS)
    if not len(_ITEMS) <= first < begun <= last:
        return None
    # the items of a list are of one kind and begin alike
    mark = b"}," + body[first:begun]
    view, find, size = memoryview(body), body.find, len(mark) - 1
    decode, set_, objects = _decode_usual, _set, []
    end = first - 1
    try:
        while end != last:
            end = find(mark, begun, last) + 1 or last
            item = view[first:end].tobytes()
            found = decode(item)
            obj = found.metadata
            if obj is None or not obj.name or found.kind == "Table":
                return None
            set_(obj, "encoded", item)
            set_(obj, "offset", 0)
            objects.append(obj)
            first, begun = end + 1, end + size
        page = _list_decoder.decode(body[:start] + _STAND_IN + body[last:])
    except _RUBBISH:
        return None
    if page.kind == "Table" or page.items != [msgspec.Raw(_STAND_IN)]:
        return None
    return page, objects


def decode_event(line: bytes, kind: str = "") -> WatchEvent:
    """Decode one line of a watch; with ``kind``, objects of another one mean nothing.

    Errors: the :class:`~.errors.ApiError` that an ERROR event carries;
    :class:`~.errors.UnknownEvent` for an event that may be skipped (unknown type, a Table, wrong
    kind, no metadata), :class:`~.errors.DecodeError` for bytes that are no event, so that one was
    lost.
    """
    try:
        event = _event_decoder.decode(line)
    except _RUBBISH:
        # not framed as usual: another scan finds the object, or names what is wrong
        return _unframed(line, kind)
    type_, found = event.type, event.object
    frame, obj, named = _FRAMES.get(type_), found.metadata, found.kind
    if (
        frame is None
        or obj is None
        or not (obj.name or type_ == BOOKMARK)
        or (named != kind and named != _PARTIAL and (kind or named == "Table"))
        # the frame ends in one brace, behind that of the object; slices are faster than methods
        or line[: len(frame)] != frame
        or line[-2:] != b"}}"
    ):
        return _unframed(line, kind)
    # nobody has seen it yet: to copy six fields into another one would take as long as to cache it
    _set(obj, "encoded", line)
    _set(obj, "offset", len(frame))
    return WatchEvent(type_, obj)


def _unframed(line: bytes, kind: str) -> WatchEvent:
    try:
        event = _any_event_decoder.decode(line)
    except _RUBBISH as error:
        raise DecodeError(f"not a watch event: {error}: {_excerpt(line)}") from error
    body = bytes(event.object)
    if event.type == ERROR:
        raise api_error_from_status(_decode_status(body))
    if event.type not in _OF_OBJECTS:
        raise UnknownEvent(f"watch event of unknown type {event.type[:40]!r}")
    bookmark = event.type == BOOKMARK
    return WatchEvent(event.type, _object(_scan(body), body, 0, kind, unnamed=bookmark))


def _scan(body: bytes) -> _Object:
    try:
        return _decode_object(body)
    except _RUBBISH as error:
        raise DecodeError(f"not an object: {error}: {_excerpt(body)}") from error


def _object(
    found: _Object, encoded: bytes, offset: int, kind: str = "", *, unnamed: bool = False
) -> KubeObject:
    meta = found.metadata
    if meta is None or found.kind == "Table":
        raise UnknownEvent(f"object of kind {found.kind[:40]!r} without metadata of its own")
    if kind and found.kind != kind and found.kind != _PARTIAL:
        raise UnknownEvent(f"object of kind {found.kind[:40]!r} instead of {kind}")
    if not meta.name and not unnamed:
        raise UnknownEvent(f"object without metadata.name: {_excerpt(encoded)}")
    return KubeObject(
        meta.namespace,
        meta.name,
        meta.uid,
        meta.resource_version,
        meta.generation,
        meta.deletion_timestamp or "",
        encoded,
        offset,
    )


def _decode_status(body: bytes) -> JsonObject:
    try:
        return _status_decoder.decode(body)
    except _RUBBISH as error:
        raise DecodeError(f"ERROR event without a status: {_excerpt(body)}") from error


def _excerpt(body: bytes) -> str:
    # JSON may hold a Secret from its first byte on; what is not JSON (a proxy's HTML) is telling
    if body.lstrip()[:1] in (b"{", b"["):
        return f"{len(body)} bytes of JSON"
    return f"{len(body)} bytes that begin {body[:_EXCERPT]!r}"
