"""The health server: it names what is wrong, says nothing else, and ends with the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from hybridpg.controller.errors import ManagerError
from hybridpg.controller.health import Address, Check, HealthServer


class Process:
    """What a test says about itself."""

    def __init__(self) -> None:
        self.live = [Check("tasks")]
        self.ready = [Check("informer a"), Check("leader election", note="waits")]


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
async def server(process: Process) -> AsyncIterator[HealthServer]:
    made = HealthServer(
        Address("127.0.0.1", 0),
        live=lambda: process.live,
        ready=lambda: process.ready,
        metrics=lambda: b"up 1\n",
    )
    await made.start()
    yield made
    await made.stop()


async def get(
    server: HealthServer, path: str, method: str = "GET"
) -> tuple[int, str, dict[str, str]]:
    url = f"http://127.0.0.1:{server.port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url) as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, await answer.text(), headers


async def test_a_healthy_process_says_ok_and_no_more(server):
    for path in ("/healthz", "/readyz"):
        status, text, _ = await get(server, path)
        assert (status, text) == (200, "ok\n")


async def test_verbose_names_every_check_and_what_it_does(server):
    _, text, _ = await get(server, "/readyz?verbose")
    assert text == "[+] informer a: ok\n[+] leader election: waits\nok\n"


async def test_what_is_wrong_is_named_without_being_asked_for(server, process):
    process.ready[0] = Check("informer a", "its first list is not complete")
    status, text, _ = await get(server, "/readyz")
    assert (status, text) == (503, "[-] informer a: its first list is not complete\nfailed\n")
    assert (await get(server, "/healthz"))[0] == 200, "it is alive all the same"


async def test_a_process_that_only_a_restart_helps_is_not_alive(server, process):
    process.live = [Check("tasks", "runnable sweep died: RuntimeError: disk full")]
    status, text, _ = await get(server, "/healthz")
    assert status == 503
    assert "runnable sweep died" in text


async def test_metrics_are_served_as_prometheus_reads_them(server):
    status, text, headers = await get(server, "/metrics")
    assert (status, text) == (200, "up 1\n")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_without_metrics_there_is_no_such_page(process):
    server = HealthServer(
        Address("127.0.0.1", 0), live=lambda: process.live, ready=lambda: process.ready
    )
    await server.start()
    assert (await get(server, "/metrics"))[0] == 404
    await server.stop()


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 404),
        ("/healthz/../etc/passwd", "GET", 404),
        ("/healthz", "POST", 405),
        ("/readyz", "DELETE", 405),
        ("/healthz", "HEAD", 200),
    ],
)
async def test_nothing_else_is_answered(server, path, method, status):
    assert (await get(server, path, method))[0] == status


async def test_answers_are_not_stored_on_their_way(server):
    _, _, headers = await get(server, "/healthz")
    assert headers["cache-control"] == "no-store"


async def test_an_address_that_is_taken_is_named(server, process):
    second = HealthServer(
        Address("127.0.0.1", server.port), live=lambda: process.live, ready=lambda: process.ready
    )
    with pytest.raises(ManagerError, match=rf"cannot listen on 127\.0\.0\.1:{server.port}: "):
        await second.start()


async def test_a_stop_does_not_wait_for_whoever_is_still_connected(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    async with asyncio.timeout(3):
        await server.stop()
        await server.stop()
        await reader.read()
    writer.close()
