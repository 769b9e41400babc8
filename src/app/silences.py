"""Since when deletions have waited for a server that gives no answer, in memory."""

from __future__ import annotations

import asyncio
from typing import Final

from ..controller import ObjectKey
from .subject import Subject

LONG_SECONDS: Final = 300.0
"""From then on what is to stay is let go unmarked: a restart or a failover takes less."""


class Silences:
    """When each deletion found no answer first, by object; a restart counts anew."""

    def __init__(self) -> None:
        self._since: dict[ObjectKey, tuple[str, float]] = {}

    def lasts(self, subject: Subject) -> bool:
        """Note that there is no answer; return whether there has been none for long."""
        now = asyncio.get_running_loop().time()
        uid, since = self._since.get(subject.key, (subject.uid, now))
        if uid != subject.uid:
            since = now
        self._since[subject.key] = (subject.uid, since)
        return now - since >= LONG_SECONDS

    def forget(self, key: ObjectKey) -> None:
        """Note that there was an answer, or that the object is gone."""
        self._since.pop(key, None)
