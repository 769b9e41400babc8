"""M8 to M14: what a tenant does by status, from inside a database, and to what runs.

As in ``test_threats.py`` each attack is made with a tenant's rights against the running controller.
M12 and M14 are attacked in the form that they have here: values in configuration files, arguments
and SQL, and data folders. Values of Helm charts and names of volumes come with those backends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.fix_tenants import Tenants
from tests.integration.test_threats import external, with_secret
from tests.product import Plane, database, server, until

pytestmark = [pytest.mark.testenv, pytest.mark.postgres, pytest.mark.slow]

METACHARACTERS = [
    "'\nlisten_addresses = '*'\nx = '",
    '"\nshared_preload_libraries: evil\n"',
    "${IFS}$(touch {marker})`touch {marker}`",
    "; touch {marker} #",
    "| touch {marker} &&",
    "{{ .Values.evil }} %(evil)s {0}",
    "-c\tlog_statement=all\r\n",
    "../../../etc/passwd",
    "*?[a-z]~",
    "\\'; DROP ROLE postgres; --",
]


@pytest.fixture(scope="module")
def shared(tenants: Tenants) -> Tenants:
    """The existing server as tenant ``a`` uses it."""
    tenants.a.apply(with_secret(external("shared"), "s29"))
    tenants.a.plane.wait_ready("pg/shared")
    return tenants


def test_m8_a_backend_that_the_namespace_may_not_use_is_refused(tenants: Tenants):
    """M8, D47."""
    tenants.b.apply(with_secret(external("outside"), "s0"))
    condition = tenants.b.plane.wait_reason("pg/outside", "BackendUnavailable")
    assert "'external' is not allowed in namespace" in condition["message"]
    assert "allowed: local" in condition["message"]
    tenants.b.delete("pg/outside")


def test_m8_a_tenant_writes_no_status(tenants: Tenants):
    """M8: and what an author writes into a manifest is dropped."""
    document = with_secret(external("plain"), "s1") | {"status": {"backend": "external"}}
    tenants.b.may("apply", "--validate=ignore", "-f", "-", stdin=document)
    tenants.b.plane.wait_reason("pg/plain", "BackendUnavailable")
    status = tenants.b.plane.get("pg/plain")["status"]
    assert "backend" not in status
    patch = '{"status": {"backend": "external"}}'
    arguments = ("patch", "pg/plain", "--subresource=status", "--type=merge", "-p", patch)
    assert "forbidden" in tenants.b.may_not(*arguments)
    tenants.b.delete("pg/plain")


def test_m8_a_forged_binding_opens_no_backend(tenants: Tenants):
    """M8: forged before anything is bound, by somebody with rights on the subresource."""
    tenant = tenants.b
    paused = with_secret(external("forged"), "s2")
    paused["metadata"] = paused["metadata"] | {
        "annotations": {"hybridcloud.maibornwolff.de/paused": "true"}
    }
    tenant.apply(paused)
    forged = tenant.forge("pg/forged", {"backend": "external", "externalName": "forged"})
    assert forged.returncode == 0, forged.stderr
    tenant.may("annotate", "pg/forged", "hybridcloud.maibornwolff.de/paused-")
    condition = tenant.plane.wait_reason("pg/forged", "BackendUnavailable")
    assert "'external' is not allowed in namespace" in condition["message"]
    assert not tenant.plane.exists("secret/s2")
    tenant.delete("pg/forged")


def test_m8_the_mark_decides_and_not_a_forged_status(tenants: Tenants):
    """M8, D44: forged and wiped while a server runs, and wiped again for its deletion."""
    tenant = tenants.a
    tenant.apply(with_secret(server("marked"), "s3"))
    tenant.plane.wait_ready("pg/marked")
    login, folders = tenant.plane.secret("s3"), set(os.listdir(tenants.servers))
    place = {"backend": "local", "externalName": f"{tenant.namespace}-marked"}
    forgeries: list[dict[str, Any]] = [
        {"backend": "external", "externalName": "other"},
        {"backend": "nowhere"},
        {"externalName": "../../other"},
        {"backend": None, "externalName": None, "conditions": None},
    ]
    for number, forged in enumerate(forgeries):
        assert tenant.forge("pg/marked", forged).returncode == 0
        tenant.may("annotate", "pg/marked", f"touched={number}", "--overwrite")

        def mended() -> bool:
            status = tenant.plane.get("pg/marked").get("status") or {}
            return bool({key: status.get(key) for key in place} == place)

        until(mended, f"status says again where the server is after {forged}")
    tenant.plane.wait_ready("pg/marked")
    assert set(os.listdir(tenants.servers)) == folders
    assert tenant.plane.logs_in(login)

    wiped = {"backend": None, "externalName": None}
    assert tenant.forge("pg/marked", wiped).returncode == 0
    tenant.delete("pg/marked")
    assert not (tenants.servers / f"{tenant.namespace}-marked").exists()


def test_m9_what_a_tenant_plants_is_neither_run_nor_kept_from_deletion(shared: Tenants):
    """M9: the rest of it, on every version, is in ``sql/test_hostile_tenants.py``."""
    tenant = shared.a
    tenant.apply(with_secret(database("planted", "shared"), "s4"))
    tenant.plane.wait_ready("pgdb/planted")
    login = tenant.plane.secret("s4")
    with tenant.plane.login(login) as connection:
        connection.execute("CREATE SCHEMA evil")
        connection.execute(
            "CREATE FUNCTION evil.pg_get_userbyid(oid) RETURNS name LANGUAGE plpgsql AS "
            "$$ BEGIN EXECUTE 'ALTER ROLE planted SUPERUSER'; RETURN 'x'; END $$"
        )
        connection.execute("ALTER DATABASE planted SET search_path = evil, pg_catalog")
        connection.execute("ALTER DATABASE planted SET default_transaction_read_only = on")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("ALTER ROLE planted CREATEROLE")
    wider = database("planted", "shared", database={"extensions": ["hstore"]})
    tenant.apply(with_secret(wider, "s4"))
    # a new login is asked for by the reset, and tells what keeps the database from being used
    tenant.may("label", "pgdb/planted", "operator/action=reset-password")
    condition = tenant.plane.wait_reason("pgdb/planted", "Unreachable")
    assert "default_transaction_read_only is set to on" in condition["message"]
    rights = shared.pg.run("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname='planted'")
    assert rights == [(False, False)]
    assert shared.pg.run("SELECT 1 FROM pg_extension WHERE extname='hstore'", "planted") == [(1,)]
    tenant.delete("pgdb/planted")
    assert shared.pg.run("SELECT 1 FROM pg_roles WHERE rolname = 'planted'") == []


def test_m10_a_tenant_cannot_keep_a_database_from_being_deleted(shared: Tenants):
    """M10, D5, D8: sessions, objects and grants elsewhere, limits, prepared transactions."""
    shared.pg.run("ALTER SYSTEM SET max_prepared_transactions = 5")
    shared.pg.stop(signal.SIGINT)
    shared.pg.up()
    tenant = shared.a
    tenant.apply(with_secret(database("sticky", "shared"), "s5"))
    tenant.plane.wait_ready("pgdb/sticky")
    login = tenant.plane.secret("s5")
    shared.pg.run("CREATE DATABASE elsewhere")
    shared.pg.run(
        "CREATE TABLE theirs (x int); ALTER TABLE theirs OWNER TO sticky;"
        "CREATE TABLE granted (x int); GRANT SELECT ON granted TO sticky",
        "elsewhere",
    )
    session = tenant.plane.login(login)
    session.execute("CREATE TABLE held (x int)")
    session.execute("BEGIN")
    session.execute("INSERT INTO held VALUES (1)")
    session.execute("PREPARE TRANSACTION 'held'")
    session.execute("ALTER DATABASE sticky CONNECTION LIMIT 0")
    tenant.delete("pgdb/sticky")
    session.close()
    assert shared.pg.run("SELECT 1 FROM pg_roles WHERE rolname = 'sticky'") == []
    assert shared.pg.run("SELECT 1 FROM pg_database WHERE datname = 'sticky'") == []
    [(owner,)] = shared.pg.run(
        "SELECT tableowner FROM pg_tables WHERE tablename='theirs'", "elsewhere"
    )
    assert owner.startswith("hybridpg_left_"), "what it owned elsewhere stays, and is nobody's"
    shared.pg.run("DROP DATABASE elsewhere WITH (FORCE)")


def test_m10_what_keeps_a_database_is_said(shared: Tenants):
    """M10, D35: a deletion that nobody here may force says what it waits for."""
    tenant = shared.a
    tenant.apply(with_secret(database("subscribed", "shared"), "s6"))
    tenant.plane.wait_ready("pgdb/subscribed")
    shared.pg.run(
        "CREATE SUBSCRIPTION held CONNECTION 'host=127.0.0.1' PUBLICATION p "
        "WITH (connect = false, slot_name = NONE)",
        "subscribed",
    )
    tenant.may("delete", "pgdb/subscribed", "--wait=false")

    def said() -> bool:
        message = tenant.plane.get("pgdb/subscribed")["status"]["conditions"]
        return any("used by logical replication subscription" in c["message"] for c in message)

    until(said, "the deletion says what it waits for")
    shared.pg.run("DROP SUBSCRIPTION held", "subscribed")
    until(lambda: not tenant.plane.exists("pgdb/subscribed"), "it goes on by itself")


def test_m11_caps_hold_when_everything_is_created_at_once(tenants: Tenants):
    """M11: servers, storage and cpu of a namespace, and its list of classes."""
    tenant = tenants.capped
    names = [f"many-{number}" for number in range(8)]
    tenant.apply(*(with_secret(external(name), f"s{n}") for n, name in enumerate(names)))

    def decided() -> dict[str, str]:
        found = {name: tenant.plane.condition(f"pg/{name}").get("reason", "") for name in names}
        return found if set(found.values()) <= {"Available", "QuotaExceeded"} else {}

    found = list(until(decided, "every server is decided on").values())
    assert sorted(found) == ["Available"] * 4 + ["QuotaExceeded"] * 4
    for name in names:
        tenant.may("delete", f"pg/{name}", "--timeout=60s")

    for field, size, words in (
        ("storageGB", {"storageGB": 21}, "may have 20 storageGB in all"),
        ("cpu", {"cpu": 9}, "may have 8 cpu in all"),
    ):
        tenant.apply(with_secret(external("big", size=size), "s9"))
        assert words in tenant.plane.wait_reason("pg/big", "QuotaExceeded")["message"], field
        tenant.delete("pg/big")
    tenant.apply(with_secret(external("classy", size={"class": "huge"}), "s9"))
    condition = tenant.plane.wait_reason("pg/classy", "InvalidSpec")
    assert "class 'huge' is not allowed" in condition["message"]
    assert "allowed: small" in condition["message"]
    tenant.delete("pg/classy")


def test_m11_a_server_does_not_grow_over_a_cap(tenants: Tenants):
    """M11: it stays usable as it is."""
    tenant = tenants.capped
    tenant.apply(with_secret(external("grower", size={"storageGB": 10}), "s10"))
    tenant.plane.wait_ready("pg/grower")
    tenant.apply(with_secret(external("grower", size={"storageGB": 500}), "s10"))
    synced = tenant.plane.wait_reason("pg/grower", "QuotaExceeded", "Synced")
    assert "spec.size.storageGB: namespace" in synced["message"]
    assert tenant.plane.condition("pg/grower")["status"] == "True"
    tenant.delete("pg/grower")


def test_m12_metacharacters_reach_neither_a_file_nor_a_shell_nor_sql(tenants: Tenants):
    """M12: every string of the spec, in the configuration file, in argv and in statements."""
    tenant, marker = tenants.a, tenants.servers.parent / "marker"
    bad = [text.replace("{marker}", str(marker)) for text in METACHARACTERS]
    parameters = {f"app.value_{n}": text for n, text in enumerate(bad)}
    parameters |= {f"evil_{n}": text for n, text in enumerate(bad)}
    parameters |= {"work_mem": bad[0], "search_path": bad[9], "timezone": bad[2]}
    document = server(
        "meta",
        version=bad[2][:63],
        size={"storageGB": 1, "class": bad[0], "storageClass": bad[7]},
        serverParameters=parameters,
        backendOptions={f"option{n}": text for n, text in enumerate(bad)},
        placement={"nodeSelector": {"x": bad[4]}},
        network={"exposure": {"annotations": {"x": bad[1]}}},
    )
    tenant.apply(with_secret(document, "s11"))
    tenant.plane.wait_ready("pg/meta")
    assert_said(tenant.plane, "pg/meta")
    login = tenant.plane.secret("s11")
    shown = dict(
        tenant.plane.execute(
            login,
            "SELECT name, setting FROM pg_settings WHERE name IN "
            "('listen_addresses', 'shared_preload_libraries', 'log_statement')",
        )
    )
    assert shown == {
        "listen_addresses": "127.0.0.1",
        "shared_preload_libraries": "",
        "log_statement": "none",
    }
    for number, text in enumerate(bad):
        query = f"SELECT current_setting('app.value_{number}', true)"
        found = tenant.plane.execute(login, query)[0][0]
        assert found in (text, None, ""), "as it was written, or not at all"
    assert not marker.exists()
    assert not (tenants.servers.parent / "IFS").exists()
    commands = arguments_below(tenants.servers / f"{tenant.namespace}-meta")
    assert commands
    assert not [line for line in commands for text in bad if text in line]
    tenant.delete("pg/meta")


def assert_said(plane: Plane, name: str) -> None:
    """Status says of each field what became of it."""
    synced = plane.condition(name, "Synced")
    assert (synced["status"], synced["reason"]) == ("False", "InvalidSpec")
    for field in ("version", "size.class", "serverParameters.evil_0", "serverParameters.timezone"):
        assert f"spec.{field}: " in synced["message"]
    assert plane.get(name)["status"]["unsupportedFields"] == [
        "backendOptions",
        "network.exposure.annotations",
        "placement.nodeSelector",
        "size.storageClass",
    ]


def arguments_below(folder: Path) -> list[str]:
    """Return the command lines of the processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")).is_relative_to(folder):
                found.append((entry / "cmdline").read_text())
    return found


@contextlib.contextmanager
def attacker() -> Iterator[tuple[int, list[Any]]]:
    """Listen as a server that collects logins; yields its port and who came."""
    came: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    came.append(listener.accept())

        threading.Thread(target=accept, daemon=True).start()
        yield port, came
        listener.shutdown(socket.SHUT_RDWR)
    for connection, _ in came:
        connection.close()


def test_m13_the_controller_logs_in_where_the_administrator_says_and_nowhere_else(
    tenants: Tenants,
):
    """M13: neither an option nor a Secret of a tenant points it at a host of theirs."""
    tenant = tenants.a
    with attacker() as (port, came):
        place = {"host": "127.0.0.1", "hostname": "127.0.0.1", "port": str(port)}
        literals = [f"--from-literal={key}={value}" for key, value in place.items()]
        tenant.plane.ok(
            "create", "secret", "generic", "s12", "--from-literal=password=x", *literals
        )
        tenant.apply(with_secret(external("lured"), "s12"))
        condition = tenant.plane.wait_reason("pg/lured", "SecretConflict")
        assert "s12 exists and does not belong to this object" in condition["message"]
        tenant.delete("pg/lured")

        tempting = external("tempted", backendOptions={"server": "main", **place})
        tenant.apply(with_secret(tempting, "s13"))
        tenant.plane.wait_ready("pg/tempted")
        synced = tenant.plane.condition("pg/tempted", "Synced")
        for field in place:
            assert (
                f"spec.backendOptions.{field}: there is only the option 'server'"
                in (synced["message"])
            )
        published = tenant.plane.secret("s13")
        assert published["port"] == str(tenants.pg.port)
        assert "password" not in published, "the administrator's login stays with them"
        tenant.delete("pg/tempted")
        assert came == []


@pytest.mark.parametrize("wish", ["vault", "nobody", "../main", ""])
def test_m13_a_server_that_is_not_open_is_not_told_from_one_that_is_not_there(
    tenants: Tenants, wish: str
):
    """M13."""
    tenant = tenants.a
    tenant.apply(with_secret(external("closed", backendOptions={"server": wish}), "s14"))
    condition = tenant.plane.wait_reason("pg/closed", "InvalidSpec")
    expected = f"no server {wish!r} is open to namespace" if wish else "must name a server"
    assert expected in condition["message"]
    assert not tenant.plane.exists("secret/s14")
    tenant.delete("pg/closed")


def test_m14_a_deletion_takes_no_data_of_others_whose_names_begin_alike(tenants: Tenants):
    """M14, D40: names that are prefixes and patterns of each other, and a forged path."""
    tenant = tenants.a
    for number, name in enumerate(("pg", "pg-0", "pg.0")):
        tenant.apply(with_secret(server(name), f"s{15 + number}"))
    tenant.plane.wait_ready("pg/pg", "pg/pg-0", "pg/pg.0")
    logins = [tenant.plane.secret(f"s{number}") for number in (16, 17)]
    neighbour = f"../servers/{tenant.namespace}-pg-0"
    assert tenant.forge("pg/pg", {"externalName": neighbour}).returncode == 0
    tenant.delete("pg/pg")
    assert not (tenants.servers / f"{tenant.namespace}-pg").exists()
    assert all(tenant.plane.logs_in(login) for login in logins)
    assert json.loads(tenant.plane.ok("get", "pg", "-o", "json"))["items"]
    tenant.delete("pg/pg-0")
    assert tenant.plane.logs_in(logins[1])
    tenant.delete("pg/pg.0")
