"""One connection of a client to PostgreSQL: its calls are told apart, and each may be struck."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from tests.faults.pgtls import Streams, abort
from tests.faults.pgwire import (
    CANCEL_REQUEST,
    FAILED,
    FATAL_STATES,
    FOLLOWED,
    GOODBYE,
    READY,
    TURN_ENDS,
    Message,
    Startup,
    Statements,
    read_message,
    refusal,
    state_of,
)
from tests.faults.seam import Seen
from tests.faults.sqlnames import PLACEHOLDER, named

LOGIN = "LOGIN"
GATHERED_BYTES = 65_536
DONE = "done"
"""How a call was answered that met no error."""


class Gone(Exception):
    """The connection is broken on purpose."""


class Ended(Exception):
    """The connection ends in order, once all was said."""


class Turn:
    """One call of a client under a rule, which may do what it likes with it.

    Nothing was sent further when the rule gets it; a rule that only returns has lost the call.
    """

    def __init__(self, link: Link, seen: Seen, sent: bytes) -> None:
        self._link = link
        self._sent = sent
        self.seen = seen

    def forward(self) -> None:
        """Send it to the server, and let the answer through."""
        self._link.send(self.seen, self._sent)

    async def commit(self) -> None:
        """Send it to the server and keep the answer back once it is complete."""
        self._link.keep()
        self.forward()
        await self._link.answered()

    def release(self) -> None:
        """Give the client the answer that was kept back."""
        self._link.release()

    def refuse(self, state: str) -> None:
        """Answer in the place of the server."""
        self.seen.answer = state
        self._link.say(refusal(state))
        if state in FATAL_STATES:
            raise Ended

    def reset(self) -> None:
        """Break the connection by a reset."""
        raise Gone

    async def stall(self) -> None:
        """Say nothing until the client has gone, or all goes well again; the connection breaks."""
        await self._link.stall()
        raise Gone


Rule = Callable[[Turn], Awaitable[None]]
"""What happens to a call."""


class Overseer(Protocol):
    """Who is told of each call, and decides what becomes of it."""

    healed: asyncio.Event
    """Set when what hangs has to end."""

    def alias(self, name: str) -> str:
        """Return what a user or database is called in identities."""
        ...

    def note(self, link: Link, verb: str, words: str, *, writes: bool, destroys: bool) -> Seen:
        """Take note of a call."""
        ...

    async def handle(self, turn: Turn) -> None:
        """Let a call through, or do something else with it."""
        ...


class Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, seam: Overseer, near: Streams, far: Streams, child: int) -> None:
        self.seam = seam
        self.child = child
        self.place = PLACEHOLDER
        """What the database is called."""
        self._near_reader, self._near = near
        self._far_reader, self._far = far
        self._waiting: list[Seen] = []
        self._stalled = False
        # answers while they are kept back
        self._kept: list[bytes] | None = None
        self._answered = asyncio.Event()

    async def run(self, startup: Startup) -> None:
        """Pass messages on until either end has gone."""
        if startup.code == CANCEL_REQUEST:
            self._far.write(startup.raw)
            await self._far.drain()
            return
        answers = asyncio.create_task(self._pass_answers())
        calls = asyncio.create_task(self._pass_calls(startup))
        try:
            await asyncio.wait((answers, calls), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answers, calls):
                task.cancel()
            results = await asyncio.gather(answers, calls, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    @property
    def waits(self) -> int:
        """How many calls the client made whose answers are not complete."""
        return len(self._waiting) + self._stalled

    def send(self, seen: Seen, sent: bytes) -> None:
        """Send a call to the server."""
        self._waiting.append(seen)
        self._far.write(sent)

    def say(self, answer: bytes) -> None:
        """Say something to the client."""
        self._near.write(answer)

    def keep(self) -> None:
        """Keep answers back from now on."""
        self._kept = []
        self._answered.clear()

    async def answered(self) -> None:
        """Wait until an answer that is kept back is complete."""
        await self._answered.wait()

    def release(self) -> None:
        """Say what was kept back, and keep nothing any more."""
        kept, self._kept = self._kept or [], None
        self._near.write(b"".join(kept))

    async def stall(self) -> None:
        """Leave a call without an answer until the client has gone, or what hangs has to end."""
        self._stalled = True
        ends = (
            asyncio.create_task(self.seam.healed.wait()),
            asyncio.create_task(self._near_reader.read()),
        )
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stalled = False
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    def abort(self) -> None:
        """Break both connections."""
        abort(self._near)
        abort(self._far)

    def close(self) -> None:
        """End the connection to the server."""
        self._far.close()

    async def _pass_calls(self, startup: Startup) -> None:
        parameters = startup.parameters
        user = parameters["user"]
        self.place = self.seam.alias(parameters.get("database", user))
        words = self.seam.alias(user)
        seen = self.seam.note(self, LOGIN, words, writes=False, destroys=False)
        await self.seam.handle(Turn(self, seen, startup.raw))
        statements, sent = Statements(), b""
        while True:
            message = await read_message(self._near_reader)
            sent += message.raw
            statements.take(message)
            if message.kind in TURN_ENDS:
                await self._call(statements.turn(), sent)
                sent = b""
            elif message.kind in (b"p", GOODBYE):  # a part of the login; the end
                self._far.write(sent)
                sent = b""
            await self._far.drain()

    async def _call(self, text: str, sent: bytes) -> None:
        name = named(text)
        seen = self.seam.note(
            self, name.verb, name.words, writes=name.writes, destroys=name.destroys
        )
        await self.seam.handle(Turn(self, seen, sent))

    async def _pass_answers(self) -> None:
        gathered = bytearray()  # to send each of hundreds of rows costs more than all else
        try:
            while True:
                message = await read_message(self._far_reader)
                self._take(message)
                if self._kept is not None:
                    continue
                gathered += message.raw
                if message.kind not in FOLLOWED or len(gathered) > GATHERED_BYTES:
                    self._near.write(bytes(gathered))
                    gathered.clear()
                    await self._near.drain()
        except EOFError as error:
            self._near.write(bytes(gathered))
            raise Ended from error  # what the server said last must arrive
        finally:
            self._answered.set()  # nothing more comes

    def _take(self, message: Message) -> None:
        seen = self._waiting[0] if self._waiting else None
        if message.kind == FAILED and seen is not None:
            seen.answer = state_of(message)
        if self._kept is not None:
            self._kept.append(message.raw)
        if message.kind == READY and seen is not None:
            seen.answer = seen.answer or DONE
            self._waiting.pop(0)
            if self._kept is not None:
                self._answered.set()
