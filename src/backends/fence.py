"""Asked right before each call to the outside, because a controller may have been replaced.

A process that was stopped for a while goes on where it was, and by then another one may have done
its work: a statement that it sends now could undo that. Requests to the API server are refused on
their own; everything else that changes the world asks here first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Fence: TypeAlias = Callable[[str], None]
"""Takes what is about to be done and raises unless this process may do it still.

What it raises is no error of a backend: it ends the process, so nobody here catches it.
"""


def no_fence(what: str) -> None:
    """Allow everything: where there is no second controller, or in a plan that changes nothing."""
