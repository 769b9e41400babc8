"""Servers and logins that are refused or not who they say: told apart, and nothing concluded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.fix_postgres import PgServer, free_port

from hybridpg.backends import AdminLogin, Credentials, Denied, Password, Unknown
from hybridpg.backends.sql import LoginResult, check_login

from .cases import databases, drop, ensure, make_case

pytestmark = pytest.mark.postgres


async def test_a_refused_connection_is_unknown_and_names_the_server(pg: PgServer):
    """D29: never "does not exist"."""
    port = free_port()
    case = make_case(pg)
    ref = replace(case.ref, endpoint=replace(case.ref.endpoint, port=port))
    async with databases() as backend:
        with pytest.raises(Unknown, match=f"127.0.0.1:{port}.*refused"):
            await backend.observe_database(ref)
        with pytest.raises(Unknown):
            await backend.create_or_update_user(ref, case.role)


async def test_no_admin_login_is_unknown_and_says_so(pg: PgServer):
    case = make_case(pg)
    ref = replace(case.ref, endpoint=replace(case.ref.endpoint, admin=None))
    async with databases() as backend:
        with pytest.raises(Unknown, match="there is no admin login for server"):
            await backend.observe_database(ref)


async def test_a_wrong_admin_password_is_denied_without_showing_it(pg: PgServer):
    case = make_case(pg)
    login = AdminLogin("postgres", Password("wrong-canary"))
    ref = replace(case.ref, endpoint=replace(case.ref.endpoint, admin=login))
    async with databases() as backend:
        with pytest.raises(Denied, match="as postgres") as caught:
            await backend.observe_database(ref)

    assert "canary" not in str(caught.value)


async def test_a_new_admin_password_is_used_at_once(own_pg: PgServer):
    """The one who was refused a moment ago had another login."""
    case = make_case(own_pg)
    old = case.ref.endpoint
    new = replace(old, admin=AdminLogin("postgres", Password("Another-1")))
    async with databases() as backend:
        with pytest.raises(Denied):
            await backend.observe_database(replace(case.ref, endpoint=new))
        await backend.observe_database(case.ref)
        own_pg.run("ALTER ROLE postgres PASSWORD 'Another-2'")
        newer = replace(old, admin=AdminLogin("postgres", Password("Another-2")))
        await backend.observe_database(replace(case.ref, endpoint=newer))
    own_pg.password = "Another-2"


@pytest.mark.parametrize(
    "change",
    [{"ca": ""}, {"host": "localhost.example", "hostaddr": "127.0.0.1"}],
    ids=["another authority", "another name"],
)
async def test_a_server_that_cannot_prove_who_it_is_gets_no_password(
    pg: PgServer, change: dict[str, Any]
):
    """D14, M13."""
    case = make_case(pg)
    endpoint = replace(case.ref.endpoint, **change)
    before = pg.log().count("connection authorized")
    async with databases() as backend:
        with pytest.raises(Unknown, match=r"certificate|does not match host name"):
            await backend.observe_database(replace(case.ref, endpoint=endpoint))
    with pytest.raises(Unknown):
        await check_login(endpoint, case.role, "postgres")

    assert pg.log().count("connection authorized") == before


async def test_the_address_may_differ_from_the_name_that_is_verified(pg: PgServer):
    case = make_case(pg)
    endpoint = replace(case.ref.endpoint, host="localhost", hostaddr="127.0.0.1")
    async with databases() as backend:
        await backend.observe_database(replace(case.ref, endpoint=endpoint))


async def test_logins_are_told_apart(pg_each: PgServer, admin: str):
    """H9: accepted, refused, or not known: three different things."""
    async with databases() as backend:
        case = make_case(pg_each, admin=admin)
        await ensure(backend, case)
        endpoint = case.ref.endpoint
        wrong = Credentials(case.name, Password("wrong"))
        nobody = Credentials("nobody-here", Password("x"))

        assert await check_login(endpoint, case.role, case.name) is LoginResult.PRIMARY
        assert await check_login(endpoint, wrong, case.name) is LoginResult.REFUSED
        assert await check_login(endpoint, nobody, case.name) is LoginResult.REFUSED
        with pytest.raises(Unknown, match="does not exist"):
            await check_login(endpoint, case.role, "no-such-database")
        with pytest.raises(Unknown):
            await check_login(replace(endpoint, port=free_port()), case.role, case.name)
        await drop(backend, case)


async def test_an_error_shows_neither_statement_nor_verifier(pg: PgServer):
    """D12: an admin that may do nothing with the role, although the mark is ours."""
    case = make_case(pg, "held_by_dba", admin="limited")
    pg.run("CREATE ROLE held_by_dba LOGIN; CREATE ROLE limited LOGIN PASSWORD 'Test-Admin.1'")
    pg.run("GRANT CONNECT ON DATABASE postgres TO limited")
    pg.run(f"COMMENT ON ROLE held_by_dba IS '{case.ref.owner.mark()}'")
    async with databases() as backend:
        with pytest.raises(Denied, match="cannot change the password of role") as caught:
            await backend.update_user_password(case.ref, case.role)

    assert "SCRAM" not in str(caught.value)
    assert case.role.password not in str(caught.value)
    pg.run("REVOKE CONNECT ON DATABASE postgres FROM limited")
    pg.run("DROP ROLE held_by_dba, limited")
