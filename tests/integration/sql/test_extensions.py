"""Extensions: in the database that asks for them, quoted, allowed, and never dropped."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from tests.fix_postgres import CLOUD_ADMIN, PgServer

from hybridpg.backends import Rejected
from hybridpg.backends.sql.connection import Row, Session, Statement
from hybridpg.backends.sql.state import CreateDatabase, CreateExtensions
from hybridpg.backends.values import (
    Refused,
)

from .cases import Case, databases, drop, ensure, exists, make_case, plan, state_of

pytestmark = pytest.mark.postgres


def installed(pg: PgServer, dbname: str) -> set[str]:
    return {name for (name,) in pg.run("SELECT extname FROM pg_extension", dbname)}


def schema_of(pg: PgServer, dbname: str, extension: str) -> str:
    rows = pg.run(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        f"WHERE e.extname = '{extension}'",
        dbname,
    )
    schema: str = rows[0][0]
    return schema


async def test_extensions_are_created_in_the_database_that_asks(pg_each: PgServer, admin: str):
    """S15, D9: with a name that needs quotes, and for both kinds of admin."""
    async with databases() as backend:
        case = make_case(pg_each, admin=admin, extensions=["uuid-ossp", "pgcrypto"])
        await ensure(backend, case)

        assert {"uuid-ossp", "pgcrypto"} <= installed(pg_each, case.name)
        assert not {"uuid-ossp", "pgcrypto"} & installed(pg_each, "postgres")
        assert schema_of(pg_each, case.name, "uuid-ossp") == "public"
        with pg_each.connect(case.name, case.name, case.role.password) as connection:
            assert connection.execute("SELECT uuid_generate_v4() IS NOT NULL").fetchone() == (True,)
        assert await plan(backend, case) == ()
        await drop(backend, case)


async def test_an_extension_comes_after_what_it_requires(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg, extensions=["earthdistance", "cube"])
        await ensure(backend, case)

        assert {"earthdistance", "cube"} <= installed(pg, case.name)
        await drop(backend, case)


async def test_an_extension_that_somebody_else_makes_at_the_same_time_is_no_refusal(pg: PgServer):
    class Raced(Session):
        async def attempt(
            self, statement: Statement, limit: float | None = None
        ) -> list[list[Row]]:
            if isinstance(statement, sql.Composed) and "CREATE EXT" in statement.as_string(None):
                pg.run("CREATE EXTENSION IF NOT EXISTS hstore", case.name)
                raise psycopg.errors.UniqueViolation("duplicate key value")
            return await super().attempt(statement, limit)

    async with databases(connect=Raced.open) as backend:
        case = make_case(pg, extensions=["hstore"])
        await ensure(backend, case)

        assert "hstore" in installed(pg, case.name)
        await drop(backend, case)


async def test_what_an_extension_requires_is_not_slipped_in(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg, extensions=["earthdistance"])
        with pytest.raises(Rejected, match="list cube as well") as caught:
            await ensure(backend, case)

        assert caught.value.field == "database.extensions"
        assert installed(pg, case.name) == {"plpgsql"}
        await drop(backend, case)


@pytest.mark.parametrize("admins", [CLOUD_ADMIN])
async def test_a_refusal_of_the_server_leaves_the_rest_done_and_is_not_repeated(
    pg: PgServer, admins: str
):
    """D11: an extension that only a superuser may create."""
    async with databases() as backend:
        case = make_case(pg, admin=admins, extensions=["pageinspect", "hstore"])
        with pytest.raises(Rejected, match="the admin of the server may not create it"):
            await ensure(backend, case)

        assert installed(pg, case.name) == {"plpgsql", "hstore"}
        changes = await plan(backend, case)
        assert [type(change) for change in changes] == [Refused]
        with pg.statements() as seen:
            await backend.create_or_update_database(case.ref, changes)
        assert seen == []
        await drop(backend, case)


async def test_an_extension_that_is_not_installed_is_refused_once_the_role_is_there(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg, extensions=["no-such-extension", "hstore"])
        await backend.create_or_update_user(case.ref, case.role)
        changes = await plan(backend, case)
        assert [type(change) for change in changes] == [CreateDatabase, Refused, CreateExtensions]

        await backend.create_or_update_database(case.ref, changes)

        assert installed(pg, case.name) == {"plpgsql", "hstore"}
        await drop(backend, case)


async def test_an_old_plan_with_an_extension_that_is_not_installed_is_refused(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg, extensions=["no-such-extension"])
        changes = await plan(backend, case)
        await backend.create_or_update_user(case.ref, case.role)
        with pytest.raises(Rejected, match="does not have it installed"):
            await backend.create_or_update_database(case.ref, changes)

        assert exists(pg, case.name) == (True, True)
        await drop(backend, case)


async def test_only_what_server_and_operator_allow_is_created(pg: PgServer):
    """S15, D11."""
    async with databases(extensions_allowed=frozenset({"hstore", "citext"})) as backend:
        case = make_case(pg, extensions=["hstore", "citext", "pgcrypto"])
        desired = replace(case.desired, allowed_extensions=frozenset({"citext", "pgcrypto"}))
        case = Case(case.ref, desired, case.role)
        await ensure(backend, case)

        assert installed(pg, case.name) == {"plpgsql", "citext"}
        refused = [change.message for change in await plan(backend, case)]
        assert len(refused) == 2
        assert any("'hstore'" in text and "spec.extensions" in text for text in refused)
        assert any("'pgcrypto'" in text and "configuration" in text for text in refused)
        await drop(backend, case)


async def test_an_extension_that_is_no_longer_listed_keeps_its_data(pg: PgServer):
    """D11."""
    async with databases() as backend:
        case = make_case(pg, extensions=["hstore"])
        await ensure(backend, case)
        with pg.connect(case.name, case.name, case.role.password) as connection:
            connection.execute("CREATE TABLE t AS SELECT 'a=>1'::hstore AS h")
        case = Case(case.ref, make_case(pg, case.name).desired, case.role)
        await ensure(backend, case)

        assert "hstore" in installed(pg, case.name)
        await drop(backend, case)


async def test_an_extension_that_was_dropped_by_hand_comes_back(pg: PgServer):
    """E2: seen by the next look into the database, here that of the next process."""
    case = make_case(pg, extensions=["hstore"])
    async with databases() as backend:
        await ensure(backend, case)
    pg.run("DROP EXTENSION hstore", case.name)
    async with databases() as backend:
        assert [type(change) for change in await plan(backend, case)] == [CreateExtensions]
        await ensure(backend, case)

        assert (await state_of(backend, case)).extensions == frozenset({"plpgsql", "hstore"})
        await drop(backend, case)


async def test_a_tenants_trap_is_not_taken_over_by_an_extension(pg: PgServer):
    """M9: the tenant prepares an object that the extension's script would replace."""
    async with databases() as backend:
        case = make_case(pg)
        await ensure(backend, case)
        with pg.connect(case.name, case.name, case.role.password) as connection:
            connection.execute(
                "CREATE FUNCTION public.hstore_version_diag(int) RETURNS int LANGUAGE sql "
                "AS 'SELECT 1'"
            )
            connection.execute("CREATE TABLE public.hstore (x int)")
        case = Case(case.ref, make_case(pg, case.name, extensions=["hstore"]).desired, case.role)
        with pytest.raises(Rejected, match="'hstore' is refused"):
            await ensure(backend, case)

        assert "hstore" not in installed(pg, case.name)
        await drop(backend, case)


async def test_a_tenant_without_a_schema_public_is_told_so(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg)
        await ensure(backend, case)
        with pg.connect(case.name, case.name, case.role.password) as connection:
            connection.execute("DROP SCHEMA public")
        case = Case(case.ref, make_case(pg, case.name, extensions=["hstore"]).desired, case.role)
        with pytest.raises(Rejected, match=r"schema .public. does not exist"):
            await ensure(backend, case)
        await drop(backend, case)
