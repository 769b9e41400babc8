"""The backend itself where no server is needed: what it declares and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel
from tests.unit.backends.local.samples import OWNER, REF, spec

from hybridpg.backends import (
    Absent,
    BackendContext,
    Credentials,
    Done,
    Password,
    Policy,
    Present,
    ServerState,
    Unavailable,
    Unknown,
    registry,
)
from hybridpg.backends.local import Local, LocalOptions
from hybridpg.backends.values import (
    Refused,
)
from hybridpg.crds import set_fields

ADMIN = Credentials("postgres", Password("x"))


class OtherOptions(BaseModel):
    """The options of another backend."""


class NoKube:
    """A Kubernetes that is never asked."""

    async def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """Fail."""
        raise AssertionError(name)


def _backend(path: Path, **options: object) -> Local:
    chosen = LocalOptions.model_validate({"path": path / "site", **options})
    return Local(BackendContext("here", chosen, NoKube(), "cluster"))


def test_the_registry_makes_it_and_making_it_touches_nothing(tmp_path: Path) -> None:
    factory = registry.factory("local")
    assert factory.options is LocalOptions
    backend = _backend(tmp_path, admin_username="boss", name_pattern="x-{name}")
    assert backend.name == "here"
    assert backend.capabilities.admin_username == "boss"
    assert backend.capabilities.name_pattern == "x-{name}"
    assert list(tmp_path.iterdir()) == []


def test_options_of_another_backend_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="LocalOptions"):
        Local(BackendContext("local", OtherOptions(), NoKube(), "cluster"))


def test_it_declares_exactly_what_it_honours(tmp_path: Path) -> None:
    """D63: everything else a user sets ends up in status.unsupportedFields."""
    fields = set_fields(
        spec(
            version="16",
            size={"class": "a", "cpu": 1, "memoryMB": 1, "storageGB": 1, "walStorageGB": 1},
            serverParameters={"work_mem": "1MB"},
            extensions=["hstore"],
            highavailability={"enabled": True},
            maintenance={"apply": "InWindow"},
            backup={"retentionDays": 7},
        )
    )
    capabilities = _backend(tmp_path).capabilities
    assert fields - capabilities.server_fields == {
        "size.walStorageGB",
        "highavailability.enabled",
        "maintenance.apply",
        "backup.retentionDays",
    }
    assert capabilities.server_fields <= fields
    assert capabilities.deletion_policies == set(Policy)
    assert capabilities.publishes_admin


async def test_a_plan_that_only_refuses_is_done_without_a_look(tmp_path: Path) -> None:
    backend = _backend(tmp_path)
    refused = (Refused("version", "no"),)
    assert await backend.create_or_update_server(REF, refused, ADMIN) == Done()
    assert await backend.create_or_update_server(REF, (), ADMIN) == Done()
    assert list(tmp_path.iterdir()) == []
    await backend.close()


def test_a_state_of_another_backend_is_not_planned_for(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="what it observed itself"):
        _backend(tmp_path).plan_server(REF, spec(), Present(ServerState(OWNER, ready=True)))


async def test_an_endpoint_of_another_backends_state_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(Unknown, match="not looked at by this backend"):
        await _backend(tmp_path).endpoint(REF, ServerState(OWNER, ready=True))


def test_a_machine_without_postgresql_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybridpg.backends.local.installations.SYSTEM_ROOTS", ())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    backend = _backend(tmp_path)
    with pytest.raises(Unavailable, match="install the package postgresql"):
        backend.server_spec_valid(spec())
    with pytest.raises(Unavailable, match="install the package postgresql"):
        backend.plan_server(REF, spec(), Absent())
