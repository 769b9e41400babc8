"""Ending the processes of a server, ever less politely, until nothing of it is left.

Two sets of processes on one data folder would destroy it, so whatever still works there is ended
before a server is started, moved or removed. None of it needs the programs of PostgreSQL.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from ..errors import Unknown
from .layout import Home
from .process import postmaster, send, working_below

POLL = 0.05  # seconds; a stop takes some tens of milliseconds
LEFTOVER_SECONDS = 2.0  # a backend sees the end of its postmaster within a second

# How a server is asked to stop, and for how long each time: first its clients are thrown out and
# a checkpoint is written, then it stops without one, then the kernel stops it.
STOPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))


async def stop(home: Home) -> None:
    """Stop a server; nothing to do where it does not run."""
    for number, seconds in STOPS:
        process = postmaster(home.data)
        if process is None:
            break
        send(process.pid, number, home.data)
        await until(lambda: postmaster(home.data) is None, seconds)
    if not await end_leftovers(home):
        raise Unknown(f"server {home.root.name} started while it was stopped")


async def end_leftovers(home: Home) -> bool:
    """End what a killed postmaster left behind; False where there is a new postmaster.

    Backends end by themselves when their postmaster is gone, unless they are in the middle of a
    long computation.
    """

    def settled() -> bool:
        return postmaster(home.data) is not None or not working_below(home.data)

    for number in (None, signal.SIGQUIT, signal.SIGKILL):
        if number is not None:
            _signal(home.root, number)
        if await until(settled, LEFTOVER_SECONDS):
            if postmaster(home.data) is not None:
                return False
            # it may name a number that another process has by now
            (home.data / "postmaster.pid").unlink(missing_ok=True)
            return True
    raise Unknown(f"processes of server {home.root.name} cannot be ended")


async def kill_below(folder: Path) -> None:
    """Kill what works below a folder, such as the initdb of a controller that died."""
    _signal(folder, signal.SIGKILL)
    if not await until(lambda: not working_below(folder), LEFTOVER_SECONDS):
        raise Unknown(f"processes in {folder} cannot be ended")


def _signal(folder: Path, number: signal.Signals) -> None:
    for pid in working_below(folder):
        send(pid, number, folder)


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look until ``condition`` holds, for at most ``seconds``; return whether it does."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        if loop.time() > end:
            return False
        await asyncio.sleep(POLL)
    return True
