"""Index functions over a store: which objects belong to a value."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

from .types import KubeObject, ObjectKey

logger = logging.getLogger(__name__)

IndexFunction = Callable[[KubeObject], Iterable[str]]
"""Maps an object to any number of values, an owner's name for example."""

_NONE: Final[tuple[str, ...]] = ()


class Index:
    """The keys by value of one index function.

    The values of an object are remembered, not computed again when it goes: a function usually
    decodes the object, and one that answers differently the second time must not leave a trace.
    """

    def __init__(self, name: str, function: IndexFunction) -> None:
        self._name = name
        self._function = function
        # the keys of each value in order of arrival; never holds an empty dict
        self._keys: dict[str, dict[ObjectKey, None]] = {}
        # the values of each key; only keys that have any
        self._values: dict[ObjectKey, tuple[str, ...]] = {}

    def keys(self, value: str) -> list[ObjectKey]:
        """Return the keys of the objects that have this value."""
        return list(self._keys.get(value, ()))

    def put(self, key: ObjectKey, obj: KubeObject) -> None:
        """Take an object in, in place of any other of that key."""
        values = self._compute(obj)
        if values == self._values.get(key, _NONE):
            return
        self.remove(key)
        if values:
            self._values[key] = values
        for value in values:
            self._keys.setdefault(value, {})[key] = None

    def remove(self, key: ObjectKey) -> None:
        """Take an object out; nothing of it remains, not even its empty values."""
        for value in self._values.pop(key, _NONE):
            keys = self._keys[value]
            del keys[key]
            if not keys:
                del self._keys[value]

    def _compute(self, obj: KubeObject) -> tuple[str, ...]:
        # a function that fails on one object must not stop the cache of all others
        try:
            return tuple(dict.fromkeys(self._function(obj)))
        except Exception:
            logger.exception("index %s failed on %s, which is left out of it", self._name, obj.key)
            return _NONE
