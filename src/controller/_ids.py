"""The ids of reconcile runs: unique in the logs of all processes, and cheap."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from typing import Final

_LAST_DIGITS: Final = tuple(f"{number:03x}" for number in range(4096))


def unique_ids() -> Iterator[str]:
    """Yield ids without end; to join two strings takes half the time that formatting one does."""
    prefix = secrets.token_hex(4)
    return itertools.chain.from_iterable(
        map(f"{prefix}-{block:x}".__add__, _LAST_DIGITS) for block in itertools.count()
    )
