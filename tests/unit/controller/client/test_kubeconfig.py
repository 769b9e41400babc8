"""Kubeconfigs in all the forms that people have."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.unit.controller.client.pki import Pki, make_pki

from hybridpg.controller.client import Config, TokenFile, config, load_default, load_kubeconfig
from hybridpg.controller.client.auth import RenewedAuth
from hybridpg.controller.errors import ConfigError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def write(path: Path, *, name: str = "test", **parts: Any) -> Path:
    """A kubeconfig with one context; ``user``, ``cluster`` and ``context`` add to the defaults."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {"name": name, "cluster": {"server": "https://api:6443/", **parts.get("cluster", {})}}
        ],
        "users": [{"name": name, "user": parts.get("user", {})}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": name, **parts.get("context", {})}}
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kubeconfig"


async def test_a_token_becomes_a_header(path: Path):
    config = await load_kubeconfig(write(path, user={"token": "secret"}))

    assert config.host == "https://api:6443"
    assert config.namespace == "default"
    assert await config.auth.header() == "Bearer secret"


async def test_a_user_and_a_password_become_a_header(path: Path):
    config = await load_kubeconfig(write(path, user={"username": "a", "password": "b"}))

    assert await config.auth.header() == "Basic " + base64.b64encode(b"a:b").decode()


async def test_a_client_certificate_needs_no_header(path: Path, pki: Pki):
    pem = base64.b64encode(pki.client.read_bytes()).decode()
    ca = base64.b64encode(pki.ca.read_bytes()).decode()
    config = await load_kubeconfig(
        write(
            path,
            user={"client-certificate-data": pem, "client-key-data": pem},
            cluster={"certificate-authority-data": ca},
        )
    )

    assert await config.auth.header() == ""
    assert await config.auth.rejected("") is False
    key = Path(config.tls.key_file)
    assert key.read_bytes() == pki.client.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert config.tls.context().get_ca_certs()


async def test_files_are_found_beside_the_kubeconfig(path: Path, pki: Pki):
    (path.parent / "ca.crt").write_bytes(pki.ca.read_bytes())
    for name in ("client.crt", "client.key"):
        (path.parent / name).write_bytes(pki.client.read_bytes())
    config = await load_kubeconfig(
        write(
            path,
            user={"client-certificate": "client.crt", "client-key": "client.key"},
            cluster={"certificate-authority": "ca.crt"},
        )
    )

    assert config.tls.ca_file == str(path.parent / "ca.crt")
    assert config.tls.certificate_file == str(path.parent / "client.crt")
    assert config.tls.key_file == str(path.parent / "client.key")


async def test_server_name_proxy_and_verification_are_taken_over(path: Path):
    config = await load_kubeconfig(
        write(
            path,
            cluster={
                "tls-server-name": "other",
                "proxy-url": "http://proxy:3128",
                "insecure-skip-tls-verify": True,
            },
            context={"namespace": "team"},
        )
    )

    assert (config.tls.server_name, config.tls.verify) == ("other", False)
    assert (config.proxy, config.namespace) == ("http://proxy:3128", "team")


async def test_the_proxy_of_the_environment_serves_where_none_is_named(path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")

    assert (await load_kubeconfig(write(path))).proxy == "http://proxy:3128"


async def test_a_context_can_be_chosen(path: Path):
    write(path, name="one", user={"token": "1"})
    one, two = yaml.safe_load(path.read_text()), None
    write(path, name="two", user={"token": "2"})
    two = yaml.safe_load(path.read_text())
    for part in ("clusters", "users", "contexts"):
        one[part] += two[part]
    path.write_text(yaml.safe_dump(one))

    assert await (await load_kubeconfig(path)).auth.header() == "Bearer 1"
    assert await (await load_kubeconfig(path, "two")).auth.header() == "Bearer 2"


async def test_several_files_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = write(tmp_path / "one", name="one", user={"token": "1"})
    second = write(tmp_path / "two", name="two", user={"token": "2"})
    missing = tmp_path / "missing"
    monkeypatch.setenv("KUBECONFIG", f"{first}:{missing}:{second}")

    assert await (await load_kubeconfig(context="one")).auth.header() == "Bearer 1"
    assert await (await load_kubeconfig(context="two")).auth.header() == "Bearer 2"


async def test_the_usual_place_is_the_home_folder(tmp_path: Path):
    write(tmp_path / "home" / ".kube" / "config", user={"token": "home"})

    assert await (await load_kubeconfig()).auth.header() == "Bearer home"


# --- renewal -----------------------------------------------------------------------------------


async def test_a_token_file_that_was_rotated_is_read_on_401(path: Path, tmp_path: Path):
    """H27."""
    token = tmp_path / "token"
    token.write_text("old")
    config = await load_kubeconfig(write(path, user={"tokenFile": str(token)}))
    used = await config.auth.header()
    token.write_text("new")

    assert await config.auth.rejected(used) is True
    assert await config.auth.header() == "Bearer new"


async def test_a_token_file_is_read_like_that_of_a_pod(path: Path, tmp_path: Path):
    """H27."""
    (tmp_path / "token").write_text("old\n")
    config = await load_kubeconfig(write(path, user={"tokenFile": str(tmp_path / "token")}))

    assert isinstance(config.auth, TokenFile)
    assert await config.auth.header() == "Bearer old"


@pytest.mark.parametrize("named", [True, False], ids=["named", "in-the-environment"])
async def test_a_token_file_is_found_beside_the_kubeconfig(path: Path, monkeypatch, named: bool):
    write(path, user={"tokenFile": "secrets/token"})
    (path.parent / "secrets").mkdir()
    (path.parent / "secrets" / "token").write_text("beside")
    monkeypatch.setenv("KUBECONFIG", str(path))

    config = await load_kubeconfig(path if named else None)

    assert await config.auth.header() == "Bearer beside"


async def test_a_token_file_wins_over_a_token(path: Path, tmp_path: Path):
    """As in kubectl: the token may be one that was good once."""
    (tmp_path / "token").write_text("from-file")
    user = {"tokenFile": str(tmp_path / "token"), "token": "written"}

    assert await (await load_kubeconfig(write(path, user=user))).auth.header() == "Bearer from-file"


async def test_a_token_file_that_is_missing_is_named(path: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match=str(tmp_path / "none")):
        await load_kubeconfig(write(path, user={"tokenFile": str(tmp_path / "none")}))


def plugin(path: Path, status: dict[str, str], *, fails_after: int = 1000) -> dict[str, Any]:
    """The ``exec`` section of a login plugin that numbers its tokens and counts its runs."""
    program = path.parent / "plugin.py"
    runs = path.parent / "runs"
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    program.write_text(
        "import json, pathlib, sys\n"
        f"runs = pathlib.Path({str(runs)!r})\n"
        "number = int(runs.read_text()) + 1 if runs.exists() else 1\n"
        "runs.write_text(str(number))\n"
        f"if number > {fails_after}: sys.exit('login first')\n"
        f"status = dict({status!r}, token=f'token-{{number}}')\n"
        f"print(json.dumps(dict({credential!r}, status=status)))\n"
    )
    return {
        "apiVersion": credential["apiVersion"],
        "command": sys.executable,
        "args": [str(program)],
        "interactiveMode": "Never",
    }


def in_seconds(seconds: float) -> dict[str, str]:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return {"expirationTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ")}


async def test_a_login_plugin_is_run_once_for_many_requests(path: Path):
    config = await load_kubeconfig(write(path, user={"exec": plugin(path, in_seconds(3600))}))

    assert [await config.auth.header() for _ in range(5)] == ["Bearer token-1"] * 5
    assert (path.parent / "runs").read_text() == "1"


async def test_a_login_plugin_is_run_again_at_the_end_of_its_token(path: Path):
    config = await load_kubeconfig(write(path, user={"exec": plugin(path, in_seconds(-1))}))

    assert await config.auth.header() == "Bearer token-2"


async def test_a_login_plugin_is_run_again_on_401(path: Path):
    config = await load_kubeconfig(write(path, user={"exec": plugin(path, {})}))

    assert await config.auth.rejected(await config.auth.header()) is True
    assert await config.auth.header() == "Bearer token-2"


async def test_a_login_plugin_that_fails_later_leaves_the_old_token(path: Path, caplog):
    user = {"exec": plugin(path, {}, fails_after=1)}
    config = await load_kubeconfig(write(path, user=user))

    assert await config.auth.rejected(await config.auth.header()) is False
    assert await config.auth.header() == "Bearer token-1"
    assert "login first" in caplog.text


async def test_a_login_plugin_that_is_given_up_is_ended(path: Path):
    """Of those that hang there would be one more each minute."""
    user = {"exec": plugin(path, {})}
    program = path.parent / "plugin.py"
    hangs = (
        "import os, time\n"
        "pathlib.Path(str(runs) + '.pid').write_text(str(os.getpid()))\n"
        "if number > 1: time.sleep(600)\n"
    )
    program.write_text(program.read_text().replace("if number >", f"{hangs}if number >"))
    config = await load_kubeconfig(write(path, user=user))
    pid = path.parent / "runs.pid"
    pid.unlink()
    assert isinstance(config.auth, RenewedAuth)
    renewal = config.auth._begin()
    async with asyncio.timeout(20):
        while not (pid.is_file() and pid.read_text()):
            await asyncio.sleep(0.01)
        renewal.cancel()
        process = int(pid.read_text())
        while alive(process):
            await asyncio.sleep(0.01)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_login_plugin_that_fails_at_the_start_is_an_error_with_its_words(path: Path):
    write(path, user={"exec": plugin(path, {}, fails_after=0)})

    with pytest.raises(ConfigError, match="login first"):
        await load_kubeconfig(path)


async def test_a_login_plugin_that_is_not_installed_is_named(path: Path):
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-login"}}

    with pytest.raises(ConfigError, match="no-such-login"):
        await load_kubeconfig(write(path, user=user))


def certificates(path: Path, pems: list[Path]) -> dict[str, Any]:
    """A login plugin that returns one client certificate after the other, the last for ever."""
    user = plugin(path, {})
    program = path.parent / "plugin.py"
    program.write_text(
        program.read_text().replace(
            "print(",
            f"pem = open({[str(pem) for pem in pems]!r}[min(number, {len(pems)}) - 1]).read()\n"
            "status = {'clientCertificateData': pem, 'clientKeyData': pem}\n"
            "print(",
        )
    )
    return user


async def test_a_login_plugin_may_return_a_certificate_and_is_run_again_on_401(
    path: Path, pki: Pki
):
    config = await load_kubeconfig(
        write(path, user={"exec": certificates(path, [pki.client, pki.server])})
    )
    assert await config.auth.header() == ""
    assert Path(config.current_tls().certificate_file).read_bytes() == pki.client.read_bytes()

    await config.auth.rejected("")

    assert (path.parent / "runs").read_text() == "2"
    renewed = config.current_tls()
    assert Path(renewed.certificate_file).read_bytes() == pki.server.read_bytes()
    assert Path(renewed.key_file).read_bytes() == pki.server.read_bytes()


async def test_the_files_of_a_former_certificate_are_removed_and_closed(path: Path, pki: Pki):
    """A process that gets a new certificate each hour would have a thousand of them open."""
    pems = [pki.client, pki.server]
    config = await load_kubeconfig(write(path, user={"exec": certificates(path, pems)}))
    former = config.current_tls().certificate_file
    assert former in open_files()

    await config.auth.rejected("")

    assert not Path(former).exists()
    assert former not in {name.removesuffix(" (deleted)") for name in open_files()}
    assert Path(config.current_tls().certificate_file).exists()


def open_files() -> set[str]:
    found: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(entry.readlink()))
    return found


async def test_a_login_plugin_is_run_again_at_the_end_of_its_certificate(path: Path, pki: Pki):
    ended = make_pki(path.parent, days=-1).client
    config = await load_kubeconfig(
        write(path, user={"exec": certificates(path, [ended, pki.client])})
    )

    assert await config.auth.header() == ""
    assert (path.parent / "runs").read_text() == "2"
    assert Path(config.current_tls().certificate_file).read_bytes() == pki.client.read_bytes()


async def test_a_login_plugin_that_returns_rubbish_for_a_certificate_is_an_error(
    path: Path, tmp_path: Path
):
    (tmp_path / "rubbish").write_text("no certificate")

    with pytest.raises(ConfigError, match=r"no (client )?certificate"):
        await load_kubeconfig(
            write(path, user={"exec": certificates(path, [tmp_path / "rubbish"])})
        )


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


# --- what is wrong is said ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("just text", id="text"),
        pytest.param("[1, 2]", id="a-list"),
        pytest.param("{", id="no-yaml"),
        pytest.param("kind: Config", id="nothing-in-it"),
        pytest.param("current-context: x\ncontexts: 5\nclusters: []\nusers: []", id="wrong-type"),
        pytest.param("current-context: x\ncontexts: []\nclusters: []\nusers: []", id="no-context"),
    ],
)
async def test_a_file_that_is_no_kubeconfig_is_named(path: Path, text: str):
    path.write_text(text)

    with pytest.raises(ConfigError, match=f"kubeconfig {path} cannot be used: ."):
        await load_kubeconfig(path)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param({"cluster": {"server": ""}}, "no URL of the API server", id="no-server"),
        pytest.param({"cluster": {"server": "api:6443"}}, "URL of the API server", id="no-scheme"),
        pytest.param({"cluster": {"proxy-url": "socks5://x:1"}}, "proxy must be", id="socks"),
        pytest.param({"cluster": {"certificate-authority": "none"}}, "none", id="no-ca-file"),
        pytest.param({"cluster": {"certificate-authority-data": "%%"}}, "PEM file", id="no-ca"),
        pytest.param({"user": {"token": "two\nlines"}}, "characters that no token", id="token"),
        pytest.param({"user": {"client-certificate": "none"}}, "none", id="no-certificate"),
    ],
)
async def test_what_cannot_be_used_is_said(path: Path, parts: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        await load_kubeconfig(write(path, **parts))


async def test_an_unknown_context_is_named(path: Path):
    with pytest.raises(ConfigError, match="staging"):
        await load_kubeconfig(write(path), "staging")


async def test_a_missing_kubeconfig_is_named_with_the_remedy(path: Path):
    with pytest.raises(ConfigError, match=f"no kubeconfig at {path}: .*--kubeconfig or KUBECONFIG"):
        await load_kubeconfig(path)


# --- which one is used -------------------------------------------------------------------------


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pki: Pki) -> Path:
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text("pod")
    (folder / "ca.crt").write_bytes(pki.ca.read_bytes())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(config, "SERVICE_ACCOUNT", folder)
    return folder


async def test_a_pod_uses_its_account_by_default(pod: Path, tmp_path: Path):
    write(tmp_path / "home" / ".kube" / "config", user={"token": "home"})

    found = await load_default()

    assert isinstance(found.auth, TokenFile)
    assert found.host == "https://10.96.0.1:443"


async def test_a_kubeconfig_named_in_the_environment_wins_over_the_pod(pod, path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(write(path, user={"token": "named"})))

    assert await (await load_default()).auth.header() == "Bearer named"


async def test_outside_of_a_pod_the_home_folder_is_used(tmp_path: Path):
    write(tmp_path / "home" / ".kube" / "config", user={"token": "home"})

    assert await (await load_default()).auth.header() == "Bearer home"


async def test_where_there_is_nothing_the_message_says_what_to_do():
    with pytest.raises(ConfigError, match="name one with --kubeconfig"):
        await load_default()
