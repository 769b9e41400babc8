"""Answers become objects or the right error, whoever sent them."""

from __future__ import annotations

import json

import pytest

from hybridpg.controller.client.status import api_error, checked, json_object
from hybridpg.controller.errors import (
    ERROR_TEXT_LIMIT,
    AlreadyExists,
    ApiError,
    BadRequest,
    Conflict,
    DecodeError,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from hybridpg.controller.protocols import Response


def status_body(**fields: object) -> bytes:
    return json.dumps(
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", **fields}
    ).encode()


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "BadRequest", BadRequest),
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Gone),
        (415, "UnsupportedMediaType", ApiError),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", TooManyRequests),
        (500, "InternalError", ServerError),
        (503, "ServiceUnavailable", ServerError),
        (504, "Timeout", ServerError),
    ],
)
def test_each_status_has_its_error(status: int, reason: str, expected: type[ApiError]):
    error = api_error(status, {}, status_body(reason=reason, message="no", details={"name": "x"}))

    assert type(error) is expected
    assert (error.status, error.reason, error.message) == (status, reason, "no")
    assert error.details == {"name": "x"}


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        pytest.param(b"<html>\n <h1>Bad Gateway</h1>\n</html>", "<h1>Bad Gateway</h1>", id="html"),
        pytest.param(b"", "without a body", id="empty"),
        pytest.param(b"\xff\xfe\x00", "not from an API server", id="no-utf-8"),
        pytest.param(b"[]", "not from an API server", id="json-of-another-shape"),
        pytest.param(b'{"error": "nope"}', "nope", id="json-that-is-no-status"),
        pytest.param(b"[" * 100_000, "not from an API server", id="nested-without-end"),
    ],
)
def test_a_body_that_is_no_status_is_described_by_the_http_status(body: bytes, quoted: str):
    error = api_error(502, {}, body)

    assert isinstance(error, ServerError)
    assert error.message.startswith("bad gateway")
    assert quoted in error.message


def test_a_status_that_http_does_not_know_is_an_error_too():
    error = api_error(599, {}, b"")

    assert isinstance(error, ServerError)
    assert "no known status" in error.message


def test_a_foreign_body_never_reaches_a_message_in_full():
    error = api_error(500, {}, b"x" * 1_000_000)

    assert len(str(error)) <= ERROR_TEXT_LIMIT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("", None),
    ],
)
def test_only_an_integer_says_when_to_come_back(value: str, seconds: float | None):
    """A date would depend on a clock that is not ours."""
    assert api_error(429, {"retry-after": value}, b"").retry_after == seconds


def test_the_seconds_of_the_status_count_where_the_header_is_missing():
    error = api_error(429, {}, status_body(details={"retryAfterSeconds": 3}))

    assert error.retry_after == 3


def test_a_success_passes_and_gives_its_object():
    response = Response(201, {}, b'{"a": 1}')

    assert checked(response) is response
    assert json_object(response) == {"a": 1}


@pytest.mark.parametrize("status", [199, 301, 304, 400])
def test_everything_outside_of_2xx_is_an_error(status: int):
    with pytest.raises(ApiError) as caught:
        checked(Response(status))

    assert caught.value.status == status


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"text"', b'{"a":', b"\xff"])
def test_a_success_without_a_json_object_is_no_answer_of_an_api_server(body: bytes):
    with pytest.raises(DecodeError, match=f"{len(body)} bytes"):
        json_object(Response(200, {}, body))


def test_the_message_of_a_decode_error_does_not_hold_the_body():
    with pytest.raises(DecodeError) as caught:
        json_object(Response(200, {}, b'["cGFzc3dvcmQ="]'))

    assert "cGFzc3dvcmQ" not in str(caught.value)
