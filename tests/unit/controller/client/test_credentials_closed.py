"""What becomes of a renewal that is under way when its credentials, or a transport, are closed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from tests.unit.controller.client.webserver import Handler, collect

from hybridpg.controller.client import Auth, StaticAuth, TokenFile
from hybridpg.controller.client.auth import Credential, RenewedAuth
from hybridpg.controller.errors import TransportError


class HangingPlugin:
    """A login plugin that waits for its user, who has gone: the first ``hangs`` times."""

    def __init__(self, hangs: int = 1) -> None:
        self.runs = 0
        self.ended = 0
        self.running = asyncio.Event()
        self._hangs = hangs

    async def __call__(self) -> Credential:
        self.runs += 1
        self.running.set()
        try:
            if self.runs <= self._hangs:
                await asyncio.Event().wait()
        finally:
            self.ended += 1
        return Credential(f"Bearer {self.runs}")


async def test_who_waits_for_a_plugin_that_is_ended_goes_on_with_the_old_token(caplog):
    """Not cancelled: nobody gave up that request."""
    plugin = HangingPlugin()
    auth = RenewedAuth(Credential("Bearer 0", 0), plugin)
    waiting = [asyncio.create_task(auth.header()) for _ in range(2)]
    await plugin.running.wait()

    await auth.close()

    assert plugin.ended == 1
    assert await asyncio.gather(*waiting) == ["Bearer 0"] * 2
    assert caplog.text == ""


async def test_a_rejection_that_waits_for_a_plugin_is_final_when_that_is_ended():
    plugin = HangingPlugin()
    auth = RenewedAuth(Credential("Bearer 0"), plugin)
    waiting = asyncio.create_task(auth.rejected("Bearer 0"))
    await plugin.running.wait()
    await auth.close()

    assert await waiting is False


async def test_credentials_that_were_closed_serve_another_transport_of_the_same_configuration():
    plugin = HangingPlugin()
    auth = RenewedAuth(Credential("Bearer 0", 0), plugin)
    asking = asyncio.create_task(auth.header())
    await plugin.running.wait()
    await auth.close()
    await asking

    assert await auth.header() == "Bearer 2"


async def test_closing_what_has_nothing_under_way_does_nothing(tmp_path: Path):
    (tmp_path / "token").write_text("1")
    renewed = RenewedAuth(Credential("Bearer 0"), HangingPlugin(hangs=0))
    await renewed.rejected("Bearer 0")
    unused = RenewedAuth(Credential("Bearer 1"), HangingPlugin())
    auths: list[Auth] = [StaticAuth("Bearer 1"), TokenFile(tmp_path / "token"), renewed, unused]

    for auth in auths * 2:
        await auth.close()

    assert [await auth.header() for auth in auths] == ["Bearer 1"] * 4


# --- transports --------------------------------------------------------------------------------


def refusing(seen: list[str]) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(status=401, body=b"{}")

    return handler


async def test_a_closed_transport_leaves_no_login_plugin_running(start, connect):
    """That of a request which did not wait for its end."""
    seen: list[str] = []
    plugin = HangingPlugin()
    auth = RenewedAuth(Credential("Bearer 0"), plugin)
    transport = connect(await start(refusing(seen)), auth=auth)
    asking = asyncio.create_task(transport.request("GET", "/"))
    await plugin.running.wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert (seen, plugin.ended) == (["Bearer 0"], 0), "others may wait for it"

    await transport.close()

    assert plugin.ended == 1


@pytest.mark.parametrize("kind", ["request", "stream"])
async def test_what_waits_for_a_login_plugin_when_all_is_closed_opens_nothing(serve, connect, kind):
    connections: list[int] = []

    async def script(reader, writer, number):
        connections.append(number)

    plugin = HangingPlugin()
    auth = RenewedAuth(Credential("Bearer 0", 0), plugin)
    transport = connect(await serve(script), auth=auth)
    sent = transport.request("GET", "/") if kind == "request" else collect(transport.stream("/"))
    asking = asyncio.create_task(sent)
    await plugin.running.wait()

    await transport.close()

    with pytest.raises(TransportError, match="the transport is closed"):
        await asking
    assert connections == []
