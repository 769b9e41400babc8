"""Login plugins of a kubeconfig: when they are run, and what becomes of what they return."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.controller.client.kubeconfigs import write
from tests.unit.controller.client.pki import Pki, make_pki

from hybridpg.controller.client import load_kubeconfig
from hybridpg.controller.client.auth import RenewedAuth
from hybridpg.controller.errors import ConfigError

pytestmark = pytest.mark.usefixtures("clean_environment")


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
