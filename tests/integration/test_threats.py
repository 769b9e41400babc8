"""M1 to M7: what a tenant does to others by the names that they choose.

Each attack is made by a ServiceAccount that may write our two kinds and get its own Secrets, in its
own namespace, against the running controller; it fails, and a condition says why. The attacks on
backends, by status and on what runs are in ``test_threats_on_targets.py``.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import psycopg
import pytest
from tests.fix_tenants import Tenant, Tenants
from tests.product import annotated, database, server, until

pytestmark = [pytest.mark.testenv, pytest.mark.postgres, pytest.mark.slow]

LONG = 100
"""Characters: more than PostgreSQL keeps of a name, which is 63."""
HOSTILE_NAMES = [
    *("user", "order", "select", "all", "1db", "a.b"),
    *("x" * 62 + "1", "x" * 62 + "2"),
    *("y" * LONG + "1", "y" * LONG + "2"),
]


def external(name: str, **spec: Any) -> dict[str, Any]:
    """A server object for the existing server."""
    options = {"backend": "external", "backendOptions": {"server": "main"}}
    return server(name, **{**options, "deletionPolicy": "Retain", **spec})


def with_secret(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The same object with another Secret."""
    return document | {"spec": document["spec"] | {"credentialsSecret": name}}


@pytest.fixture(scope="module")
def shared(tenants: Tenants) -> Tenants:
    """The existing server as tenant ``a`` uses it."""
    tenants.a.apply(with_secret(external("shared"), "s29"))
    tenants.a.plane.wait_ready("pg/shared")
    return tenants


def foreign_secret(tenant: Tenant, name: str, **values: str) -> dict[str, Any]:
    """A Secret of an application in the tenant's namespace, made by somebody else."""
    arguments = [f"--from-literal={key}={value}" for key, value in values.items()]
    tenant.plane.ok("create", "secret", "generic", name, *arguments)
    return tenant.plane.get(f"secret/{name}")


def test_m1_a_server_is_not_taken_by_its_name(tenants: Tenants):
    """M1, D53: ``x/b-c`` and ``x-b/c`` have one name, and the second claimant gets nothing."""
    victim, thief = tenants.a, tenants.b
    victim.apply(with_secret(server("b-c"), "s0"))
    victim.plane.wait_ready("pg/b-c")
    login = victim.plane.secret("s0")
    name = f"{victim.namespace}-b-c"

    for document in (server("c"), annotated(server("c"), adopt=name)):
        thief.apply(with_secret(document, "s0"))
        condition = thief.plane.wait_reason("pg/c", "Conflict")
        assert f"belongs to {victim.namespace}/b-c" in condition["message"] or (
            f"belongs to namespace '{victim.namespace}'" in condition["message"]
        )
        assert "set annotation" not in condition["message"], "what is another's is not offered"
    stolen = thief.plane.kubectl("get", "secret", "s0", "-o", "json")
    if stolen.returncode == 0:
        assert "hostname" not in json.loads(stolen.stdout)["data"]

    thief.may("label", "pg/c", "operator/action=reset-password")
    thief.delete("pg/c")
    assert victim.plane.secret("s0") == login
    assert victim.plane.logs_in(login)
    assert victim.plane.condition("pg/b-c")["status"] == "True"
    victim.delete("pg/b-c")


def test_m1_a_database_is_not_taken_by_its_name(shared: Tenants):
    """M1, D3: on one server that two namespaces share, by name and by annotation."""
    victim, thief = shared.a, shared.capped
    victim.apply(with_secret(database("ledger", "shared"), "s1"))
    victim.plane.wait_ready("pgdb/ledger")
    victim.plane.execute(victim.plane.secret("s1"), "CREATE TABLE kept (x int)")

    thief.apply(with_secret(external("theirs"), "s20"))
    stolen = annotated(
        with_secret(database("ours", "theirs", database={"name": "ledger"}), "s1"), adopt="ledger"
    )
    thief.apply(stolen)
    condition = thief.plane.wait_reason("pgdb/ours", "Conflict")
    assert "role 'ledger' belongs to" in condition["message"] or (
        "can only be adopted from" in condition["message"]
    )
    thief.delete("pgdb/ours")
    thief.delete("pg/theirs")
    assert victim.plane.execute(victim.plane.secret("s1"), "SELECT * FROM kept") == []
    victim.delete("pgdb/ledger")


def test_m2_long_names_share_neither_a_secret_nor_a_password(shared: Tenants):
    """M2, D24: no Secret is made anywhere but the one that is named."""
    tenant = shared.a
    names = [f"{'payments-' * 6}production-{end}" for end in ("a", "b")]
    before = secrets_of(shared)
    tenant.apply(*(with_secret(database(n, "shared"), f"s{2 + i}") for i, n in enumerate(names)))
    tenant.plane.wait_ready(*(f"pgdb/{name}" for name in names))
    first, second = (tenant.plane.secret(f"s{number}") for number in (2, 3))
    assert first["password"] != second["password"]
    assert first["dbname"] != second["dbname"]
    made = secrets_of(shared) - before
    assert made == {(tenant.namespace, "s2"), (tenant.namespace, "s3")}
    tenant.delete(f"pgdb/{names[0]}")
    assert tenant.plane.logs_in(second)
    tenant.delete(f"pgdb/{names[1]}")


def secrets_of(tenants: Tenants) -> set[tuple[str, str]]:
    """Return namespace and name of all Secrets of the stage."""
    found = json.loads(tenants.a.plane.ok("get", "secrets", "-A", "-o", "json"))["items"]
    watched = (tenants.a.namespace, tenants.b.namespace, tenants.capped.namespace, tenants.platform)
    names = ((each["metadata"]["namespace"], each["metadata"]["name"]) for each in found)
    return {each for each in names if each[0] in watched}


def test_m3_a_foreign_secret_survives_every_request(shared: Tenants):
    """M3, D18: named by a server and a database, with a reset asked for, and both deleted."""
    tenant = shared.a
    precious = foreign_secret(tenant, "app-tls", **{"tls.key": "precious"})
    objects = {
        "pg/greedy": external("greedy", credentialsSecret="app-tls"),
        "pgdb/greedy": database("greedy", "shared", credentialsSecret="app-tls"),
    }
    for name, document in objects.items():
        tenant.apply(document)
        condition = tenant.plane.wait_reason(name, "SecretConflict")
        assert "app-tls exists and does not belong to this object" in condition["message"]
        tenant.may("label", name, "operator/action=reset-password")
        tenant.delete(name)
    assert tenant.plane.get("secret/app-tls") == precious


def test_m4_a_rename_overwrites_no_foreign_secret(shared: Tenants):
    """M4, D25: the login stays where it was until the name is free."""
    tenant = shared.a
    precious = foreign_secret(tenant, "s4", password="theirs", hostname="theirs")
    tenant.apply(with_secret(database("mover", "shared"), "s5"))
    tenant.plane.wait_ready("pgdb/mover")
    login = tenant.plane.secret("s5")
    tenant.apply(with_secret(database("mover", "shared"), "s4"))
    tenant.plane.wait_reason("pgdb/mover", "SecretConflict")
    assert tenant.plane.get("secret/s4") == precious
    assert tenant.plane.logs_in(login)
    tenant.apply(with_secret(database("mover", "shared"), "s5"))
    tenant.plane.wait_ready("pgdb/mover")
    tenant.delete("pgdb/mover")
    assert tenant.plane.get("secret/s4") == precious


def test_m4_two_objects_never_share_a_secret(shared: Tenants):
    """M4, D25: the second claimant is told so, and the first keeps its login."""
    tenant = shared.a
    tenant.apply(with_secret(database("first", "shared"), "s6"))
    tenant.plane.wait_ready("pgdb/first")
    login = tenant.plane.secret("s6")
    tenant.apply(with_secret(database("second", "shared"), "s6"))
    condition = tenant.plane.wait_reason("pgdb/second", "SecretConflict")
    assert "name another one in spec.credentialsSecret" in condition["message"]
    tenant.delete("pgdb/second")
    assert tenant.plane.secret("s6") == login
    assert tenant.plane.logs_in(login)
    tenant.delete("pgdb/first")


def test_m5_a_secret_that_is_not_ours_is_no_source_of_a_password(shared: Tenants):
    """M5: neither does a role get it, nor does anything tell what it is."""
    tenant = shared.a
    foreign_secret(tenant, "s7", username="spy", password="Guess-Me-4711")
    tenant.apply(with_secret(database("spy", "shared"), "s7"))
    condition = tenant.plane.wait_reason("pgdb/spy", "SecretConflict")
    assert "s7 exists and does not belong to this object" in condition["message"]
    assert shared.pg.run("SELECT 1 FROM pg_roles WHERE rolname = 'spy'") == []
    seen = tenant.may("get", "pgdb/spy", "-o", "yaml") + str(tenant.plane.events("pgdb/spy"))
    encoded = base64.b64encode(b"Guess-Me-4711").decode()
    for form in ("Guess-Me", encoded):
        assert form not in seen + tenant.plane.log.read_text()
    assert "forbidden" in tenant.may_not("get", "secret", "other-app").lower()
    tenant.delete("pgdb/spy")


@pytest.mark.parametrize(
    "extension",
    [
        "plpgsql; CREATE ROLE evil SUPERUSER LOGIN; --",
        'x" SCHEMA public; CREATE ROLE evil SUPERUSER; --',
        "Robert'); DROP ROLE postgres; --",
        "../../evil",
    ],
)
def test_m6_sql_in_a_list_of_extensions_is_refused(shared: Tenants, extension: str):
    """M6, D1."""
    document = database("injected", "shared", database={"extensions": [extension]})
    refused = shared.a.may_not("apply", "-f", "-", stdin=document)
    assert "spec.database.extensions[0]" in refused
    assert shared.pg.run("SELECT 1 FROM pg_roles WHERE rolname = 'evil'") == []


def test_m6_an_extension_beyond_the_list_is_refused_and_said(shared: Tenants):
    """M6, D11: what an administrator did not allow is not created."""
    tenant = shared.a
    wish = database("wishful", "shared", database={"extensions": ["dblink", "hstore"]})
    tenant.apply(with_secret(wish, "s8"))
    condition = tenant.plane.wait_reason("pgdb/wishful", "ExtensionRefused")
    assert "'dblink' is refused: the operator's configuration" in condition["message"]
    names = tenant.plane.execute(tenant.plane.secret("s8"), "SELECT extname FROM pg_extension")
    assert sorted(name for (name,) in names) == ["hstore", "plpgsql"]
    tenant.delete("pgdb/wishful")


@pytest.mark.parametrize("field", ["name", "charset", "collation"])
def test_m6_sql_in_any_other_field_is_refused(shared: Tenants, field: str):
    """M6."""
    document = database("injected", "shared", database={field: 'x"; DROP DATABASE app; --'})
    assert f"spec.database.{field}" in shared.a.may_not("apply", "-f", "-", stdin=document)


def test_m7_names_that_are_hostile_in_sql_are_only_names(shared: Tenants):
    """M7, D2: keywords, digits, dots and lengths; long ones never share a database."""
    tenant = shared.a
    documents = [
        with_secret(database(name, "shared"), f"s{10 + number}")
        for number, name in enumerate(HOSTILE_NAMES)
    ]
    tenant.apply(*documents)
    tenant.plane.wait_ready(*(f"pgdb/{name}" for name in HOSTILE_NAMES))
    logins = [tenant.plane.secret(f"s{10 + number}") for number in range(len(HOSTILE_NAMES))]
    assert len({login["dbname"] for login in logins}) == len(HOSTILE_NAMES)
    for login in logins:
        tenant.plane.execute(login, "CREATE TABLE mine (x int)")
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            tenant.plane.login(login, dbname="postgres")
    for name in HOSTILE_NAMES:
        tenant.may("delete", f"pgdb/{name}", "--wait=false")

    def gone() -> bool:
        left = shared.pg.run("SELECT datname FROM pg_database WHERE NOT datistemplate")
        return not {name for (name,) in left} & {login["dbname"] for login in logins}

    until(gone, "every database is dropped")


@pytest.mark.parametrize("name", ["postgres", "template1", "pg-monitor", "rdsadmin", "azure-x"])
def test_m7_names_of_the_server_itself_are_refused(shared: Tenants, name: str):
    """M7, D3."""
    refused = shared.a.may_not("apply", "-f", "-", stdin=database(name, "shared"))
    assert "is reserved" in refused
