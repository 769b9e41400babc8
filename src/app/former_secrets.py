"""The Secrets of former names of ``credentialsSecret``: cleared away, or named while they stay.

The right to delete Secrets is needed for nothing else, so many controllers lack it. What is
refused is refused to the next pass as well: it is asked again when the user touched the object,
who may have granted the right, and otherwise ever more rarely.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..backends import Denied
from ..controller import ObjectKey
from .errors import SecretConflict
from .secrets import SecretStore
from .subject import Subject

REFUSED_SECONDS: Final = (3600.0, 86400.0)
"""Until what was refused is tried again by itself, at first and at most; doubles in between."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    why: str
    touched: tuple[Any, ...]
    """What users change of the object, as it was: our own writes of status are not among it."""
    until: float
    pause: float


class FormerSecrets:
    """Deletes them, and remembers by object and name what it may not; a restart tries again."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store
        self._refused: dict[ObjectKey, dict[str, _Refusal]] = {}

    async def clear_away(self, subject: Subject, names: Sequence[str]) -> dict[str, str]:
        """Delete those of ``names`` that are ours; return which stay, each with the reason."""
        before = self._refused.pop(subject.key, {})
        after = {}
        for name in names:
            refusal = await self._try(subject, name, before.get(name))
            if refusal is not None:
                after[name] = refusal
        if after:
            self._refused[subject.key] = after
        return {name: refusal.why for name, refusal in after.items()}

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an object that is gone."""
        self._refused.pop(key, None)

    async def _try(self, subject: Subject, name: str, last: _Refusal | None) -> _Refusal | None:
        """Delete one unless that was refused lately; None where nothing of ours has the name."""
        now, touched = asyncio.get_running_loop().time(), _touched(subject)
        known = last is not None and last.touched == touched
        if last is not None and known and now < last.until:
            return last
        try:
            await self._remove(subject, name)
        except Denied as error:
            first, longest = REFUSED_SECONDS
            pause = min(2 * last.pause, longest) if last is not None and known else first
            why = f"former secret {name} stays; delete it by hand, or grant the right: {error}"
            return _Refusal(why, touched, now + pause, pause)
        return None

    async def _remove(self, subject: Subject, name: str) -> None:
        try:
            former = await self._store.read(subject, name)
        except SecretConflict:
            return  # the name belongs to somebody else by now
        if former is not None:
            await self._store.remove_renamed(subject, former)


def _touched(subject: Subject) -> tuple[Any, ...]:
    metadata = subject.obj["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return subject.uid, subject.generation, labels, annotations
