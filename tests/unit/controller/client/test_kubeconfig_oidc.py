"""OIDC logins of a kubeconfig: they are refreshed, kept, and shown to no issuer unverified."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.unit.controller.client.kubeconfigs import write
from tests.unit.controller.client.pki import Pki

from hybridpg.controller.client import Config, load_kubeconfig
from hybridpg.controller.errors import ConfigError

pytestmark = pytest.mark.usefixtures("clean_environment")


def id_token(seconds: float) -> str:
    """An OIDC token that ends in so many seconds; nobody here checks its signature."""
    end = datetime.datetime.now(datetime.UTC).timestamp() + seconds
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, {"exp": int(end)}))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + ".x"


def oidc(token: str) -> dict[str, Any]:
    config = {"idp-issuer-url": "http://127.0.0.1:1", "client-id": "a", "client-secret": "b"}
    return {"auth-provider": {"name": "oidc", "config": {**config, "id-token": token}}}


async def test_an_oidc_token_becomes_a_header(path: Path):
    token = id_token(3600)

    config = await load_kubeconfig(write(path, user=oidc(token)))

    assert await config.auth.header() == f"Bearer {token}"


async def test_an_oidc_login_that_another_tool_renewed_is_taken_over_on_401(path: Path):
    config = await load_kubeconfig(write(path, user=oidc(id_token(3600))))
    renewed = id_token(7200)
    write(path, user=oidc(renewed))

    assert await config.auth.rejected(await config.auth.header()) is True
    assert await config.auth.header() == f"Bearer {renewed}"


async def test_an_oidc_login_that_ended_for_good_is_an_error_at_the_start(path: Path):
    with pytest.raises(ConfigError, match="refresh-token"):
        await load_kubeconfig(write(path, user=oidc(id_token(-10))))


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    made = Issuer()
    await made.http.start_server()
    yield made
    await made.http.close()


class Issuer:
    """An OIDC issuer that takes each refresh token once; its tokens end at once."""

    def __init__(self) -> None:
        self.used: list[str] = []
        app = web.Application()
        app.router.add_get("/{path:.*}", self._configuration)
        app.router.add_post("/token", self._token)
        self.http = TestServer(app)

    async def _configuration(self, request: web.Request) -> web.Response:
        return web.json_response({"token_endpoint": f"{request.url.origin()}/token"})

    async def _token(self, request: web.Request) -> web.Response:
        self.used.append(str((await request.post())["refresh_token"]))
        number = len(self.used)
        if self.used[-1] != f"refresh-{number}":
            return web.Response(status=400)
        return web.json_response(
            {"id_token": id_token(number), "refresh_token": f"refresh-{number + 1}"}
        )

    async def ended_login(self, path: Path) -> Config:
        """Load a login that ends thereafter."""
        user = oidc(id_token(3600))
        user["auth-provider"]["config"]["idp-issuer-url"] = str(self.http.make_url(""))
        config = await load_kubeconfig(write(path, user=user))
        user["auth-provider"]["config"] |= {"id-token": id_token(0), "refresh-token": "refresh-1"}
        write(path, user=user)
        return config


# the library that reads kubeconfigs uses older forms of what it uses
OLD = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@OLD
async def test_an_oidc_login_is_refreshed_on_401_and_what_it_became_is_kept(path: Path, issuer):
    config = await issuer.ended_login(path)

    first = await config.auth.header()
    assert await config.auth.rejected(first) is True
    second = await config.auth.header()
    third = await (await load_kubeconfig(path)).auth.header()

    assert issuer.used == ["refresh-1", "refresh-2"]
    assert len({first, second, third}) == 3


@OLD
async def test_an_oidc_login_is_refreshed_though_its_file_cannot_be_written(
    path: Path, issuer, monkeypatch, caplog
):
    config = await issuer.ended_login(path)

    def read_only(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(
        "kubernetes_asyncio.config.kube_config.KubeConfigMerger.save_config", read_only
    )
    assert await config.auth.rejected(await config.auth.header()) is True
    assert "the renewed login cannot be kept" in caplog.text


@pytest.fixture
async def encrypted_issuer(pki: Pki) -> AsyncIterator[Issuer]:
    made = Issuer()
    await made.http.start_server(ssl=pki.server_context())
    yield made
    await made.http.close()


async def renew(path: Path, issuer: Issuer, **authority: str) -> str:
    """Load a login that has ended and return the header that it became."""
    user = oidc(id_token(-10))
    user["auth-provider"]["config"] |= {
        "idp-issuer-url": f"https://127.0.0.1:{issuer.http.port}",
        "refresh-token": "refresh-1",
        **authority,
    }
    return await (await load_kubeconfig(write(path, user=user))).auth.header()


@OLD
@pytest.mark.parametrize("form", ["data", "file", "file-beside-the-kubeconfig"])
async def test_an_oidc_issuer_is_verified_by_the_authority_of_the_kubeconfig(
    path: Path, pki: Pki, encrypted_issuer: Issuer, form: str
):
    (path.parent / "beside.pem").write_bytes(pki.ca.read_bytes())
    authority = {
        "data": {"idp-certificate-authority-data": base64.b64encode(pki.ca.read_bytes()).decode()},
        "file": {"idp-certificate-authority": str(pki.ca)},
        "file-beside-the-kubeconfig": {"idp-certificate-authority": "beside.pem"},
    }[form]

    assert (await renew(path, encrypted_issuer, **authority)).startswith("Bearer ")
    assert encrypted_issuer.used == ["refresh-1"]


@OLD
@pytest.mark.parametrize("form", ["none", "other"])
async def test_an_oidc_issuer_that_is_not_verified_gets_no_token(
    path: Path, pki: Pki, encrypted_issuer: Issuer, form: str
):
    authority = {"idp-certificate-authority": str(pki.other_ca)} if form == "other" else {}

    with pytest.raises(ConfigError, match=r"(?i)certificate"):
        await renew(path, encrypted_issuer, **authority)
    assert encrypted_issuer.used == []
