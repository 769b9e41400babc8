"""The conformance checks of the database half of a backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from ._harness import (
    STEPS,
    DatabaseCase,
    Harness,
    NotApplicable,
    complete,
    converge_database,
    converge_server,
    database_case,
    expect,
    new_password,
    stranger,
)
from .errors import BackendError, Conflict, Rejected, Unknown
from .sql.login import LoginResult, check_login
from .values import (
    Absent,
    Credentials,
    DatabaseState,
    Done,
    Outcome,
    Policy,
    Present,
)

Call: TypeAlias = Callable[[], Awaitable[object]]
"""One call of a backend that a check makes."""


async def check_a_database_that_was_never_made_is_absent(harness: Harness) -> None:
    """A database that nobody made is proven absent."""
    case = await database_case(harness)
    observed = await harness.backend.observe_database(case.ref)
    expect(observed == Absent(), f"a database that nobody made is {observed}")


async def check_a_converged_database_accepts_its_role(harness: Harness) -> None:
    """A database whose plan is empty is ours, exists, and its role logs in to a primary."""
    case = await database_case(harness)
    state = await converge_database(harness, case)
    expect(case.ref.owner.same(state.owner), f"the mark of the role is {state.owner}")
    expect(state.role and state.present, f"the converged database is {state}")
    await _expect_login(case, case.role, LoginResult.PRIMARY)
    wrong = replace(case.role, password=new_password())
    await _expect_login(case, wrong, LoginResult.REFUSED)


async def check_repeated_calls_keep_the_password(harness: Harness) -> None:
    """A role of ours keeps its password, and a second apply leaves the same database."""
    case = await database_case(harness)
    backend = harness.backend
    changes = backend.plan_database(case.ref, case.desired, Absent())
    before = await converge_database(harness, case)
    other = replace(case.role, password=new_password())
    await complete(harness, lambda: backend.create_or_update_user(case.ref, other))
    await complete(harness, lambda: backend.create_or_update_database(case.ref, changes))
    after = await converge_database(harness, replace(case, role=other))
    expect(after.oid == before.oid, "the database was made anew")
    await _expect_login(case, case.role, LoginResult.PRIMARY)


async def check_the_password_of_a_role_is_changed(harness: Harness) -> None:
    """A new password works and the old one does not."""
    case = await database_case(harness)
    await converge_database(harness, case)
    wanted = replace(case.role, password=new_password())
    for _ in range(2):  # the second call finds it done
        await complete(harness, lambda: harness.backend.update_user_password(case.ref, wanted))
    await _expect_login(case, wanted, LoginResult.PRIMARY)
    await _expect_login(case, case.role, LoginResult.REFUSED)


async def check_a_foreign_database_is_left_alone(harness: Harness) -> None:
    """Somebody else's database is a conflict for every call, and nothing of it changes."""
    case = await database_case(harness)
    before = await converge_database(harness, case)
    backend = harness.backend
    thief = replace(
        case,
        ref=replace(case.ref, owner=stranger(case.ref.owner)),
        role=replace(case.role, password=new_password()),
    )
    await _expect_conflict(lambda: _plan(harness, thief))
    await _expect_conflict(lambda: backend.create_or_update_user(thief.ref, thief.role))
    await _expect_conflict(lambda: backend.update_user_password(thief.ref, thief.role))
    for policy in (Policy.DELETE, Policy.RETAIN):
        await _expect_conflict(partial(backend.delete_database, thief.ref, Present(before), policy))
    await _expect_conflict(lambda: backend.delete_user(thief.ref))
    after = await backend.observe_database(case.ref)
    expect(after == Present(before), f"the database is {after} after a stranger's calls")
    await _expect_login(case, case.role, LoginResult.PRIMARY)


async def check_a_named_database_is_adopted(harness: Harness) -> None:
    """A retained database is taken over where the user named it; its data stay."""
    case = await database_case(harness)
    before = await converge_database(harness, case)
    await _delete(harness, case, Policy.RETAIN)
    heir = replace(
        case,
        ref=replace(case.ref, owner=stranger(case.ref.owner), adopt=True),
        role=replace(case.role, password=new_password()),
    )
    observed = await harness.backend.observe_database(heir.ref)
    changes = harness.backend.plan_database(heir.ref, heir.desired, observed)
    expect(any(change.takes_over for change in changes), "no change of the plan takes over")
    after = await converge_database(harness, heir)
    expect(after.oid == before.oid, "the adopted database was made anew")
    expect(heir.ref.owner.same(after.owner), f"the mark of the adopted database is {after.owner}")
    await complete(harness, lambda: harness.backend.update_user_password(heir.ref, heir.role))
    await _expect_login(heir, heir.role, LoginResult.PRIMARY)


async def check_a_retained_database_stays_and_is_marked(harness: Harness) -> None:
    """A retained database stays usable, and not even its old object gets it back silently."""
    case = await database_case(harness)
    before = await converge_database(harness, case)
    await _delete(harness, case, Policy.RETAIN)
    state = await _present(harness, case)
    expect(state.owner is not None and state.owner.retained, f"its mark is {state.owner}")
    expect(state.present and state.oid == before.oid, "a retained database is gone")
    await _expect_login(case, case.role, LoginResult.PRIMARY)
    await _expect_conflict(lambda: _plan(harness, case))


async def check_a_deleted_database_is_gone(harness: Harness) -> None:
    """Deleting ends in a proven absence of database and role, also when it is repeated."""
    case = await database_case(harness)
    await converge_database(harness, case)
    for _ in range(2):
        await _delete(harness, case, Policy.DELETE)
        outcome = await complete(harness, lambda: harness.backend.delete_user(case.ref))
        expect(isinstance(outcome, Done), f"deleting the role ended in {outcome}")
    observed = await harness.backend.observe_database(case.ref)
    expect(observed == Absent(), f"a deleted database is {observed}")
    await _expect_login(case, case.role, LoginResult.REFUSED)


async def check_roles_stay_in_their_own_database(harness: Harness) -> None:
    """A role reaches neither another database of the server nor the system's own."""
    mine = await database_case(harness)
    theirs = await database_case(harness)
    await converge_database(harness, mine)
    await converge_database(harness, theirs)
    result = await check_login(mine.ref.endpoint, mine.role, theirs.ref.external_name)
    expect(result is LoginResult.REFUSED, f"a login to a foreign database ended in {result}")


async def check_names_up_to_the_limit_work(harness: Harness) -> None:
    """Hostile and long names are quoted, and one byte more is refused, never cut."""
    limit = min(harness.backend.capabilities.name_limit, 63)
    seed = (await database_case(harness)).ref.external_name
    for name in (f"{seed} .select-", f'1"{seed}"\'; --', seed.ljust(limit, "x")):
        case = await database_case(harness, name=name)
        await converge_database(harness, case)
        await _expect_login(case, case.role, LoginResult.PRIMARY)
        await _delete(harness, case, Policy.DELETE)
        await complete(harness, partial(harness.backend.delete_user, case.ref))
    case = await database_case(harness, name=seed.ljust(64, "x"))
    await _expect_rejected(harness, case)


async def check_reserved_names_are_refused(harness: Harness) -> None:
    """The system's own databases and roles are never taken."""
    for name in ("postgres", "template0", "template1", "admin", "pg_read_all_data"):
        await _expect_rejected(harness, await database_case(harness, name=name))


async def check_extensions_are_made_in_the_database(harness: Harness) -> None:
    """A listed extension is installed in the database itself; a forbidden one is refused."""
    case = await database_case(harness, database={"extensions": ["plpgsql"]})
    state = await converge_database(harness, case)
    expect(
        state.extensions is not None and "plpgsql" in state.extensions,
        f"the extensions are {state.extensions}",
    )
    case = await database_case(harness, database={"extensions": ["hybridpg-no-such"]})
    await _expect_rejected(harness, case)


async def check_an_unreachable_server_is_unknown(harness: Harness) -> None:
    """While the server does not answer, nothing is concluded about its databases."""
    case = await database_case(harness)
    await converge_database(harness, case)
    server = await harness.server()
    if not await harness.disrupt(server):
        raise NotApplicable("the harness cannot make a server unreachable")
    try:
        for _ in range(STEPS):  # what was read a moment ago may still be answered from
            observed = await harness.backend.observe_database(case.ref)
            expect(isinstance(observed, Present), "an unreachable database is absent")
            await harness.settle(0.1)
    except Unknown:
        return
    finally:
        await harness.restore(server)
        await converge_server(harness, server)
    raise AssertionError("a database on an unreachable server is still seen")


async def check_a_database_shows_no_password(harness: Harness) -> None:
    """Neither plan, outcome, state nor error show the role's password."""
    case = await database_case(harness)
    backend = harness.backend
    shown: list[object] = [case]
    shown.append(
        await complete(harness, lambda: backend.create_or_update_user(case.ref, case.role))
    )
    changes = backend.plan_database(
        case.ref, case.desired, await backend.observe_database(case.ref)
    )
    made = await complete(harness, lambda: backend.create_or_update_database(case.ref, changes))
    shown += [changes, made]
    shown.append(await converge_database(harness, case))
    thief = replace(case.ref, owner=stranger(case.ref.owner))
    try:
        await backend.create_or_update_user(thief, case.role)
    except BackendError as error:
        shown.append(f"{error!r} {error}")
    expect(str(case.role.password) not in repr(shown), "the role's password is shown")


async def _plan(harness: Harness, case: DatabaseCase) -> None:
    observed = await harness.backend.observe_database(case.ref)
    harness.backend.plan_database(case.ref, case.desired, observed)


async def _present(harness: Harness, case: DatabaseCase) -> DatabaseState:
    observed = await harness.backend.observe_database(case.ref)
    if not isinstance(observed, Present):
        raise AssertionError(f"database {case.ref.external_name} is gone")
    return observed.state


async def _delete(harness: Harness, case: DatabaseCase, policy: Policy) -> None:
    """Delete by a policy, looking again before each call as the operator does."""
    backend = harness.backend

    async def step() -> Outcome:
        observed = await backend.observe_database(case.ref)
        return await backend.delete_database(case.ref, observed, policy)

    await complete(harness, step)


async def _expect_login(case: DatabaseCase, login: Credentials, wanted: LoginResult) -> None:
    result = await check_login(case.ref.endpoint, login, case.ref.external_name)
    expect(result is wanted, f"the role's login ended in {result}, not in {wanted}")


async def _expect_conflict(call: Call) -> None:
    """Make a call that must be refused because the thing is somebody else's."""
    try:
        await call()
    except Conflict as conflict:
        expect(conflict.external_name, "the conflict does not say what an adoption must name")
        return
    raise AssertionError("a call on somebody else's database is not refused")


async def _expect_rejected(harness: Harness, case: DatabaseCase) -> None:
    """Somewhere on the way to the database the backend must say what of the spec it refuses."""
    try:
        await converge_database(harness, case)
    except Rejected as rejected:
        expect(rejected.message, "a rejection says nothing")
        return
    raise AssertionError(f"{case.ref.external_name!r} {case.desired.spec.database} is not refused")


CHECKS = (
    check_a_database_that_was_never_made_is_absent,
    check_a_converged_database_accepts_its_role,
    check_repeated_calls_keep_the_password,
    check_the_password_of_a_role_is_changed,
    check_a_foreign_database_is_left_alone,
    check_a_named_database_is_adopted,
    check_a_retained_database_stays_and_is_marked,
    check_a_deleted_database_is_gone,
    check_roles_stay_in_their_own_database,
    check_names_up_to_the_limit_work,
    check_reserved_names_are_refused,
    check_extensions_are_made_in_the_database,
    check_an_unreachable_server_is_unknown,
    check_a_database_shows_no_password,
)
