"""Configuration of a pod, and the errors that say what to do."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.controller.client.pki import Pki

from hybridpg.controller.client import Config, TlsConfig, TokenFile, load_in_cluster
from hybridpg.controller.client.config import environment_proxy
from hybridpg.controller.errors import ConfigError

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path, pki: Pki) -> Path:
    (tmp_path / "ca.crt").write_bytes(pki.ca.read_bytes())
    for name, text in (("token", "secret\n"), ("namespace", "team\n")):
        (tmp_path / name).write_text(text)
    return tmp_path


async def test_a_pod_uses_its_service_account(account: Path):
    config = load_in_cluster(folder=account, environ=POD)

    assert config.host == "https://10.96.0.1:443"
    assert config.namespace == "team"
    assert config.tls == TlsConfig(ca_file=str(account / "ca.crt"))
    assert isinstance(config.auth, TokenFile)
    assert await config.auth.header() == "Bearer secret"


def test_an_ipv6_address_is_put_in_brackets(account: Path):
    environ = {**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}

    assert load_in_cluster(folder=account, environ=environ).host == "https://[fd00::1]:443"


def test_a_pod_without_a_namespace_file_is_in_default(account: Path):
    (account / "namespace").unlink()

    assert load_in_cluster(folder=account, environ=POD).namespace == "default"


def test_the_way_to_the_api_server_of_a_pod_leads_through_no_proxy(account, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")

    assert load_in_cluster(folder=account, environ=POD).proxy == ""


@pytest.mark.parametrize("missing", POD)
def test_outside_of_a_pod_the_message_asks_for_a_kubeconfig(account: Path, missing: str):
    environ = {name: value for name, value in POD.items() if name != missing}

    with pytest.raises(ConfigError, match=r"not in a pod.*name a kubeconfig"):
        load_in_cluster(folder=account, environ=environ)


def test_a_pod_with_a_broken_authority_is_told_at_once(account: Path):
    (account / "ca.crt").write_text("no PEM")

    with pytest.raises(ConfigError, match=r"ca.crt.*PEM file"):
        load_in_cluster(folder=account, environ=POD)


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
def test_a_pod_without_an_account_is_told_which_file_is_missing(account: Path, missing: str):
    (account / missing).unlink()

    with pytest.raises(ConfigError, match=f"{missing} missing.*automountServiceAccountToken"):
        load_in_cluster(folder=account, environ=POD)


def test_a_pod_never_imports_the_kubernetes_library(account: Path):
    """It would take 70 MB."""
    program = (
        "import sys, pathlib\n"
        "from hybridpg.controller.client import AiohttpTransport, Client, load_in_cluster\n"
        f"config = load_in_cluster(folder=pathlib.Path({str(account)!r}), environ={POD!r})\n"
        "Client(AiohttpTransport(config))\n"
        "assert not [name for name in sys.modules if name.startswith('kubernetes')]\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("host", ["", "localhost:8080", "unix:///run/x", "https://", "ftp://x"])
def test_a_host_that_is_no_url_is_refused(host: str):
    with pytest.raises(ConfigError, match="URL of the API server"):
        Config(host=host)


def test_a_proxy_of_a_kind_that_cannot_be_used_is_refused():
    with pytest.raises(ConfigError, match="proxy must be http"):
        Config(host="https://example.com", proxy="socks5://localhost:1080")


def test_the_password_of_a_proxy_that_cannot_be_used_is_not_shown():
    with pytest.raises(ConfigError, match=r"socks5://…@localhost") as caught:
        Config(host="https://example.com", proxy="socks5://user:hunter2@localhost:1080")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, ""),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, ""),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.com"}, ""),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "other.com"}, "http://proxy:3128"),
    ],
)
@pytest.mark.usefixtures("clean_environment")
def test_the_proxy_of_the_environment_is_the_one_for_the_url(monkeypatch, environ, proxy):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert environment_proxy("https://api.example.com:6443") == proxy


@pytest.mark.parametrize("text", [None, "", "no PEM"])
def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path, text: str | None):
    file = tmp_path / "ca.crt"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigError, match=f"{file}.*PEM file"):
        TlsConfig(ca_file=str(file)).context()


def test_a_client_certificate_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"missing.crt.*missing.key.*belong together"):
        TlsConfig(
            certificate_file=str(tmp_path / "missing.crt"), key_file=str(tmp_path / "missing.key")
        ).context()


def test_the_server_is_verified_unless_that_is_switched_off():
    assert TlsConfig().context().verify_mode == ssl.CERT_REQUIRED
    assert TlsConfig().context().check_hostname is True
    assert TlsConfig(verify=False).context().verify_mode == ssl.CERT_NONE
