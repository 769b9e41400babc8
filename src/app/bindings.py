"""Where this process found or made the server of each object: status is only a hint of it."""

from __future__ import annotations

from ..controller import ObjectKey
from .subject import Subject


class Bindings:
    """Backend and external name of each server that was looked at, by object."""

    def __init__(self) -> None:
        self._places: dict[ObjectKey, tuple[str, tuple[str, str]]] = {}

    def get(self, subject: Subject) -> tuple[str, str] | None:
        """Return backend and external name; None before the first look at this very object."""
        uid, place = self._places.get(subject.key, ("", None))
        return place if uid == subject.uid else None

    def remember(self, subject: Subject, place: tuple[str, str]) -> None:
        """Note where the server of an object is."""
        self._places[subject.key] = (subject.uid, place)

    def forget(self, key: ObjectKey) -> None:
        """Forget an object that is gone."""
        self._places.pop(key, None)
