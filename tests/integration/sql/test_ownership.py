"""Nobody's role or database is touched without the proof that it is ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import psycopg
import pytest
from tests.fix_postgres import CLOUD_ADMIN, SUPERUSER, PgServer

from hybridpg.backends import Absent, Conflict, Owner, Policy, Present, Unknown
from hybridpg.backends.sql import LoginResult, SqlDatabases, check_login
from hybridpg.backends.sql.connection import Row, Session, Statement
from hybridpg.backends.sql.state import OwnDatabase

from .cases import Case, databases, drop, ensure, exists, fresh_owner, make_case, plan, state_of

pytestmark = pytest.mark.postgres

WORLD = (
    "SELECT rolname, rolpassword, rolcanlogin, rolsuper, shobj_description(oid, 'pg_authid') "
    "FROM pg_authid UNION ALL "
    "SELECT datname, pg_get_userbyid(datdba), datallowconn, datistemplate, datacl::text "
    "FROM pg_database ORDER BY 1, 2"
)

Call = Callable[[SqlDatabases, Case], Awaitable[object]]


async def delete(backend: SqlDatabases, case: Case) -> object:
    observed = await backend.observe_database(case.ref)
    return await backend.delete_database(case.ref, observed, Policy.DELETE)


async def retain(backend: SqlDatabases, case: Case) -> object:
    observed = await backend.observe_database(case.ref)
    return await backend.delete_database(case.ref, observed, Policy.RETAIN)


async def apply_an_old_plan(backend: SqlDatabases, case: Case) -> object:
    ours = replace(case, ref=replace(case.ref, external_name=f"{case.name}_x"))
    changes = await plan(backend, ours)
    return await backend.create_or_update_database(case.ref, changes)


CALLS: dict[str, Call] = {
    "plan": plan,
    "user": lambda backend, case: backend.create_or_update_user(case.ref, case.role),
    "database": apply_an_old_plan,
    "password": lambda backend, case: backend.update_user_password(case.ref, case.role),
    "delete": delete,
    "retain": retain,
    "delete user": lambda backend, case: backend.delete_user(case.ref),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


@each_call
async def test_what_was_made_by_hand_is_a_conflict_for_every_call(
    pg: PgServer, admin: str, call: Call
):
    """D3, M1: a role and a database of that name are there, without any mark."""
    case = make_case(pg, admin=admin)
    pg.run(f"CREATE ROLE {case.name} LOGIN PASSWORD 'by-hand'")
    pg.run(f"CREATE DATABASE {case.name} OWNER {case.name}")
    before = pg.run(WORLD)
    async with databases() as backend:
        with pytest.raises(Conflict) as caught:
            await call(backend, case)

    assert caught.value.owner is None
    assert caught.value.external_name == case.name
    assert pg.run(WORLD) == before


@each_call
async def test_what_belongs_to_another_object_is_a_conflict_for_every_call(
    pg: PgServer, admin: str, call: Call
):
    """M1, D53: the same namespace and name, but another UID."""
    async with databases() as backend:
        first = make_case(pg, admin=admin)
        await ensure(backend, first)
        before = pg.run(WORLD)
        with pytest.raises(Conflict) as caught:
            await call(backend, first.by(fresh_owner()))

        assert caught.value.owner == first.ref.owner
        assert pg.run(WORLD) == before
        await drop(backend, first)


async def test_the_same_uid_of_another_cluster_is_another_object(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg)
        await ensure(backend, case)
        other = case.by(replace(case.ref.owner, cluster_id="another-cluster"))
        with pytest.raises(Conflict):
            await plan(backend, other)
        await drop(backend, case)


@pytest.mark.parametrize("call", [CALLS["user"], CALLS["plan"]], ids=["user", "plan"])
async def test_a_database_without_its_role_is_a_conflict_before_anything_is_made(
    pg: PgServer, call: Call
):
    case = make_case(pg)
    pg.run(f"CREATE DATABASE {case.name}")
    async with databases() as backend:
        if call is CALLS["plan"]:
            with pytest.raises(Conflict, match="was not made for this object"):
                await call(backend, case)
        observed = await backend.observe_database(case.ref)
        with pytest.raises(Conflict):
            await backend.delete_database(case.ref, observed, Policy.DELETE)

    assert exists(pg, case.name) == (True, False)


async def test_a_tenant_cannot_forge_a_mark(pg_each: PgServer):
    """The owner of a database may rewrite the database's comment, but not its role's."""
    async with databases(snapshot_seconds=0) as backend:
        attacker, victim = make_case(pg_each), make_case(pg_each)
        await ensure(backend, attacker)
        await ensure(backend, victim)
        forged = victim.ref.owner.mark()
        with pg_each.connect(attacker.name, attacker.name, attacker.role.password) as connection:
            connection.execute(f"COMMENT ON DATABASE {attacker.name} IS '{forged}'")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"COMMENT ON ROLE {attacker.name} IS '{forged}'")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"ALTER ROLE {attacker.name} SUPERUSER")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE ROLE helper")

        assert (await state_of(backend, attacker)).owner == attacker.ref.owner
        assert await plan(backend, attacker) == ()
        await drop(backend, attacker)
        await drop(backend, victim)


@pytest.mark.parametrize(
    "setting",
    [
        "SET search_path TO evil, public",
        "SET role TO {name}",
        "SET standard_conforming_strings TO off",
        "SET statement_timeout TO 1",
        "SET default_transaction_isolation TO serializable",
        "SET lock_timeout TO 1",
    ],
)
async def test_what_an_owner_sets_for_its_database_does_not_reach_the_admins_session(
    pg: PgServer, setting: str
):
    """M9."""
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(pg)
        await ensure(backend, case)
        with pg.connect(case.name, case.name, case.role.password) as connection:
            connection.execute("CREATE SCHEMA evil")
            connection.execute(
                "CREATE FUNCTION evil.pg_get_userbyid(oid) RETURNS name LANGUAGE sql "
                "AS 'SELECT ''forged''::name'"
            )
            connection.execute(f"ALTER DATABASE {case.name} {setting.format(name=case.name)}")
        wanted = make_case(pg, case.name, extensions=["uuid-ossp"])
        case = replace(case, desired=wanted.desired)

    async with databases(snapshot_seconds=0) as backend:
        await ensure(backend, case)
        state = await state_of(backend, case)

        assert "uuid-ossp" in (state.extensions or ())
        assert state.schema_role == "pg_database_owner"
        owner = pg.run(
            "SELECT pg_get_userbyid(extowner) FROM pg_extension WHERE extname='uuid-ossp'",
            case.name,
        )
        assert owner == [(SUPERUSER,)]
        assert await _set_by_the_owner(case) == []
        await drop(backend, case)


async def _set_by_the_owner(case: Case) -> list[Row]:
    """Return what of the settings that change the meaning of SQL is the database's in a session."""
    admin = case.ref.endpoint.admin
    assert admin is not None
    session = await Session.open(case.ref.endpoint, admin, case.name)
    try:
        [rows] = await session.execute(
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('search_path', "
            "'role', 'standard_conforming_strings', 'statement_timeout', "
            "'default_transaction_isolation', 'lock_timeout') AND source <> 'client'",
            doing="looking at the settings",
        )
    finally:
        session.close()
    return rows


async def test_a_retained_database_is_given_to_whoever_names_it(pg_each: PgServer, admin: str):
    """Its data, its oid and its extensions stay; its password is the heir's at once."""
    async with databases() as backend:
        case = make_case(pg_each, admin=admin)
        await ensure(backend, case)
        oid = (await state_of(backend, case)).oid
        await drop(backend, case, Policy.RETAIN)

        silent = case.by(fresh_owner())
        with pytest.raises(Conflict, match="was kept when team-a/orders was deleted"):
            await backend.create_or_update_user(silent.ref, silent.role)
        heir = case.by(fresh_owner(), adopt=True)
        notes = await ensure(backend, heir)

        assert notes == (f"role '{case.name}' was taken over",)
        state = await state_of(backend, heir)
        assert (state.oid, state.owner) == (oid, heir.ref.owner)
        new = await check_login(heir.ref.endpoint, heir.role, heir.name)
        old = await check_login(case.ref.endpoint, case.role, case.name)
        assert (new, old) == (LoginResult.PRIMARY, LoginResult.REFUSED)
        await drop(backend, heir)


async def test_a_database_made_by_hand_is_adopted_with_its_role(pg: PgServer):
    case = make_case(pg)
    pg.run(f"CREATE ROLE dba_{case.name} NOLOGIN")
    pg.run(f"CREATE DATABASE {case.name} OWNER dba_{case.name}")
    async with databases() as backend:
        heir = case.by(fresh_owner(), adopt=True)
        changes = await plan(backend, heir)
        assert [change.takes_over for change in changes if change.takes_over] == [True]

        notes = await ensure(backend, heir)

        assert any("what is in it keeps its owners" in note for note in notes)
        assert await plan(backend, heir) == ()
        assert (await state_of(backend, heir)).database_role == case.name
        await drop(backend, heir)


@pytest.mark.parametrize("how", ["user", "plan"])
async def test_an_adopted_role_does_not_reach_the_databases_of_the_system(
    pg_each: PgServer, how: str
):
    """D4, D7: it was there when they were closed, and kept what it had through PUBLIC."""
    systems = ("postgres", "template1")
    async with databases(snapshot_seconds=0) as backend:
        first, case = make_case(pg_each), make_case(pg_each).by(fresh_owner(), adopt=True)
        pg_each.run(f"CREATE ROLE {case.name} LOGIN PASSWORD 'x'")
        pg_each.run("GRANT CONNECT ON DATABASE postgres, template1 TO PUBLIC")  # as initdb does
        await ensure(backend, first)
        for system in systems:
            pg_each.connect(system, case.name, "x").close()
        if how == "user":
            await backend.create_or_update_user(case.ref, case.role)
        else:
            await backend.create_or_update_database(case.ref, await plan(backend, case))
            await backend.update_user_password(case.ref, case.role)

        for system in systems:
            result = await check_login(case.ref.endpoint, case.role, system)
            assert result is LoginResult.REFUSED
        await ensure(backend, case)
        await drop(backend, case)
        await drop(backend, first)


async def test_an_admin_that_may_not_close_the_systems_databases_adopts_all_the_same(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg, admin=CLOUD_ADMIN).by(fresh_owner(), adopt=True)
        pg.run(f"CREATE ROLE {case.name} LOGIN PASSWORD 'x'")
        await ensure(backend, case)

        assert await plan(backend, case) == ()
        await drop(backend, case)


async def test_an_existing_plan_takes_a_role_over_with_its_mark(pg: PgServer):
    """The plan alone is enough, in whatever order the calls come."""
    case = make_case(pg)
    pg.run(f"CREATE ROLE {case.name} NOLOGIN")
    async with databases() as backend:
        heir = case.by(fresh_owner(), adopt=True)
        changes = await plan(backend, heir)
        await backend.create_or_update_database(heir.ref, changes)

        state = await state_of(backend, heir)
        assert state.owner == heir.ref.owner
        assert state.login
        await drop(backend, heir)


@pytest.mark.parametrize("name", [CLOUD_ADMIN, "dba"])
async def test_an_administrator_is_never_adopted(pg: PgServer, name: str):
    """D3: whoever may name the admin would be logged in as the admin."""
    if name == "dba":
        pg.run("DROP ROLE IF EXISTS dba")
        pg.run("CREATE ROLE dba LOGIN SUPERUSER PASSWORD 'x'")
    case = make_case(pg, name).by(fresh_owner(), adopt=True)
    before = pg.run(WORLD)
    async with databases() as backend:
        with pytest.raises(Conflict, match="has the rights of an administrator"):
            await backend.create_or_update_user(case.ref, case.role)
        with pytest.raises(Conflict, match="has the rights of an administrator"):
            await plan(backend, case)

    assert pg.run(WORLD) == before


@pytest.mark.parametrize(
    "group",
    [SUPERUSER, CLOUD_ADMIN, "pg_execute_server_program", "pg_read_all_data", "rds_superuser"],
)
async def test_a_member_of_administrators_is_never_adopted(pg_each: PgServer, group: str):
    """D3: with the password of a role one can SET ROLE to all that it is a member of."""
    if group == "pg_read_all_data" and pg_each.major < 14:
        pytest.skip("PostgreSQL 13 has no such role")
    case = make_case(pg_each).by(fresh_owner(), adopt=True)
    if group == "rds_superuser":
        pg_each.run(f"CREATE ROLE {group}")
    pg_each.run(f"CREATE ROLE between_{case.name} IN ROLE {group}")
    pg_each.run(f"CREATE ROLE {case.name} LOGIN PASSWORD 'x' IN ROLE between_{case.name}")
    before = pg_each.run(WORLD)
    async with databases() as backend:
        with pytest.raises(Conflict, match=f"an administrator.*member of '{group}'"):
            await backend.create_or_update_user(case.ref, case.role)
        with pytest.raises(Conflict, match=f"an administrator.*member of '{group}'"):
            await plan(backend, case)

    assert pg_each.run(WORLD) == before
    pg_each.run(f"DROP ROLE {case.name}, between_{case.name}")
    pg_each.run("DROP ROLE IF EXISTS rds_superuser")


async def test_a_member_of_the_role_of_another_object_is_not_adopted(pg: PgServer):
    """Invariant 22: it would be a way into that object's database."""
    async with databases() as backend:
        victim = make_case(pg)
        await ensure(backend, victim)
        case = make_case(pg).by(fresh_owner(namespace="team-b"), adopt=True)
        pg.run(f"CREATE ROLE {case.name} IN ROLE {victim.name}")
        with pytest.raises(Conflict, match=f"member of '{victim.name}'"):
            await backend.create_or_update_user(case.ref, case.role)
        await drop(backend, victim)


async def test_a_harmless_membership_keeps_nobody_from_adopting(pg: PgServer, admin: str):
    async with databases() as backend:
        case = make_case(pg, admin=admin).by(fresh_owner(), adopt=True)
        pg.run(f"CREATE ROLE readers_{case.name}; CREATE ROLE {case.name} IN ROLE pg_monitor")
        pg.run(f"GRANT readers_{case.name} TO {case.name}")
        await ensure(backend, case)

        assert await plan(backend, case) == ()
        await drop(backend, case)


async def test_a_membership_that_our_role_was_given_is_not_fought(pg: PgServer, admin: str):
    """An administrator's own doing, which the controller may not be able to take back."""
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(pg, admin=admin)
        await ensure(backend, case)
        pg.run(f"GRANT pg_read_all_data TO {case.name}")

        assert await plan(backend, case) == ()
        await drop(backend, case)


async def test_nothing_is_adopted_from_another_namespace(pg: PgServer):
    """M1: on a server that namespaces share."""
    async with databases() as backend:
        case = make_case(pg)
        await ensure(backend, case)
        thief = case.by(fresh_owner(namespace="team-b"), adopt=True)
        with pytest.raises(Conflict, match="belongs to namespace 'team-a'"):
            await backend.create_or_update_user(thief.ref, thief.role)
        await drop(backend, case)


async def test_a_database_of_a_role_of_another_namespace_is_not_adopted(
    pg_each: PgServer, admin: str
):
    """M1: its own name is not that of the role, and it has no mark of its own."""
    async with databases(snapshot_seconds=0) as backend:
        victim = make_case(pg_each, admin=admin)
        await ensure(backend, victim)
        name = f"archive_{victim.name}"
        pg_each.run(f"CREATE DATABASE {name} OWNER {victim.name}")
        thief = make_case(pg_each, name, admin).by(fresh_owner("thief", "team-b"), adopt=True)
        await backend.create_or_update_user(thief.ref, thief.role)
        before = pg_each.run(WORLD)

        with pytest.raises(Conflict, match=f"role '{victim.name}'.*namespace 'team-a'"):
            await plan(backend, thief)
        with pytest.raises(Conflict, match=f"role '{victim.name}'.*namespace 'team-a'"):
            await backend.create_or_update_database(thief.ref, (OwnDatabase("", ""),))

        assert pg_each.run(WORLD) == before
        pg_each.run(f"DROP DATABASE {name}")
        await drop(backend, victim)


@pytest.mark.parametrize("owner", [SUPERUSER, CLOUD_ADMIN, "member"])
async def test_a_database_of_an_administrator_is_not_adopted(pg: PgServer, owner: str):
    """Whoever owns it may do all in it: an administrator gives it away first."""
    case = make_case(pg).by(fresh_owner(), adopt=True)
    if owner == "member":
        owner = f"member_{case.name}"
        pg.run(f"CREATE ROLE {owner} IN ROLE {SUPERUSER}")
    pg.run(f"CREATE DATABASE {case.name} OWNER {owner}")
    async with databases() as backend:
        with pytest.raises(Conflict, match=f"role '{owner}', which owns .* an administrator"):
            await plan(backend, case)
        await backend.create_or_update_user(case.ref, case.role)
        with pytest.raises(Conflict, match=f"role '{owner}', which owns .* an administrator"):
            await backend.create_or_update_database(case.ref, (OwnDatabase("", ""),))
    pg.run(f"DROP DATABASE {case.name}")


async def test_what_a_deletion_left_is_adopted_by_its_own_namespace_alone(pg: PgServer, admin: str):
    """A database that the role owned beside its own is with the role that holds what was left."""
    async with databases(snapshot_seconds=0) as backend:
        first = make_case(pg, admin=admin)
        await ensure(backend, first)
        name = f"archive_{first.name}"
        pg.run(f"CREATE DATABASE {name} OWNER {first.name}")
        await drop(backend, first)
        case = make_case(pg, name, admin)
        thief = case.by(fresh_owner(namespace="team-b"), adopt=True)
        with pytest.raises(Conflict, match="namespace 'team-a'"):
            await plan(backend, thief)
        heir = case.by(fresh_owner(), adopt=True)
        await ensure(backend, heir)

        assert (await state_of(backend, heir)).database_role == name
        await drop(backend, heir)


async def test_a_live_role_of_another_cluster_is_not_adopted(pg: PgServer, admin: str):
    """M1: a namespace of the same name there is another tenant's."""
    async with databases() as backend:
        theirs = make_case(pg, admin=admin)
        theirs = theirs.by(replace(fresh_owner(), cluster_id="another-cluster"))
        await ensure(backend, theirs)
        ours = theirs.by(fresh_owner(), adopt=True)
        for call in (CALLS["user"], CALLS["plan"]):
            with pytest.raises(Conflict, match="of the cluster with id 'another-cluster'"):
                await call(backend, ours)
        login = await check_login(theirs.ref.endpoint, theirs.role, theirs.name)
        assert login is LoginResult.PRIMARY

        await drop(backend, theirs, Policy.RETAIN)
        await ensure(backend, ours)  # what was retained is nobody's
        await drop(backend, ours)


async def test_a_role_that_lost_its_mark_is_no_longer_ours(pg: PgServer):
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(pg)
        await ensure(backend, case)
        for comment in ("NULL", "'hybridpg:'", "'made by hand'"):
            pg.run(f"COMMENT ON ROLE {case.name} IS {comment}")
            with pytest.raises(Conflict):
                await delete(backend, case)

        pg.run(f"COMMENT ON ROLE {case.name} IS '{case.ref.owner.mark()}'")
        await drop(backend, case)


async def test_a_role_is_not_dropped_before_its_database(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg)
        await ensure(backend, case)
        with pytest.raises(Unknown, match="is still there"):
            await backend.delete_user(case.ref)

        assert exists(pg, case.name) == (True, True)
        await drop(backend, case)


async def test_a_database_is_not_made_before_its_role(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg)
        with pytest.raises(Unknown, match="it is created before its database"):
            await backend.create_or_update_database(case.ref, await plan(backend, case))
        with pytest.raises(Unknown, match="it is created before its password"):
            await backend.update_user_password(case.ref, case.role)

    assert exists(pg, case.name) == (False, False)


async def test_the_mark_says_whose_it_is(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg)
        await ensure(backend, case)
        rows = pg.run(
            f"SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname='{case.name}'"
        )
        observed = await backend.observe_database(case.ref)

        assert Owner.parse(rows[0][0]) == case.ref.owner
        assert isinstance(observed, Present)
        assert case.ref.owner.same(observed.state.owner)
        await drop(backend, case)


async def test_a_name_is_free_at_once_after_a_deletion_that_others_looked_at(pg: PgServer):
    """A view that was read while the role was dropped does not keep the name taken."""

    class Nosy(Session):
        async def execute(
            self, statement: Statement, *, doing: str, field: str = ""
        ) -> list[list[Row]]:
            if doing.startswith("cannot drop role"):
                await backend.observe_database(case.ref)
            return await super().execute(statement, doing=doing, field=field)

    async with databases(connect=Nosy.open, snapshot_seconds=60.0) as backend:
        case = make_case(pg)
        await ensure(backend, case)
        observed = await backend.observe_database(case.ref)
        await backend.delete_database(case.ref, observed, Policy.DELETE)
        await backend.delete_user(case.ref)
        heir = case.by(fresh_owner())
        assert await backend.observe_database(heir.ref) == Absent()
