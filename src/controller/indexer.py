"""Index functions over a store: which objects belong to a value."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

from ._contain import FAILURES
from .types import KubeObject, ObjectKey

logger = logging.getLogger(__name__)

IndexFunction = Callable[[KubeObject], Iterable[str]]
"""Maps an object to any number of values, an owner's name for example."""

_NONE: Final[tuple[str, ...]] = ()


class Index:
    """The objects by value of one index function.

    The values of an object are remembered, not computed again when it goes: a function usually
    decodes the object, and one that answers differently the second time must not leave a trace.
    Keys are held as text: the garbage collector would look at every named tuple again and again.
    """

    def __init__(self, name: str, function: IndexFunction) -> None:
        self._name = name
        self._function = function
        # the objects of each value by key, in order of arrival; never holds an empty dict
        self._objects: dict[str, dict[str, KubeObject]] = {}
        # the values of each key; only keys that have any
        self._values: dict[str, tuple[str, ...]] = {}

    def objects(self, value: str) -> list[KubeObject]:
        """Return the objects that have this value."""
        return list(self._objects.get(value, {}).values())

    def put(self, obj: KubeObject) -> None:
        """Take an object in, in place of any other of its key."""
        key = str(obj.key)
        values = self._compute(obj)
        if values != self._values.get(key, _NONE):
            self._drop(key)
            if values:
                self._values[key] = values
        for value in values:
            self._objects.setdefault(value, {})[key] = obj

    def remove(self, key: ObjectKey) -> None:
        """Take an object out; nothing of it remains, not even its empty values."""
        self._drop(str(key))

    def _drop(self, key: str) -> None:
        for value in self._values.pop(key, _NONE):
            objects = self._objects[value]
            del objects[key]
            if not objects:
                del self._objects[value]

    def _compute(self, obj: KubeObject) -> tuple[str, ...]:
        # a function that fails on one object must not stop the cache of all others
        try:
            return tuple(dict.fromkeys(self._function(obj)))
        except FAILURES:
            logger.exception("index %s failed on %s, which is left out of it", self._name, obj.key)
            return _NONE
