"""Changes objects before they are cached: what nobody reads need not be kept.

A transform sees every object of lists and watches. It answers with one of the same identity and
``resourceVersion``, made by :func:`~.decode.decode_object` from the bytes that are to be kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from ._contain import FAILURES
from .decode import decode_object
from .errors import ControllerError
from .types import KubeObject

logger = logging.getLogger(__name__)

Transform = Callable[[KubeObject], KubeObject]
"""Synchronous, without side effects, and the same whether it is applied once or twice."""

_FIELD: Final = b'"managedFields":'
_COMMA: Final = b","


class _Meta(msgspec.Struct, gc=False):
    managed_fields: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="managedFields")


class _Object(msgspec.Struct, gc=False):
    metadata: _Meta


_decoder: Final = msgspec.json.Decoder(_Object)


def drop_managed_fields(obj: KubeObject) -> KubeObject:
    """Cut ``metadata.managedFields`` out: a third of an object, and of use to the server alone.

    It is not done unasked: the copy costs as much as decoding the event. Use it where memory counts
    for more than the processor, or where objects have many managers.
    """
    found = bytes(_decoder.decode(obj.view).metadata.managed_fields)
    if not found:
        return obj
    body = obj.raw
    # In a string the quotes would be escaped, so only keys can match. Another key of that name may
    # be elsewhere in the object, even with the same value: then nothing is cut.
    if body.count(_FIELD) != 1 or body.count(_FIELD + found) != 1:
        return obj
    begin = body.index(_FIELD)
    end = begin + len(_FIELD) + len(found)
    if body.startswith(_COMMA, begin - 1):
        begin -= 1
    elif body.startswith(_COMMA, end):
        end += 1
    return decode_object(body[:begin] + body[end:])


def transformed(transform: Transform, obj: KubeObject) -> KubeObject:
    """Apply a transform; an object on which it fails stays as it was.

    An object that were left out instead would look absent, which is worse than one too large.
    """
    try:
        kept = transform(obj)
        if _identity(kept) != _identity(obj):
            # its deletion would not find it, or its next change would look like the same state
            raise ControllerError(
                f"the transform made {kept.key} of it, version {kept.resource_version!r}: keep "
                "name, namespace, UID and resourceVersion"
            )
        return kept
    except FAILURES:
        logger.exception("transform failed on %s, which is cached as it came", obj.key)
        return obj


def _identity(obj: KubeObject) -> tuple[str, ...]:
    return obj.namespace, obj.name, obj.uid, obj.resource_version
