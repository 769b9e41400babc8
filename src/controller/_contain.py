"""What a function of somebody else's may raise without harm to the cache that calls it."""

from __future__ import annotations

import asyncio
from typing import Final

FAILURES: Final = (Exception, asyncio.CancelledError)
"""Of a function that awaits nothing, a cancellation is never ours: it comes from the result of a
task that was cancelled, for example. Let through, it would end the watch without a word."""
