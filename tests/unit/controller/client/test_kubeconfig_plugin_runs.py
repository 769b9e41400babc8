"""What a login plugin of a kubeconfig is told, where it is found, and how its run ends."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.controller.client.kubeconfigs import write
from tests.unit.controller.client.pki import Pki

from hybridpg.controller.client import load_kubeconfig
from hybridpg.controller.errors import ConfigError

pytestmark = pytest.mark.usefixtures("clean_environment")

V1 = "client.authentication.k8s.io/v1"
EXTENSION = "client.authentication.k8s.io/exec"


def script(file: Path, **answer: Any) -> Path:
    """An executable plugin that keeps what it is told in a file beside it."""
    status = {"token": "from-plugin"}
    answer = {"apiVersion": V1, "kind": "ExecCredential", "status": status, **answer}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"#!{sys.executable}\n"
        "import os, pathlib\n"
        f"told = pathlib.Path({str(file.with_suffix('.told'))!r})\n"
        "told.write_text(os.environ['KUBERNETES_EXEC_INFO'])\n"
        f"print({json.dumps(answer)!r})\n"
    )
    file.chmod(0o755)
    return file


def section(command: Path | str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": V1, "command": str(command), "interactiveMode": "Never", **more}


def told(plugin: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plugin.with_suffix(".told").read_text())
    return found


# --- what it is told ---------------------------------------------------------------------------


async def told_of(path: Path, cluster: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the ``spec`` that a plugin is given for a cluster."""
    plugin = script(path.parent / "plugin")
    user = {"exec": section(plugin, **more)}
    await load_kubeconfig(write(path, user=user, cluster=cluster))
    info = told(plugin)
    assert (info["apiVersion"], info["kind"]) == (V1, "ExecCredential")
    spec: dict[str, Any] = info["spec"]
    return spec


async def test_a_plugin_that_asks_for_it_is_told_of_the_cluster(path: Path, pki: Pki):
    """Plugins that serve many clusters ask which one a token is for."""
    ca = base64.b64encode(pki.ca.read_bytes()).decode()
    cluster = {
        "server": "https://api.example.com:6443",
        "certificate-authority-data": ca,
        "tls-server-name": "other",
        "proxy-url": "http://proxy:3128",
        "disable-compression": True,
        "extensions": [
            {"name": "somebody.else", "extension": {"a": 1}},
            {"name": EXTENSION, "extension": {"audience": "x", "more": ["y", {"z": None}]}},
        ],
    }

    spec = await told_of(path, cluster, provideClusterInfo=True)

    assert spec["cluster"] == {
        "server": "https://api.example.com:6443",
        "certificate-authority-data": ca,
        "tls-server-name": "other",
        "proxy-url": "http://proxy:3128",
        "disable-compression": True,
        "config": {"audience": "x", "more": ["y", {"z": None}]},
    }


async def test_of_a_cluster_a_plugin_is_told_what_there_is(path: Path):
    cluster = {"server": "https://api:6443", "insecure-skip-tls-verify": True}

    spec = await told_of(path, cluster, provideClusterInfo=True)

    assert spec["cluster"] == {"server": "https://api:6443", "insecure-skip-tls-verify": True}


async def test_a_plugin_is_given_an_authority_that_is_a_file(path: Path, pki: Pki):
    (path.parent / "ca.crt").write_bytes(pki.ca.read_bytes())

    spec = await told_of(path, {"certificate-authority": "ca.crt"}, provideClusterInfo=True)

    assert base64.b64decode(spec["cluster"]["certificate-authority-data"]) == pki.ca.read_bytes()


@pytest.mark.parametrize("more", [{}, {"provideClusterInfo": False}])
async def test_a_plugin_that_does_not_ask_is_told_nothing_of_the_cluster(path: Path, more):
    assert "cluster" not in await told_of(path, {}, **more)


# --- where it is found -------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["./bin/login", "bin/login", "../kube/bin/login"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "in-the-environment"])
async def test_a_plugin_with_a_relative_path_is_found_beside_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, named: bool
):
    """As in kubectl: wherever the process was started."""
    path = write(tmp_path / "kube" / "config", user={"exec": section(command)})
    script(tmp_path / "kube" / "bin" / "login")
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.chdir("/")

    config = await load_kubeconfig(path if named else None)

    assert await config.auth.header() == "Bearer from-plugin"


async def test_a_plugin_is_found_beside_the_file_of_its_user(tmp_path: Path, monkeypatch):
    """Of several files that are merged."""
    user = yaml.safe_load(write(tmp_path / "u" / "c", user={"exec": section("./p")}).read_text())
    cluster = yaml.safe_load(write(tmp_path / "c" / "c").read_text())
    (tmp_path / "u" / "c").write_text(yaml.safe_dump({"users": user["users"]}))
    (tmp_path / "c" / "c").write_text(yaml.safe_dump({**cluster, "users": []}))
    script(tmp_path / "u" / "p")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'c' / 'c'}:{tmp_path / 'u' / 'c'}")

    assert await (await load_kubeconfig()).auth.header() == "Bearer from-plugin"


async def test_a_plugin_with_a_bare_name_is_looked_up_in_the_path(path: Path, monkeypatch):
    """And not beside the kubeconfig, where somebody else may have put one."""
    script(path.parent / "login", status={"token": "beside"})
    script(path.parent / "bin" / "login", status={"token": "installed"})
    monkeypatch.setenv("PATH", str(path.parent / "bin"))
    monkeypatch.chdir(path.parent)

    config = await load_kubeconfig(write(path, user={"exec": section("login")}))

    assert await config.auth.header() == "Bearer installed"


# --- how its run ends --------------------------------------------------------------------------


async def test_a_plugin_that_says_much_beside_its_answer_is_read_to_the_end(path: Path):
    """One that writes more than a pipe holds would wait for a reader for ever."""
    plugin = script(path.parent / "plugin")
    noise = "import sys; sys.stderr.write('x' * 1_000_000)\n"
    plugin.write_text(plugin.read_text().replace("print(", f"{noise}print("))

    async with asyncio.timeout(20):
        config = await load_kubeconfig(write(path, user={"exec": section(plugin)}))

    assert await config.auth.header() == "Bearer from-plugin"


async def test_a_plugin_that_is_given_up_has_gone_when_its_run_has(path: Path):
    """An event loop that ends then has nothing left to complain of."""
    plugin, pid = script(path.parent / "plugin"), path.parent / "pid"
    hangs = (
        f"import time; new = pathlib.Path({str(pid)!r} + '.new')\n"
        f"new.write_text(str(os.getpid())); new.rename({str(pid)!r}); time.sleep(600)\n"
    )
    plugin.write_text(plugin.read_text().replace("print(", f"{hangs}print("))
    loading = asyncio.create_task(load_kubeconfig(write(path, user={"exec": section(plugin)})))
    async with asyncio.timeout(20):
        while not pid.exists():
            await asyncio.sleep(0.01)

    loading.cancel()
    await asyncio.wait([loading])

    assert loading.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param({"status": {}}, "neither a token nor a certificate", id="nothing"),
        pytest.param({"status": None}, "neither a token nor a certificate", id="null"),
        pytest.param({"status": {"clientCertificateData": "x"}}, "without its key", id="no-key"),
        pytest.param({"apiVersion": "other/v2"}, "other/v2.*client.authentication", id="version"),
    ],
)
async def test_a_plugin_whose_answer_is_no_login_is_an_error(path: Path, answer, message: str):
    plugin = script(path.parent / "plugin", **answer)

    with pytest.raises(ConfigError, match=message):
        await load_kubeconfig(write(path, user={"exec": section(plugin)}))


@pytest.mark.parametrize("text", ["", "no JSON", "[1]"])
async def test_a_plugin_that_talks_of_something_else_is_an_error(path: Path, text: str):
    plugin = path.parent / "plugin"
    plugin.write_text(f"#!/bin/sh\necho '{text}'\n")
    plugin.chmod(0o755)

    with pytest.raises(ConfigError, match=r"the login plugin .*plugin answered with no Exec"):
        await load_kubeconfig(write(path, user={"exec": section(plugin)}))
