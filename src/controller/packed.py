"""Keeps cached objects compressed: a third of the memory, for some microseconds a decode.

Objects of one kind say nearly the same in nearly the same words, so each is compressed with one of
its own kind as the dictionary. Which one that is, is found on the way: an object that does not
compress well is not like those before, and those that follow are likely to be like it.
"""

from __future__ import annotations

import sys
import zlib
from typing import Final

from .types import KubeObject

WINDOW_BITS: Final = 12
"""A dictionary of 4 KB, and as little to set up for each object."""
MEMORY_LEVEL: Final = 5
"""Of zlib's hash tables: with the window some 48 KB, which are taken for each object."""
WINDOW: Final = 1 << WINDOW_BITS
POOR: Final = 0.4
"""An object that takes more than that of its size is not like the dictionary."""
PATIENCE: Final = 64
"""Objects between two dictionaries: where all are different, none would be worth keeping."""


class PackedObject(KubeObject, frozen=True, gc=False):
    """An object whose bytes are compressed; it reads like any other."""

    dictionary: bytes = b""

    @property
    def raw(self) -> bytes:
        """The JSON of the object alone."""
        unpacker = zlib.decompressobj(-WINDOW_BITS, self.dictionary)
        return unpacker.decompress(self.encoded) + unpacker.flush()

    @property
    def view(self) -> memoryview:
        """The JSON of the object alone; for a decoder."""
        return memoryview(self.raw)


class Packing:
    """A :data:`~.transforms.Transform` that compresses; each informer wants one of its own.

    It is not done unasked: to compress takes some ten times as long as to decode an event, and
    each ``decode`` takes half as long again. Use it where thousands of objects are held, and looked
    at now and then.
    """

    def __init__(self) -> None:
        self._dictionary = b""
        # objects until the next dictionary may be taken
        self._patience = 0

    def __call__(self, obj: KubeObject) -> KubeObject:
        """Return the object, compressed if that makes it smaller."""
        if isinstance(obj, PackedObject):
            return obj
        raw, dictionary = obj.raw, self._dictionary
        packed = _pack(raw, dictionary)
        self._patience -= 1
        if len(packed) > POOR * len(raw) and self._patience < 0:
            self._dictionary, self._patience = raw[-WINDOW:], PATIENCE
        if len(packed) >= len(raw):
            return obj
        return PackedObject(
            sys.intern(obj.namespace),
            obj.name,
            obj.uid,
            obj.resource_version,
            obj.generation,
            obj.deletion_timestamp,
            packed,
            0,
            dictionary,
        )


def _pack(raw: bytes, dictionary: bytes) -> bytes:
    packer = zlib.compressobj(
        zlib.Z_BEST_SPEED, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL, zdict=dictionary
    )
    return packer.compress(raw) + packer.flush()
