"""A handful of the points of ``tests/faults``, so that the harness cannot rot between its runs."""

from __future__ import annotations

import json
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


def test_crashes_around_both_writes_of_a_rotation_leave_no_trace(testenv: TestEnv, tmp_path: Path):
    """H9, D15, D16: killed before and after each change of the Secret."""
    report = tmp_path / "faults.json"
    which = r"K PATCH .*secrets/app-login #[12] \| crash"
    options = ("--workload", "^database-rotate$", "--only", which, "--report", str(report))
    done = faults(testenv, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert (found["points"], found["violations"]) == (4, 0)
    assert found["classes"] == {"crash": {**found["classes"]["crash"], "points": 4}}


def test_a_controller_that_promotes_a_password_unproven_is_found_out(testenv: TestEnv):
    """D16: what would pass every point proves nothing."""
    options = ("--workload", "^database-rotate$", "--mutants", "--only", "^promoted-unproven$")
    done = faults(testenv, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promoted-unproven        killed: " in done.stdout
