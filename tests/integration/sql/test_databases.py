"""A tenant's database on every supported PostgreSQL, made by both kinds of admin."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.fix_postgres import CLOUD_ADMIN, PgServer

from hybridpg.backends import Policy, Rejected
from hybridpg.backends.sql import LoginResult, check_login
from hybridpg.backends.values import (
    Refused,
)

from .cases import databases, drop, ensure, exists, make_case, plan, state_of

pytestmark = pytest.mark.postgres

HOSTILE = [
    "user",
    "order",
    "select",
    "1abc",
    "foo.bar",
    "CamelCase",
    'quo"te',
    "quo'te",
    "back\\slash",
    "semi; DROP ROLE cloudadmin; --",
    "per%cent %s {brace}",
    "ünïcödé",
]


async def test_the_role_owns_its_database_and_nothing_else(pg_each: PgServer, admin: str):
    """H5, D4, D6, D7, E2, invariant 22: create, use, be kept out."""
    async with databases() as backend:
        mine, theirs = make_case(pg_each, admin=admin), make_case(pg_each, admin=admin)
        await ensure(backend, mine)
        await ensure(backend, theirs)

        with pg_each.connect(mine.name, mine.name, mine.role.password) as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.execute("CREATE SCHEMA extra")
        owner = pg_each.run(
            f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{mine.name}'"
        )
        assert owner == [(mine.name,)]
        foreign = await check_login(mine.ref.endpoint, mine.role, theirs.name)
        assert foreign is LoginResult.REFUSED
        rights = pg_each.run(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls "
            f"FROM pg_roles WHERE rolname = '{mine.name}'"
        )
        assert rights == [(False,) * 5]

        await drop(backend, mine)
        await drop(backend, theirs)


async def test_public_may_create_nothing_in_a_tenants_database(pg_each: PgServer):
    """D7: below version 15 PUBLIC may create tables in schema public by default."""
    async with databases() as backend:
        case = make_case(pg_each)
        await ensure(backend, case)

        rows = pg_each.run(
            "SELECT has_schema_privilege('public', 'public', 'CREATE'), "
            "has_database_privilege('public', current_database(), 'CONNECT'), "
            "has_database_privilege('public', current_database(), 'TEMP')",
            case.name,
        )
        assert rows == [(False, False, False)]
        await drop(backend, case)


async def test_tenants_do_not_reach_the_databases_of_the_system(pg_each: PgServer):
    """D4, D7, H35."""
    async with databases() as backend:
        case = make_case(pg_each)
        await ensure(backend, case)

        for name in ("postgres", "template1"):
            assert await check_login(case.ref.endpoint, case.role, name) is LoginResult.REFUSED
        # a login that was there before keeps what it had through PUBLIC
        with pg_each.connect("postgres", CLOUD_ADMIN, pg_each.password) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        await drop(backend, case)


async def test_an_admin_that_may_not_close_them_says_so(own_pg: PgServer):
    async with databases() as backend:
        notes = await ensure(backend, make_case(own_pg, admin=CLOUD_ADMIN))

    assert any("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC" in note for note in notes), notes


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_that_is_hostile_in_sql_is_only_a_name(pg: PgServer, admin: str, name: str):
    """M6, M7, D1, D2."""
    async with databases() as backend:
        case = make_case(pg, f"{name}{admin[:2]}", admin)
        await ensure(backend, case)

        assert await plan(backend, case) == ()
        assert exists(pg, case.name) == (True, True)
        result = await check_login(case.ref.endpoint, case.role, case.name)
        assert result is LoginResult.PRIMARY
        assert exists(pg, CLOUD_ADMIN)[1]
        await drop(backend, case)
        assert exists(pg, case.name) == (False, False)


async def test_two_long_names_that_differ_at_the_end_never_share_a_database(pg: PgServer):
    """M7: PostgreSQL cuts at 63 bytes, and the second would find the first one's database."""
    async with databases() as backend:
        for end in "ab":
            case = make_case(pg, "x" * 69 + end)
            with pytest.raises(Rejected, match="has 70 bytes"):
                await backend.create_or_update_user(case.ref, case.role)
            with pytest.raises(Rejected, match="has 70 bytes"):
                await plan(backend, case)

    assert exists(pg, "x" * 63) == (False, False)


@pytest.mark.parametrize("name", ["postgres", "template1", "admin", "pg_monitor", "rdsadmin"])
async def test_a_reserved_name_is_refused_by_every_call_that_writes(pg: PgServer, name: str):
    """H35, D3."""
    before = pg.run("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1")
    async with databases() as backend:
        case = make_case(pg, name)
        with pytest.raises(Rejected, match="reserved"):
            await backend.create_or_update_user(case.ref, case.role)
        with pytest.raises(Rejected, match="reserved"):
            await backend.create_or_update_database(case.ref, ())
        with pytest.raises(Rejected, match="reserved"):
            await backend.update_user_password(case.ref, case.role)

    assert pg.run("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1") == before


async def test_encoding_and_locale_are_those_of_the_spec(pg_each: PgServer, admin: str):
    """S14, D10."""
    async with databases() as backend:
        case = make_case(pg_each, admin=admin, charset="LATIN1", collation="C")
        await ensure(backend, case)

        state = await state_of(backend, case)
        assert (state.encoding, state.collation) == ("LATIN1", "C")
        assert await plan(backend, case) == ()
        await drop(backend, case)


async def test_the_collation_of_the_old_readme_works_where_the_server_can(pg_each: PgServer):
    """S14, H34: collation "de-DE", by the system's locale or by ICU."""
    async with databases() as backend:
        case = make_case(pg_each, charset="UTF8", collation="de-DE")
        if pg_each.major >= 15:
            await ensure(backend, case)
            assert await plan(backend, case) == ()
            assert (await state_of(backend, case)).collation in ("de-DE", "de_DE.utf8")
        else:
            await backend.create_or_update_user(case.ref, case.role)
            with pytest.raises(Rejected, match="use one of C") as caught:
                await ensure(backend, case)
            assert caught.value.field == "database.collation"
            assert exists(pg_each, case.name) == (False, True)
        await drop(backend, case)


@pytest.mark.parametrize(
    ("database", "field"),
    [
        ({"charset": "KLINGON"}, "database.charset"),
        ({"collation": "xx-XX"}, "database.collation"),
        ({"collation": "xx_XX.utf8"}, "database.collation"),
        ({"charset": "LATIN1", "collation": "C.UTF-8"}, "database.collation"),
    ],
    ids=str,
)
async def test_what_the_server_cannot_do_is_refused_with_the_field(
    pg: PgServer, database: dict[str, Any], field: str
):
    """D10."""
    async with databases() as backend:
        case = make_case(pg, **database)
        with pytest.raises(Rejected) as caught:
            await ensure(backend, case)

        assert caught.value.field == field
        assert exists(pg, case.name)[0] is False
        await drop(backend, case)


async def test_another_encoding_of_an_existing_database_is_refused_and_nothing_written(
    pg: PgServer,
):
    """D10: a change is refused with the reason."""
    async with databases() as backend:
        case = make_case(pg, charset="UTF8")
        await ensure(backend, case)
        other = make_case(pg, case.name, charset="LATIN1", collation="POSIX")
        changed = type(case)(case.ref, other.desired, case.role)

        changes = await plan(backend, changed)
        assert [type(change) for change in changes] == [Refused]
        with pg.statements() as seen:
            await backend.create_or_update_database(case.ref, changes)
        assert seen == []
        await drop(backend, case)


async def test_drift_of_rights_is_repaired(pg: PgServer, admin: str):
    """E2, D43."""
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(pg, admin=admin)
        await ensure(backend, case)
        pg.run(f"GRANT CONNECT ON DATABASE {case.name} TO PUBLIC")
        pg.run(f"ALTER ROLE {case.name} CREATEDB NOLOGIN")

        assert len(await plan(backend, case)) == 2
        await ensure(backend, case)

        assert await plan(backend, case) == ()
        rows = pg.run(f"SELECT rolcreatedb, rolcanlogin FROM pg_roles WHERE rolname='{case.name}'")
        assert rows == [(False, True)]
        await drop(backend, case)


@pytest.mark.parametrize("chain", [1, 2])
async def test_a_grant_to_all_by_a_third_role_is_taken_away(
    pg_each: PgServer, admin: str, chain: int
):
    """Invariants 19 and 22: a REVOKE of the owner alone does not reach it, and was repeated."""
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(pg_each, admin=admin)
        others = [make_case(pg_each, admin=admin) for _ in range(chain)]
        for each in (case, *others):
            await ensure(backend, each)
        giver = case
        for taker in others:
            with pg_each.connect(case.name, giver.name, giver.role.password) as connection:
                connection.execute(
                    f"GRANT CONNECT ON DATABASE {case.name} TO {taker.name} WITH GRANT OPTION"
                )
            giver = taker
        with pg_each.connect(case.name, giver.name, giver.role.password) as connection:
            connection.execute(f"GRANT CONNECT ON DATABASE {case.name} TO PUBLIC")

        notes = await ensure(backend, case)

        first = others[0]
        assert f"'{first.name}' may no longer let others into '{case.name}'" in notes
        assert await plan(backend, case) == ()
        result = await check_login(first.ref.endpoint, first.role, case.name)
        assert result is LoginResult.PRIMARY, "whom the owner let in stays"
        for each in (case, *others):
            await drop(backend, each)


async def test_the_systems_databases_are_closed_to_all_whoever_let_them_in(own_pg: PgServer):
    async with databases(snapshot_seconds=0) as backend:
        own_pg.run("CREATE ROLE dba LOGIN PASSWORD 'x'")
        own_pg.run("GRANT CONNECT ON DATABASE postgres TO dba WITH GRANT OPTION")
        with own_pg.connect("postgres", "dba", "x") as connection:
            connection.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
        case = make_case(own_pg)
        await ensure(backend, case)

        assert await plan(backend, case) == ()
        result = await check_login(case.ref.endpoint, case.role, "postgres")
        assert result is LoginResult.REFUSED
        own_pg.connect("postgres", "dba", "x").close()


async def test_an_admin_that_lost_its_hold_on_a_role_takes_it_again(pg_each: PgServer):
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(pg_each, admin=CLOUD_ADMIN)
        await ensure(backend, case)
        grantor = f" GRANTED BY {CLOUD_ADMIN}" if pg_each.major >= 16 else ""
        pg_each.run(f"REVOKE {case.name} FROM {CLOUD_ADMIN}{grantor}", admin=CLOUD_ADMIN)

        assert [change.message for change in await plan(backend, case)] == [
            f"role '{case.name}' gets back the rights that it was made with"
        ]
        await ensure(backend, case)
        assert await plan(backend, case) == ()
        await drop(backend, case)


async def test_passwords_never_reach_the_log_of_the_server(own_pg: PgServer):
    """D12: with log_statement = all, as the worst case."""
    async with databases() as backend:
        case = make_case(own_pg)
        await ensure(backend, case)
        changed = type(case.role)(case.name, type(case.role.password)("canary-Password.2"))
        await backend.update_user_password(case.ref, changed)

        assert await check_login(case.ref.endpoint, changed, case.name) is LoginResult.PRIMARY
    log = own_pg.log()
    assert "SCRAM-SHA-256$" in log, "the log holds the statements"
    assert case.role.password not in log
    assert changed.password not in log


async def test_a_password_change_changes_the_password_and_nothing_else(pg: PgServer, admin: str):
    """H9."""
    async with databases() as backend:
        case = make_case(pg, admin=admin)
        await ensure(backend, case)
        query = (
            "SELECT oid, rolcanlogin, rolconnlimit, rolvaliduntil, "
            "shobj_description(oid, 'pg_authid') "
            f"FROM pg_roles WHERE rolname = '{case.name}'"
        )
        before = pg.run(query)
        with pg.statements() as seen:
            await backend.update_user_password(case.ref, case.role)

        assert pg.run(query) == before
        writes = [line for line in seen if not line.startswith("SELECT")]
        assert len(writes) == 1
        assert writes[0].startswith("ALTER ROLE ")
        await drop(backend, case)


async def test_dropping_with_an_open_session_succeeds(pg_each: PgServer, admin: str):
    """D8, M10."""
    async with databases() as backend:
        case = make_case(pg_each, admin=admin)
        await ensure(backend, case)
        connection = pg_each.connect(case.name, case.name, case.role.password)
        connection.execute("SELECT 1")

        await drop(backend, case)

        assert exists(pg_each, case.name) == (False, False)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()


async def test_an_owner_cannot_block_the_deletion_of_its_database(pg: PgServer, admin: str):
    """M10: the owner may set these itself."""
    async with databases() as backend:
        case = make_case(pg, admin=admin)
        await ensure(backend, case)
        with pg.connect(case.name, case.name, case.role.password) as connection:
            connection.execute(f"ALTER DATABASE {case.name} CONNECTION LIMIT 0")
        pg.run(f"ALTER DATABASE {case.name} IS_TEMPLATE true")
        pg.run(f"ALTER DATABASE {case.name} ALLOW_CONNECTIONS false")

        await drop(backend, case)

        assert exists(pg, case.name) == (False, False)


async def test_a_role_that_owns_things_elsewhere_is_dropped_and_they_stay(pg_each: PgServer):
    """D5, D37: what it owned goes to a role that nobody can log in to."""
    async with databases() as backend:
        case = make_case(pg_each)
        await ensure(backend, case)
        pg_each.run("CREATE DATABASE elsewhere")
        pg_each.run(
            f"CREATE TABLE kept (x int); ALTER TABLE kept OWNER TO {case.name}", "elsewhere"
        )
        pg_each.run(f"CREATE TABLE granted (x int); GRANT SELECT ON granted TO {case.name}")
        pg_each.run(f"GRANT CREATE ON DATABASE elsewhere TO {case.name}")

        await drop(backend, case)

        assert exists(pg_each, case.name) == (False, False)
        tables = pg_each.run(
            "SELECT rolname ~ '^hybridpg_left_', rolcanlogin FROM pg_tables "
            "JOIN pg_roles ON rolname = tableowner WHERE tablename = 'kept'",
            "elsewhere",
        )
        assert tables == [(True, False)]
    pg_each.run("DROP TABLE granted")
    pg_each.run("DROP DATABASE elsewhere WITH (FORCE)")


async def test_retained_means_that_everything_stays(pg: PgServer, admin: str):
    """H13, D37."""
    async with databases() as backend:
        case = make_case(pg, admin=admin)
        await ensure(backend, case)
        with pg.connect(case.name, case.name, case.role.password) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

        for _ in range(2):  # as after a crash before the finalizer went
            await drop(backend, case, Policy.RETAIN)

        with pg.connect(case.name, case.name, case.role.password) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        mark = pg.run(
            f"SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname='{case.name}'"
        )
        owner = case.ref.owner
        assert mark == [(f"hybridpg:{owner.cluster_id}/{owner.uid} team-a/orders retained",)]


async def test_a_deletion_goes_on_where_a_crash_left_it(pg: PgServer, admin: str):
    async with databases() as backend:
        case = make_case(pg, admin=admin)
        await ensure(backend, case)
        observed = await backend.observe_database(case.ref)
        await backend.delete_database(case.ref, observed, Policy.DELETE)

    async with databases() as backend:  # the next process
        await drop(backend, case)
        await drop(backend, case)

    assert exists(pg, case.name) == (False, False)
