"""Hosts that the proxy of the environment is not for: the same ones as for kubectl."""

from __future__ import annotations

import pytest
from tests.unit.controller.client.kubeconfigs import write

from hybridpg.controller.client import load_kubeconfig
from hybridpg.controller.client.config import environment_proxy

PROXY = "http://proxy:3128"

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.fixture(autouse=True)
def _a_proxy(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, PROXY)


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost:6443",
        "http://localhost:8001",
        "https://LOCALHOST",
        "https://127.0.0.1:6443",
        "https://127.8.9.10",
        "https://[::1]:6443",
        "https://[::ffff:127.0.0.1]:6443",
    ],
)
def test_this_machine_is_reached_through_no_proxy(url: str):
    """A cluster on a laptop (kind, minikube) listens there."""
    assert environment_proxy(url) == ""


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        pytest.param("example.com", "https://example.com:6443", id="host"),
        pytest.param("example.com", "https://api.eu.example.com", id="its-subdomains"),
        pytest.param("EXAMPLE.com", "https://api.Example.COM", id="case"),
        pytest.param(".example.com", "https://api.example.com", id="leading-dot"),
        pytest.param("*.example.com", "https://api.example.com", id="star-and-dot"),
        pytest.param("a, example.com ,b", "https://example.com", id="one-of-a-list"),
        pytest.param(",,example.com,", "https://example.com", id="empty-ones"),
        pytest.param("example.com:6443", "https://example.com:6443", id="port"),
        pytest.param("example.com:443", "https://example.com", id="port-of-https"),
        pytest.param("example.com:80", "http://example.com", id="port-of-http"),
        pytest.param("10.1.2.3", "https://10.1.2.3:6443", id="address"),
        pytest.param("10.1.2.3:6443", "https://10.1.2.3:6443", id="address-and-port"),
        pytest.param("fd00::1", "https://[fd00::1]:6443", id="ipv6"),
        pytest.param("[fd00::1]:6443", "https://[fd00:0::1]:6443", id="ipv6-and-port"),
        pytest.param("fe80::1", "https://[fe80::1%25eth0]:6443", id="ipv6-with-interface"),
        pytest.param("10.0.0.0/8", "https://10.1.2.3:6443", id="network"),
        pytest.param("10.9.9.9/8", "https://10.1.2.3:6443", id="network-by-an-address-in-it"),
        pytest.param("10.0.0.0/8", "https://[::ffff:10.1.2.3]", id="mapped-address"),
        pytest.param("fd00::/8", "https://[fd00::1]:6443", id="ipv6-network"),
        pytest.param("*", "https://example.com", id="all"),
        pytest.param("a,*", "https://10.1.2.3", id="all-in-a-list"),
    ],
)
def test_what_no_proxy_names_is_reached_without(monkeypatch, no_proxy: str, url: str):
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert environment_proxy(url) == ""


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        pytest.param("", "https://example.com", id="nothing"),
        pytest.param("example.com", "https://badexample.com", id="same-end"),
        pytest.param(".example.com", "https://example.com", id="leading-dot-is-of-subdomains"),
        pytest.param("example.com:6443", "https://example.com", id="other-port"),
        pytest.param("10.1.2.3:443", "https://10.1.2.3:6443", id="other-port-of-an-address"),
        pytest.param("10.1.2.3", "https://10.1.2.30", id="other-address"),
        pytest.param("2.3", "https://10.1.2.3", id="end-of-an-address"),
        pytest.param("10.0.0.0/8", "https://11.1.2.3", id="other-network"),
        pytest.param("10.0.0.0/8", "https://ten.example.com", id="a-name-is-in-no-network"),
        pytest.param("fd00::/8", "https://10.1.2.3", id="network-of-the-other-kind"),
        pytest.param(
            "10.0.0.0/99, :6443, example.com/8, ., [", "https://example.com", id="rubbish"
        ),
        pytest.param("localhost.example.com", "https://localhost.example.org", id="a-name-like-it"),
    ],
)
def test_what_no_proxy_does_not_name_is_reached_through_the_proxy(monkeypatch, no_proxy, url):
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert environment_proxy(url) == PROXY


def test_the_variables_may_be_written_small_and_the_large_ones_win(monkeypatch):
    monkeypatch.setenv("no_proxy", "one.example.com")
    assert environment_proxy("https://one.example.com") == ""

    monkeypatch.setenv("NO_PROXY", "two.example.com")
    assert environment_proxy("https://one.example.com") == PROXY
    monkeypatch.setenv("https_proxy", "http://small:3128")
    assert environment_proxy("https://one.example.com") == PROXY


@pytest.mark.parametrize(
    "url", ["", "api:6443", "all://x", "https://api:port", "https://api:99999"]
)
def test_a_url_that_is_none_has_no_proxy(monkeypatch, url: str):
    """What is wrong with it is said by who uses it."""
    monkeypatch.setenv("ALL_PROXY", PROXY)

    assert environment_proxy(url) == ""


@pytest.mark.parametrize("host", ["https://127.0.0.1:6443", "https://10.1.2.3:6443"])
async def test_a_proxy_that_the_kubeconfig_names_is_used_whatever_the_host(
    path, monkeypatch, host: str
):
    monkeypatch.setenv("NO_PROXY", "*")
    cluster = {"server": host, "proxy-url": "http://jump:8080"}

    assert (await load_kubeconfig(write(path, cluster=cluster))).proxy == "http://jump:8080"


async def test_a_kubeconfig_of_this_machine_has_no_proxy(path):
    cluster = {"server": "https://127.0.0.1:6443"}

    assert (await load_kubeconfig(write(path, cluster=cluster))).proxy == ""
