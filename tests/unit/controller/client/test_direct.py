"""Connections of watches: how their host is found, and those that are given up while they open."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from yarl import URL

from hybridpg.controller.client.direct import connect
from hybridpg.controller.client.http_errors import NotConnected
from hybridpg.controller.client.linestream import LineStream

STEPS = 20
"""More turns of the event loop than connecting takes."""


async def test_a_connection_that_is_given_up_at_any_moment_leaves_no_socket_open():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = URL(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with warnings.catch_warnings(record=True) as unclosed:
            warnings.simplefilter("always", ResourceWarning)
            for steps in range(STEPS):
                await _given_up_after(steps, url)
                gc.collect()

    assert [str(each.message) for each in unclosed] == []


async def _given_up_after(steps: int, url: URL) -> None:
    """Cancel a connection after some turns of the event loop."""
    opening = asyncio.create_task(_connection(url))
    for _ in range(steps):
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    if not opening.cancelled():
        opening.result().close()
        await asyncio.sleep(0)  # an event loop closes sockets in its next turn


async def _connection(url: URL) -> LineStream:
    return await connect(url, "GET /", context=None, server_name="", within=30, silence=30)


class NoThreads(ThreadPoolExecutor):
    """All threads are busy, with a login plugin's files or a caller's own work."""

    def submit(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a thread was asked for")


@pytest.fixture
async def _no_thread_is_free() -> None:
    asyncio.get_running_loop().set_default_executor(NoThreads())


@pytest.mark.usefixtures("_no_thread_is_free")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_host_that_is_an_address_needs_no_thread(host: str):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        url = URL.build(scheme="http", host=host, port=server.getsockname()[1])
        (await _connection(url)).close()
        await asyncio.sleep(0)  # an event loop closes sockets in its next turn


@pytest.mark.usefixtures("_no_thread_is_free")
async def test_an_address_may_name_the_interface_that_it_is_reached_by():
    _, interface = socket.if_nameindex()[0]

    # nobody has that address; an unknown interface would be another failure
    with pytest.raises(NotConnected) as caught:
        await _connection(URL(f"http://[fe80::1%{interface}]:1/"))
    assert not isinstance(caught.value.__cause__, socket.gaierror)


async def test_a_host_that_is_a_name_is_looked_up():
    with socket.create_server(("127.0.0.1", 0)) as server:
        (await _connection(URL(f"http://localhost:{server.getsockname()[1]}/"))).close()
        await asyncio.sleep(0)
