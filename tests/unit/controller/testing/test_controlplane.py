"""Where a control plane's programs are looked for, and what is said when they do not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybridpg.controller.errors import ControllerError
from hybridpg.controller.testing import ControlPlane, find_programs


def programs(folder: Path, script: str = "#!/bin/sh\n") -> Path:
    folder.mkdir(parents=True)
    for name in ("etcd", "kube-apiserver"):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "nothing")}


def test_nothing_is_found_where_nothing_is(environment):
    assert find_programs(environment) is None


def test_the_folder_that_is_named_wins(environment, tmp_path):
    programs(tmp_path / ".cache/hybridpg/testenv/bin")
    named = programs(tmp_path / "named")
    assert find_programs({**environment, "KUBEBUILDER_ASSETS": str(named)}) == named


def test_of_several_versions_the_newest_is_taken(environment, tmp_path):
    kept = tmp_path / ".local/share/kubebuilder-envtest/k8s"
    programs(kept / "1.9.2-linux-amd64")
    newest = programs(kept / "1.34.1-linux-amd64")
    assert find_programs(environment) == newest


def test_the_path_is_the_last_resort(environment, tmp_path):
    found = programs(tmp_path / "somewhere")
    assert find_programs({**environment, "PATH": str(found)}) == found


def test_a_folder_that_lacks_one_of_them_does_not_do(environment, tmp_path):
    named = programs(tmp_path / "named")
    (named / "etcd").unlink()
    assert find_programs({**environment, "KUBEBUILDER_ASSETS": str(named)}) is None


def test_a_program_that_dies_is_named_with_its_last_words(tmp_path):
    broken = programs(tmp_path / "broken", "#!/bin/sh\necho it rains\nexit 1\n")
    plane = ControlPlane(broken)
    with pytest.raises(ControllerError, match=r"ended while it started: it rains"), plane:
        raise AssertionError("it cannot have started")
    assert not plane.kubeconfig.parent.exists()
