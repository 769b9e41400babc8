"""The control plane that the integration tests stand on."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.fix_testenv import CLUSTER, TestEnv

pytestmark = pytest.mark.testenv


def run(kubectl: Path, env: TestEnv, *arguments: str) -> str:
    command = [str(kubectl), "--kubeconfig", str(env.kubeconfig), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_kubectl_of_the_environment_reaches_its_api_server(kubectl: Path, testenv: TestEnv):
    assert run(kubectl, testenv, "get", "--raw", "/readyz") == "ok"


def test_client_and_server_report_the_same_real_version(kubectl: Path, testenv: TestEnv):
    lines = dict(
        line.split(": ", 1) for line in run(kubectl, testenv, "version").splitlines() if line
    )

    assert lines["Client Version"] == lines["Server Version"]
    assert not lines["Server Version"].startswith("v0.")


def test_the_keys_of_the_environment_are_not_for_others(testenv: TestEnv):
    assert testenv.kubeconfig.stat().st_mode & 0o077 == 0
    assert (testenv.state / "pki").stat().st_mode & 0o077 == 0


def cluster(state: Path, *arguments: str) -> str:
    environment = {**os.environ, "TESTENV_STATE": str(state)}
    done = subprocess.run(
        [str(CLUSTER), *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "300"])


def test_a_process_that_only_got_the_number_of_a_server_is_not_ended(tmp_path: Path):
    """After a restart of the machine the numbers in the state belong to others."""
    other = sleeper()
    pids = tmp_path / "env" / "pids"
    pids.mkdir(parents=True)
    (pids / "etcd").write_text(f"{other.pid} 1\n")

    cluster(tmp_path / "env", "down", "--wipe")

    assert other.poll() is None
    assert not pids.exists()
    other.kill()
    other.wait()


def test_a_control_plane_ends_with_the_process_that_it_is_for(testenv: TestEnv, tmp_path: Path):
    owner = sleeper()
    state = tmp_path / "env"
    cluster(state, "up", "--until", str(owner.pid))
    assert "etcd running\nkube-apiserver running\n" in cluster(state, "status")

    owner.kill()
    owner.wait()
    deadline = time.monotonic() + 30
    while state.exists() and time.monotonic() < deadline:
        time.sleep(0.1)

    assert not state.exists()
    assert "not running" in cluster(state, "status")


def test_several_control_planes_have_ports_of_their_own(testenv: TestEnv, own_testenv: TestEnv):
    assert testenv.host != own_testenv.host
    assert testenv.etcd != own_testenv.etcd
