"""Reads the few objects that kubectl sends as protobuf: ``create secret``, ``configmap``, ``ns``.

Those commands know no other form. Answers are JSON all the same: they accept it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..types import JsonObject

MEDIA: Final = "application/vnd.kubernetes.protobuf"
MAGIC: Final = b"k8s\x00"

_Field = tuple[str, Callable[[Any], Any], bool]
"""JSON name, conversion of the raw value, and whether it is an entry of a map."""


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and raw value of every field of a message."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        if tag & 7 == 0:
            value, at = _varint(raw, at)
            yield tag >> 3, value
        elif tag & 7 == 2:
            size, at = _varint(raw, at)
            if at + size > len(raw):
                raise ValueError("unexpected EOF")
            yield tag >> 3, raw[at : at + size]
            at += size
        else:
            raise ValueError(f"proto: illegal wireType {tag & 7}")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(raw):
        byte = raw[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if not byte & 128:
            return value, at
    raise ValueError("unexpected EOF")


def _text(raw: bytes) -> str:
    return raw.decode()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _message(fields: dict[int, _Field]) -> Callable[[bytes], JsonObject]:
    def decode(raw: bytes) -> JsonObject:
        decoded: JsonObject = {}
        for number, value in _fields(raw):
            name, convert, in_map = fields.get(number, ("", _text, False))
            if in_map:
                entry = dict(_fields(value))
                decoded.setdefault(name, {})[_text(entry.get(1, b""))] = convert(entry.get(2, b""))
            elif name and value != b"":
                decoded[name] = convert(value)
        return decoded

    return decode


_META: Final = _message(
    {
        1: ("name", _text, False),
        2: ("generateName", _text, False),
        3: ("namespace", _text, False),
        11: ("labels", _text, True),
        12: ("annotations", _text, True),
    }
)
_KINDS: Final = {
    "Namespace": _message({1: ("metadata", _META, False)}),
    "Secret": _message(
        {
            1: ("metadata", _META, False),
            2: ("data", _base64, True),
            3: ("type", _text, False),
            4: ("stringData", _text, True),
            5: ("immutable", bool, False),
        }
    ),
    "ConfigMap": _message(
        {
            1: ("metadata", _META, False),
            2: ("data", _text, True),
            3: ("binaryData", _base64, True),
            4: ("immutable", bool, False),
        }
    ),
}
_TYPE: Final = _message({1: ("apiVersion", _text, False), 2: ("kind", _text, False)})


def decode(body: bytes) -> JsonObject:
    """Decode an object with its envelope.

    Errors: ValueError for what does not parse and for kinds that are not known here.
    """
    if not body.startswith(MAGIC):
        raise ValueError("provided data does not appear to be a protobuf message")
    envelope = dict(_fields(body[len(MAGIC) :]))
    type_meta = _TYPE(envelope.get(1, b""))
    decode_kind = _KINDS.get(type_meta.get("kind", ""))
    if decode_kind is None:
        raise ValueError(f"kind {type_meta.get('kind', '')!r} is not understood as protobuf")
    return {**type_meta, **decode_kind(envelope.get(2, b""))}
