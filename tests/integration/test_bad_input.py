"""Bad input as its authors meet it: one clear message, nothing else harmed, the process lives.

What the schema refuses never reaches the controller (``tests/crd_cases.py``); here is what passes
the schema and is wrong all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from tests.fix_product import real_plane
from tests.fix_testenv import TestEnv
from tests.product import (
    GROUP,
    Plane,
    annotated,
    database,
    server,
    until,
)

pytestmark = [pytest.mark.postgres, pytest.mark.testenv, pytest.mark.slow]

CONFIG: dict[str, Any] = {
    "allowed_backends": ["local", "external", "awsrds"],
    "extensions": {"allowed": ["cube", "earthdistance", "hstore", "no_such_thing"]},
    "namespaces": {"product-*": {"limits": {"cpu": 64}}},
}


class Case(NamedTuple):
    """An object, and the words of the one condition that says what is wrong with it."""

    manifest: dict[str, Any]
    reason: str
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        kind = "pg" if self.manifest["kind"] == "PostgreSQLServer" else "pgdb"
        return f"{kind}/{self.manifest['metadata']['name']}"


NOT_USABLE = {
    "backend that is not allowed": Case(
        server("b1", backend="azurepostgres"),
        "BackendUnavailable",
        ("backend 'azurepostgres' is not allowed", "allowed: local, external, awsrds"),
    ),
    "backend that is not installed": Case(
        server("b2", backend="awsrds"), "BackendUnavailable", ("awsrds",)
    ),
    "backend that is configured wrongly": Case(
        server("b3", backend="external"),
        "BackendUnavailable",
        (
            "backends.external.servers.shared.secret: is required",
            "backends.external.servers.shared.secrett: unknown option",
        ),
    ),
    "more than the namespace may have": Case(
        server("b4", size={"cpu": 65}),
        "QuotaExceeded",
        ("may have 64 cpu in all", "ask the administrator or make another server smaller"),
    ),
    "server Secret of somebody else": Case(
        server("b5", credentialsSecret="precious"),
        "SecretConflict",
        ("secret", "precious exists and does not belong", "name another one in spec.credentials"),
    ),
    "server that is missing": Case(
        database("d1", "nowhere"), "ServerNotFound", ("no PostgreSQLServer nowhere here",)
    ),
    "server that is not ready": Case(
        database("d2", "b1"), "WaitingForServer", ("server b1 is not ready",)
    ),
    "database Secret of somebody else": Case(
        database("d3", "good", credentialsSecret="precious"),
        "SecretConflict",
        ("precious exists and does not belong",),
    ),
    "Secret of another database": Case(
        database("d4", "good", credentialsSecret="fine-login"),
        "SecretConflict",
        ("fine-login exists and does not belong", "name another one in spec.credentialsSecret"),
    ),
    "name of another database": Case(
        database("d5", "good", database={"name": "fine"}),
        "Conflict",
        ("role 'fine' belongs to", "/fine"),
    ),
    "name of the operator's own login": Case(
        annotated(database("d6", "good", database={"name": "hybridpg"}), adopt="hybridpg"),
        "Conflict",
        ("has the rights of an administrator", "choose another database name"),
    ),
    "adoption of another thing": Case(
        annotated(database("d7", "good", database={"name": "fine"}), adopt="another"),
        "Conflict",
        ("role 'fine' belongs to", f"set annotation {GROUP}/adopt: fine"),
    ),
    "unknown charset": Case(
        database("d8", "good", database={"charset": "KLINGON"}),
        "InvalidSpec",
        ("spec.database.charset", "no encoding 'KLINGON': use UTF8"),
    ),
    "charset of clients only": Case(
        database("d9", "good", database={"charset": "SJIS"}),
        "InvalidSpec",
        ("spec.database.charset", "SJIS"),
    ),
    "unknown collation": Case(
        database("d10", "good", database={"collation": "tlh-KX"}),
        "InvalidSpec",
        ("spec.database.collation", "no locale 'tlh-KX': use one of"),
    ),
    "collation of another charset": Case(
        database("d11", "good", database={"charset": "LATIN1", "collation": "C.UTF-8"}),
        "InvalidSpec",
        ("spec.database.collation", "LATIN1"),
    ),
}

LESS = {
    "extension that the administrator does not allow": Case(
        database("e1", "good", database={"extensions": ["hstore", "pgcrypto"]}),
        "ExtensionRefused",
        ("spec.database.extensions: extension 'pgcrypto' is refused", "configuration"),
    ),
    "extension that the server does not allow": Case(
        database("e2", "strict", database={"extensions": ["hstore", "cube"]}),
        "ExtensionRefused",
        ("spec.database.extensions: extension 'cube' is refused", "spec.extensions of the server"),
    ),
    "extension that is not installed": Case(
        database("e3", "good", database={"extensions": ["hstore", "no_such_thing"]}),
        "ExtensionRefused",
        ("extension 'no_such_thing' is refused: the server does not have it installed",),
    ),
    "extension without what it requires": Case(
        database("e4", "good", database={"extensions": ["hstore", "earthdistance"]}),
        "ExtensionRefused",
        ("extension 'earthdistance' is refused: list cube as well",),
    ),
}

REFUSED = {
    "unknown parameter": ({"no_such_thing": "1"}, "has no such parameter"),
    "misspelt parameter": ({"work_memory": "1MB"}, "has no such parameter"),
    "parameter of the operator": ({"port": "5432"}, "the operator chooses the port"),
    "parameter that runs commands": ({"archive_command": "rm -rf /"}, "run as the user of all"),
    "libraries": ({"shared_preload_libraries": "evil"}, "list the extension in spec.extensions"),
    "value of another type": ({"work_mem": "a lot"}, "work_mem"),
    "value out of range": ({"max_connections": "-5"}, "max_connections"),
}

FALLBACKS: dict[str, tuple[dict[str, Any], str]] = {
    "version that is not offered": ({"version": "99"}, "spec.version: version 99 is not installed"),
    "version that is none": (
        {"version": "newest"},
        "spec.version: version newest is not installed",
    ),
    "class that is unknown": (
        {"size": {"class": "huge"}},
        "spec.size.class: no class 'huge' is configured",
    ),
}


@pytest.fixture(scope="module")
def plane(testenv: TestEnv) -> Iterator[Plane]:
    """The controller beside the real API server, everything applied at once.

    At the end it is the same process, every good object was Ready all the time, and the log is
    clean.
    """
    wrong = {"external": {"servers": {"shared": {"secrett": "admin"}}}}
    with real_plane(testenv, backends=wrong, **CONFIG) as plane:
        pid = plane.controller.child.pid
        plane.ok("create", "secret", "generic", "precious", "--from-literal=password=theirs")
        plane.apply(
            server("good"), server("strict", extensions=["hstore"]), database("fine", "good")
        )
        plane.wait_ready("pg/good", "pg/strict", "pgdb/fine")
        good = ("pg/good", "pg/strict", "pgdb/fine")
        since = [ready_since(plane, name) for name in good]
        for name in ("good-login", "strict-login", "fine-login"):
            plane.secret(name)  # the log is searched for what was read
        cases = [*NOT_USABLE.values(), *LESS.values()]
        plane.apply(*(case.manifest for case in cases))
        yield plane
        assert [ready_since(plane, name) for name in good] == since
        assert plane.controller.alive
        assert plane.controller.child.pid == pid
        check_log(plane)


def ready_since(plane: Plane, name: str) -> str:
    """The time at which an object became Ready; it moves when it was not Ready in between."""
    condition = plane.condition(name)
    assert condition["status"] == "True", condition
    return str(condition["lastTransitionTime"])


def check_log(plane: Plane) -> None:
    """No traceback, no password, and no line again and again."""
    log = plane.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") :][:3000]
    assert [password for password in plane.written if password in log] == []
    assert len(log.splitlines()) < 400, "the controller turns in circles"


def complaints(plane: Plane, name: str) -> set[tuple[str, str]]:
    """Reason and message of everything that is not well, each once."""
    return {
        (each["reason"], each["message"])
        for each in plane.get(name)["status"]["conditions"]
        if (each["type"] in ("Stalled", "Reconciling")) == (each["status"] == "True")
    }


def check_words(message: str, words: tuple[str, ...]) -> None:
    """The message says what is asked for, in one line of plain words."""
    assert [text for text in words if text not in message] == [], message
    assert "\n" not in message
    assert not re.search(r"Error\(|Traceback|<class|psycopg|object at 0x", message)


@pytest.mark.parametrize("what", NOT_USABLE)
def test_what_cannot_be_had_is_said_in_one_condition(plane: Plane, what: str):
    """C3, C6, H4, H35, S1, S12, S13, S14, S16."""
    case = NOT_USABLE[what]

    condition = plane.wait_reason(case.name, case.reason)

    assert condition["status"] == "False"
    check_words(condition["message"], case.words)
    assert complaints(plane, case.name) == {(case.reason, condition["message"])}
    assert case.reason in plane.ok("get", case.name)
    if case.reason != "WaitingForServer":
        assert condition["message"] == plane.wait_event(case.name, case.reason)[2]


@pytest.mark.parametrize("what", LESS)
def test_a_refused_extension_is_said_and_the_rest_is_there(plane: Plane, what: str):
    """S7, S15."""
    case = LESS[what]

    condition = plane.wait_reason(case.name, case.reason)

    check_words(condition["message"], case.words)
    assert complaints(plane, case.name) == {(case.reason, condition["message"])}
    secret = plane.secret(case.manifest["spec"]["credentialsSecret"])
    present = plane.execute(secret, "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'")
    assert present == [("hstore",)]


def test_a_foreign_secret_is_neither_read_nor_changed(plane: Plane):
    """S12, S16."""
    for name in ("pg/b5", "pgdb/d3"):
        plane.wait_reason(name, "SecretConflict")

    found = plane.get("secret/precious")

    assert plane.secret("precious") == {"password": "theirs"}
    assert "ownerReferences" not in found["metadata"]
    plane.written.remove("theirs")  # a plain word, which a log may hold


def test_nothing_was_made_of_what_cannot_be_had(plane: Plane):
    for case in NOT_USABLE.values():
        plane.wait_reason(case.name, case.reason)

    names = plane.execute(plane.secret("good-login"), "SELECT datname FROM pg_database")

    assert {name for (name,) in names} & {f"d{i}" for i in range(12)} == set()
    assert plane.logs_in(plane.secret("fine-login"))


@pytest.mark.parametrize("what", REFUSED)
def test_a_refused_parameter_is_said_and_the_rest_is_applied(plane: Plane, what: str):
    """S9."""
    parameters, words = REFUSED[what]
    (name,) = parameters

    set_spec(plane, {"serverParameters": {**parameters, "statement_timeout": "77s"}})
    synced = plane.wait_reason("pg/strict", "InvalidSpec", "Synced")
    check_words(synced["message"], (f"spec.serverParameters.{name}: ", words))
    until(lambda: shown(plane, "statement_timeout") == "77s", "the rest is applied")
    plane.wait_ready("pg/strict")
    assert plane.wait_event("pg/strict", "InvalidSpec")[0] == "Warning"

    set_spec(plane, {"serverParameters": {name: None, "statement_timeout": None}})
    plane.wait_reason("pg/strict", "Available", "Synced")
    until(lambda: shown(plane, "statement_timeout") == "0", "the default is back")


def test_storage_does_not_shrink_and_the_rest_is_applied(plane: Plane):
    """S3."""
    set_spec(plane, {"size": {"storageGB": 3}})
    plane.wait_reason("pg/strict", "Available", "Synced")

    set_spec(plane, {"size": {"storageGB": 2}, "serverParameters": {"work_mem": "9MB"}})
    synced = plane.wait_reason("pg/strict", "InvalidSpec", "Synced")
    check_words(
        synced["message"],
        ("spec.size.storageGB: storage can not shrink from 3 GB to 2 GB: ask for 3 or",),
    )
    until(lambda: shown(plane, "work_mem") == "9MB", "the rest is applied")

    set_spec(plane, {"size": {"storageGB": 3}, "serverParameters": {"work_mem": None}})
    plane.wait_reason("pg/strict", "Available", "Synced")


@pytest.mark.parametrize("what", FALLBACKS)
def test_what_has_a_substitute_is_said_and_the_server_stays_usable(plane: Plane, what: str):
    """H15, H16."""
    spec, words = FALLBACKS[what]

    def said() -> str:
        message = str(plane.condition("pg/strict", "Synced").get("message", ""))
        return message if words in message else ""

    set_spec(plane, spec)
    try:
        message = until(said, words)
        assert "; using " in message
        assert plane.condition("pg/strict")["status"] == "True"
    finally:
        set_spec(plane, {"version": "", "size": {"class": None}})


def test_fields_that_the_backend_lacks_are_listed(plane: Plane):
    """S5, S6, S8, S10, S11."""
    spec = {
        "backup": {"retentionDays": 7},
        "highavailability": {"enabled": True},
        "network": {"firewallRules": [{"name": "a", "startIp": "1.2.3.4", "endIp": "1.2.3.4"}]},
    }
    set_spec(plane, spec)

    def listed() -> list[str]:
        return list(plane.get("pg/strict")["status"].get("unsupportedFields") or [])

    unsupported = until(listed, "unsupportedFields")
    assert unsupported == [
        "backup.retentionDays",
        "highavailability.enabled",
        "network.firewallRules",
    ]
    message = plane.wait_event("pg/strict", "UnsupportedFields")[2]
    assert [field for field in unsupported if field not in message] == []
    assert plane.condition("pg/strict")["status"] == "True"

    set_spec(plane, dict.fromkeys(spec))
    until(lambda: not listed(), "nothing is unsupported")


def set_spec(plane: Plane, spec: dict[str, Any]) -> None:
    """Patch the server for changes."""
    plane.ok("patch", "pg/strict", "--type=merge", "-p", json.dumps({"spec": spec}))


def shown(plane: Plane, parameter: str) -> str:
    """The value that the server uses."""
    ((value,),) = plane.execute(plane.secret("strict-login"), f"SHOW {parameter}")
    return str(value)
