"""Credentials of requests and streams: sent as they are, and read again on 401."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from tests.unit.controller.client.webserver import Handler, collect

from hybridpg.controller.client import TokenFile
from hybridpg.controller.errors import Unauthorized


def accepting(token: list[str], seen: list[str]) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", "none"))
        if seen[-1] != f"Bearer {token[0]}":
            return web.Response(status=401, body=b"{}")
        return web.Response(body=b"welcome\n")

    return handler


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("old\n")
    return path


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_rotated_token_is_read_again_on_401_and_the_request_repeated(
    start, connect, token_file: Path, method: str
):
    """H27."""
    seen: list[str] = []
    token = ["old"]
    transport = connect(await start(accepting(token, seen)), auth=TokenFile(token_file))
    assert (await transport.request(method, "/")).status == 200
    token[0] = "new"
    token_file.write_text("new\n")

    assert (await transport.request(method, "/", body=b"{}")).status == 200
    assert seen == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_watch_opens_with_a_rotated_token(start, connect, token_file: Path):
    """H27."""
    seen: list[str] = []
    token = ["old"]
    transport = connect(await start(accepting(token, seen)), auth=TokenFile(token_file))
    await collect(transport.stream("/watch"))
    token[0] = "new"
    token_file.write_text("new\n")

    assert await collect(transport.stream("/watch")) == [b"welcome"]
    assert seen == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_token_that_stays_wrong_is_tried_once(start, connect, token_file: Path):
    seen: list[str] = []
    transport = connect(await start(accepting(["other"], seen)), auth=TokenFile(token_file))

    assert (await transport.request("GET", "/")).status == 401
    with pytest.raises(Unauthorized):
        await collect(transport.stream("/watch"))
    assert seen == ["Bearer old", "Bearer old"]


async def test_without_credentials_no_header_is_sent(start, connect):
    seen: list[str] = []
    transport = connect(await start(accepting(["x"], seen)))

    assert (await transport.request("GET", "/")).status == 401
    assert seen == ["none"]
