"""The controller with the rights that the documentation gives it, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.fix_crds import kubectl_of
from tests.fix_product import real_plane
from tests.fix_testenv import TestEnv
from tests.product import Plane, database, server, until

pytestmark = pytest.mark.testenv

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
[ROLE] = [
    document
    for block in re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for document in yaml.safe_load_all(block)
    if document.get("kind") == "ClusterRole"
]
ACCOUNT = "hybridpg-with-few-rights"
HOME = "default"


@pytest.fixture(scope="module")
def plane(testenv: TestEnv, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """The product with the documented rights; it finds out the cluster's id, and is elected."""
    kubectl = kubectl_of(testenv)
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}
    binding = {
        "apiVersion": ROLE["apiVersion"],
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ACCOUNT},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": ACCOUNT,
        },
        "subjects": [subject],
    }
    meta = {"name": ACCOUNT, "namespace": HOME}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
    role = ROLE | {"metadata": {"name": ACCOUNT}}
    for document in (account, role, binding):
        assert kubectl("apply", "-f", "-", stdin=document).returncode == 0
    token = kubectl("create", "token", ACCOUNT, "--namespace", HOME).stdout.strip()
    config = yaml.safe_load(testenv.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    login = tmp_path_factory.mktemp("rights") / "kubeconfig"
    login.write_text(yaml.safe_dump(config))

    lease = {"namespace": HOME, "name": ACCOUNT}
    with real_plane(testenv, login=login, controller={"cluster_id": None, "lease": lease}) as made:
        yield made


def test_the_documented_rights_are_enough_for_a_whole_life(plane: Plane):
    plane.apply(server("main"), database("app", "main"))
    plane.wait_ready("pg/main", "pgdb/app")
    before = plane.secret("app-login")
    plane.ok("label", "pgdb/app", "operator/action=reset-password")
    until(lambda: plane.secret("app-login")["password"] != before["password"], "a new password")
    plane.ok("patch", "pgdb/app", "--type=merge", "-p", '{"spec":{"credentialsSecret":"renamed"}}')
    until(lambda: plane.exists("secret/renamed"), "the renamed Secret")
    until(lambda: not plane.exists("secret/app-login"), "the end of the former Secret")
    assert plane.execute(plane.secret("renamed"), "SELECT 1") == [(1,)]
    assert plane.events("pgdb/app")
    plane.ok("delete", "pgdb/app", "pg/main", "--timeout=60s")

    log = plane.log.read_text()
    assert not re.search("forbidden", log, re.IGNORECASE), log
    lease = json.loads(plane.ok("get", "lease", ACCOUNT, "--namespace", HOME, "-o", "json"))
    assert lease["spec"]["holderIdentity"]


def test_it_may_not_list_secrets_or_change_what_is_not_its_own(plane: Plane):
    account = f"--as=system:serviceaccount:{HOME}:{ACCOUNT}"
    for attempt in (
        ("list", "secrets"),
        ("watch", "secrets"),
        ("delete", "postgresqlservers"),
        ("create", "pods"),
        ("get", "namespaces"),
    ):
        answer = plane.kubectl("auth", "can-i", *attempt, account)
        assert answer.stdout.strip() == "no", attempt
