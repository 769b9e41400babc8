"""What a lane looked like before, and an API server that still says so.

A replica of the API server can be behind (time travel): whoever starts anew and asks sees a world
that was, acts on it, and sees afterwards what has happened since.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from tests.faults.seam import Trace
from tests.fix_operator import DATABASES
from tests.proxy.streams import Broken, Lines

from hybridpg.controller import JsonObject, Resource

STALE_SECONDS: Final = 0.5
"""For so long a world that was is all there is: a pass takes a tenth of that."""
STIR_SECONDS: Final = 0.05
"""Less than what counts as quiet."""
INITIAL_END: Final = "k8s.io/initial-events-end"
T = TypeVar("T")
FIRST: Final = "first"
"""The world in which the user had not acted yet; the others have numbers, counted back."""
DELETING: Final = "deleting"
"""The last world in which a database was being deleted: its successor may be Ready by now."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the API server had of our kinds when something had just changed."""

    versions: dict[str, str]
    """The version of each kind's list, by plural."""
    objects: dict[tuple[str, str], JsonObject]

    def of(self, plural: str) -> list[JsonObject]:
        """Return the objects of a kind."""
        return [obj for (kind, _), obj in sorted(self.objects.items()) if kind == plural]


def earlier(versions: Sequence[T], back: str) -> T:
    """Return what was so many changes ago, or first; the first of all is the oldest there is."""
    return versions[0] if back == FIRST else versions[max(0, len(versions) - 1 - int(back))]


def shows_deletion(moment: Moment) -> bool:
    """Return whether a database is being deleted at a moment."""
    databases = moment.of(DATABASES.plural)
    return any("deletionTimestamp" in obj["metadata"] for obj in databases)


def world(moments: Sequence[Moment], back: str) -> Moment:
    """Return the moment of that name: a number counted back, or one of those above."""
    if back == DELETING:
        return next(filter(shows_deletion, reversed(moments)), moments[0])
    return earlier(moments, back)


@dataclass(frozen=True, slots=True)
class Former:
    """Begin a watch with the list of an earlier moment, and end it after a while.

    Whoever opens it again from where it stopped is told by the real API server of all that was
    missing: so it catches up.
    """

    trace: Trace
    kind: Resource
    moment: Callable[[], Moment]
    seconds: float = STALE_SECONDS

    async def perturb(self, lines: Lines) -> Lines:
        """Say what was; nothing of what the real watch says is passed on."""
        moment = self.moment()
        for obj in moment.of(self.kind.plural):
            yield _line("ADDED", obj)
        metadata = {
            "resourceVersion": moment.versions[self.kind.plural],
            "creationTimestamp": None,
            "annotations": {INITIAL_END: "true"},
        }
        named = {"kind": self.kind.kind, "apiVersion": self.kind.api_version}
        yield _line("BOOKMARK", {**named, "metadata": metadata})
        for _ in range(round(self.seconds / STIR_SECONDS)):
            self.trace.stir()  # it is not over while somebody is told of the past
            await asyncio.sleep(STIR_SECONDS)
        raise Broken(reset=False)


def _line(type_: str, obj: JsonObject) -> bytes:
    return json.dumps({"type": type_, "object": obj}, separators=(",", ":")).encode() + b"\n"
