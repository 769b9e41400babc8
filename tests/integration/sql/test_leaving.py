"""What a dropped role owned outside its database stays, and nobody else gets to act by it."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from tests.fix_postgres import CLOUD_ADMIN, PgServer

from hybridpg.backends import Done, Owner, Policy, Unknown
from hybridpg.backends.sql.leaving import heir_name

from .cases import databases, drop, ensure, exists, make_case

pytestmark = pytest.mark.postgres

PLANT = """
CREATE FUNCTION public.gift() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
$$BEGIN EXECUTE 'CREATE ROLE evil LOGIN CREATEDB'; RETURN current_user; END$$
"""


def heirs(pg: PgServer, name: str) -> list[tuple[object, ...]]:
    """Return the roles that were made for what ``name`` left, with what they may."""
    return pg.run(
        "SELECT rolname, rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication "
        "OR rolbypassrls OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid), "
        "shobj_description(oid, 'pg_authid') FROM pg_roles r "
        f"WHERE rolname ~ '^hybridpg_left_.*_{name}$'"
    )


def tables(pg: PgServer, dbname: str) -> list[tuple[object, ...]]:
    return pg.run("SELECT tablename, tableowner FROM pg_tables WHERE schemaname='public'", dbname)


async def test_what_a_tenant_leaves_behind_does_not_run_as_an_administrator(
    pg_each: PgServer, admin: str
):
    """M9: a database that an administrator made by hand, in which tenants may make things."""
    shop = f"shop_{admin}"
    pg_each.run(f"CREATE DATABASE {shop} OWNER {admin}")
    async with databases() as backend:
        planter, caller = make_case(pg_each, admin=admin), make_case(pg_each, admin=admin)
        await ensure(backend, planter)
        await ensure(backend, caller)
        if pg_each.major >= 15:  # before, PUBLIC may
            pg_each.run(f"GRANT CREATE ON SCHEMA public TO {planter.name}", shop)
        with pg_each.connect(shop, planter.name, planter.role.password) as connection:
            connection.execute(PLANT)

        await drop(backend, planter)

        [(heir, login, rights, _)] = heirs(pg_each, planter.name)
        assert (login, rights) == (False, False)
        with (
            pg_each.connect(shop, caller.name, caller.role.password) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT public.gift()")
        owner = pg_each.run(
            "SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname='gift'", shop
        )
        assert owner == [(heir,)]
        acl = pg_each.run("SELECT nspacl::text FROM pg_namespace WHERE nspname='public'", shop)
        assert str(heir) not in acl[0][0], "what the handing over needed is taken back"
        await drop(backend, caller)
    pg_each.run(f"DROP DATABASE {shop} WITH (FORCE)")


async def test_what_the_admin_of_a_tenant_plants_by_its_role_does_not_run_as_the_superuser(
    pg_each: PgServer,
):
    """M9, on backend ``local``: who has a server's Secret may make schemas in ``postgres``."""
    async with databases() as backend:
        case = make_case(pg_each)
        await ensure(backend, case)
        pg_each.run(f"CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO PUBLIC, {case.name}")
        plant = PLANT.replace("public.", "trap.").replace("CREATEDB", "SUPERUSER")
        pg_each.run(f"SET ROLE {case.name}; {plant}")

        await drop(backend, case)

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            pg_each.run("SELECT trap.gift()", admin=CLOUD_ADMIN)
    pg_each.run("DROP SCHEMA trap CASCADE")


async def test_another_database_of_a_dropped_role_keeps_its_tables(pg_each: PgServer, admin: str):
    async with databases() as backend:
        case = make_case(pg_each, admin=admin)
        await ensure(backend, case)
        other = f"archive_{case.name}"
        pg_each.run(f"CREATE DATABASE {other} OWNER {case.name}")
        with pg_each.connect(other, case.name, case.role.password) as connection:
            connection.execute("CREATE TABLE precious AS SELECT 42 AS answer")
            connection.execute(
                "CREATE SCHEMA extra; CREATE FUNCTION extra.f() RETURNS int "
                "LANGUAGE sql AS 'SELECT 1'; CREATE TYPE mood AS ENUM ('ok')"
            )

        await drop(backend, case)

        [(heir, *_, mark)] = heirs(pg_each, case.name)
        owner = pg_each.run(
            f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname='{other}'"
        )
        assert owner == [(heir,)]
        assert pg_each.run("SELECT answer FROM precious", other) == [(42,)]
        assert (left := Owner.parse(str(mark))) is not None
        assert (left.uid, left.retained) == (case.ref.owner.uid, True)
    pg_each.run(f"DROP DATABASE {other} WITH (FORCE)")


async def test_an_empty_database_of_a_dropped_role_stays(pg: PgServer, admin: str):
    async with databases() as backend:
        case = make_case(pg, admin=admin)
        await ensure(backend, case)
        pg.run(f"CREATE DATABASE empty_{case.name} OWNER {case.name}")

        await drop(backend, case)

    assert exists(pg, f"empty_{case.name}")[0]
    pg.run(f"DROP DATABASE empty_{case.name} WITH (FORCE)")


async def test_a_database_that_was_renamed_to_keep_it_keeps_its_tables(pg: PgServer, admin: str):
    async with databases() as backend:
        case = make_case(pg, admin=admin)
        await ensure(backend, case)
        with pg.connect(case.name, case.name, case.role.password) as connection:
            connection.execute("CREATE TABLE precious AS SELECT 42 AS answer")
        pg.run(f"ALTER DATABASE {case.name} RENAME TO {case.name}_old")

        await drop(backend, case)

    assert pg.run("SELECT answer FROM precious", f"{case.name}_old") == [(42,)]
    pg.run(f"DROP DATABASE {case.name}_old WITH (FORCE)")


async def test_a_database_of_a_dropped_role_is_not_given_to_another_tenant(pg: PgServer):
    """What the databases share is handed over with what is in any of them."""
    async with databases() as backend:
        case, neighbour = make_case(pg), make_case(pg)
        await ensure(backend, case)
        await ensure(backend, neighbour)
        other = f"archive_{case.name}"
        pg.run(f"CREATE DATABASE {other} OWNER {case.name}")
        pg.run(
            f"CREATE TABLE shared (x int); ALTER TABLE shared OWNER TO {case.name}", neighbour.name
        )

        await drop(backend, case)

        [(heir, *_)] = heirs(pg, case.name)
        owner = pg.run(f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname='{other}'")
        assert owner == [(heir,)]
        assert tables(pg, neighbour.name) == [("shared", heir)]
        await drop(backend, neighbour)
    pg.run(f"DROP DATABASE {other} WITH (FORCE)")


async def test_nothing_is_made_for_a_role_that_owned_nothing_elsewhere(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg)
        await ensure(backend, case)
        pg.run(f"CREATE TABLE granted_{case.name} (x int)")
        pg.run(f"GRANT SELECT ON granted_{case.name} TO {case.name}")

        await drop(backend, case)

    assert heirs(pg, case.name) == []
    pg.run(f"DROP TABLE granted_{case.name}")


async def test_who_left_what_is_said_and_an_administrator_can_release_it(pg_each: PgServer):
    """The way out that docs/security.md tells of, with the rights of the controller's admin."""
    async with databases() as backend:
        case = make_case(pg_each, admin=CLOUD_ADMIN)
        await ensure(backend, case)
        other = f"archive_{case.name}"
        pg_each.run(f"CREATE DATABASE {other} OWNER {case.name}")
        with pg_each.connect(other, case.name, case.role.password) as connection:
            connection.execute("CREATE TABLE precious AS SELECT 42 AS answer")
        observed = await backend.observe_database(case.ref)
        await backend.delete_database(case.ref, observed, Policy.DELETE)

        outcome = await backend.delete_user(case.ref)

        [(heir, *_)] = heirs(pg_each, case.name)
        assert isinstance(outcome, Done)
        assert outcome.notes == (
            f"role '{case.name}' was dropped",
            f"what it owned elsewhere now belongs to role '{heir}', without login",
        )
        listed = await backend.retained_databases(pg_each.endpoint(), "main")
        assert heir not in [thing.external_name for thing in listed.found], "no annotation takes it"
    pg_each.run(f"REASSIGN OWNED BY {heir} TO {CLOUD_ADMIN}", other, admin=CLOUD_ADMIN)
    pg_each.run(f"DROP ROLE {heir}", admin=CLOUD_ADMIN)
    assert tables(pg_each, other) == [("precious", CLOUD_ADMIN)]
    pg_each.run(f"DROP DATABASE {other}", admin=CLOUD_ADMIN)


@pytest.mark.parametrize(
    "planted",
    ["LOGIN PASSWORD 'x'", "SUPERUSER", f"IN ROLE {CLOUD_ADMIN}", ""],
    ids=["login", "superuser", "member", "unmarked"],
)
async def test_a_role_that_waits_for_what_is_left_gets_nothing(pg: PgServer, planted: str):
    """Somebody with the right to make roles knew the name before."""
    async with databases() as backend:
        case = make_case(pg)
        await ensure(backend, case)
        pg.run(f"CREATE TABLE kept_{case.name} (x int)")
        pg.run(f"ALTER TABLE kept_{case.name} OWNER TO {case.name}")
        oid = pg.run(f"SELECT oid::bigint FROM pg_roles WHERE rolname='{case.name}'")[0][0]
        heir = heir_name(case.name, oid)
        pg.run(f"CREATE ROLE {heir} {planted}")
        if planted:
            mark = replace(case.ref.owner, retained=True).mark()
            pg.run(f"COMMENT ON ROLE {heir} IS '{mark}'")
        observed = await backend.observe_database(case.ref)
        await backend.delete_database(case.ref, observed, Policy.DELETE)

        with pytest.raises(Unknown, match="drop or rename that role"):
            await backend.delete_user(case.ref)

        kept = f"SELECT tableowner FROM pg_tables WHERE tablename='kept_{case.name}'"
        assert pg.run(kept) == [(case.name,)]
        pg.run(f"ALTER ROLE {heir} RENAME TO out_of_the_way")
        assert isinstance(await backend.delete_user(case.ref), Done)
        assert pg.run(kept) == [(heir,)]
    pg.run(f"DROP TABLE kept_{case.name}; DROP ROLE out_of_the_way")


async def test_a_deletion_goes_on_after_a_crash_between_handing_over_and_dropping(
    pg: PgServer, admin: str
):
    async with databases() as backend:
        case = make_case(pg, admin=admin)
        await ensure(backend, case)
        pg.run(f"CREATE DATABASE archive_{case.name} OWNER {case.name}")
        oid = pg.run(f"SELECT oid::bigint FROM pg_roles WHERE rolname='{case.name}'")[0][0]
        heir = heir_name(case.name, oid)
        pg.run(f"CREATE ROLE {heir} NOLOGIN", admin=admin)
        mark = replace(case.ref.owner, retained=True).mark()
        pg.run(f"COMMENT ON ROLE {heir} IS '{mark}'", admin=admin)

        await drop(backend, case)

        assert [name for name, *_ in heirs(pg, case.name)] == [heir]
    pg.run(f"DROP DATABASE archive_{case.name} WITH (FORCE)")


@pytest.mark.parametrize("name", ["x" * 63, "ü" * 31, "quo\"te'", "Big.Name-1"])
async def test_whatever_a_role_is_called_what_it_leaves_has_a_name(pg: PgServer, name: str):
    """M7: an heir's name has room for a number, and is cut between characters."""
    async with databases() as backend:
        case = make_case(pg, name)
        await ensure(backend, case)
        pg.run(f'CREATE DATABASE "left" OWNER "{name.replace(chr(34), chr(34) * 2)}"')

        await drop(backend, case)

    [(owner,)] = pg.run("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname='left'")
    assert owner.startswith("hybridpg_left_")
    pg.run('DROP DATABASE "left" WITH (FORCE)')
