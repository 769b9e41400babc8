"""Garbage collection and memory of a process that does nothing but run the controller.

The first lists allocate much and free nothing: collections then only stop the loop, for up to a
second at 50,000 objects. And glibc gives each thread a heap of its own, which never shrinks: a
login is tried in a thread, and a crowd of them would keep megabytes each. Nor does what a
connection had come back to the system by itself. Whoever embeds the operator decides this for
their own process.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
from asyncio import sslproto
from collections.abc import Callable
from typing import Final

THRESHOLDS: Final = (10_000, 20, 100)
"""Collect the young after 10,000 allocations instead of 700: a reconcile makes a few thousand,
nearly all of them freed by reference counts. The old ones are looked at a hundredth as often."""
_ARENA_MAX: Final = -8
"""glibc's name for the number of heaps in ``mallopt``."""
ARENAS: Final = 2
"""One for the event loop, and one that the threads share: they wait for the network."""
_MMAP_THRESHOLD: Final = -3
"""glibc's name for the bytes from which on memory is taken from the system by itself."""
MAPPED: Final = 128 * 1024
"""Its default, which grows with the first large block that is freed, unless it is set."""
TLS_BUFFER: Final = 32 * 1024
"""Bytes that each TLS connection of asyncio reads into, in place of 256 KB: two records of TLS.

There are as many as workers, and answers to them are short. Watches and lists have buffers of their
own.
"""

PAUSED_SECONDS: Final = 60.0
"""At most: where the caches do not get complete, garbage must not pile up."""
GIVE_BACK_SECONDS: Final = 10.0
"""glibc gives back by itself what is free at the end of its heap, and each version of an object
that a burst leaves behind is in the middle. To look takes milliseconds."""


def pause_collections() -> None:
    """Switch automatic collections off while the caches are filled, and limit what is held."""
    gc.disable()
    # before the first connection; where asyncio has no such attribute any more this does nothing
    sslproto.SSLProtocol.max_size = TLS_BUFFER
    with contextlib.suppress(OSError, AttributeError):  # another C library has neither
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, ARENAS)
        mallopt(_MMAP_THRESHOLD, MAPPED)


def resume_collections() -> None:
    """Take everything that exists now out of future collections, and switch them on again."""
    gc.collect()
    _give_back()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()


def tune_collector() -> Callable[[], None]:
    """Stop collections; return what starts them again when the caches are filled.

    From then on, memory that a burst took and left behind goes back to the system while the event
    loop runs.
    """
    pause_collections()
    loop = asyncio.get_running_loop()
    limit = loop.call_later(PAUSED_SECONDS, resume_collections)

    def started() -> None:
        limit.cancel()
        resume_collections()
        _keep_giving_back(loop)

    return started


def _keep_giving_back(loop: asyncio.AbstractEventLoop) -> None:
    _give_back()
    loop.call_later(GIVE_BACK_SECONDS, _keep_giving_back, loop)


def _give_back() -> None:
    with contextlib.suppress(OSError, AttributeError):  # another C library has no such function
        ctypes.CDLL(None).malloc_trim(0)
