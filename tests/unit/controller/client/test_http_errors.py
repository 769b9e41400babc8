"""No error of the HTTP library passes our border."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest

from hybridpg.controller.client.http_errors import FOREIGN, is_reset, translate
from hybridpg.controller.errors import ERROR_TEXT_LIMIT, ConnectionRefused, TransportError


def subclasses(cls: type[Exception]) -> set[type[Exception]]:
    found = {cls}
    for child in cls.__subclasses__():
        found |= subclasses(child)
    return found


@pytest.mark.parametrize("foreign", sorted(subclasses(aiohttp.ClientError), key=str))
def test_every_error_of_the_library_is_caught_at_the_border(foreign: type):
    assert issubclass(foreign, FOREIGN)


@pytest.mark.parametrize(
    "foreign", [asyncio.TimeoutError, ConnectionResetError, BrokenPipeError, ssl.SSLError, OSError]
)
def test_every_error_of_a_socket_is_caught_at_the_border(foreign: type):
    assert issubclass(foreign, FOREIGN)


@pytest.mark.parametrize(
    ("error", "expected", "text"),
    [
        pytest.param(aiohttp.ConnectionTimeoutError(), ConnectionRefused, "no connection", id="c"),
        pytest.param(aiohttp.InvalidURL("x:y"), ConnectionRefused, "no connection", id="url"),
        pytest.param(aiohttp.SocketTimeoutError(), TransportError, "no answer in time", id="read"),
        pytest.param(TimeoutError(), TransportError, "no answer in time", id="total"),
        pytest.param(aiohttp.ServerDisconnectedError(), TransportError, "broke", id="gone"),
        pytest.param(ConnectionResetError(104, "reset"), TransportError, "reset", id="reset"),
        pytest.param(aiohttp.ClientPayloadError("cut"), TransportError, "cut", id="payload"),
        pytest.param(aiohttp.ClientError(), TransportError, "ClientError", id="no-message"),
    ],
)
def test_each_error_says_what_happened_to_which_request(error, expected, text):
    translated = translate(error, "GET /api")

    assert type(translated) is expected
    assert str(translated).startswith("GET /api: ")
    assert text in str(translated)


def test_a_long_message_is_cut():
    assert len(str(translate(OSError("x" * 10_000), "GET /"))) < ERROR_TEXT_LIMIT + 100


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (aiohttp.ServerDisconnectedError(), True),
        (aiohttp.ClientOSError(104, "reset"), True),
        (ConnectionResetError(), True),
        (aiohttp.ConnectionTimeoutError(), False),
        (aiohttp.SocketTimeoutError(), False),
        (TimeoutError(), False),
        (aiohttp.ClientPayloadError(), False),
    ],
)
def test_only_a_broken_connection_is_a_reset(error: Exception, expected: bool):
    assert is_reset(error) is expected
