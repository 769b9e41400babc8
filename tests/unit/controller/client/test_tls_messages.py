"""TLS's own messages in the middle of a watch, from a server that can be told to send them."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator

import pytest
from tests.unit.controller.client.pki import Pki

from hybridpg.controller.client import TlsConfig

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


@pytest.fixture
def port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.fixture
async def server(
    request: pytest.FixtureRequest, pki: Pki, port: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``openssl s_server``: what is written to it is sent, letters alone are commands."""
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(pki.server)),
        *("-naccept", "1", request.param),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    await process.stdout.readuntil(b"ACCEPT\n")
    yield process
    if process.returncode is None:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("server", "command"),
    [
        pytest.param("-tls1_3", b"k\n", id="new-key"),
        pytest.param("-tls1_3", b"K\n", id="new-keys-of-both-sides"),
        pytest.param("-tls1_2", b"r\n", id="renegotiation"),
    ],
    indirect=["server"],
)
async def test_new_keys_do_not_break_a_watch(server, command: bytes, connect, pki: Pki, port: int):
    transport = connect(f"https://127.0.0.1:{port}", tls=TlsConfig(ca_file=str(pki.ca)))
    stream = transport.stream("/watch")

    async def say(data: bytes) -> None:
        server.stdin.write(data)
        await server.stdin.drain()

    first = asyncio.create_task(anext(stream))
    await server.stdout.readuntil(b"GET /watch")
    await say(HEAD + b"before\n")
    assert await first == [b"before"]
    for number in range(3):
        await say(command)
        await asyncio.sleep(0.04)  # a letter is a command at the beginning of a read only
        await say(b"event %d\n" % number)
        assert await anext(stream) == [b"event %d" % number]
    await stream.aclose()
    await transport.close()
    said, _ = await asyncio.wait_for(server.communicate(), 5)  # it ends after one connection
    assert said.count(b"SSL_do_handshake -> 1") == 3
