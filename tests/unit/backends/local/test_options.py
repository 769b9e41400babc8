"""Options of the backend ``local``: what is wrong is named, what is not said is safe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hybridpg.backends.local_options import LocalOptions, PortRange, default_path


def test_the_defaults_are_loopback_and_never_postgresqls_own_port() -> None:
    options = LocalOptions()
    assert options.address == "127.0.0.1"
    assert not options.ports.first <= 5432 <= options.ports.last
    assert options.ports == PortRange(54320, 54999)
    assert options.admin_username == "postgres"


@pytest.mark.parametrize(
    ("value", "ports"),
    [
        ("6000-6100", (6000, 6100)),
        (" 6000 - 6100 ", (6000, 6100)),
        ("6000", (6000, 6000)),
        (6000, (6000, 6000)),
        ({"from": 6000, "to": 6100}, (6000, 6100)),
        ([6000, 6100], (6000, 6100)),
    ],
)
def test_ports_may_be_written_in_each_usual_way(value: object, ports: tuple[int, int]) -> None:
    assert LocalOptions.model_validate({"ports": value}).ports == ports


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ({"ports": "6100-6000"}, "ports"),
        ({"ports": "80-90"}, "ports"),
        ({"ports": "6000-70000"}, "ports"),
        ({"ports": "many"}, "ports"),
        ({"ports": True}, "ports"),
        ({"ports": {"from": 1}}, "ports"),
        ({"address": "0.0.0.0"}, "address"),
        ({"address": "::"}, "address"),
        ({"address": "db.example"}, "address"),
        ({"admin_username": "hybridpg"}, "admin_username"),
        ({"admin_username": "pg_admin"}, "admin_username"),
        ({"admin_username": "a b"}, "admin_username"),
        ({"admin_username": ""}, "admin_username"),
        ({"default_version": 9}, "default_version"),
        ({"classes": {"small": {"cpus": 1}}}, "classes.small.cpus"),
        ({"classes": {"small": {"memory_mb": 1}}}, "classes.small.memory_mb"),
        ({"paths": "/x"}, "paths"),
        ({"binaries": "/usr/bin"}, "binaries"),
    ],
)
def test_a_mistake_is_refused_by_its_path(section: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        LocalOptions.model_validate(section)
    assert [".".join(map(str, each["loc"])) for each in refused.value.errors()] == [field]


def test_a_default_class_must_be_one_of_the_classes() -> None:
    """D62."""
    with pytest.raises(ValidationError, match="default_class 'big' is not one of classes"):
        LocalOptions.model_validate({"default_class": "big", "classes": {"small": {"cpu": 1}}})


def test_data_lies_where_the_servers_user_can_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_path() == Path("/var/lib/hybridpg")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_path() == Path("/data/hybridpg")
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_path() == Path("/home/me/.local/share/hybridpg")
