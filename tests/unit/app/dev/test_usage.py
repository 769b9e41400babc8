"""The lines at the end: they can be pasted, whatever the paths are called."""

import shlex
import stat

import pytest

from hybridpg.app.dev.login import Login
from hybridpg.app.dev.state import hold
from hybridpg.app.dev.usage import usage, write_service

LOGIN = Login("app-credentials", "localhost", "54321", "app", "app", "s3cret", "verify-full", "CA")


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with hold(tmp_path / "my state") as held:
        yield held


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    """Put a program of that name on the path, or take it off."""

    def install(present):
        folder = tmp_path / "bin"
        folder.mkdir()
        if present:
            (folder / "kubectl").write_text("#!/bin/sh\n")
            (folder / "kubectl").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return install


def words(lines, containing):
    (line,) = [line for line in lines if containing in line]
    return shlex.split(line)


def test_paths_are_relative_and_quoted(state, kubectl):
    kubectl(True)

    lines = usage(state, state.kubeconfig, "app-credentials")

    assert words(lines, " get postgresqlservers")[:3] == [
        "kubectl",
        "--kubeconfig",
        "my state/kubeconfig",
    ]


def test_with_kubectl_the_login_is_read_from_the_secret_when_it_is_used(state, kubectl):
    kubectl(True)

    (line,) = [each for each in usage(state, state.kubeconfig, "app-login") if "psql" in each]

    assert "get secret app-login" in line
    assert "PGSSLROOTCERT='my state/ca.crt'" in line


def test_without_kubectl_psql_reads_a_service_file(state, kubectl):
    kubectl(False)

    lines = usage(state, state.kubeconfig, "app-credentials")

    assert words(lines, "psql") == [
        "PGSERVICEFILE=my state/pg_service.conf",
        "psql",
        "service=app",
    ]


def test_no_line_holds_the_password(state, kubectl):
    kubectl(False)
    write_service(state, LOGIN)

    assert "s3cret" not in "\n".join(usage(state, state.kubeconfig, "app-credentials"))


def test_the_service_file_holds_the_login_for_its_owner_only(state):
    write_service(state, LOGIN)

    lines = state.service_file.read_text().splitlines()
    assert lines[0] == "[app]"
    assert {"host=localhost", "port=54321", "password=s3cret", "sslmode=verify-full"} < set(lines)
    assert stat.S_IMODE(state.service_file.stat().st_mode) == 0o600


def test_a_path_outside_of_the_working_folder_is_absolute(state, kubectl, tmp_path):
    kubectl(True)
    elsewhere = tmp_path.parent / "kubeconfig"

    (line,) = [each for each in usage(state, elsewhere, "x") if "describe" in each]

    assert str(elsewhere) in line
