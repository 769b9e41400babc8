"""The differences between a database and its spec: a pure function over what was observed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hybridpg.backends import (
    Absent,
    Change,
    Conflict,
    DatabaseRef,
    DatabaseState,
    DesiredDatabase,
    Endpoint,
    Owner,
    Present,
    Rejected,
    ServerRef,
)
from hybridpg.backends.sql.catalog import RoleFacts
from hybridpg.backends.sql.plan import plan_database
from hybridpg.backends.sql.state import (
    CloseSystems,
    CreateDatabase,
    CreateExtensions,
    OwnDatabase,
    OwnSchema,
    RepairRole,
    RestrictAccess,
    SqlDatabaseState,
    TakeRole,
)
from hybridpg.backends.values import (
    Refused,
)
from hybridpg.crds import DatabaseSpec

OURS = Owner("cluster", "uid-1", "team", "orders")
THEIRS = Owner("cluster", "uid-2", "team", "orders")
REF = DatabaseRef(OURS, "orders", ServerRef(OURS, "team-srv"), Endpoint("db", 5432))
DBA = RoleFacts("dba", None, login=False, rights=frozenset(), held=True)
ADOPTING = replace(REF, adopt=True)
CONVERGED = SqlDatabaseState(
    owner=OURS,
    role=True,
    present=True,
    encoding="UTF8",
    collation="de_DE.utf8",
    extensions=frozenset({"plpgsql"}),
    oid=16400,
    database_role="orders",
    schema_role="pg_database_owner",
    schema_held=True,
    offered=frozenset({"plpgsql", "pgcrypto", "hstore", "uuid-ossp"}),
)


def desired(allowed: frozenset[str] | None = None, **database: object) -> DesiredDatabase:
    spec = DatabaseSpec.model_validate(
        {"serverRef": {"name": "srv"}, "credentialsSecret": "login", "database": database}
    )
    return DesiredDatabase(spec, allowed)


def plan(
    ref: DatabaseRef = REF,
    wanted: DesiredDatabase | None = None,
    operator_allows: frozenset[str] | None = None,
    **changes: object,
) -> tuple[Change, ...]:
    """Plan for a converged database in which something is otherwise."""
    observed = Present(replace(CONVERGED, **changes))  # type: ignore[arg-type]  # fields by name
    return plan_database(ref, wanted or desired(), observed, operator_allows)


def test_a_converged_database_has_an_empty_plan():
    """K1."""
    assert plan() == ()


def test_an_unset_field_is_unmanaged():
    assert plan(encoding="LATIN1", collation="C") == ()


def test_an_absent_database_is_created_as_the_spec_says():
    """S14."""
    changes = plan_database(REF, desired(charset="UTF8", collation="de-DE"), Absent())

    assert changes == (
        CreateDatabase(
            "database", "database 'orders' is created", encoding="UTF8", collation="de-DE"
        ),
    )


def test_the_role_alone_is_not_the_database():
    """A crash between role and database goes on where it was."""
    changes = plan(present=False, database_role="", extensions=None, oid=0)

    assert [type(change) for change in changes] == [CreateDatabase]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"rights": frozenset({"SUPERUSER"})}, RepairRole),
        ({"rights": frozenset({"CREATEROLE", "CREATEDB"})}, RepairRole),
        ({"login": False}, RepairRole),
        ({"held": False}, RepairRole),
        ({"private": False}, RestrictAccess),
        ({"open_systems": ("postgres",)}, CloseSystems),
        ({"schema_role": "postgres"}, OwnSchema),
    ],
    ids=["superuser", "createrole", "login", "held", "private", "systems", "schema"],
)
def test_each_drift_is_one_change(changed, kind):
    """D7."""
    changes = plan(**changed)

    assert [type(change) for change in changes] == [kind]
    assert not any(change.takes_over for change in changes)


@pytest.mark.parametrize(
    "changed",
    [
        {"schema_role": "postgres", "schema_held": False},
        {"schema_role": ""},
        {"schema_role": "orders"},
    ],
    ids=str,
)
def test_a_schema_that_is_gone_or_ours_or_not_ours_to_give_is_left_alone(changed):
    assert plan(**changed) == ()


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"charset": "LATIN1"}, "database.charset"),
        ({"collation": "en-US"}, "database.collation"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_the_rest_is_done(wanted, field):
    """D10, S14."""
    changes = plan(wanted=desired(**wanted), private=False)

    refused = [change for change in changes if isinstance(change, Refused)]
    assert [change.field for change in refused] == [field]
    assert "cannot be changed" in refused[0].message
    assert [type(c) for c in changes if not isinstance(c, Refused)] == [RestrictAccess]


@pytest.mark.parametrize("wanted", [{"charset": "utf-8"}, {"collation": "de-DE"}])
def test_another_way_to_write_the_same_is_no_difference(wanted):
    assert plan(wanted=desired(**wanted)) == ()


def test_missing_extensions_are_created_and_present_ones_are_not():
    """S15."""
    changes = plan(
        wanted=desired(extensions=["hstore", "pgcrypto"]), extensions=frozenset({"hstore"})
    )

    assert [change.names for change in changes if isinstance(change, CreateExtensions)] == [
        ("pgcrypto",)
    ]


def test_an_extension_that_is_no_longer_listed_stays():
    """D11: dropping it would drop the columns that use it."""
    assert plan(extensions=frozenset({"plpgsql", "hstore"})) == ()


def test_an_extension_that_the_server_does_not_allow_is_refused():
    """D11, S15."""
    wanted = desired(frozenset({"hstore"}), extensions=["pgcrypto", "hstore"])
    changes = plan(wanted=wanted)

    created, refused = changes if isinstance(changes[1], Refused) else changes[::-1]
    assert isinstance(created, CreateExtensions)
    assert created.names == ("hstore",)
    assert refused.field == "database.extensions"
    assert "'pgcrypto' is refused: the server does not allow it" in refused.message


def test_an_extension_that_the_operator_does_not_allow_is_refused():
    changes = plan(wanted=desired(extensions=["pgcrypto"]), operator_allows=frozenset({"hstore"}))

    assert [type(change) for change in changes] == [Refused]
    assert "the operator's configuration does not allow it" in changes[0].message


def test_the_list_that_the_user_cannot_change_is_named_first():
    """The server's list is handed over cut down to the operator's, and is not to blame then."""
    wanted = desired(frozenset({"hstore"}), extensions=["pgcrypto"])
    (refused,) = plan(wanted=wanted, operator_allows=frozenset({"hstore"}))

    assert "the operator's configuration does not allow it" in refused.message


def test_an_empty_list_allows_nothing():
    changes = plan(wanted=desired(frozenset(), extensions=["pgcrypto"]))

    assert [type(change) for change in changes] == [Refused]


def test_an_extension_that_is_not_installed_is_refused():
    changes = plan(wanted=desired(extensions=["postgis"]))

    assert "'postgis' is refused: the server does not have it installed" in changes[0].message


def test_what_the_server_refused_a_while_ago_is_not_tried_again():
    changes = plan(wanted=desired(extensions=["pgcrypto"]), refused=(("pgcrypto", "may not"),))

    assert changes == (Refused("database.extensions", "may not"),)


def test_a_role_with_another_mark_is_a_conflict_that_says_whose():
    """M1, D3."""
    with pytest.raises(Conflict, match="role 'orders' belongs to team/orders") as caught:
        plan(owner=THEIRS)

    assert caught.value.external_name == "orders"
    assert caught.value.owner == THEIRS


def test_a_role_without_a_mark_is_a_conflict():
    """D3."""
    with pytest.raises(Conflict, match="was not made for this object"):
        plan(owner=None)


def test_a_retained_role_is_a_conflict_even_for_the_object_it_was_made_for():
    with pytest.raises(Conflict, match="was kept when team/orders was deleted"):
        plan(owner=replace(OURS, retained=True))


def test_a_database_without_our_role_is_a_conflict():
    """D3: made by hand with the name that an object asks for."""
    with pytest.raises(Conflict, match="database 'orders' was not made for this object"):
        plan(owner=None, role=False, database_role="postgres")


def test_a_database_of_another_role_is_a_conflict_although_the_role_is_ours():
    with pytest.raises(Conflict, match="database 'orders'"):
        plan(database_role="postgres")


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"owner": THEIRS}, TakeRole),
        ({"owner": None}, TakeRole),
        ({"owner": replace(OURS, retained=True)}, TakeRole),
        ({"database_role": "dba", "holder": DBA}, OwnDatabase),
        ({"owner": None, "role": False, "database_role": "dba", "holder": DBA}, OwnDatabase),
    ],
    ids=str,
)
def test_what_the_user_named_is_taken_over_and_the_plan_says_so(changed, kind):
    changes = plan(ADOPTING, **changed)

    assert [type(change) for change in changes] == [kind]
    assert changes[0].takes_over


def test_nothing_is_adopted_across_namespaces():
    """M1: a namespace is the border between tenants."""
    with pytest.raises(Conflict, match="belongs to namespace 'other'"):
        plan(ADOPTING, owner=replace(THEIRS, namespace="other"))


@pytest.mark.parametrize(
    "changed", [{"reach": frozenset({"SUPERUSER"})}, {"is_admin": True}], ids=str
)
def test_an_administrator_is_never_adopted(changed):
    """D3: a tenant would be logged in as the admin."""
    with pytest.raises(Conflict, match="has the rights of an administrator"):
        plan(ADOPTING, owner=None, **changed)


@pytest.mark.parametrize(
    ("holder", "reason"),
    [
        (replace(DBA, comment=replace(THEIRS, namespace="other").mark()), "namespace 'other'"),
        (replace(DBA, rights=frozenset({"CREATEROLE"})), "'dba'.*administrator .CREATEROLE"),
        (replace(DBA, lent=frozenset({"postgres"})), "administrator .member of 'postgres'"),
        (None, "of the server itself.*the rights of an administrator"),
    ],
    ids=["other namespace", "administrator", "member", "unknown"],
)
def test_a_database_is_not_adopted_from_a_role_that_is_not_adopted(holder, reason):
    """M1, D3."""
    with pytest.raises(Conflict, match=reason):
        plan(ADOPTING, database_role="dba", holder=holder)


@pytest.mark.parametrize("name", ["postgres", "template1", "admin", "pg_x", "x" * 64])
def test_a_name_that_cannot_be_is_refused_even_for_adoption(name):
    """H35."""
    with pytest.raises(Rejected):
        plan(replace(ADOPTING, external_name=name))


def test_a_state_of_another_class_is_a_mistake_of_the_caller():
    with pytest.raises(TypeError, match="DatabaseState was not observed by this class"):
        plan_database(REF, desired(), Present(DatabaseState(OURS, role=True, present=True)))


def test_planning_twice_gives_the_same_plan():
    wanted = desired(frozenset({"hstore"}), extensions=["pgcrypto", "hstore"], charset="LATIN1")

    assert plan(wanted=wanted, private=False) == plan(wanted=wanted, private=False)
