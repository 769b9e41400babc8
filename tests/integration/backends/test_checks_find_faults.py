"""The conformance checks find what they are for: each seeded fault fails a check."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from tests.external_harness import ExternalHarness, SecretKube, admin_secret, external_context
from tests.fix_postgres import PgServer

from hybridpg.backends import Absent, Change, Conflict, Done, Policy, Rejected, Unknown, _harness
from hybridpg.backends.conformance import Check, NotApplicable, checks
from hybridpg.backends.external import External

pytestmark = pytest.mark.postgres


class NeverContent(External):
    """Finds something to do in every pass."""

    def plan_database(self, *arguments: Any) -> tuple[Change, ...]:
        return (*super().plan_database(*arguments), Change("", "again"))


class TakesEverything(External):
    """Ignores whose a database is."""

    def plan_database(self, *arguments: Any) -> tuple[Change, ...]:
        with contextlib.suppress(Conflict):
            return super().plan_database(*arguments)
        return ()


class Adopting(External):
    """Takes over what nobody named."""

    async def create_or_update_user(self, database: Any, role: Any) -> Any:
        return await super().create_or_update_user(replace(database, adopt=True), role)


class ResetsPasswords(External):
    """Sets the password of a role that is there already."""

    async def create_or_update_user(self, database: Any, role: Any) -> Any:
        outcome = await super().create_or_update_user(database, role)
        await self.update_user_password(database, role)
        return outcome


class KeepsPasswords(External):
    """Says that a password was changed."""

    async def update_user_password(self, database: Any, role: Any) -> Any:
        return Done()


class KeepsDatabases(External):
    """Says that a database was deleted."""

    async def delete_database(self, database: Any, observed: Any, policy: Policy) -> Any:
        return Done()


class KeepsRoles(External):
    """D5: says that a role was deleted."""

    async def delete_user(self, database: Any) -> Any:
        return Done()


class DeletesRetained(External):
    """Deletes by every policy."""

    async def delete_database(self, database: Any, observed: Any, policy: Policy) -> Any:
        await super().delete_database(database, observed, Policy.DELETE)
        return await super().delete_user(database)


class TakesSilenceForAbsence(External):
    """D29: a server that does not answer has no databases."""

    async def observe_database(self, database: Any) -> Any:
        try:
            return await super().observe_database(database)
        except Unknown:
            return Absent()


class CutsNames(External):
    """M7: as PostgreSQL does."""

    async def create_or_update_user(self, database: Any, role: Any) -> Any:
        return await super().create_or_update_user(self._cut(database), role)

    async def observe_database(self, database: Any) -> Any:
        return await super().observe_database(self._cut(database))

    def plan_database(self, database: Any, *arguments: Any) -> tuple[Change, ...]:
        return super().plan_database(self._cut(database), *arguments)

    async def create_or_update_database(self, database: Any, changes: Any) -> Any:
        return await super().create_or_update_database(self._cut(database), changes)

    def _cut(self, database: Any) -> Any:
        return replace(database, external_name=database.external_name[:63])


class Talks(External):
    """Shows the password in a note."""

    async def create_or_update_user(self, database: Any, role: Any) -> Any:
        await super().create_or_update_user(database, role)
        return Done((f"password {role.password!s} was set",))


class IgnoresExtensions(External):
    """Says nothing about an extension that it does not have."""

    def plan_database(self, database: Any, desired: Any, observed: Any) -> tuple[Change, ...]:
        spec = desired.spec.model_copy(
            update={"database": desired.spec.database.model_copy(update={"extensions": ()})}
        )
        return super().plan_database(database, replace(desired, spec=spec), observed)


class TakesOrders(External):
    """Lets a tenant change the login of a server that is not ours."""

    async def update_admin_password(self, server: Any, observed: Any, admin: Any) -> Any:
        with contextlib.suppress(Rejected):
            return await super().update_admin_password(server, observed, admin)
        return Done()


FAULTS = {
    NeverContent: "check_a_converged_database_accepts_its_role",
    TakesEverything: "check_a_foreign_database_is_left_alone",
    Adopting: "check_a_foreign_database_is_left_alone",
    ResetsPasswords: "check_repeated_calls_keep_the_password",
    KeepsPasswords: "check_the_password_of_a_role_is_changed",
    KeepsDatabases: "check_a_deleted_database_is_gone",
    KeepsRoles: "check_a_deleted_database_is_gone",
    DeletesRetained: "check_a_retained_database_stays_and_is_marked",
    TakesSilenceForAbsence: "check_an_unreachable_server_is_unknown",
    CutsNames: "check_names_up_to_the_limit_work",
    Talks: "check_a_database_shows_no_password",
    IgnoresExtensions: "check_extensions_are_made_in_the_database",
    TakesOrders: "check_the_admin_password_is_changed",
}


@pytest.mark.parametrize(("faulty", "name"), FAULTS.items(), ids=str)
async def test_each_fault_fails_its_check(
    faulty: type[External], name: str, pg: PgServer, monkeypatch: pytest.MonkeyPatch
):
    """N4: a check that lets its fault pass protects nobody."""
    if faulty is NeverContent:
        monkeypatch.setattr(_harness, "STEPS", 5)  # it never ends by itself
    harness = ExternalHarness(pg)
    kube = SecretKube({("platform", "main-admin"): admin_secret(pg)})
    harness.external = faulty(external_context(kube), now=harness.now)
    check = next(check for check in checks() if check.__name__ == name)
    try:
        with pytest.raises((AssertionError, Unknown)):
            await check(harness)
    finally:
        await harness.backend.close()


def test_every_check_has_a_name_that_says_what_it_checks():
    names = [check.__name__ for check in checks()]

    assert len(set(names)) == len(names)
    assert all(name.startswith("check_") for name in names)
    assert all((check.__doc__ or "").endswith(".") for check in checks())


async def test_a_check_that_does_not_apply_says_why(pg: PgServer):
    harness = ExternalHarness(pg)
    provisioning: Check = next(
        check for check in checks() if check.__name__ == "check_a_deleted_server_is_gone"
    )
    with pytest.raises(NotApplicable, match="uses servers that exist"):
        await provisioning(harness)
