"""Builds and runs the Go program that does the same work with client-go."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from .corpus import GROUP, PLURAL, VERSION
from .figures import Figures
from .target import Target

SOURCE = Path(__file__).with_name("clientgo")
BINARY = Path("build/bench-clientgo")
BUILD_SECONDS = 900
"""A first build downloads and compiles client-go."""


def unavailable() -> str:
    """Say why client-go cannot be measured here, or nothing."""
    return "" if shutil.which("go") else "no Go here to build client-go with"


def build() -> Path:
    """Build the program unless it is there and its sources are as they were."""
    names = ("main.go", "go.mod", "go.sum")
    pins = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in names)).hexdigest()
    mark = BINARY.with_suffix(".built")
    if not BINARY.exists() or not mark.exists() or mark.read_text() != pins:
        BINARY.parent.mkdir(exist_ok=True)
        subprocess.run(
            ["go", "build", "-trimpath", "-mod=readonly", "-o", BINARY.resolve(), "."],
            cwd=SOURCE,
            env={**os.environ, "CGO_ENABLED": "0"},
            timeout=BUILD_SECONDS,
            check=True,
        )
        mark.write_text(pins)
    return BINARY


def run(target: Target, mode: str, count: int) -> Figures:
    """Take one sample; seconds of CPU and wall, and what else the mode has."""
    done = subprocess.run(
        [build(), target.kubeconfig, f"{GROUP}/{VERSION}/{PLURAL}", mode, str(count)],
        # one thread for Go code, as the others have
        env={**os.environ, "GOMAXPROCS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    figures: Figures = json.loads(done.stdout)
    return figures
