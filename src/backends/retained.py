"""What outlived its object: found by the marks alone, so also where Kubernetes knows nothing more.

A backend that can tell has :meth:`KeepsThings.retained`; it is no part of the protocol that every
backend has to fill.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from .values import Owner


@dataclass(frozen=True, slots=True)
class Retained:
    """One thing that was kept: ``owner`` is the object that it was made for, ``place`` where it is.

    A snapshot is no longer a server: it is not taken over by an annotation.
    """

    kind: Literal["server", "database", "snapshot"]
    external_name: str
    owner: Owner
    place: str


@dataclass(frozen=True, slots=True)
class RetainedThings:
    """What was found, and for each place that could not be asked why not."""

    found: tuple[Retained, ...] = ()
    problems: tuple[str, ...] = field(default=())

    def __add__(self, other: RetainedThings) -> RetainedThings:
        """Return both together."""
        return RetainedThings(self.found + other.found, self.problems + other.problems)


@runtime_checkable
class KeepsThings(Protocol):
    """A backend that can list what it keeps for objects that are gone."""

    async def retained(self) -> RetainedThings:
        """Read the marks of everything that the backend reaches; writes nothing."""
        ...
