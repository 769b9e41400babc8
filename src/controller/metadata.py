"""Labels, annotations, finalizers and owners of a cached object, decoded when they are asked for.

The cache decodes only what everything needs. Predicates and owner mapping need more, for some kinds
and only on changes: one more scan of the bytes is cheaper than keeping all of it for every object.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from .errors import DecodeError
from .types import KubeObject, OwnerReference


class Metadata(NamedTuple):
    """The part of ``metadata`` that the cache does not decode."""

    labels: dict[str, str]
    annotations: dict[str, str]
    finalizers: tuple[str, ...]
    owners: tuple[OwnerReference, ...]


class _Owner(msgspec.Struct, gc=False, rename="camel"):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class _Meta(msgspec.Struct, gc=False, rename="camel"):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: tuple[str, ...] | None = None
    owner_references: tuple[_Owner, ...] | None = None


class _Object(msgspec.Struct, gc=False):
    metadata: _Meta


_decoder: Final = msgspec.json.Decoder(_Object)


def metadata_of(obj: KubeObject) -> Metadata:
    """Decode labels, annotations, finalizers and owner references.

    Errors: :class:`~.errors.DecodeError` where one of them is not of its type.
    """
    try:
        meta = _decoder.decode(obj.view).metadata
    except msgspec.MsgspecError as error:
        raise DecodeError(f"metadata of {obj.key} cannot be read: {error}") from error
    return Metadata(
        meta.labels or {},
        meta.annotations or {},
        meta.finalizers or (),
        tuple(
            OwnerReference(
                owner.api_version, owner.kind, owner.name, owner.uid, bool(owner.controller)
            )
            for owner in meta.owner_references or ()
        ),
    )
