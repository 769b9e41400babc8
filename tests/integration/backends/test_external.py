"""The backend ``external`` on a real server: it looks, and changes nothing of the server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.external_harness import (
    ExternalHarness,
    SecretKube,
    admin_secret,
    external_context,
    server_ref,
)
from tests.fix_postgres import CLOUD_ADMIN, SUPERUSER, PgServer

from hybridpg.backends import Conflict, Denied, Policy, Present, ServerState, Unknown
from hybridpg.backends._harness import converge_database, database_case
from hybridpg.backends.external import External

pytestmark = pytest.mark.postgres

WORLD = (
    "SELECT rolname, rolpassword, rolsuper FROM pg_authid UNION ALL "
    "SELECT datname, datacl::text, datistemplate FROM pg_database ORDER BY 1"
)


def backend(pg: PgServer, **secret: bytes) -> External:
    data = admin_secret(pg) | secret
    return External(external_context(SecretKube({("platform", "main-admin"): data})))


async def observe(made: External) -> ServerState:
    try:
        observed = await made.observe_server(server_ref())
    finally:
        await made.close()
    assert isinstance(observed, Present)
    return observed.state


async def test_a_server_is_observed_by_a_real_login(pg_each: PgServer):
    state = await observe(backend(pg_each))

    assert state.ready
    assert state.version.startswith(str(pg_each.major))
    assert state.admin_username == SUPERUSER
    assert state.owner is None, "the server is nobody's of ours"


async def test_a_server_that_takes_no_writes_is_not_ready(own_pg: PgServer):
    own_pg.run("ALTER SYSTEM SET default_transaction_read_only = on")
    own_pg.run("SELECT pg_reload_conf()")
    own_pg.stop()
    own_pg.process = own_pg.start()
    for _ in range(100):
        made = backend(own_pg)
        try:
            state = await observe(made)
        except Unknown:
            continue
        break

    assert not state.ready
    assert state.message == "the server takes no writes"


async def test_a_server_that_is_down_is_unknown_and_never_absent(own_pg: PgServer):
    """D29."""
    own_pg.stop()
    with pytest.raises(Unknown):
        await observe(backend(own_pg))


async def test_a_wrong_login_is_denied_without_showing_it(pg: PgServer):
    with pytest.raises(Denied, match="as postgres") as caught:
        await observe(backend(pg, password=b"wrong-canary"))

    assert "canary" not in str(caught.value)


async def test_the_life_of_a_server_object_changes_nothing_on_the_server(pg: PgServer):
    harness = ExternalHarness(pg)
    case = await harness.server()
    made = harness.external
    before = pg.run(WORLD)
    observed = await made.observe_server(case.ref)
    changes = made.plan_server(case.ref, case.spec, observed)
    await made.create_or_update_server(case.ref, changes, case.admin)
    await made.endpoint(case.ref, (await observe_again(made, case.ref)))
    for policy in Policy:
        await made.delete_server(case.ref, observed, policy)
    await made.close()

    assert changes == ()
    assert pg.run(WORLD) == before


async def observe_again(made: External, ref) -> ServerState:
    observed = await made.observe_server(ref)
    assert isinstance(observed, Present)
    return observed.state


async def test_namespaces_share_a_server_and_not_their_databases(pg: PgServer, admin: str):
    """H5, M1: two tenants on one server of the administrator."""
    harness = ExternalHarness(pg, admin)
    one = await database_case(harness)
    await converge_database(harness, one)
    other_owner = replace(one.ref.owner, namespace="team-b", uid="another-uid")
    thief = replace(one, ref=replace(one.ref, owner=other_owner, adopt=True))
    observed = await harness.backend.observe_database(thief.ref)
    with pytest.raises(Conflict, match="belongs to namespace 'team-a'"):
        harness.backend.plan_database(thief.ref, thief.desired, observed)
    await harness.backend.close()


async def test_a_login_without_rights_is_denied_with_what_was_tried(pg: PgServer):
    pg.run("DROP ROLE IF EXISTS reader")
    pg.run(f"CREATE ROLE reader LOGIN PASSWORD '{pg.password}'")
    pg.run("GRANT CONNECT ON DATABASE postgres TO reader")
    harness = ExternalHarness(pg, "reader")
    case = await database_case(harness)
    with pytest.raises(Denied, match=f"cannot create role '{case.ref.external_name}'"):
        await harness.backend.create_or_update_user(case.ref, case.role)
    await harness.backend.close()
    pg.run("REVOKE CONNECT ON DATABASE postgres FROM reader")
    pg.run("DROP ROLE reader")


async def test_a_secret_that_changes_is_used_from_the_next_look_on(pg: PgServer):
    kube = SecretKube({("platform", "main-admin"): admin_secret(pg, CLOUD_ADMIN)})
    made = External(external_context(kube))
    first = await made.observe_server(server_ref())
    kube.secrets["platform", "main-admin"] = admin_secret(pg, SUPERUSER)
    second = await made.observe_server(server_ref())
    await made.close()

    assert isinstance(first, Present)
    assert isinstance(second, Present)
    assert (first.state.admin_username, second.state.admin_username) == (CLOUD_ADMIN, SUPERUSER)
