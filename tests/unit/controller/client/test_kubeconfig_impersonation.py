"""Kubeconfigs that act as somebody else: no request goes out with the rights of the login alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.unit.controller.client.kubeconfigs import write
from tests.unit.controller.client.webserver import collect

from hybridpg.controller.client import AiohttpTransport, load_kubeconfig
from hybridpg.controller.errors import ConfigError

pytestmark = pytest.mark.usefixtures("clean_environment")

VIEWER = {
    "token": "secret",
    "as": "viewer",
    "as-uid": "17",
    "as-groups": ["readers", "team a"],
    "as-user-extra": {"scopes": ["one", "two"], "example.com/Reason %": ["ticket"]},
}
VIEWERS_HEADERS = [
    ("Impersonate-Extra-example.com%2FReason%20%25", "ticket"),
    ("Impersonate-Extra-scopes", "one"),
    ("Impersonate-Extra-scopes", "two"),
    ("Impersonate-Group", "readers"),
    ("Impersonate-Group", "team a"),
    ("Impersonate-Uid", "17"),
    ("Impersonate-User", "viewer"),
]


class ApiServer:
    """Keeps the headers that name somebody, of each request."""

    def __init__(self) -> None:
        self.came: list[list[tuple[str, str]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        found = [(k, v) for k, v in request.headers.items() if k.lower().startswith("impersonate")]
        self.came.append(sorted(found))
        return web.Response(body=b"{}\n")


async def ask_in_every_way(path: Path, host: str, user: dict[str, Any], **options: Any) -> int:
    """Send what a transport can, and return how many requests that were."""
    config = await load_kubeconfig(write(path, user=user, cluster={"server": host}))
    transport = AiohttpTransport(config, **options)
    try:
        await transport.request("GET", "/things/one")
        await transport.request("PATCH", "/things/one", body=b"{}")
        await transport.request("GET", "/apis/coordination.k8s.io/v1/leases/one")
        await transport.request(
            "GET", "/things", query=[("limit", "5")], headers=[("accept", "application/json")]
        )
        await collect(transport.stream("/things", query=[("watch", "true")]))
    finally:
        await transport.close()
    return 5


@pytest.mark.parametrize("in_place", [True, False], ids=["in-place", "library"])
async def test_every_request_is_made_as_the_user_that_the_kubeconfig_names(start, path, in_place):
    server = ApiServer()

    count = await ask_in_every_way(path, await start(server.answer), VIEWER, in_place=in_place)

    assert server.came == [VIEWERS_HEADERS] * count


async def test_a_user_alone_is_enough(start, path: Path):
    server = ApiServer()

    await ask_in_every_way(path, await start(server.answer), {"as": "system:serviceaccount:a:b"})

    assert server.came[0] == [("Impersonate-User", "system:serviceaccount:a:b")]


@pytest.mark.parametrize("nobody", [{}, {"as": ""}, {"as": None, "as-groups": [], "as-uid": ""}])
async def test_a_kubeconfig_that_names_nobody_sends_no_such_header(start, path: Path, nobody):
    server = ApiServer()

    await ask_in_every_way(path, await start(server.answer), {"token": "secret", **nobody})

    assert not any(server.came)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        pytest.param(["as"], "a user must be a map", id="user-no-map"),
        pytest.param({"as-groups": ["a"]}, "as-groups without as", id="groups-of-nobody"),
        pytest.param({"as-uid": "1"}, "as-uid without as", id="uid-of-nobody"),
        pytest.param({"as-user-extra": {"a": ["b"]}}, "as-user-extra without as", id="extra"),
        pytest.param({"as": "a\r\nX: y"}, "as holds a char", id="two-lines"),
        pytest.param({"as": "a", "as-groups": ["b\0"]}, "as-groups holds a char", id="nul"),
        pytest.param({"as": 5}, "as must be a text", id="number"),
        pytest.param({"as": "a", "as-groups": "b"}, "as-groups must be a list", id="no-list"),
        pytest.param({"as": "a", "as-groups": [1]}, "as-groups must be a list", id="numbers"),
        pytest.param({"as": "a", "as-user-extra": ["b"]}, "as-user-extra must", id="no-map"),
        pytest.param({"as": "a", "as-user-extra": {"b": "c"}}, "as-user-extra must", id="flat"),
    ],
)
async def test_who_cannot_be_acted_as_is_an_error_and_never_left_out(path, user, message: str):
    with pytest.raises(ConfigError, match=message):
        await load_kubeconfig(write(path, user=user))
