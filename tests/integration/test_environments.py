"""One API on every target, for people who may touch nothing but our kinds and their Secrets."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.fix_postgres import SUPERUSER
from tests.fix_product import real_plane
from tests.product import Done, Plane, database, server, until

if TYPE_CHECKING:
    from tests.fix_postgres import PgServer
    from tests.fix_testenv import TestEnv

pytestmark = [pytest.mark.testenv, pytest.mark.postgres]

ADMIN_SECRET = f"main-admin-{uuid.uuid4().hex[:8]}"
TENANT_ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "tenant"},
    "rules": [
        {
            "apiGroups": ["hybridcloud.maibornwolff.de"],
            "resources": ["postgresqlservers", "postgresqldatabases"],
            "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
        },
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
    ],
}


@pytest.fixture(scope="module")
def plane(testenv: TestEnv, pg: PgServer) -> Iterator[Plane]:
    main = {"secret": f"default/{ADMIN_SECRET}", "allowed_namespaces": ["product-*"]}
    closed = main | {"allowed_namespaces": ["stranger-*"]}
    with real_plane(
        testenv,
        allowed_backends=["local", "external"],
        backends={"external": {"servers": {"main": main, "closed": closed}}},
    ) as made:
        values = {"host": "127.0.0.1", "port": str(pg.port), "username": SUPERUSER}
        values |= {"password": pg.password, "ca.crt": pg.ca}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": ADMIN_SECRET, "namespace": "default"},
            "stringData": values,
        }
        made.ok("create", "--namespace=default", "-f", "-", stdin=secret)
        made.written.append(pg.password)
        yield made
        made.ok("delete", "--namespace=default", "secret", ADMIN_SECRET)


def name_of(plane: Plane, word: str) -> str:
    """A database name that no other run on the same external server has."""
    return f"{word}-{plane.namespace.removeprefix('product-')}"


@pytest.fixture(scope="module")
def both(plane: Plane) -> dict[str, str]:
    """The same manifest on two backends; only the name of the server differs."""
    names = {backend: name_of(plane, backend) for backend in ("local", "external")}
    plane.apply(
        server("on-local", backend="local"),
        server("on-external", backend="external", backendOptions={"server": "main"}),
        *(database(names[backend], f"on-{backend}") for backend in names),
    )
    plane.wait_ready(*(f"pgdb/{name}" for name in names.values()))
    return names


def shape(value: Any) -> Any:
    """What a status looks like without its values."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items())}
    return type(value).__name__


def test_a_database_looks_the_same_wherever_it_is(plane: Plane, both: dict[str, str]):
    """H2: the same Secret keys, the same conditions, the same status."""
    secrets = {backend: plane.secret(f"{name}-login") for backend, name in both.items()}
    assert set(secrets["local"]) == set(secrets["external"])
    statuses = {backend: plane.get(f"pgdb/{name}")["status"] for backend, name in both.items()}
    types = [sorted(c["type"] for c in status["conditions"]) for status in statuses.values()]
    assert types[0] == types[1]
    assert shape(statuses["local"]) == shape(statuses["external"])
    for backend, secret in secrets.items():
        assert secret["provider"] == backend
        assert plane.execute(secret, "create table made (n int)") == []


def test_both_servers_show_the_same_status(plane: Plane, both: dict[str, str]):
    """H2."""
    assert both
    statuses = [plane.get(f"pg/on-{backend}")["status"] for backend in ("local", "external")]
    types = [sorted(c["type"] for c in status["conditions"]) for status in statuses]
    assert types[0] == types[1]
    for key in ("backend", "externalName", "endpoint", "version", "binding", "deployment"):
        assert all(key in status for status in statuses), key


def test_the_admin_of_an_existing_server_reaches_no_tenant(
    plane: Plane, both: dict[str, str], pg: PgServer
):
    """H8 the other way round: host, port, sslmode and CA, and no login."""
    assert both
    published = plane.secret("on-external-login")
    assert not {"username", "user", "password", "uri", "jdbc-uri", "pgpass"} & set(published)
    assert pg.password not in json.dumps(published)
    assert pg.password not in plane.log.read_text()


def test_a_reset_of_the_shared_admin_is_refused(plane: Plane, both: dict[str, str]):
    """H9 does not reach a login that is not the tenant's."""
    assert both
    before = plane.get("secret/on-external-login")["metadata"]["resourceVersion"]
    plane.ok("label", "pg/on-external", "operator/action=reset-password")
    event = plane.wait_event("pg/on-external", "ResetRefused")
    assert event[0] == "Warning"
    after = plane.get("secret/on-external-login")["metadata"]["resourceVersion"]
    assert after == before
    plane.ok("label", "pg/on-external", "operator/action-")


def test_a_namespace_that_is_not_named_gets_nothing(plane: Plane, both: dict[str, str]):
    """D48, M13: allowed_namespaces is a list of those that may, not of those that may not."""
    assert both
    refused = server("nowhere", backend="external", backendOptions={"server": "closed"})
    plane.apply(refused)
    message = plane.wait_reason("pg/nowhere", "InvalidSpec")["message"]
    assert f"no server 'closed' is open to namespace '{plane.namespace}'" in message
    assert not plane.exists("secret/nowhere-login")
    plane.ok("delete", "pg/nowhere")


class Tenant:
    """kubectl with the rights of a ServiceAccount that may touch our kinds and read Secrets."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.account = f"--as=system:serviceaccount:{plane.namespace}:tenant"

    def kubectl(self, *arguments: str, stdin: Any = None) -> Done:
        return self.plane.kubectl(self.account, *arguments, stdin=stdin)

    def ok(self, *arguments: str, stdin: Any = None) -> str:
        done = self.kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def tenant(plane: Plane) -> Tenant:
    plane.ok("create", "serviceaccount", "tenant")
    plane.ok("create", "-f", "-", stdin=TENANT_ROLE)
    account = f"--serviceaccount={plane.namespace}:tenant"
    plane.ok("create", "rolebinding", "tenant", "--role=tenant", account)
    made = Tenant(plane)
    until(lambda: made.kubectl("get", "pg").returncode == 0, "the rights of the tenant")
    return made


def test_a_team_does_everything_with_our_kinds_and_its_secrets(tenant: Tenant):
    """H3: from manifest to login, reset and deletion, without an administrator."""
    plane = tenant.plane
    documents = [server("mine", backend="local"), database("orders", "mine")]
    tenant.ok("apply", "--validate=strict", "-f", "-", stdin=documents)
    tenant.ok("wait", "--for=condition=Ready", "--timeout=60s", "pgdb/orders")
    old = plane.secret("orders-login")
    assert tenant.ok("get", "secret", "orders-login", "-o", "jsonpath={.data.password}")
    assert plane.execute(old, "create table made (n int)") == []
    tenant.ok("label", "pgdb", "orders", "operator/action=reset-password")
    until(lambda: plane.secret("orders-login")["password"] != old["password"], "a new password")
    assert plane.logs_in(plane.secret("orders-login"))
    tenant.ok("delete", "pgdb/orders", "pg/mine", "--timeout=60s")
    assert not plane.exists("pg/mine")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("get", "secrets"), id="list-secrets"),
        pytest.param(("get", "secret", ADMIN_SECRET, "--namespace=default"), id="admin-secret"),
        pytest.param(("get", "pg", "--namespace=default"), id="other-namespace"),
    ],
)
def test_a_team_has_no_other_rights(tenant: Tenant, arguments: tuple[str, ...]):
    """H3: what the tests above needed is all there is."""
    done = tenant.kubectl(*arguments)
    assert done.returncode != 0
    assert "forbidden" in done.stderr.lower()


def test_the_status_is_not_the_teams_to_write(tenant: Tenant, both: dict[str, str]):
    """M8: what the controller recorded cannot be forged."""
    name = both["local"]
    patch = json.dumps({"status": {"backend": "external", "externalName": "another"}})
    tenant.ok("patch", "pgdb", name, "--type=merge", "-p", patch)
    assert tenant.plane.get(f"pgdb/{name}")["status"]["backend"] == "local"
    forged = tenant.kubectl(
        "patch", "pgdb", name, "--subresource=status", "--type=merge", "-p", patch
    )
    assert "forbidden" in forged.stderr.lower()
