"""What the owner of a database can do in it, and that it reaches neither the admin nor others."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fix_postgres import CLOUD_ADMIN, SUPERUSER, PgServer, running_server

from hybridpg.backends import BackendError, Change, Policy, Rejected
from hybridpg.backends.sql import LoginResult, check_login, errors
from hybridpg.backends.sql.connection import Session, closing
from hybridpg.backends.sql.extensions import create_extensions
from hybridpg.backends.sql.offer import ExtensionOffer, Offer
from hybridpg.backends.sql.state import CreateDatabase

from .cases import (
    databases,
    drop,
    ensure,
    exists,
    fresh_login,
    make_case,
    plan,
    reading_slot,
    state_of,
)

pytestmark = pytest.mark.postgres

POISON = """
CREATE SCHEMA IF NOT EXISTS evil;
CREATE FUNCTION evil.take() RETURNS event_trigger LANGUAGE plpgsql
  AS $$ BEGIN EXECUTE 'ALTER ROLE {name} SUPERUSER'; END $$;
CREATE FUNCTION public.pg_get_userbyid(oid) RETURNS name LANGUAGE plpgsql
  AS $$ BEGIN EXECUTE 'ALTER ROLE {name} CREATEROLE'; RETURN 'forged'; END $$;
CREATE FUNCTION public.has_database_privilege(name, oid, text) RETURNS boolean LANGUAGE sql
  AS $$ SELECT true $$;
CREATE FUNCTION public.same(name, name) RETURNS boolean LANGUAGE plpgsql
  AS $$ BEGIN EXECUTE 'ALTER ROLE {name} CREATEDB'; RETURN true; END $$;
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, FUNCTION = public.same);
CREATE TABLE public.pg_extension (extname text);
CREATE VIEW public.pg_namespace AS SELECT 'public'::name AS nspname, 10::oid AS nspowner;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
ALTER DATABASE {name} SET search_path = evil, public, pg_catalog;
ALTER ROLE {name} IN DATABASE {name} SET search_path = evil, public;
ALTER DATABASE {name} SET default_transaction_read_only = on;
ALTER DATABASE {name} SET check_function_bodies = off;
"""


async def test_what_is_planted_in_a_database_is_never_run_by_the_admin(
    pg_each: PgServer, admin: str
):
    """M9: functions, operators and tables of the catalog's names, before it in the search path."""
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(pg_each, admin=admin)
        await ensure(backend, case)
        with pg_each.connect(case.name, case.name, case.role.password) as connection:
            connection.execute(POISON.format(name=case.name))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(
                    "CREATE EVENT TRIGGER take ON ddl_command_end EXECUTE FUNCTION evil.take()"
                )

    async with databases(snapshot_seconds=0) as backend:
        wider = make_case(pg_each, case.name, admin=admin, extensions=["hstore"])
        case = type(case)(case.ref, wider.desired, case.role)
        await ensure(backend, case)
        state = await state_of(backend, case)
        assert "hstore" in (state.extensions or ())
        assert state.rights == frozenset()
        assert await plan(backend, case) == ()
        await drop(backend, case)
    assert exists(pg_each, case.name) == (False, False)


async def test_a_tenant_plants_nothing_in_the_databases_of_the_system(pg_each: PgServer):
    """M9, D4, D7: neither an own object nor a default for others, in postgres and template1."""
    async with databases() as backend:
        case = make_case(pg_each)
        await ensure(backend, case)
        for system in ("postgres", "template1"):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                pg_each.connect(system, case.name, case.role.password)
        with pg_each.connect(case.name, case.name, case.role.password) as connection:
            for statement in (
                "ALTER DATABASE postgres SET search_path = evil",
                "ALTER ROLE postgres SET search_path = evil",
                "COMMENT ON ROLE postgres IS 'mine'",
                "ALTER DATABASE template1 IS_TEMPLATE false",
                "CREATE DATABASE more",
                "CREATE ROLE more",
                f"COMMENT ON ROLE {case.name} IS 'hybridpg:a/b c/d'",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        await drop(backend, case)


async def test_public_may_create_nothing_in_a_new_database_whatever_the_version(pg_each: PgServer):
    """D7: below PostgreSQL 15 PUBLIC could, in the schema public of every database."""
    async with databases() as backend:
        mine, theirs = make_case(pg_each), make_case(pg_each)
        await ensure(backend, mine)
        await ensure(backend, theirs)
        rights = pg_each.run(
            "SELECT has_schema_privilege('public', 'public', 'CREATE'), "
            f"has_schema_privilege('{mine.name}', 'public', 'CREATE'), "
            f"has_schema_privilege('{theirs.name}', 'public', 'CREATE')",
            mine.name,
        )
        assert rights == [(False, True, False)]
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            pg_each.connect(mine.name, theirs.name, theirs.role.password)
        await drop(backend, mine)
        await drop(backend, theirs)


async def test_a_database_that_its_owner_set_to_take_no_writes_says_so(pg_each: PgServer):
    """M9: it is no standby, so waiting for a primary would be waiting for ever."""
    async with databases() as backend:
        case = make_case(pg_each)
        await ensure(backend, case)
        endpoint = case.ref.endpoint
        with pg_each.connect(case.name, case.name, case.role.password) as connection:
            for what in (f"DATABASE {case.name}", f"ROLE {case.name}"):
                connection.execute(f"ALTER {what} SET default_transaction_read_only = on")
                result = await check_login(endpoint, case.role, case.name)
                assert result is LoginResult.SET_READ_ONLY
                connection.execute("SET transaction_read_only = off")
                connection.execute(f"ALTER {what} RESET default_transaction_read_only")
        assert await check_login(endpoint, case.role, case.name) is LoginResult.PRIMARY
        await drop(backend, case)


async def test_a_refusal_is_told_from_other_trouble_in_every_language(
    pg_each: PgServer, monkeypatch: pytest.MonkeyPatch
):
    """H1, H3: none of the server's words is known, as with translated messages."""
    monkeypatch.setattr(errors, "_CONNECT_TEXTS", ())
    async with databases() as backend:
        case = make_case(pg_each)
        await ensure(backend, case)
        endpoint = case.ref.endpoint
        assert await check_login(endpoint, case.role, case.name) is LoginResult.PRIMARY
        wrong = fresh_login(case.name)
        assert await check_login(endpoint, wrong, case.name) is LoginResult.REFUSED
        with pytest.raises(BackendError, match="no-such-database"):
            await check_login(endpoint, case.role, "no-such-database")
        await drop(backend, case)


@pytest.fixture(scope="module", params=[13, 18], ids=lambda major: f"pg{major}")
def busy_pg(request: pytest.FixtureRequest) -> Iterator[PgServer]:
    """A server on which transactions are prepared and slots are held."""
    with running_server(request.param) as server:
        server.run("ALTER SYSTEM SET max_prepared_transactions = 10")
        server.run("ALTER SYSTEM SET wal_level = logical")
        server.stop(signal.SIGINT)
        server.up()
        yield server


@pytest.mark.parametrize("who", [SUPERUSER, CLOUD_ADMIN])
async def test_a_prepared_transaction_does_not_keep_a_database(busy_pg: PgServer, who: str):
    """M10: DROP DATABASE refuses it, FORCE or not."""
    async with databases() as backend:
        case = make_case(busy_pg, admin=who)
        await ensure(backend, case)
        with busy_pg.connect(case.name, case.name, case.role.password) as connection:
            connection.execute("CREATE TABLE held (x int)")
            for gid in ("plain", "it''s; DROP ROLE postgres"):
                connection.execute("BEGIN")
                connection.execute("INSERT INTO held VALUES (1)")
                connection.execute(f"PREPARE TRANSACTION '{gid} {case.name}'")
        await drop(backend, case)
    assert exists(busy_pg, case.name) == (False, False)
    assert busy_pg.run("SELECT gid FROM pg_prepared_xacts") == []


async def test_a_slot_in_use_does_not_keep_a_database(busy_pg: PgServer):
    """M10: an unused one goes with the database, a used one is ended first."""
    async with databases() as backend:
        case = make_case(busy_pg)
        await ensure(backend, case)
        make = "SELECT pg_create_logical_replication_slot('{}', 'test_decoding')"
        busy_pg.run(make.format("unused"), case.name)
        busy_pg.run(make.format("used"), case.name)
        with reading_slot(busy_pg, case.name, "used"):
            for _ in range(50):  # its end takes a moment, and the operator comes again
                with contextlib.suppress(BackendError):
                    await drop(backend, case)
                    break
                await asyncio.sleep(0.04)
    assert exists(busy_pg, case.name) == (False, False)
    assert busy_pg.run("SELECT slot_name FROM pg_replication_slots") == []


async def test_a_database_that_is_retained_after_its_drop_failed_is_as_it_was(busy_pg: PgServer):
    """Its published Secret logs in, and what its owner made a template is one."""
    async with databases() as backend:
        case = make_case(busy_pg, admin=CLOUD_ADMIN)  # who may not end another's slot
        await ensure(backend, case)
        busy_pg.run(f"ALTER DATABASE {case.name} IS_TEMPLATE true")
        busy_pg.run("SELECT pg_create_logical_replication_slot('held', 'test_decoding')", case.name)
        with reading_slot(busy_pg, case.name, "held"):
            for _ in range(2):
                with pytest.raises(BackendError, match="replication slot"):
                    await drop(backend, case)
            await drop(backend, case, Policy.RETAIN)

        result = await check_login(case.ref.endpoint, case.role, case.name)
        assert result is LoginResult.PRIMARY
        template = busy_pg.run(
            f"SELECT datistemplate FROM pg_database WHERE datname = '{case.name}'"
        )
        assert template == [(True,)]
    busy_pg.run("SELECT pg_drop_replication_slot('held')", case.name)


HOSTILE = st.one_of(
    st.sampled_from(
        [
            'x"; CREATE ROLE evil SUPERUSER; --',
            "x'; CREATE ROLE evil SUPERUSER; --",
            "plpgsql; CREATE ROLE evil SUPERUSER LOGIN; --",
            "$$; CREATE ROLE evil SUPERUSER; $$",
            "x\\'; CREATE ROLE evil SUPERUSER; --",
            "%s %(name)s {} {0}",
            "a" * 63,
            "ü" * 31,
        ]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(
        lambda text: text[:20]
    ),
)
PROPERTY = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@PROPERTY
@given(name=HOSTILE)
def test_whatever_a_database_is_called_it_is_only_a_name(pg: PgServer, name: str):
    """M6, M7: past the schema, which lets none of these through."""

    async def life() -> None:
        async with databases() as backend:
            case = make_case(pg, name)
            try:
                await ensure(backend, case)
            except Rejected:
                return  # a reserved name
            result = await check_login(case.ref.endpoint, case.role, name)
            assert result is LoginResult.PRIMARY
            await drop(backend, case)
            assert exists(pg, name) == (False, False)

    before = roles(pg)
    asyncio.run(life())
    assert roles(pg) == before


@PROPERTY
@given(name=HOSTILE, schema=st.none() | HOSTILE)
def test_whatever_an_extension_is_called_it_is_only_a_name(
    pg: PgServer, name: str, schema: str | None
):
    """D1, M6: even if a server offered it."""
    before = roles(pg)

    async def create() -> dict[str, BackendError]:
        endpoint = pg.endpoint()
        assert endpoint.admin is not None
        offer = Offer(150000, {name: ExtensionOffer(name, schema, ())}, frozenset(), frozenset())
        opened = await Session.open(endpoint, endpoint.admin, "postgres")
        async with closing(opened) as session:
            return await create_extensions(session, [name], offer)

    refusals = asyncio.run(create())
    assert list(refusals) == [name]
    assert roles(pg) == before


@PROPERTY
@given(charset=HOSTILE, collation=HOSTILE)
def test_whatever_an_encoding_is_called_it_is_only_a_value(
    pg: PgServer, charset: str, collation: str
):
    """M6: nothing is made of it, and nobody else."""
    before = roles(pg)

    async def create() -> None:
        async with databases() as backend:
            case = make_case(pg)
            await backend.create_or_update_user(case.ref, case.role)
            wish: Change = CreateDatabase("database", "", encoding=charset, collation=collation)
            with pytest.raises(BackendError):
                await backend.create_or_update_database(case.ref, (wish,))
            await backend.delete_user(case.ref)

    asyncio.run(create())
    assert roles(pg) == before


def roles(pg: PgServer) -> list[tuple[object, ...]]:
    """Return the roles and what they may."""
    return pg.run("SELECT rolname, rolsuper, rolcreaterole FROM pg_roles ORDER BY 1")
