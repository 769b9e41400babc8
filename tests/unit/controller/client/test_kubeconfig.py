"""Kubeconfigs in all the forms that people have: which one is used, and what is wrong with it."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.controller.client.kubeconfigs import write
from tests.unit.controller.client.pki import Pki

from hybridpg.controller.client import TokenFile, config, load_default, load_kubeconfig
from hybridpg.controller.errors import ConfigError

pytestmark = pytest.mark.usefixtures("clean_environment")


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
