"""The control plane that the integration tests stand on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.fix_testenv import TestEnv

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
