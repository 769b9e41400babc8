"""Connections of watches that are given up while they open."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings

from yarl import URL

from hybridpg.controller.client.direct import connect

STEPS = 20
"""More turns of the event loop than connecting takes."""


async def test_a_connection_that_is_given_up_at_any_moment_leaves_no_socket_open():
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = URL(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        await loop.getaddrinfo("127.0.0.1", 0)  # the thread for it has started
        with warnings.catch_warnings(record=True) as unclosed:
            warnings.simplefilter("always", ResourceWarning)
            for steps in range(STEPS):
                await _given_up_after(steps, url)
                gc.collect()

    assert [str(each.message) for each in unclosed] == []


async def _given_up_after(steps: int, url: URL) -> None:
    """Cancel a connection after some turns of the event loop."""
    opening = asyncio.create_task(
        connect(url, "GET /", context=None, server_name="", within=30, silence=30)
    )
    for _ in range(steps):
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    if not opening.cancelled():
        opening.result().close()
        await asyncio.sleep(0)  # an event loop closes sockets in its next turn
