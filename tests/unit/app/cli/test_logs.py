"""Logging of the process: one form for all records, and no secret in any of them."""

import io
import json
import logging

import pytest
import structlog

from hybridpg.app.cli import logs
from hybridpg.backends import Password


@pytest.fixture
def stream():
    """Logging configured to a buffer; what it was before comes back."""
    root, ours = logging.getLogger(), logging.getLogger("hybridpg")
    before = (root.handlers[:], root.level, ours.level)
    buffer = io.StringIO()
    logs.configure(logs.handler(buffer, as_json=True))
    yield buffer
    root.handlers[:], root.level, ours.level = before[0], before[1], before[2]
    structlog.reset_defaults()


def records(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_of_structlog_becomes_one_line_of_json_with_its_keys(stream):
    structlog.get_logger("hybridpg.app.server").info("server is ready", backend="local")

    (record,) = records(stream)
    assert record["event"] == "server is ready"
    assert record["backend"] == "local"
    assert record["level"] == "info"
    assert record["logger"] == "hybridpg.app.server"
    assert record["timestamp"].endswith("Z")


def test_a_record_of_the_standard_library_takes_the_same_way(stream):
    logging.getLogger("hybridpg.controller.watcher").warning("watch of %s failed", "secrets")

    (record,) = records(stream)
    assert record["event"] == "watch of secrets failed"
    assert record["level"] == "warning"
    assert record["logger"] == "hybridpg.controller.watcher"


def test_what_a_reconcile_binds_is_in_the_records_of_the_library_too(stream):
    with structlog.contextvars.bound_contextvars(reconcile_id="ab-1", name="demo"):
        logging.getLogger("hybridpg.backends.local").info("started")

    assert records(stream)[0]["reconcile_id"] == "ab-1"


def test_extra_values_of_the_standard_library_are_keys(stream):
    logging.getLogger("hybridpg.x").info("connected", extra={"server": "demo"})

    assert records(stream)[0]["server"] == "demo"


def test_an_exception_is_part_of_its_record(stream):
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("hybridpg.x").exception("it failed")
        structlog.get_logger("hybridpg.y").exception("it failed too")

    assert ["ValueError: broken" in each["exception"] for each in records(stream)] == [True, True]


def test_other_libraries_are_heard_from_warnings_on(stream):
    logging.getLogger("aiohttp.access").info("GET /")
    logging.getLogger("asyncio").warning("slow callback")

    assert [each["event"] for each in records(stream)] == ["slow callback"]


def test_debug_messages_of_ours_are_left_out(stream):
    logging.getLogger("hybridpg.x").debug("too much")

    assert records(stream) == []


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"anything": Password("hunter2")}, id="a password by its type"),
        pytest.param({"password": "hunter2"}, id="a password by its key"),
        pytest.param({"token": "hunter2"}, id="a token"),
        pytest.param({"uri": "postgresql://app:hunter2@h/db"}, id="a URI by its key"),
        pytest.param({"target": "postgresql://app:hunter2@h/db"}, id="a URI by its form"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(stream, values):
    structlog.get_logger("hybridpg.x").info("connected", **values)

    assert "hunter2" not in stream.getvalue()
    assert logs.HIDDEN in stream.getvalue()


def test_a_uri_in_a_message_keeps_all_but_its_password(stream):
    logging.getLogger("hybridpg.x").info("connect to postgresql://app:hunter2@host:5432/db failed")

    assert records(stream)[0]["event"] == "connect to postgresql://app:***@host:5432/db failed"


@pytest.mark.parametrize(
    "text", ["https://127.0.0.1:6443/api", "look at https://host/a:b@c", "a: b@c"]
)
def test_what_only_resembles_a_uri_with_a_password_stays(text):
    event = logs.hide_secrets(None, "info", {"event": text})

    assert event == {"event": text}


def test_on_a_terminal_a_record_is_a_plain_line():
    buffer = io.StringIO()
    handler = logs.handler(buffer, as_json=False)

    handler.emit(logging.LogRecord("hybridpg.x", logging.INFO, "f", 1, "hello %s", ("w",), None))

    assert "hello w" in buffer.getvalue()
    assert "\x1b[" not in buffer.getvalue(), "no colours: the line may end in a file"
