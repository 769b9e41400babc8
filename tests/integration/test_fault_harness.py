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


POINTS = (
    r"^database-rotate \| K PATCH .*secrets/app-login #[12] \| crash/",
    r"^database-rotate \| K GET .*secrets/app-login #1 \| stale/get-1$",
    r"^database-rotate \| K PATCH .*secrets/app-login #1 \| user/role-password$",
    r"^untouched \| .*servers/size.cpu #1 \| spec/(good|wrong)$",
)


def test_a_handful_of_points_of_most_groups_leave_no_trace(testenv: TestEnv, tmp_path: Path):
    """H9, D15, D16: killed around each change of the Secret; and one of each of the others."""
    report = tmp_path / "faults.json"
    options = ("--workload", "^(database-rotate|untouched)$", "--only", "|".join(POINTS))
    done = faults(testenv, *options, "--report", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["violations"] == 0
    counted = {group: row["points"] for group, row in found["classes"].items()}
    assert counted == {"crash": 4, "stale": 1, "user": 1, "spec": 2}


def test_a_controller_that_promotes_a_password_unproven_is_found_out(testenv: TestEnv):
    """D16: what would pass every point proves nothing."""
    options = ("--workload", "^database-rotate$", "--mutants", "--only", "^promoted-unproven$")
    done = faults(testenv, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promoted-unproven        killed: " in done.stdout
