"""The controller may die at any moment, and so may what it left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.fix_local import (
    CLUSTER,
    LocalHarness,
    LocalSite,
    NoKube,
    is_main,
    server_case,
    with_spec,
)

from hybridpg.backends import BackendContext, Conflict, Policy, Present
from hybridpg.backends._harness import converge_server
from hybridpg.backends.conformance import ServerCase
from hybridpg.backends.local import Local, LocalOptions
from hybridpg.backends.local.files import read_text
from hybridpg.backends.local.layout import Home
from hybridpg.backends.local.process import postmaster, send, working_below, working_folder
from hybridpg.backends.local.record import load

pytestmark = pytest.mark.postgres

# What a controller does, in a process of its own that can be killed. It is handed the folder and
# the server; the password comes by a pipe as the operator has it from a Secret.
CONTROLLER = """
import asyncio, json, sys
from hybridpg.backends import *
from hybridpg.backends._harness import ServerCase, converge_server
from hybridpg.backends.local import Local, LocalOptions
from hybridpg.crds import ServerSpec

given = json.loads(sys.stdin.read())

class Harness:
    provisions = True
    def __init__(self, backend): self.backend = backend
    async def settle(self, seconds): await asyncio.sleep(0.02)

async def main():
    options = LocalOptions.model_validate(given["options"])
    harness = Harness(Local(BackendContext("local", options, None, "test-cluster")))
    ref = ServerRef(Owner(**given["owner"]), given["name"])
    spec = ServerSpec.model_validate(given["spec"])
    case = ServerCase(ref, spec, Credentials("postgres", Password(given["password"])))
    await converge_server(harness, case)
    print("ready", flush=True)

asyncio.run(main())
"""


def _controller(site: LocalSite, case: ServerCase) -> subprocess.Popen[bytes]:
    owner = case.ref.owner
    given = {
        "options": {"path": str(site.path / "site"), "ports": site.ports},
        "owner": {
            "cluster_id": owner.cluster_id,
            "uid": owner.uid,
            "namespace": owner.namespace,
            "name": owner.name,
        },
        "name": case.ref.external_name,
        "spec": case.spec.model_dump(by_alias=True, exclude_unset=True),
        "password": str(case.admin.password),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(given).encode())
    process.stdin.close()
    return process


async def _finished(process: subprocess.Popen[bytes]) -> int:
    try:
        with process:
            return await asyncio.to_thread(process.wait, 30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


async def _whole(local: LocalHarness, case: ServerCase) -> None:
    """The server is complete, alone, and takes the password that it was made with."""
    async with await local.connect(case) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS t (id int)")
    home = local.site.home(case)
    assert not (home / "making").exists()
    assert _mains(local) == [local.site.pid(case)], "there is exactly one server"
    record = load(Home(home))
    assert record is not None
    assert record.started
    assert record.version.startswith(f"{record.major}."), "whoever started it may have died"


def _mains(local: LocalHarness) -> list[int]:
    """The main processes below the site."""
    return [pid for pid in working_below(local.site.path) if is_main(pid)]


async def test_servers_outlive_their_controller_and_are_found_again(local: LocalHarness) -> None:
    case = server_case()
    assert await _finished(_controller(local.site, case)) == 0
    pid = local.site.pid(case)
    assert os.getsid(pid) != os.getsid(0)
    await _whole(local, case)
    assert local.site.pid(case) == pid


MOMENTS = ("folder", "record", "making", "half-made", "data", "configured", "running", "admin")


def _reached(home: Path, moment: str) -> bool:
    data = home / "data"
    return {
        "folder": lambda: home.parent.exists(),
        "record": lambda: (home / "server.json").exists(),
        "making": lambda: (home / "making").exists(),
        "half-made": lambda: (home / "making" / "data" / "global" / "pg_control").exists(),
        "data": lambda: data.exists(),
        "configured": lambda: (data / "server.crt").exists(),
        "running": lambda: (data / "postmaster.pid").exists(),
        "admin": lambda: '"admin": "postgres"' in (read_text(home / "server.json") or ""),
    }[moment]()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_controller_killed_while_it_makes_a_server_harms_nothing(
    local: LocalHarness, moment: str
) -> None:
    """The next controller finishes the work; the password is the one given first."""
    case = server_case(serverParameters={"work_mem": "7MB"})
    controller = _controller(local.site, case)
    while not _reached(local.site.home(case), moment) and controller.poll() is None:
        await asyncio.sleep(0.001)
    controller.send_signal(signal.SIGKILL)
    await _finished(controller)
    await _whole(local, case)


async def test_what_a_finished_initdb_left_is_tidied_up(local: LocalHarness) -> None:
    """The controller died between the naming of the data folder and the end of its work."""
    case = server_case()
    await local.converge(case)
    while local.own._jobs.running(case.ref.external_name):  # one more may have been begun
        await asyncio.sleep(0.01)
    await local.kill(case)
    (local.site.home(case) / "making").mkdir()
    await _whole(local, case)


async def test_two_controllers_at_once_make_one_server(local: LocalHarness) -> None:
    case = server_case()
    codes = await asyncio.gather(
        *(_finished(_controller(local.site, case)) for _ in range(2)), local.converge(case)
    )
    assert codes[:2] == [0, 0]
    await _whole(local, case)


async def test_a_dropped_backend_and_a_new_one_do_not_get_in_each_others_way(
    local: LocalHarness,
) -> None:
    case = server_case()
    changes = local.backend.plan_server(
        case.ref, case.spec, await local.backend.observe_server(case.ref)
    )
    await local.backend.create_or_update_server(case.ref, changes, case.admin)
    local.backend = local.site.backend()
    await _whole(local, case)


async def test_a_closed_backend_leaves_nothing_half_running(local: LocalHarness) -> None:
    case = server_case()
    changes = local.backend.plan_server(
        case.ref, case.spec, await local.backend.observe_server(case.ref)
    )
    await local.backend.create_or_update_server(case.ref, changes, case.admin)
    while not (local.site.home(case) / "making" / "data").exists():
        await asyncio.sleep(0.001)
    await local.backend.close()
    left = [pid for pid in working_below(local.site.path) if working_folder(pid)]
    assert left == []
    local.backend = local.site.backend()
    await _whole(local, case)


@pytest.mark.parametrize("crashed", ["before", "after"])
async def test_a_crash_around_a_change_of_settings_is_made_up_for(
    local: LocalHarness, crashed: str
) -> None:
    case = server_case()
    await local.converge(case)
    pid = local.site.pid(case)
    record = local.site.home(case) / "server.json"
    before = record.read_text()
    case = with_spec(case, serverParameters={"max_connections": "44"})
    if crashed == "after":  # the file and the server are new, the record is not
        await local.converge(case)
        record.write_text(before)
    else:  # the file is new, the server is not
        with (local.site.home(case) / "data" / "postgresql.conf").open("a") as file:
            file.write("max_connections = 44\n")
    state = await local.converge(case)
    async with await local.connect(case) as connection:
        cursor = await connection.execute("SHOW max_connections")
        assert await cursor.fetchone() == ("44",)
    assert local.site.pid(case) != pid
    assert state.effective["serverParameters"] == {"max_connections": "44"}


async def test_a_stale_process_file_that_names_somebody_else_hinders_nothing(
    local: LocalHarness,
) -> None:
    case = server_case()
    await local.converge(case)
    pid_file = local.site.home(case) / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    await local.kill(case)
    bystander = subprocess.Popen(["/bin/sleep", "60"], cwd="/")
    try:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]))
        await _whole(local, case)
        assert bystander.poll() is None, "a process that is no server is never touched"
    finally:
        bystander.kill()
        bystander.wait()


async def test_busy_children_of_a_killed_server_are_ended_before_it_starts_again(
    local: LocalHarness,
) -> None:
    case = server_case()
    connection = await local.connect(case)
    endless = asyncio.create_task(
        connection.execute("DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$"), name="endless"
    )
    await asyncio.sleep(0.04)
    old = local.site.pid(case)
    data = local.site.home(case) / "data"
    assert send(old, signal.SIGKILL, data)
    while postmaster(data) is not None:
        await asyncio.sleep(0.01)
    children = set(working_below(data))
    await _whole(local, case)
    assert not children & set(working_below(data))
    with pytest.raises(psycopg.OperationalError):
        await endless
    await connection.close()


async def test_a_mark_that_changed_meanwhile_stops_the_work(local: LocalHarness) -> None:
    case = server_case()
    await local.converge(case)
    case = with_spec(case, serverParameters={"work_mem": "9MB"})
    observed = await local.backend.observe_server(case.ref)
    changes = local.backend.plan_server(case.ref, case.spec, observed)
    record = local.site.home(case) / "server.json"
    record.write_text(record.read_text().replace(case.ref.owner.uid, "somebody-else"))
    with pytest.raises(Conflict):
        await local.backend.create_or_update_server(case.ref, changes, case.admin)
    with pytest.raises(Conflict):
        await converge_server(local, case)


async def test_a_controller_that_was_replaced_begins_no_work_on_a_server(local: LocalHarness):
    """Invariant 10: neither programs nor folders are touched."""

    class ReplacedError(Exception):
        """What the fence raises."""

    def fence(what: str) -> None:
        raise ReplacedError(what)

    options = LocalOptions.model_validate(
        {"path": local.site.path / "site", "ports": local.site.ports}
    )
    replaced = Local(BackendContext("local", options, NoKube(), CLUSTER, fence=fence))
    local.site.backends.append(replaced)
    case = server_case(size={"storageGB": 1})
    changes = replaced.plan_server(case.ref, case.spec, await replaced.observe_server(case.ref))
    with pytest.raises(ReplacedError, match=f"work on server {case.ref.external_name}"):
        await replaced.create_or_update_server(case.ref, changes, case.admin)
    assert not local.site.home(case).exists()

    await local.converge(case)
    observed = await replaced.observe_server(case.ref)
    assert isinstance(observed, Present)
    with pytest.raises(ReplacedError, match="a statement on "):
        await replaced.update_admin_password(case.ref, observed.state, case.admin)
    for policy in Policy:
        with pytest.raises(ReplacedError):
            await replaced.delete_server(case.ref, observed, policy)
    assert working_folder(local.site.pid(case)) == local.site.home(case) / "data"
