"""The product through kubectl, on its own control plane and on a real kube-apiserver.

Every test runs on both: what a user types must not care which of the two answers.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.product import GROUP, WAIT_SECONDS, Plane, annotated, database, server, until
from tests.requirements import require

pytestmark = [pytest.mark.postgres, pytest.mark.testenv, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"
ACTION = "operator/action"


@pytest.fixture(scope="module")
def shop(plane: Plane) -> str:
    """A server that is Ready, for tests of databases."""
    plane.apply(server("shop"))
    plane.wait_ready("pg/shop")
    return "shop"


@pytest.fixture
def app(plane: Plane, shop: str, request: pytest.FixtureRequest) -> str:
    """A database of this test's own that is Ready."""
    words = request.node.originalname.split("_")[1:5]
    name = "-".join(words)
    plane.apply(database(name, shop))
    plane.wait_ready(f"pgdb/{name}")
    return name


def columns(table: str) -> list[str]:
    """The column names of a table; a name may hold a single space."""
    return re.split(r"\s{2,}", table.splitlines()[0].strip())


@contextmanager
def watching(plane: Plane, name: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Run ``kubectl get -w`` and yield the states of an object as they come."""
    child = subprocess.Popen(
        [*plane.command, "get", name, "-w", "-o", "json"],
        env=plane.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    limit = threading.Timer(WAIT_SECONDS, child.kill)  # then the states end, and the test fails
    limit.start()
    try:
        yield _states(child)
    finally:
        limit.cancel()
        child.kill()
        child.communicate()


def _states(child: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert child.stdout is not None
    lines: list[str] = []
    for line in child.stdout:
        lines.append(line)
        if line.startswith("}"):  # indented as it is, only the end of an object
            yield json.loads("".join(lines))
            lines = []


def label_of(obj: dict[str, Any]) -> str | None:
    """The action that is asked for."""
    return (obj["metadata"].get("labels") or {}).get(ACTION)


# apply


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_a_manifest_becomes_a_login(plane: Plane, how: tuple[str, ...]):
    """H1, H7, H8."""
    name = f"orders{len(how)}"
    manifests = (server(f"{name}-server"), database(name, f"{name}-server"))

    applied = plane.ok("apply", *how, "--validate=strict", "-f", "-", stdin=manifests)
    verb = "serverside-applied" if how else "created"
    assert applied.splitlines() == [
        f"postgresqlserver.{GROUP}/{name}-server {verb}",
        f"postgresqldatabase.{GROUP}/{name} {verb}",
    ]
    plane.wait_ready(f"pg/{name}-server", f"pgdb/{name}")

    secret = plane.secret(f"{name}-login")
    assert secret["host"] == secret["hostname"]
    assert (secret["dbname"], secret["username"]) == (name, name)
    assert plane.execute(secret, "CREATE TABLE item AS SELECT 42 AS value; TABLE item") == []
    assert plane.execute(secret, "TABLE item") == [(42,)]
    admin = plane.secret(f"{name}-server-login")
    assert admin["dbname"] == "postgres"
    assert plane.execute(admin, "SELECT current_user") == [(admin["username"],)]

    again = plane.ok("apply", *how, "--validate=strict", "-f", "-", stdin=manifests)
    verb = "serverside-applied" if how else "unchanged"
    assert [line.split()[-1] for line in again.splitlines()] == [verb, verb]


def test_a_database_may_come_before_its_server(plane: Plane):
    """S13: it waits and does not fail."""
    plane.apply(database("early", "late"))
    assert "late" in plane.wait_reason("pgdb/early", "ServerNotFound")["message"]

    plane.apply(server("late"))
    plane.wait_ready("pgdb/early")

    assert plane.logs_in(plane.secret("early-login"))
    plane.ok("delete", "pgdb/early", "pg/late", "--timeout=60s")


def test_one_value_of_the_secret_is_read_by_jsonpath(plane: Plane, app: str):
    uri = plane.ok("get", "secret", f"{app}-login", "-o", "jsonpath={.data.uri}")
    name = plane.ok("get", f"pgdb/{app}", "-o", "jsonpath={.status.binding.name}")
    ready = plane.ok(
        "get", f"pgdb/{app}", "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    )

    assert uri.startswith("cG9zdGdyZXNxbDovL")
    assert (name, ready) == (f"{app}-login", "True")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param(server("bad", sise={}), 'unknown field "spec.sise"', id="unknown field"),
        pytest.param(
            server("bad", size={"cpu": "2"}), "spec.size.cpu: Invalid value", id="wrong type"
        ),
        pytest.param(
            server("bad", deletionPolicy="delete"),
            "spec.deletionPolicy: Unsupported value",
            id="not of the enum",
        ),
        pytest.param(
            database("postgres", "shop"), "metadata.name is reserved", id="H35: reserved name"
        ),
    ],
)
def test_a_malformed_manifest_is_refused_when_it_is_applied(
    plane: Plane, document: dict[str, Any], message: str
):
    """S1, H35."""
    said = plane.refused("apply", "--validate=strict", "-f", "-", stdin=document)

    assert message in said
    assert "Traceback" not in said


def test_an_immutable_field_cannot_be_applied_anew(plane: Plane, app: str):
    """S13."""
    said = plane.refused("apply", "-f", "-", stdin=database(app, "elsewhere"))

    assert "serverRef is immutable" in said


# get


def test_a_table_of_servers_says_whether_they_work_and_why_not(plane: Plane, shop: str):
    plain = plane.ok("get", "pg", shop)
    wide = plane.ok("get", "pg", shop, "-o", "wide")

    first = ["NAME", "READY", "REASON", "BACKEND", "VERSION", "CLASS"]
    assert columns(plain) == [*first, "AGE"]
    assert columns(wide) == [*first, "ENDPOINT", "MESSAGE", "AGE"]
    version = plane.get(f"pg/{shop}")["status"]["version"]
    assert plain.splitlines()[1].split()[:5] == [shop, "True", "Available", "local", version]
    assert f"localhost   PostgreSQL {version} answers at localhost:" in wide


def test_a_table_of_databases_says_where_they_are(plane: Plane, app: str):
    plain = plane.ok("get", "pgdb", app)
    wide = plane.ok("get", "pgdb", app, "-o", "wide")

    assert columns(plain) == ["NAME", "READY", "REASON", "SERVER", "AGE"]
    assert columns(wide) == ["NAME", "READY", "REASON", "SERVER", "DB NAME", "SECRET", "AGE"]
    row = wide.splitlines()[1].split()
    assert row[:4] == [app, "True", "Available", "shop"]
    assert row[4:6] == [app.replace("-", "_"), f"{app}-login"]


@pytest.mark.parametrize(
    "words",
    ["pg", "postgre", "postgres", "hpgs", "postgresqlserver", "postgresqlservers"],
)
def test_every_name_of_the_servers_is_understood(plane: Plane, shop: str, words: str):
    """H1."""
    assert plane.ok("get", words, shop, "-o", "name") == f"postgresqlserver.{GROUP}/{shop}\n"


@pytest.mark.parametrize(
    "words", ["pgdb", "database", "db", "hpgd", f"postgresqldatabases.{GROUP}"]
)
def test_every_name_of_the_databases_is_understood(plane: Plane, shop: str, words: str):
    """H1."""
    assert plane.kubectl("get", words).returncode == 0


@pytest.mark.parametrize("category", ["hybridcloud", "databases"])
def test_a_category_shows_both_kinds(plane: Plane, app: str, category: str):
    names = plane.ok("get", category, "-o", "name").split()

    assert f"postgresqlserver.{GROUP}/shop" in names
    assert f"postgresqldatabase.{GROUP}/{app}" in names


def test_objects_are_selected_by_label_by_field_and_in_all_namespaces(plane: Plane, app: str):
    plane.ok("label", f"pgdb/{app}", "team=red")

    by_label = plane.ok("get", "pgdb", "-l", "team=red", "-o", "name").split()
    by_field = plane.ok("get", "pgdb", "--field-selector", f"metadata.name={app}", "-o", "name")
    everywhere = plane.ok("get", "pgdb", "-A")

    assert by_label == by_field.split() == [f"postgresqldatabase.{GROUP}/{app}"]
    assert [plane.namespace, app] in [line.split()[:2] for line in everywhere.splitlines()]


def test_what_is_not_there_is_said_as_always(plane: Plane):
    assert plane.refused("get", "pg", "nobody") == (
        f'Error from server (NotFound): postgresqlservers.{GROUP} "nobody" not found\n'
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("-o", "custom-columns=NAME:.metadata.name,ON:.status.backend"),
            ["NAME ON", "shop local"],
        ),
        (("-o", "go-template={{.spec.credentialsSecret}}"), ["shop-login"]),
        (("--show-labels", "--no-headers"), ["shop True Available local"]),
        (("--subresource=status",), ["NAME READY REASON", "shop True Available"]),
        (("-o", "yaml"), [f"apiVersion: {GROUP}/v1alpha1"]),
    ],
    ids=["custom-columns", "go-template", "labels", "subresource", "yaml"],
)
def test_a_server_is_shown_in_every_form(
    plane: Plane, shop: str, arguments: tuple[str, ...], expected: list[str]
):
    shown = plane.ok("get", "pg", shop, *arguments)

    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert [text for text, line in zip(expected, lines, strict=False) if text not in line] == []


def test_servers_are_sorted_and_paged_as_any_other_kind(plane: Plane, shop: str):
    plane.apply(server("another-one"), server("zoo"))

    by_age = plane.ok("get", "pg", "--sort-by=.metadata.creationTimestamp", "-o", "name").split()
    by_name = plane.ok("get", "pg", "--sort-by=.metadata.name", "-o", "name").split()
    paged = plane.ok("get", "pg", "--chunk-size=1", "-o", "name").split()

    assert by_name == sorted(by_name) == sorted(by_age) == sorted(paged)
    assert by_age.index(f"postgresqlserver.{GROUP}/shop") < by_age.index(
        f"postgresqlserver.{GROUP}/another-one"
    )
    assert len(by_name) >= 3
    plane.ok("delete", "pg", "another-one", "zoo", "--timeout=60s")


# explain


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("pg",), ["KIND:       PostgreSQLServer", "A PostgreSQL server, in a cloud", "spec"]),
        (("pgdb",), ["KIND:       PostgreSQLDatabase", "A database with a role of its own"]),
        (("pg.spec.size.storageGB",), ["FIELD: storageGB <integer>", "it can grow, never shrink"]),
        (("pgdb.spec.deletionPolicy",), ["ENUM:", "Delete", "Retain"]),
        (("pg.status.conditions",), ["conditions <[]Object>", "lastTransitionTime"]),
        (("pgdb.spec", "--recursive"), ["serverRef", "collation", "rotateEvery"]),
        (("pg", "--recursive"), ["firewallRules", "startIp", "topologySpread"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_every_field_is_explained(plane: Plane, words: tuple[str, ...], expected: list[str]):
    shown = plane.ok("explain", *words)

    assert [text for text in expected if text not in shown] == []
    assert "<no description>" not in shown


# describe and events


def test_describe_shows_conditions_and_events(plane: Plane, app: str):
    plane.wait_event(f"pgdb/{app}", "Available")

    for name, progress in (("pg/shop", "Creating"), (f"pgdb/{app}", "was created")):
        shown = plane.ok("describe", name)
        status, _, events = shown.partition("\nEvents:")
        assert "Type:                  Ready" in status
        assert "Reason:                Available" in status
        assert progress in events
        assert "Available" in events
        assert "hybridpg" in events  # who says it
        assert "Warning" not in events


def test_events_are_listed_by_both_of_kubectls_verbs(plane: Plane, app: str):
    plane.wait_event(f"pgdb/{app}", "Available")

    listed = plane.ok("get", "events")
    assert columns(listed) == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert f"postgresqldatabase/{app}" in listed
    shown = plane.ok("events", "--for", f"postgresqldatabase.{GROUP}/{app}")
    assert "Available" in shown
    assert "postgresqlserver/" not in shown.lower()


def test_events_are_sorted_and_selected(plane: Plane, app: str):
    plane.wait_event(f"pgdb/{app}", "Available")

    by_time = plane.ok("get", "events", "--sort-by=.metadata.creationTimestamp")
    selected = plane.ok("get", "events", "--field-selector", f"involvedObject.name={app}")

    assert columns(by_time) == columns(selected)
    assert f"postgresqldatabase/{app}" in by_time
    assert {line.split()[3] for line in selected.splitlines()[1:]} == {f"postgresqldatabase/{app}"}


# password reset


def test_a_label_resets_the_password_and_vanishes_last(plane: Plane, app: str):
    """H9, H10: when the label is gone, the new password already logs in."""
    name, old = f"pgdb/{app}", plane.secret(f"{app}-login")
    with watching(plane, name) as states:
        assert label_of(next(states)) is None
        plane.ok("label", name, f"{ACTION}=reset-password")
        asked = next(state for state in states if label_of(state))
        next(state for state in states if label_of(state) is None)
        new = plane.secret(f"{app}-login")

    assert label_of(asked) == "reset-password"
    assert plane.logs_in(new), "the label vanished before the new password worked"
    assert new["password"] != old["password"]
    assert not plane.logs_in(new | {"password": old["password"]})
    assert "next-password" not in new
    until(lambda: plane.get(name)["status"].get("lastRotation"), "lastRotation")
    assert plane.wait_event(name, "PasswordReset")[0] == "Normal"
    plane.wait_ready(name)


def test_a_label_resets_the_password_of_a_server_and_its_databases_go_on(plane: Plane, app: str):
    """H9."""
    old = plane.secret("shop-login")

    plane.ok("label", "pg/shop", f"{ACTION}=reset-password")
    plane.ok("wait", "pg/shop", "--for=jsonpath={.status.lastRotation}", "--timeout=60s")
    until(lambda: label_of(plane.get("pg/shop")) is None, "the label is gone")

    new = plane.secret("shop-login")
    assert plane.logs_in(new)
    assert not plane.logs_in(old)
    plane.wait_ready("pg/shop", f"pgdb/{app}")
    plane.apply(database(f"{app}-2", "shop"))  # the operator's own way in still works
    plane.wait_ready(f"pgdb/{app}-2")


def test_an_unknown_action_stays_and_is_warned_of(plane: Plane, app: str):
    name, secret = f"pgdb/{app}", plane.secret(f"{app}-login")

    plane.ok("label", name, f"{ACTION}=make-coffee")

    kind, _, message = plane.wait_event(name, "UnknownAction")
    assert kind == "Warning"
    assert "make-coffee" in message
    assert "reset-password" in message
    assert label_of(plane.get(name)) == "make-coffee"
    assert plane.secret(f"{app}-login") == secret
    assert plane.condition(name)["status"] == "True"


# changes


def test_a_paused_object_is_left_alone_until_it_is_resumed(plane: Plane):
    plane.apply(server("idle"))
    plane.wait_ready("pg/idle")
    secret = plane.secret("idle-login")

    plane.ok("annotate", "pg/idle", f"{GROUP}/paused=true")
    plane.ok("wait", "pg/idle", "--for=condition=Paused", "--timeout=60s")
    patch = {"spec": {"serverParameters": {"work_mem": "7MB"}}}
    plane.ok("patch", "pg/idle", "--type=merge", "-p", json.dumps(patch))
    until(lambda: plane.get("pg/idle")["status"]["observedGeneration"] == 2, "the change is seen")
    assert plane.condition("pg/idle")["status"] == "True"
    assert plane.execute(secret, "SHOW work_mem") == [("4MB",)]

    plane.ok("annotate", "pg/idle", f"{GROUP}/paused-")
    until(lambda: plane.execute(secret, "SHOW work_mem") == [("7MB",)], "the change is made")
    assert plane.condition("pg/idle", "Paused") == {}


def test_a_server_parameter_is_set_changed_and_taken_out_again(plane: Plane, shop: str):
    """S9."""
    secret = plane.secret("shop-login")

    def shows(value: str) -> None:
        until(lambda: plane.execute(secret, "SHOW statement_timeout") == [(value,)], value)
        plane.wait_ready("pg/shop")

    merge = {"spec": {"serverParameters": {"statement_timeout": "61s"}}}
    plane.ok("patch", "pg/shop", "--type=merge", "-p", json.dumps(merge))
    shows("61s")
    path = "/spec/serverParameters/statement_timeout"
    json_patch = [{"op": "replace", "path": path, "value": "62s"}]
    plane.ok("patch", "pg/shop", "--type=json", "-p", json.dumps(json_patch))
    shows("62s")
    plane.ok("patch", "pg/shop", "--type=json", "-p", json.dumps([{"op": "remove", "path": path}]))
    shows("0")


def test_a_change_is_shown_before_it_is_made(plane: Plane, app: str):
    changed = database(app, "shop", deletionPolicy="Retain")

    shown = plane.kubectl("diff", "-f", "-", stdin=changed)  # it ends with 1 where they differ
    tried = plane.ok("apply", "--dry-run=server", "-f", "-", stdin=changed)

    assert shown.returncode == 1, shown.stderr
    assert "-  deletionPolicy: Delete\n+  deletionPolicy: Retain\n" in shown.stdout
    assert tried.endswith("configured (server dry run)\n")
    assert plane.get(f"pgdb/{app}")["spec"]["deletionPolicy"] == "Delete"


def test_an_object_is_replaced_and_a_stale_one_is_not(plane: Plane, app: str):
    found = plane.get(f"pgdb/{app}")
    found["spec"]["deletionPolicy"] = "Retain"

    assert plane.ok("replace", "-f", "-", stdin=found).endswith(f"{app} replaced\n")
    found["spec"]["deletionPolicy"] = "Delete"
    assert "the object has been modified" in plane.refused("replace", "-f", "-", stdin=found)
    assert plane.get(f"pgdb/{app}")["spec"]["deletionPolicy"] == "Retain"
    plane.wait_ready(f"pgdb/{app}")


def test_a_touched_label_changes_nothing(plane: Plane, app: str):
    """H20, H10: it is looked at again, and neither Secret nor login moves."""
    before = plane.get(f"secret/{app}-login"), plane.condition(f"pgdb/{app}")

    plane.ok("label", f"pgdb/{app}", "touched=yes")
    plane.ok("label", f"pgdb/{app}", "touched=again", "--overwrite")
    plane.apply(database(f"{app}-later", "shop"))
    plane.wait_ready(f"pgdb/{app}-later")  # made after the labels were looked at

    assert (plane.get(f"secret/{app}-login"), plane.condition(f"pgdb/{app}")) == before


def test_a_renamed_secret_moves_with_its_password(plane: Plane, app: str):
    """S12, S16."""
    old = plane.secret(f"{app}-login")

    patch = {"spec": {"credentialsSecret": f"{app}-moved"}}
    plane.ok("patch", f"pgdb/{app}", "--type=merge", "-p", json.dumps(patch))
    until(lambda: plane.exists(f"secret/{app}-moved"), "the new Secret")
    until(lambda: not plane.exists(f"secret/{app}-login"), "the old Secret is gone")

    new = plane.secret(f"{app}-moved")
    assert new["password"] == old["password"]
    assert plane.logs_in(new)


def test_a_lost_secret_is_made_anew_and_logs_in(plane: Plane, app: str):
    """S16: the password is a new one, as nobody knows the old one any more."""
    lost = plane.secret(f"{app}-login")

    plane.ok("delete", "secret", f"{app}-login")
    plane.ok("label", f"pgdb/{app}", "look=again")  # else it is seen within half a minute
    until(lambda: plane.exists(f"secret/{app}-login"), "the Secret")
    made = until(lambda: working(plane, f"{app}-login"), "a Secret that logs in")

    assert made["password"] != lost["password"]
    assert not plane.logs_in(lost)


def test_an_edited_secret_is_repaired_and_what_is_the_users_stays(plane: Plane, app: str):
    """S16."""
    before = plane.secret(f"{app}-login")
    edit = {"stringData": {"host": "elsewhere.example", "mine": "my own"}}

    plane.ok("patch", "secret", f"{app}-login", "--type=merge", "-p", json.dumps(edit))
    plane.ok("label", f"pgdb/{app}", "look=again")
    until(lambda: plane.secret(f"{app}-login")["host"] != "elsewhere.example", "repaired")

    assert plane.secret(f"{app}-login") == before | {"mine": "my own"}


def working(plane: Plane, name: str) -> dict[str, str]:
    """A Secret once it is complete and its password is accepted; empty before."""
    secret = plane.secret(name)
    return secret if "uri" in secret and plane.logs_in(secret) else {}


# deletion


def test_policy_delete_takes_data_role_and_secret(plane: Plane, app: str):
    """H13 by its opposite, H18."""
    plane.execute(plane.secret(f"{app}-login"), "CREATE TABLE lost ()")

    assert "deleted" in plane.ok("delete", f"pgdb/{app}", "--wait", "--timeout=60s")

    admin, name = plane.secret("shop-login"), app.replace("-", "_")
    query = f"SELECT 1 FROM pg_database WHERE datname = '{name}'"
    assert plane.execute(admin, query) == []
    assert plane.execute(admin, f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'") == []
    if plane.collects_garbage:
        until(lambda: not plane.exists(f"secret/{app}-login"), "the Secret is collected")


def test_policy_retain_keeps_data_and_secret_for_whoever_adopts_them(plane: Plane, app: str):
    """H13."""
    name, external = f"pgdb/{app}", app.replace("-", "_")
    plane.apply(database(app, "shop", deletionPolicy="Retain"))
    plane.execute(plane.secret(f"{app}-login"), "CREATE TABLE kept AS SELECT 42 AS value")

    plane.ok("delete", name, "--wait", "--timeout=60s")
    message = plane.wait_event(name, "Retained")[2]
    assert f"{GROUP}/adopt: {external}" in message
    kept = plane.secret(f"{app}-login")
    assert plane.execute(kept, "TABLE kept") == [(42,)]

    plane.apply(database(app, "shop"))
    conflict = plane.wait_reason(name, "Conflict")["message"]
    assert f"{GROUP}/adopt: {external}" in conflict
    assert plane.secret(f"{app}-login") == kept

    plane.ok("annotate", name, f"{GROUP}/adopt={external}")
    plane.wait_ready(name)
    taken = plane.secret(f"{app}-login")
    assert taken["password"] == kept["password"]
    assert plane.execute(taken, "TABLE kept") == [(42,)]


def test_an_object_whose_finalizer_is_taken_off_leaves_its_data_alone(plane: Plane, app: str):
    """H18: the way out where the controller cannot go on, with nothing cleaned up."""
    name, external = f"pgdb/{app}", app.replace("-", "_")
    plane.execute(plane.secret(f"{app}-login"), "CREATE TABLE kept AS SELECT 42 AS value")
    plane.ok("annotate", name, f"{GROUP}/paused=true")
    plane.ok("wait", name, "--for=condition=Paused", "--timeout=60s")

    plane.ok("delete", name, "--wait=false")
    plane.ok("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert not plane.exists(name)
    if plane.collects_garbage:
        until(lambda: not plane.exists(f"secret/{app}-login"), "the Secret is collected")

    plane.apply(annotated(database(app, "shop"), adopt=external))
    plane.wait_ready(name)
    assert plane.execute(plane.secret(f"{app}-login"), "TABLE kept") == [(42,)]


def test_a_retained_server_is_taken_over_with_its_data(plane: Plane):
    """H13, S12."""
    plane.apply(server("vault", deletionPolicy="Retain"))
    plane.wait_ready("pg/vault")
    external = plane.get("pg/vault")["status"]["externalName"]
    plane.execute(plane.secret("vault-login"), "CREATE TABLE kept AS SELECT 42 AS value")

    plane.ok("delete", "pg/vault", "--wait", "--timeout=60s")
    kept = plane.secret("vault-login")
    assert plane.execute(kept, "TABLE kept") == [(42,)]

    plane.apply(server("vault"))
    assert f"{GROUP}/adopt: {external}" in plane.wait_reason("pg/vault", "Conflict")["message"]
    plane.apply(annotated(server("vault"), adopt=external))
    plane.wait_ready("pg/vault")
    assert plane.execute(plane.secret("vault-login"), "TABLE kept") == [(42,)]


def test_a_server_goes_after_its_databases(plane: Plane):
    """H18."""
    plane.apply(server("host"), database("guest", "host"))
    plane.wait_ready("pg/host", "pgdb/guest")

    plane.ok("delete", "pg/host", "--wait=false")
    blocked = plane.wait_reason("pg/host", "DeletionBlocked")
    assert "guest" in blocked["message"]
    assert plane.logs_in(plane.secret("guest-login"))

    plane.ok("delete", "pgdb/guest", "--wait", "--timeout=60s")
    plane.ok("wait", "pg/host", "--for=delete", "--timeout=60s")


def test_a_folder_of_manifests_is_deleted_as_it_was_applied(plane: Plane, tmp_path: Path):
    """H34."""
    for document in (server("both"), database("both-app", "both")):
        file = tmp_path / f"{document['kind']}.json"
        file.write_text(json.dumps(document))
    plane.ok("apply", "--validate=strict", "-f", str(tmp_path))
    plane.wait_ready("pg/both", "pgdb/both-app")

    deleted = plane.ok("delete", "-f", str(tmp_path), "--wait", f"--timeout={WAIT_SECONDS}s")

    assert len(deleted.splitlines()) == 2
    assert not plane.exists("pg/both")
    assert not plane.exists("pgdb/both-app")


def test_a_namespace_is_deleted_with_everything_in_it(plane: Plane):
    """H18: nothing hangs, whatever the order in which its objects go."""
    place = f"{plane.namespace}-b"
    require(plane.collects_garbage, "no controller manager here, which empties a namespace")
    plane.ok("create", "namespace", place)
    manifests = (
        server("pg", deletionPolicy="Retain"),
        database("one", "pg"),
        database("two", "pg"),
    )
    plane.ok("apply", f"--namespace={place}", "-f", "-", stdin=manifests)
    names = ("pg/pg", "pgdb/one", "pgdb/two")
    plane.ok("wait", f"--namespace={place}", "--for=condition=Ready", "--timeout=60s", *names)

    plane.ok("delete", "namespace", place, "--timeout=60s")

    assert plane.refused("get", "namespace", place)


# the predecessor's manifests


def test_the_manifests_of_the_predecessor_apply_unchanged(plane: Plane):
    """H1, H15, H16, H17, H34: what cannot be honoured here is said, and nothing breaks."""
    files = [str(EXAMPLES / f"{name}.yaml") for name in ("full-server", "full-database", "simple")]
    selected = [word for file in files for word in ("-f", file)]

    applied = plane.ok("apply", "--namespace=default", "--validate=strict", *selected)
    names = [line.split()[0] for line in applied.splitlines()]
    assert len(names) == 4
    try:
        ready = ("--for=condition=Ready", f"--timeout={WAIT_SECONDS}s")
        plane.ok("wait", "--namespace=default", *ready, *names)
        teamfoo = json.loads(plane.ok("get", "pg/teamfoo", "--namespace=default", "-o", "json"))
    finally:
        plane.ok("delete", "--namespace=default", *selected, "--timeout=60s")

    status = teamfoo["status"]
    assert status["backend"] == "local"  # no allowed_backends: spec.backend has no say
    assert "network.firewallRules" in " ".join(status["unsupportedFields"])
    synced = next(c for c in status["conditions"] if c["type"] == "Synced")
    assert "spec.size.class: no class 'dev'" in synced["message"]
