"""Configuration files: TLS only, one address, and the user's part cannot undo it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.backends.local.samples import OWNER, PARAMETERS

from hybridpg.backends.local.configuration import HBA, files, main_file, published_host
from hybridpg.backends.local.layout import Home
from hybridpg.backends.local.parameters import refusal
from hybridpg.backends.local.record import Record

HOME = Home(Path("/site/servers/x"))
RECORD = Record(OWNER.mark(), "team-é'x", 54320, 16)


def _values(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(\S+) = '(.*)'$", text, re.MULTILINE))


def test_what_keeps_a_server_apart_is_always_written() -> None:
    values = _values(main_file(HOME, RECORD, "127.0.0.1", {"work_mem": "8MB"}))
    assert values["listen_addresses"] == "127.0.0.1"
    assert values["port"] == "54320"
    assert values["unix_socket_directories"] == ""
    assert values["ssl"] == "on"
    assert values["password_encryption"] == "scram-sha-256"
    assert values["log_directory"] == "/site/servers/x/log"
    assert values["cluster_name"] == "team-?''x"
    assert values["work_mem"] == "8MB"


USERS_MAY = {"log_timezone", "timezone", "default_text_search_config"}


def test_nothing_that_the_operator_decides_may_be_a_users_parameter() -> None:
    """The user's part comes last in the file, so it would win."""
    ours = set(_values(main_file(HOME, RECORD, "127.0.0.1", {})))
    logs = {name for name in ours if name.startswith("log")}
    files_and_tls = {name for name in ours if name.startswith("ssl")}
    for name in ours - USERS_MAY - logs - files_and_tls:  # those are refused by their group
        assert refusal(name, "x", PARAMETERS), name


def test_nobody_gets_in_without_tls_and_the_operator_only_by_certificate() -> None:
    lines = [line.split() for line in HBA.splitlines() if not line.startswith("#")]
    assert lines == [
        ["hostssl", "all", "hybridpg", "all", "cert"],
        ["hostssl", "all", "all", "all", "scram-sha-256"],
    ]


def test_every_file_lies_in_the_data_folder() -> None:
    assert {path.parent for path in files(HOME, RECORD, "127.0.0.1", {})} == {HOME.data}


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1", "localhost"),
        ("::1", "localhost"),
        ("127.0.0.2", "127.0.0.2"),
        ("10.0.0.5", "10.0.0.5"),
    ],
)
def test_the_published_host_leads_to_the_address(address: str, host: str) -> None:
    assert published_host(address) == host
