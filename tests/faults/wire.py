"""The seam to PostgreSQL: a proxy in the protocol that knows each statement and perturbs any.

It ends TLS with the server's own certificate and key, so that clients verify it as they would the
server, and SCRAM with channel binding, which signs that certificate, passes through unchanged.
Where the admin logs in by certificate, the proxy does so in its place.

::

    async with WireSeam(trace) as seam:
        port = await seam.listen(Target("127.0.0.1", pg.port, certificate, key))
        strike = seam.arm(point, process)
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.faults.link import LOGIN, Ended, Gone, Link, Rule, Turn
from tests.faults.pgtls import Target, abort, dial, encrypted_startup
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
from tests.faults.sqlnames import PLACEHOLDER

LETTER = "S"
NOBODY = -1
SYSTEM = ("postgres", "template1")
"""Databases that every server has: the others' names differ from run to run."""
RESET_BEFORE, RESET_COMMITTED, HANG = "reset-before", "reset-committed", "hang-before"
ON_LOGINS = (RESET_BEFORE, HANG, "53300", "57P03")
ON_READS = (RESET_BEFORE, HANG, "57P01")
ON_WRITES = (
    *(RESET_BEFORE, RESET_COMMITTED, HANG),
    *("57P01", "55006", "42501", "40001", "25006"),
)


class WireSeam:
    """Proxies before any number of servers; they end with the seam.

    ``aliases`` stand for the names of users and databases that are told apart; of all others it is
    only said that there is one.
    """

    letter = LETTER

    def __init__(self, trace: Trace, aliases: Mapping[str, str] | None = None) -> None:
        self.trace = trace
        self.child_of: Callable[[tuple[int, int]], int] | None = None
        """Tells from a client's port and ours which process it is, where several work."""
        self.healed = asyncio.Event()
        """Set when what hangs has to end."""
        self._aliases = {**{name: name for name in SYSTEM}, **(aliases or {})}
        self.unheard = 0
        """The process whose calls nobody waits for, as it stands still; 0: none."""
        self._opening: Counter[int] = Counter()
        self._rules: dict[Call, Rule] = {}
        self._links: set[Link] = set()
        self._listeners: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Begin; :meth:`listen` opens ports."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Reset what is open and stop listening."""
        for listener in self._listeners:
            listener.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self, target: Target, *, host: str = "127.0.0.1", port: int = 0) -> int:
        """Open a port that leads to a server and return it."""
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(target.certificate, target.key)

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await self._serve(reader, writer, served, target)
            except asyncio.CancelledError:
                abort(writer)
            finally:
                self._tasks.discard(task)

        listener = await asyncio.start_server(accept, host, port)
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    def faults(self, seen: Seen) -> Sequence[Fault]:
        """Return what can go wrong at a call of a clean run."""
        if seen.call.verb == LOGIN:
            return tuple(Fault(ERROR, kind) for kind in ON_LOGINS)
        if not seen.writes:
            return (CRASH_COMMITTED, *(Fault(ERROR, kind) for kind in ON_READS))
        return (CRASH_BEFORE, CRASH_COMMITTED, *(Fault(ERROR, kind) for kind in ON_WRITES))

    def arm(self, point: Point, process: Process) -> Strike:
        """Let the point's fault happen once, when its call comes."""
        strike = Strike(point)
        act = _act(point.fault, process)

        async def rule(turn: Turn) -> None:
            strike.hit()
            await act(turn)

        self.at(point.call, rule)
        return strike

    def at(self, call: Call, rule: Rule) -> None:
        """Let a rule handle a call when it comes."""
        self._rules[call] = rule

    def clear(self) -> None:
        """Let all go well from now on, and end what hangs."""
        self._rules.clear()
        self.healed.set()
        self.healed = asyncio.Event()

    def break_all(self) -> None:
        """Reset every connection, as a server does that crashes."""
        for link in tuple(self._links):
            link.abort()

    @property
    def waited_for(self) -> int:
        """How many calls have no answer yet."""
        opening = sum(self._opening.values()) - self._opening[self.unheard or NOBODY]
        return opening + sum(
            link.waits for link in self._links if not self.unheard or link.child != self.unheard
        )

    def alias(self, name: str) -> str:
        """Return what a user or database is called in identities."""
        return self._aliases.get(name, PLACEHOLDER)

    def note(self, link: Link, verb: str, words: str, *, writes: bool, destroys: bool) -> Seen:
        """Tell the trace of a call."""
        seen = self.trace.note(
            LETTER, verb, f"{link.place} {words}", writes=writes, destroys=destroys
        )
        if self.child_of is not None:
            seen.child = link.child
        return seen

    async def handle(self, turn: Turn) -> None:
        """Let a call through, or a rule strike it."""
        rule = self._rules.pop(turn.seen.call, None)
        if rule is None:
            turn.forward()
        else:
            await rule(turn)

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        served: ssl.SSLContext,
        target: Target,
    ) -> None:
        link = None
        child = 0
        if self.child_of is not None:
            theirs, ours = (writer.get_extra_info(name)[1] for name in ("peername", "sockname"))
            child = self.child_of((theirs, ours))
        try:
            self._opening[child] += 1
            try:
                startup = await encrypted_startup(reader, writer, served)
                far = await dial(target)
            finally:
                self._opening[child] -= 1
            link = Link(self, (reader, writer), far, child)
            self._links.add(link)
            await link.run(startup)
        except Ended:
            writer.close()
        except (OSError, EOFError, ssl.SSLError, Gone):
            abort(writer)
        finally:
            if link is not None:
                self._links.discard(link)
                link.close()
            writer.close()


def _act(fault: Fault, process: Process) -> Rule:
    """Return what a fault does to its call."""

    async def crash(turn: Turn) -> None:
        if fault == CRASH_COMMITTED:
            await turn.commit()
        process.kill()
        turn.reset()

    async def fail(turn: Turn) -> None:
        if fault.kind == RESET_COMMITTED:
            await turn.commit()
        elif fault.kind == HANG:
            await turn.stall()
        elif fault.kind != RESET_BEFORE:
            turn.refuse(fault.kind)
            return
        turn.reset()

    return crash if fault.group == CRASH else fail


__all__ = ["LETTER", "LOGIN", "Link", "Rule", "Target", "Turn", "WireSeam", "abort"]
