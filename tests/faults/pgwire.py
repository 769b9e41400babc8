"""The frames of PostgreSQL's protocol, as much as a proxy between client and server needs.

Every message is a letter and its length; only the first one of a connection has no letter. What is
read here is the bytes as they came, so that they can be passed on unchanged.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
"""Codes in the place of a protocol version."""
ASK_FOR_TLS = struct.pack("!ii", 8, SSL_REQUEST)
SIZE_LIMIT = 1 << 24
"""No message of ours or for us comes near it: what is larger is read out of step."""
QUERY, PARSE, BIND, SYNC, GOODBYE = b"Q", b"P", b"B", b"S", b"X"
READY, FAILED = b"Z", b"E"
FOLLOWED = (b"D", b"S")
"""Rows, and settings at a login: something else always comes behind them."""
TURN_ENDS = (QUERY, SYNC)
"""After each of them the server answers once that it is ready."""
FATAL_STATES = ("53300", "57P01", "57P03")
"""With these the server ends the session."""
_SENTENCES = {
    "25006": "cannot execute this in a read-only transaction",
    "40001": "could not serialize access due to concurrent update",
    "42501": "permission denied",
    "53300": "sorry, too many clients already",
    "55006": "the object is being accessed by other users",
    "57P01": "terminating connection due to administrator command",
    "57P03": "the database system is starting up",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came."""

    raw: bytes

    @property
    def kind(self) -> bytes:
        """Its letter."""
        return self.raw[:1]

    @property
    def body(self) -> bytes:
        """What is behind its length."""
        return self.raw[5:]


@dataclass(frozen=True, slots=True)
class Startup:
    """The first message of a connection: a code, and for a login its parameters."""

    raw: bytes

    @property
    def code(self) -> int:
        """What is asked for: a version of the protocol, or one of the requests."""
        return int(struct.unpack_from("!i", self.raw, 4)[0])

    @property
    def parameters(self) -> dict[str, str]:
        """User, database and settings."""
        texts = [each.decode() for each in self.raw[8:].rstrip(b"\0").split(b"\0")]
        return dict(zip(texts[::2], texts[1::2], strict=False))


async def read_startup(reader: asyncio.StreamReader) -> Startup:
    """Read the first message of a connection."""
    head = await reader.readexactly(4)
    return Startup(head + await reader.readexactly(_length(head)))


async def read_message(reader: asyncio.StreamReader) -> Message:
    """Read any other message."""
    head = await reader.readexactly(5)
    return Message(head + await reader.readexactly(_length(head[1:])))


def _length(packed: bytes) -> int:
    length = int(struct.unpack("!i", packed)[0]) - 4
    if not 0 <= length <= SIZE_LIMIT:
        raise ValueError(f"a message of {length} bytes")
    return length


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Return the bytes of a message."""
    return kind + struct.pack("!i", len(body) + 4) + body


def refusal(state: str) -> bytes:
    """Return what a server says when it cannot, and, unless it ends the session, that it waits."""
    fatal = state in FATAL_STATES
    severity = "FATAL" if fatal else "ERROR"
    fields = {"S": severity, "V": severity, "C": state, "M": _SENTENCES[state]}
    body = b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0"
    return message(FAILED, body) + (b"" if fatal else message(READY, b"I"))


def state_of(failed: Message) -> str:
    """Return the SQLSTATE of an error."""
    for part in failed.body.split(b"\0"):
        if part[:1] == b"C":
            return part[1:].decode()
    return ""


class Statements:
    """Knows what a turn of the client runs: simple queries, and what was prepared before."""

    def __init__(self) -> None:
        self._prepared: dict[bytes, str] = {}
        self._texts: list[str] = []

    def take(self, sent: Message) -> None:
        """Take note of one message of the client."""
        if sent.kind == QUERY:
            self._texts.append(sent.body.rstrip(b"\0").decode())
        elif sent.kind == PARSE:
            name, text, *_ = sent.body.split(b"\0")
            self._prepared[name] = text.decode()
        elif sent.kind == BIND:
            _, name, *_ = sent.body.split(b"\0")
            self._texts.append(self._prepared[name])

    def turn(self) -> str:
        """Return what the turn that ends now runs, or that it only prepares."""
        text, self._texts = "; ".join(self._texts), []
        return text or "PREPARE"
