"""The seam to the programs that make and start servers: each run is a call, and may be struck.

The backend ``local`` is told of a folder with scripts in the place of PostgreSQL's own programs.
A script asks here before it runs the real one, and tells here how that ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.seam import (
    CRASH,
    CRASH_BEFORE,
    CRASH_COMMITTED,
    ERROR,
    Call,
    Fault,
    Point,
    Process,
    Seen,
    Strike,
    Trace,
)

LETTER = "P"
CRASH_DURING = Fault(CRASH, "during")
"""The controller dies while the program runs, which goes on."""
FAILS = Fault(ERROR, "fails")
"""The program does nothing and says that it failed, and once more when it is tried again."""
FAILS_COMMITTED = Fault(ERROR, "fails-committed")
"""The program does its work, and says that it failed."""
PROGRAMS = ("initdb", "pg_ctl", "postgres")
FAILED = "1"
_SCRIPT = """#!/bin/bash
case "$1" in --version|--describe-config) exec {real} "$@" ;; esac
exec 3<>/dev/tcp/127.0.0.1/{port} || exit 1
echo {name} >&3
read -r answer <&3
if [ "$answer" != go ]; then echo "FATAL:  scripted by the fault harness"; exit 1; fi
{real} "$@" 3>&-
echo $? >&3
read -r answer <&3
exit "$answer"
"""


class ProgramSeam:
    """Runs programs for one controller; ``folder`` is where its scripts are."""

    letter = LETTER

    def __init__(self, trace: Trace, real: Path, folder: Path) -> None:
        self.trace = trace
        self.folder = folder
        self._real = real
        self._running = 0
        self._strikes: dict[Call, tuple[Strike, Process]] = {}
        self._failing: set[Call] = set()

    async def __aenter__(self) -> Self:
        """Listen, and write the scripts."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        for name in PROGRAMS:
            script = self.folder / name
            script.write_text(_SCRIPT.format(real=self._real / name, name=name, port=port))
            script.chmod(0o755)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self._server.close()

    @property
    def waited_for(self) -> int:
        """How many programs run."""
        return self._running

    def faults(self, seen: Seen) -> Sequence[Fault]:
        """Return what can go wrong at a run."""
        return (CRASH_BEFORE, CRASH_DURING, CRASH_COMMITTED, FAILS, FAILS_COMMITTED)

    def arm(self, point: Point, process: Process) -> Strike:
        """Let the fault happen when its run comes."""
        strike = Strike(point)
        self._strikes[point.call] = (strike, process)
        if point.fault == FAILS:
            self._failing.add(replace(point.call, occurrence=point.call.occurrence + 1))
        return strike

    def clear(self) -> None:
        """Let all go well."""
        self._strikes.clear()
        self._failing.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._running += 1
        try:
            await self._run(reader, writer)
        except (EOFError, ConnectionError):
            return  # somebody ended the program
        finally:
            self._running -= 1
            self.trace.stir()
            writer.close()

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readuntil()).decode().strip()
        seen = self.trace.note(LETTER, "RUN", name, writes=name != "postgres")
        strike, process = self._strikes.pop(seen.call, (None, None))
        if seen.call in self._failing:
            seen.answer = FAILED
            return
        fault = None
        if strike is not None and process is not None:
            strike.hit()
            fault = strike.point.fault
            if fault in (CRASH_BEFORE, FAILS):
                seen.answer = FAILED
                if fault == CRASH_BEFORE:
                    process.kill()
                return
            if fault == CRASH_DURING:
                writer.write(b"go\n")
                await writer.drain()
                process.kill()
        if fault != CRASH_DURING:
            writer.write(b"go\n")
        code = (await reader.readuntil()).decode().strip()
        seen.answer = FAILED if fault == FAILS_COMMITTED else code
        if fault == CRASH_COMMITTED and process is not None:
            process.kill()
        writer.write(f"{seen.answer}\n".encode())
        await writer.drain()


__all__ = ["LETTER", "ProgramSeam"]
