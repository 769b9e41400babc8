"""Servers of the backend ``local`` as their users and their administrators see them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import errors as pg
from tests.fix_local import (
    LocalHarness,
    connect_to,
    server_case,
    with_spec,
)
from tests.fix_postgres import MAJORS, programs
from tests.requirements import require

from hybridpg.backends import Absent, Present, Problem, Unavailable
from hybridpg.backends.conformance import ServerCase
from hybridpg.backends.local.process import postmaster
from hybridpg.backends.local.tls import Authority
from hybridpg.backends.values import (
    Refused,
)

pytestmark = pytest.mark.postgres


def _everything(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


async def _setting(local: LocalHarness, case: ServerCase, name: str) -> str:
    async with await local.connect(case) as connection:
        cursor = await connection.execute(f"SHOW {name}".encode())
        row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


async def _sweep(local: LocalHarness) -> Mapping[str, object]:
    inventory = local.backend.inventory
    assert inventory is not None
    return await inventory.sweep()


async def _plan(local: LocalHarness, case: ServerCase) -> list[str]:
    observed = await local.backend.observe_server(case.ref)
    return [change.message for change in local.backend.plan_server(case.ref, case.spec, observed)]


async def _problems(local: LocalHarness, case: ServerCase) -> dict[str, str]:
    """Return what cannot be had of a spec, where nothing else is left to do."""
    observed = await local.backend.observe_server(case.ref)
    changes = local.backend.plan_server(case.ref, case.spec, observed)
    assert all(isinstance(change, Refused) for change in changes), changes
    judged = {each.field: each.message for each in local.backend.server_spec_valid(case.spec)}
    return judged | {change.field: change.message for change in changes}


async def test_the_admin_makes_databases_and_roles_and_is_no_superuser(local: LocalHarness) -> None:
    """H8."""
    case = server_case()
    async with await local.connect(case) as connection:
        await connection.execute("CREATE DATABASE made_by_admin")
        await connection.execute("CREATE ROLE made_by_admin LOGIN")
        cursor = await connection.execute(
            "SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres'"
        )
        assert await cursor.fetchone() == (False,)
    async with await local.connect(case, "made_by_admin") as connection:
        await connection.execute("CREATE TABLE t (id int)")


ESCAPES = (
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/hybridpg-escape'",
    "CREATE EXTENSION file_fdw",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "GRANT hybridpg TO postgres",
    "SET ROLE hybridpg",
    "ALTER ROLE hybridpg PASSWORD 'x'",
    "DROP ROLE hybridpg",
    "ALTER ROLE postgres SUPERUSER",
    "CREATE ROLE helper IN ROLE pg_execute_server_program",
    "GRANT pg_execute_server_program TO postgres",
    "GRANT pg_read_server_files TO postgres",
    "GRANT pg_write_server_files TO postgres",
    "SELECT lo_import('/etc/passwd')",
)


@pytest.mark.parametrize("major", MAJORS)
async def test_the_admin_reaches_nothing_of_the_machine_in_any_version(
    local: LocalHarness, major: int
) -> None:
    local.backend = local.site.backend(binaries=[programs(major)])
    case = server_case(version=str(major))
    async with await local.connect(case) as connection:
        for escape in ESCAPES:
            with pytest.raises(psycopg.Error) as refused:
                await connection.execute(escape.encode())
            assert isinstance(refused.value, (pg.InsufficientPrivilege, pg.FeatureNotSupported)), (
                escape
            )
    assert (await local.converge(case)).version.split(".")[0] == str(major)


async def test_only_tls_and_only_a_certificate_for_the_operator(local: LocalHarness) -> None:
    case = server_case()
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        await local.connect(case, sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        await local.connect(case, user="hybridpg")
    endpoint = await local.backend.endpoint(case.ref, await local.converge(case))
    false = replace(endpoint, ca=Authority.load_or_create(local.site.path / "ca").certificate)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        await connect_to(false, local.site.path, case.admin)
    listening = {part for part in Path("/proc/net/unix").read_text().split() if ".s.PGSQL" in part}
    assert not [path for path in listening if path.endswith(f".{endpoint.port}")]


async def test_no_password_lies_anywhere_and_nobody_else_can_read(
    local: LocalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYBRIDCLOUD_BACKENDS_AWS_SECRET", "a-secret-of-the-controller")
    case = server_case(serverParameters={"log_statement": "all"})
    await local.converge(case)
    for path, content in _everything(local.site.path / "site"):
        assert str(case.admin.password).encode() not in content, path
        if path.suffix != ".crt":
            assert path.stat().st_mode & 0o077 == 0, path
    environment = Path(f"/proc/{local.site.pid(case)}/environ").read_bytes()
    assert b"a-secret" not in environment
    command = Path(f"/proc/{local.site.pid(case)}/cmdline").read_bytes()
    assert str(case.admin.password).encode() not in command
    if os.geteuid() == 0:
        assert (local.site.home(case) / "data").stat().st_uid != 0
        assert (local.site.home(case) / "server.json").stat().st_uid == 0


async def test_a_killed_server_is_started_again_with_its_data_and_port(local: LocalHarness) -> None:
    case = server_case()
    async with await local.connect(case) as connection:
        await connection.execute("CREATE TABLE precious AS SELECT 42 AS answer")
    before = await local.backend.endpoint(case.ref, await local.converge(case))
    sweep = await _sweep(local)
    await local.kill(case)
    assert await _sweep(local) != sweep
    observed = await local.backend.observe_server(case.ref)
    assert isinstance(observed, Present)
    assert (observed.state.ready, observed.state.message) == (False, "the server does not run")
    async with await local.connect(case) as connection:
        cursor = await connection.execute("SELECT answer FROM precious")
        assert await cursor.fetchone() == (42,)
    assert await local.backend.endpoint(case.ref, await local.converge(case)) == before
    assert await _sweep(local) == sweep


async def test_two_servers_run_side_by_side_and_a_strangers_port_is_left_alone(
    local: LocalHarness,
) -> None:
    first = int(local.site.ports.partition("-")[0])
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first))
        stranger.listen()
        a, b = server_case(), server_case()
        states = await asyncio.gather(local.converge(a), local.converge(b))
    ports = {(await local.backend.endpoint(a.ref, state)).port for state in states}
    assert ports == {first + 1, first + 2}


async def test_a_port_that_was_published_is_waited_for(local: LocalHarness) -> None:
    case = server_case()
    port = (await local.backend.endpoint(case.ref, await local.converge(case))).port
    await local.kill(case)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        message = ""
        while "is taken by another program" not in message:
            observed = await local.backend.observe_server(case.ref)
            changes = local.backend.plan_server(case.ref, case.spec, observed)
            await local.backend.create_or_update_server(case.ref, changes, case.admin)
            await local.settle(0.02)
            assert isinstance(observed, Present)
            message = observed.state.message
    state = await local.converge(case)
    assert (await local.backend.endpoint(case.ref, state)).port == port


async def test_a_parameter_is_reloaded_or_restarts_as_it_needs(local: LocalHarness) -> None:
    """S9."""
    case = server_case()
    await local.converge(case)
    pid = local.site.pid(case)
    case = with_spec(case, serverParameters={"work_mem": "9MB", "app.name": "it's\nmine\\"})
    assert await _setting(local, case, "work_mem") == "9MB"
    assert await _setting(local, case, "app.name") == "it's\nmine\\"
    assert local.site.pid(case) == pid
    case = with_spec(case, serverParameters={"work_mem": "9MB", "max_connections": "33"})
    assert await _setting(local, case, "max_connections") == "33"
    restarted = local.site.pid(case)
    assert restarted != pid
    case = with_spec(case, serverParameters={"max_connections": "33.0"})
    assert await _setting(local, case, "work_mem") == "4MB"
    assert local.site.pid(case) == restarted, "the same value in other words needs no restart"
    case = with_spec(case)
    assert await _setting(local, case, "max_connections") == "100"
    assert await _plan(local, case) == []


async def test_what_the_server_refuses_is_a_problem_and_the_rest_is_applied(
    local: LocalHarness,
) -> None:
    parameters = {
        "work_mem": "9MB",
        "maintenance_work_mem": "plenty",
        "wal_level": "some",
        "listen_addresses": "*",
        "no_such_thing": "on",
    }
    newest = str(local.own._installations.newest().major)
    case = server_case(version=newest, serverParameters=parameters)
    assert await _setting(local, case, "work_mem") == "9MB"
    problems = await _problems(local, case)
    assert set(problems) == {f"serverParameters.{name}" for name in parameters} - {
        "serverParameters.work_mem"
    }
    assert "plenty" in problems["serverParameters.maintenance_work_mem"]
    pid = local.site.pid(case)
    local.backend = local.site.backend()
    assert await _problems(local, case) == problems, "a new controller reads what was refused"
    assert local.site.pid(case) == pid


async def test_settings_that_keep_the_server_from_starting_are_taken_back(
    local: LocalHarness,
) -> None:
    newest = str(local.own._installations.newest().major)
    case = server_case()
    await local.converge(case)
    impossible = {"shared_buffers": "4000GB", "work_mem": "9MB"}
    case = with_spec(case, version=newest, serverParameters=impossible)
    assert await _setting(local, case, "work_mem") == "9MB"
    assert await _setting(local, case, "shared_buffers") == "128MB"
    assert set(await _problems(local, case)) == {"serverParameters.shared_buffers"}
    pid = local.site.pid(case)
    local.backend = local.site.backend()
    await local.converge(case)
    assert local.site.pid(case) == pid, "a new controller does not stop the server to try again"
    case = with_spec(case, version=newest, serverParameters={"shared_buffers": "64MB"})
    assert await _setting(local, case, "shared_buffers") == "64MB"
    case = with_spec(case, version=newest, serverParameters=impossible)
    assert await _plan(local, case) == ["change shared_buffers, work_mem"], "it is tried again"
    assert await _setting(local, case, "shared_buffers") == "128MB"
    assert set(await _problems(local, case)) == {"serverParameters.shared_buffers"}


async def test_a_version_that_is_not_installed_falls_back(local: LocalHarness) -> None:
    """H15, D55."""
    case = server_case(version="99")
    state = await local.converge(case)
    newest = local.own._installations.newest()
    assert state.version == newest.version
    assert local.backend.server_spec_valid(case.spec) == (
        Problem(
            "version",
            "version 99 is not installed here; there are "
            + ", ".join(str(major) for major in sorted(local.own._installations.offered())),
            newest.version,
        ),
    )


async def test_major_and_storage_never_go_where_data_would_be_lost(local: LocalHarness) -> None:
    """D58, D60."""
    offered = [str(major) for major in sorted(local.own._installations.offered())]
    case = server_case(version=offered[0], size={"storageGB": 5})
    await local.converge(case)
    pid = local.site.pid(case)
    for version in (*offered[1:], "latest", "", "99"):
        spec = {
            "version": version,
            "size": {"storageGB": 2},
            "serverParameters": {"work_mem": "9MB"},
        }
        case = with_spec(case, **spec)
        observed = await local.backend.observe_server(case.ref)
        changes = local.backend.plan_server(case.ref, case.spec, observed)
        refused = [change.field for change in changes if isinstance(change, Refused)]
        assert "size.storageGB" in refused
        assert ("version" in refused) == (version in offered)
        await local.backend.create_or_update_server(case.ref, changes, case.admin)
    while len(await _plan(local, case)) > 1:
        await local.settle(0.02)
    assert local.site.pid(case) == pid
    assert postmaster(local.site.home(case) / "data") is not None


async def test_a_path_that_the_servers_user_cannot_reach_is_refused_at_once(
    local: LocalHarness,
) -> None:
    require(os.geteuid() == 0, "only root runs servers as somebody else")
    closed = local.site.path / "closed"
    closed.mkdir(mode=0o700)
    backend = local.site.backend(path=closed / "site")
    with pytest.raises(Unavailable, match=r"cannot get to .*; let it through \(chmod o\+x"):
        await backend.observe_server(server_case().ref)
    closed.chmod(0o711)
    assert await backend.observe_server(server_case().ref) == Absent()


async def test_many_servers_are_made_at_once_and_a_sweep_over_them_is_cheap(
    local: LocalHarness,
) -> None:
    cases = [server_case(size={"memoryMB": 64}) for _ in range(6)]
    await asyncio.gather(*(local.converge(case) for case in cases))
    sweep = await _sweep(local)
    assert set(sweep) == {case.ref.external_name for case in cases}
    begun = asyncio.get_running_loop().time()
    assert await _sweep(local) == sweep
    assert asyncio.get_running_loop().time() - begun < 0.5, "it is done every two seconds"


async def test_a_certificate_that_is_due_is_renewed_without_a_restart(local: LocalHarness) -> None:
    case = server_case()
    await local.converge(case)
    pid = local.site.pid(case)
    path = local.site.home(case) / "data" / "server.crt"
    foreign = Authority.load_or_create(local.site.path / "ca").issue("x", ["localhost"])[0]
    path.write_text(foreign)
    assert await _plan(local, case) == ["renew the certificate"]
    async with await local.connect(case) as connection:
        await connection.execute("SELECT 1")
    assert path.read_text() != foreign
    assert local.site.pid(case) == pid


async def test_no_verifier_reaches_the_log_whatever_is_logged(local: LocalHarness) -> None:
    """D12."""
    everything = {"log_statement": "all", "log_min_duration_statement": "0"}
    case = server_case(serverParameters=everything)
    state = await local.converge(case)
    await local.backend.update_admin_password(case.ref, state, case.admin)
    logs = "".join(path.read_text() for path in (local.site.home(case) / "log").iterdir())
    assert "statement:" in logs
    assert "SCRAM-SHA-256$" not in logs
    assert str(case.admin.password) not in logs


async def test_an_extension_that_needs_its_library_gets_it(local: LocalHarness) -> None:
    case = server_case(extensions=["pg_stat_statements", "hstore"])
    assert await _setting(local, case, "shared_preload_libraries") == "pg_stat_statements"
    assert local.backend.server_spec_valid(case.spec) == ()
