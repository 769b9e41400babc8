"""That ``tests/faults`` finds what is wrong; that nothing is, its gate shows in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fix_testenv import TestEnv

pytestmark = [pytest.mark.testenv, pytest.mark.postgres, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SECONDS = 180


def faults(testenv: TestEnv, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the harness with one lane on the API server of the tests."""
    paths = [str(ROOT / "hack" / "import"), os.environ.get("PYTHONPATH", "")]
    variables = {"TESTENV_STATE": str(testenv.state), "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, "-m", "tests.faults", "--lanes", "1", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_a_controller_that_promotes_a_password_unproven_is_found_out(testenv: TestEnv):
    """D16: what would pass every point proves nothing."""
    options = ("--workload", "^database-rotate$", "--mutants", "--only", "^promoted-unproven$")
    done = faults(testenv, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promoted-unproven        killed: " in done.stdout
