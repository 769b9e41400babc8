"""The frames of the protocol, however the network cuts them."""

from __future__ import annotations

import asyncio
import random
import struct

import pytest
from tests.faults.pgwire import (
    BIND,
    FAILED,
    FATAL_STATES,
    PARSE,
    QUERY,
    READY,
    SSL_REQUEST,
    SYNC,
    Message,
    Statements,
    message,
    read_message,
    read_startup,
    refusal,
    state_of,
)

PARAMETERS = b"user\0tenant\0database\0app\0options\0-c search_path=pg_catalog\0\0"
STARTUP = struct.pack("!ii", 8 + len(PARAMETERS), 196608) + PARAMETERS
MESSAGES = [
    message(QUERY, b"SELECT 1\0"),
    message(SYNC),
    message(PARSE, b"\0" + b"x" * 70_000 + b"\0\0\0"),
    message(READY, b"I"),
]


def reader_of(data: bytes) -> asyncio.StreamReader:
    """Return a reader that has everything already."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@pytest.mark.parametrize("seed", range(20))
async def test_messages_are_whole_wherever_the_stream_is_cut(seed):
    chance = random.Random(seed)
    data = STARTUP + b"".join(MESSAGES)
    cuts = sorted(chance.randrange(len(data)) for _ in range(chance.randrange(1, 40)))
    # the heads are where cuts hurt
    cuts = sorted({*cuts, *range(1, 12), *range(len(STARTUP), len(STARTUP) + 12)})
    reader = asyncio.StreamReader()

    async def feed() -> None:
        for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            reader.feed_data(data[begin:end])
            await asyncio.sleep(0)
        reader.feed_eof()

    async with asyncio.TaskGroup() as group:
        group.create_task(feed())
        startup = await read_startup(reader)
        seen = [(await read_message(reader)).raw for _ in MESSAGES]
    assert startup.raw == STARTUP
    assert seen == MESSAGES
    with pytest.raises(asyncio.IncompleteReadError):
        await read_message(reader)


async def test_a_startup_message_says_who_wants_where():
    startup = await read_startup(reader_of(STARTUP))
    assert startup.code == 196608
    assert startup.parameters == {
        "user": "tenant",
        "database": "app",
        "options": "-c search_path=pg_catalog",
    }


async def test_a_request_for_tls_is_told_by_its_code():
    startup = await read_startup(reader_of(struct.pack("!ii", 8, SSL_REQUEST)))
    assert startup.code == SSL_REQUEST
    assert startup.parameters == {}


@pytest.mark.parametrize("length", [3, -1, 1 << 30])
async def test_a_length_that_cannot_be_is_an_error_and_not_a_wait(length):
    with pytest.raises(ValueError, match="a message of"):
        await read_message(reader_of(QUERY + struct.pack("!i", length) + b"x" * 8))


@pytest.mark.parametrize("state", ["40001", *FATAL_STATES])
async def test_a_refusal_is_an_error_that_ends_the_session_or_leaves_it_ready(state):
    reader = reader_of(refusal(state))
    failed = await read_message(reader)
    assert failed.kind == FAILED
    assert state_of(failed) == state
    assert (b"SFATAL\0" in failed.body) is (state in FATAL_STATES)
    if state not in FATAL_STATES:
        ready = await read_message(reader)
        assert (ready.kind, ready.body) == (READY, b"I")
    assert reader.at_eof()


def test_an_error_without_a_state_has_none():
    assert state_of(Message(message(FAILED, b"SERROR\0\0"))) == ""


def taken(statements: Statements, *sent: bytes) -> str:
    """Let it take messages and return what the turn ran."""
    for raw in sent:
        statements.take(Message(raw))
    return statements.turn()


def test_a_simple_query_is_what_it_says():
    statements = Statements()
    assert taken(statements, message(QUERY, "SELECT 'ü'\0".encode())) == "SELECT 'ü'"
    assert taken(statements, message(QUERY, b"SELECT 2\0")) == "SELECT 2"


def test_what_was_prepared_is_run_whenever_it_is_bound():
    statements = Statements()
    parse = message(PARSE, b"one\0DROP ROLE x\0\0\0")
    bind = message(BIND, b"\0one\0\0\0\0\0\0\0")
    assert taken(statements, parse, message(SYNC)) == "PREPARE"
    assert taken(statements, bind, message(b"E", b"\0\0\0\0\0"), message(SYNC)) == "DROP ROLE x"
    assert taken(statements, bind, bind, message(SYNC)) == "DROP ROLE x; DROP ROLE x"


def test_the_nameless_statement_is_the_one_that_was_parsed_last():
    statements = Statements()
    bind = message(BIND, b"\0\0\0\0\0\0\0\0")
    for text in (b"SELECT 1", b"DROP ROLE x"):
        parse = message(PARSE, b"\0" + text + b"\0\0\0")
        assert taken(statements, parse, bind, message(SYNC)) == text.decode()
