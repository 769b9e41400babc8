"""Who may name which Secret, by the admission policy on the real API server."""

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fix_crds import Kubectl

pytestmark = pytest.mark.testenv

POLICY = Path(__file__).parents[3] / "charts" / "hybridpg" / "templates" / "admission"
KINDS = {
    "PostgreSQLServer": {},
    "PostgreSQLDatabase": {"serverRef": {"name": "main"}},
}
ACTIVE_SECONDS = 30
"""The API server takes a policy into use within a second or two of its creation."""

AsTenant = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def policy(run_kubectl: Kubectl, installed_crds: None) -> Iterator[None]:
    """The committed policy in force; gone afterwards, because other tests share the server."""
    applied = run_kubectl("apply", "--validate=strict", "-f", str(POLICY))
    assert applied.returncode == 0, applied.stderr
    yield
    run_kubectl("delete", "-f", str(POLICY), "--ignore-not-found")


@pytest.fixture
def tenant(run_kubectl: Kubectl, policy: None) -> tuple[str, AsTenant]:
    """A namespace, and kubectl as somebody who may write our kinds there and nothing else."""
    namespace = f"tenant-{uuid.uuid4().hex[:8]}"
    for document in (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(namespace, "author")},
        role(namespace, "author", ["hybridcloud.maibornwolff.de"], ["*"], ["*"]),
        role(namespace, "reader", [""], ["secrets"], ["get"], names=["mine"]),
        binding(namespace, "author"),
        binding(namespace, "reader"),
    ):
        made = run_kubectl("apply", "-f", "-", stdin=document)
        assert made.returncode == 0, made.stderr
    who = f"--as=system:serviceaccount:{namespace}:author"

    def run(*arguments: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        return run_kubectl(who, f"--namespace={namespace}", *arguments, stdin=stdin)

    until_in_force(run, namespace)
    return namespace, run


def until_in_force(run: AsTenant, namespace: str) -> None:
    end = time.monotonic() + ACTIVE_SECONDS
    probe = manifest("PostgreSQLServer", namespace, "probe", "theirs")
    while run("create", "--dry-run=server", "-f", "-", stdin=probe).returncode == 0:
        assert time.monotonic() < end, "the policy does not come into force"
        time.sleep(0.1)


def meta(namespace: str, name: str) -> dict[str, Any]:
    return {"name": name, "namespace": namespace}


def role(
    namespace: str,
    name: str,
    groups: list[str],
    resources: list[str],
    verbs: list[str],
    names: list[str] | None = None,
) -> dict[str, Any]:
    rule: dict[str, Any] = {"apiGroups": groups, "resources": resources, "verbs": verbs}
    if names:
        rule["resourceNames"] = names
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": meta(namespace, name),
        "rules": [rule],
    }


def binding(namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": meta(namespace, name),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "author", "namespace": namespace}],
    }


def manifest(kind: str, namespace: str, name: str, secret: str) -> dict[str, Any]:
    return {
        "apiVersion": "hybridcloud.maibornwolff.de/v1alpha1",
        "kind": kind,
        "metadata": meta(namespace, name),
        "spec": {"credentialsSecret": secret, **KINDS[kind]},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_an_author_may_not_name_a_secret_that_they_may_not_read(tenant, kind):
    """M3, M4, M5."""
    namespace, run = tenant
    refused = run("create", "-f", "-", stdin=manifest(kind, namespace, "thief", "theirs"))
    assert refused.returncode != 0
    assert "you may not read secret theirs in namespace" in refused.stderr
    assert "Forbidden" in refused.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_an_author_may_name_a_secret_that_they_may_read_before_it_is_there(tenant, kind):
    """H3."""
    namespace, run = tenant
    made = run("create", "-f", "-", stdin=manifest(kind, namespace, "honest", "mine"))
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_an_author_may_not_rename_to_a_secret_that_they_may_not_read(tenant, kind):
    namespace, run = tenant
    assert run("create", "-f", "-", stdin=manifest(kind, namespace, "pg", "mine")).returncode == 0
    change = '{"spec": {"credentialsSecret": "theirs"}}'
    refused = run("patch", kind.lower(), "pg", "--type=merge", "-p", change)
    assert refused.returncode != 0
    assert "you may not read secret theirs" in refused.stderr


def test_an_object_that_keeps_its_secret_is_changed_by_whoever_may(tenant, run_kubectl):
    """Labels, finalizers and the rest of the spec are not what the policy is about."""
    namespace, run = tenant
    made = run_kubectl(
        "create", "-f", "-", stdin=manifest("PostgreSQLServer", namespace, "pg", "theirs")
    )
    assert made.returncode == 0, made.stderr
    for change in (
        '{"metadata": {"labels": {"team": "a"}}}',
        '{"metadata": {"finalizers": ["example.com/hold"]}}',
        '{"spec": {"size": {"storageGB": 20}}}',
        '{"metadata": {"finalizers": null}}',
    ):
        done = run("patch", "postgresqlserver", "pg", "--type=merge", "-p", change)
        assert done.returncode == 0, done.stderr


def test_the_status_is_written_without_the_right_to_read_secrets(tenant, run_kubectl):
    """The controller's own writes never meet the policy."""
    namespace, run = tenant
    run_kubectl("create", "-f", "-", stdin=manifest("PostgreSQLServer", namespace, "pg", "theirs"))
    done = run(
        "patch",
        "postgresqlserver",
        "pg",
        "--subresource=status",
        "--type=merge",
        "-p",
        '{"status": {"backend": "local"}}',
    )
    assert done.returncode == 0, done.stderr
