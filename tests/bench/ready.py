"""From a manifest to a login on the backend ``local``: by the operator, and by hand.

By hand means the least that anybody can do: initdb, a start, a role, a database, a login. It has
no marks, no TLS, no scram verification of what was made, and nobody looks after it.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the unprivileged user of the servers can reach."""
    made = Path(tempfile.mkdtemp(prefix="hybridpg-bench-"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made)


async def by_operator() -> float:
    """Apply the example on a running controller; the clock ends with the application's login."""
    from hybridpg.app import run_operator
    from hybridpg.app.dev.crds import install_crds
    from hybridpg.app.dev.example import DATABASE as KEY
    from hybridpg.app.dev.example import apply, wait_ready
    from hybridpg.app.dev.login import wait_login
    from hybridpg.app.dev.servers import dev_config, stop_servers
    from hybridpg.app.dev.state import hold
    from hybridpg.controller import Client
    from hybridpg.controller.testing import FakeCluster

    with folder() as place, hold(place) as state:
        cluster = FakeCluster()
        client = Client(cluster)
        await install_crds(client)
        stop, started = asyncio.Event(), asyncio.Event()
        operator = asyncio.create_task(
            run_operator(dev_config(state), cluster, stop, on_started=started.set)
        )
        await started.wait()
        begin = time.perf_counter()
        await apply(client)
        ready = partial(wait_ready, client, lambda _: None)
        await wait_login(client, KEY, state.certificate, ready)
        seconds = time.perf_counter() - begin
        stop.set()
        await operator
        await stop_servers(state)
    return seconds


async def by_hand() -> float:
    """initdb, start, create a role and its database, log in."""
    from hybridpg.backends.local.account import resolve
    from hybridpg.backends.local.installations import Installations
    from hybridpg.backends.local.process import run

    account = resolve(None)
    installed = Installations((), account).newest()
    with folder() as place:
        data = place / "data"
        data.mkdir()
        shutil.chown(data, account.uid, account.gid)

        async def program(name: str, *arguments: str) -> None:
            argv = [installed.program(name), "-D", str(data), *arguments]
            code, output = await run(argv, account=account, cwd=data)
            assert code == 0, output

        login = f"host={data} port=5499 connect_timeout=10"
        begin = time.perf_counter()
        await program("initdb", "--username=bench", "--auth=trust", "--data-checksums")
        options = f"-c listen_addresses='' -c port=5499 -c unix_socket_directories={data}"
        await program("pg_ctl", "start", "-w", "-s", "-o", options, "-l", str(data / "log"))
        try:
            with psycopg.connect(f"{login} user=bench dbname=postgres", autocommit=True) as admin:
                admin.execute("CREATE ROLE app LOGIN PASSWORD 'secret'")
                admin.execute("CREATE DATABASE app OWNER app")
            with psycopg.connect(f"{login} user=app dbname=app") as connection:
                connection.execute("SELECT 1")
            return time.perf_counter() - begin
        finally:
            await program("pg_ctl", "stop", "-m", "immediate", "-s")
