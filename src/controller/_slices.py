"""Cuts long work into slices, so that whoever does it can let others run between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

T = TypeVar("T")

SLICE: Final = 250
"""Items between two turns of the event loop: 10 ms where each costs 40 microseconds, which is what
an index or a handler needs that decodes a whole object several times."""


def slices(items: Iterable[T], size: int = SLICE) -> Iterator[list[T]]:
    """Yield the items in lists of ``size``, read one list ahead at most."""
    source = iter(items)
    while found := list(islice(source, size)):
        yield found
