"""The conformance checks of the server half of a backend."""

from __future__ import annotations

from dataclasses import replace

from ._harness import (
    STEPS,
    Harness,
    NotApplicable,
    ServerCase,
    complete,
    converge_server,
    expect,
    login_endpoint,
    new_password,
    stranger,
)
from .errors import Conflict, Rejected, Unknown
from .sql.login import LoginResult, check_login
from .values import (
    Absent,
    Credentials,
    Done,
    Observed,
    Outcome,
    Policy,
    Present,
    ServerState,
)


def _needs_provisioning(harness: Harness) -> None:
    """Skip what only makes sense where the backend makes servers itself."""
    if not harness.provisions:
        raise NotApplicable("the backend uses servers that exist")


async def check_the_spec_is_judged_without_side_effects(harness: Harness) -> None:
    """Judging a spec is pure: the same answer each time, and the check's own spec is honoured."""
    case = await harness.server()
    first = harness.backend.server_spec_valid(case.spec)
    expect(first == harness.backend.server_spec_valid(case.spec), "two judgements differ")
    expect(not first, f"the harness' own spec has problems: {first}")


async def check_a_server_that_was_never_made_is_absent(harness: Harness) -> None:
    """A server that nobody made is proven absent, and the plan says that it will be made."""
    _needs_provisioning(harness)
    case = await harness.server(fresh=True)
    observed = await harness.backend.observe_server(case.ref)
    expect(observed == Absent(), f"a server that nobody made is {observed}")
    expect(
        harness.backend.plan_server(case.ref, case.spec, observed),
        "the plan for an absent server is empty",
    )


async def check_a_converged_server_accepts_its_admin(harness: Harness) -> None:
    """A server whose plan is empty is ours, and its admin logs in to a primary."""
    case = await harness.server()
    state = await converge_server(harness, case)
    if harness.provisions:
        expect(case.ref.owner.same(state.owner), f"the mark of the server is {state.owner}")
    expect(state.version, "the version of a ready server is empty")
    endpoint = await login_endpoint(harness, case, state)
    expect(endpoint.host and endpoint.port, "the endpoint has no host or no port")
    expect(endpoint.admin, "the endpoint has no admin login")
    if harness.backend.capabilities.publishes_admin:
        login = Credentials(state.admin_username, case.admin.password)
        result = await check_login(endpoint, login, "postgres")
        expect(result is LoginResult.PRIMARY, f"the published admin's login ended in {result}")


async def check_a_repeated_apply_changes_nothing(harness: Harness) -> None:
    """Applying the first plan again is harmless and leaves an empty plan and the password."""
    _needs_provisioning(harness)
    backend = harness.backend
    case = await harness.server(fresh=True)
    changes = backend.plan_server(case.ref, case.spec, Absent())
    before = await converge_server(harness, case)
    other = Credentials(case.admin.username, new_password())
    await backend.create_or_update_server(case.ref, changes, other)
    after = await converge_server(harness, case)
    expect(after == before, f"the state became {after} after {before}")
    await _expect_login(harness, case, case.admin, LoginResult.PRIMARY)
    await _expect_login(harness, case, other, LoginResult.REFUSED)


async def check_a_foreign_server_is_a_conflict(harness: Harness) -> None:
    """A server with somebody else's mark is neither planned for nor deleted."""
    _needs_provisioning(harness)
    case = await harness.server(fresh=True)
    state = await converge_server(harness, case)
    thief = replace(case, ref=replace(case.ref, owner=stranger(case.ref.owner)))
    _expect_conflict(harness, thief, await harness.backend.observe_server(thief.ref))
    try:
        await harness.backend.delete_server(thief.ref, Present(state), Policy.DELETE)
    except Conflict:
        after = await harness.backend.observe_server(case.ref)
        expect(after == Present(state), f"the server is {after} after a stranger's delete")
    else:
        raise AssertionError("a stranger may delete the server")


async def check_a_named_server_is_adopted(harness: Harness) -> None:
    """A foreign server is taken over where the user named it, and the plan says so."""
    _needs_provisioning(harness)
    case = await harness.server(fresh=True)
    await converge_server(harness, case)
    heir = replace(case, ref=replace(case.ref, owner=stranger(case.ref.owner), adopt=True))
    observed = await harness.backend.observe_server(heir.ref)
    changes = harness.backend.plan_server(heir.ref, heir.spec, observed)
    expect(any(change.takes_over for change in changes), "no change of the plan takes over")
    state = await converge_server(harness, heir)
    expect(heir.ref.owner.same(state.owner), f"the mark of the adopted server is {state.owner}")


async def check_the_admin_password_is_changed(harness: Harness) -> None:
    """A new admin password works and the old one does not; a borrowed admin is refused."""
    case = await harness.server(fresh=True)
    state = await converge_server(harness, case)
    wanted = Credentials(case.admin.username, new_password())
    if not harness.backend.capabilities.publishes_admin:
        try:
            await harness.backend.update_admin_password(case.ref, state, wanted)
        except Rejected:
            return
        raise AssertionError("the admin of a server that is not ours may be given a new password")
    for _ in range(2):  # the second call finds it done
        await complete(
            harness, lambda: harness.backend.update_admin_password(case.ref, state, wanted)
        )
    await _expect_login(harness, case, wanted, LoginResult.PRIMARY)
    await _expect_login(harness, case, case.admin, LoginResult.REFUSED)


async def check_a_retained_server_stays_and_is_marked(harness: Harness) -> None:
    """A retained server stays, and neither a stranger nor its old object gets it silently."""
    _needs_provisioning(harness)
    case = await harness.server(fresh=True)
    await converge_server(harness, case)
    await _delete(harness, case, Policy.RETAIN)
    observed = await harness.backend.observe_server(case.ref)
    if not isinstance(observed, Present):
        raise AssertionError("a retained server is gone")
    owner = observed.state.owner
    expect(owner is not None and owner.retained, f"the mark of a retained server is {owner}")
    _expect_conflict(harness, case, observed)


async def check_a_deleted_server_is_gone(harness: Harness) -> None:
    """Deleting ends in a proven absence, and deleting what is absent is done at once."""
    _needs_provisioning(harness)
    case = await harness.server(fresh=True)
    await converge_server(harness, case)
    await _delete(harness, case, Policy.DELETE)
    observed = await harness.backend.observe_server(case.ref)
    expect(observed == Absent(), f"a deleted server is {observed}")
    outcome = await harness.backend.delete_server(case.ref, Absent(), Policy.DELETE)
    expect(isinstance(outcome, Done), f"deleting an absent server ends in {outcome}")


async def check_a_server_that_is_not_ours_survives_deletion(harness: Harness) -> None:
    """Every policy leaves a server alone that the backend did not make."""
    if harness.provisions:
        raise NotApplicable("the backend makes its servers itself")
    case = await harness.server()
    for policy in Policy:
        observed = await harness.backend.observe_server(case.ref)
        outcome = await harness.backend.delete_server(case.ref, observed, policy)
        expect(isinstance(outcome, Done), f"deletion with policy {policy.value}: {outcome}")
    await converge_server(harness, case)


async def check_an_unreachable_server_is_not_absent(harness: Harness) -> None:
    """A server that does not answer is unknown or not ready: never absent, never made anew."""
    case = await harness.server(fresh=True)
    await converge_server(harness, case)
    if not await harness.disrupt(case):
        raise NotApplicable("the harness cannot make a server unreachable")
    try:
        for _ in range(STEPS):  # what was read a moment ago may still be answered from
            observed = await harness.backend.observe_server(case.ref)
            expect(isinstance(observed, Present), "an unreachable server is absent")
            if isinstance(observed, Present) and not observed.state.ready:
                break
            await harness.settle(0.1)
        else:
            raise AssertionError("an unreachable server stays ready")
    except Unknown:
        return
    finally:
        await harness.restore(case)
        await converge_server(harness, case)


async def check_a_server_shows_no_password(harness: Harness) -> None:
    """Neither state, plan, outcome nor endpoint show the admin's password."""
    backend = harness.backend
    case = await harness.server(fresh=True)
    changes = backend.plan_server(case.ref, case.spec, await backend.observe_server(case.ref))
    shown: list[object] = [changes]
    if changes:
        shown.append(await backend.create_or_update_server(case.ref, changes, case.admin))
    state = await converge_server(harness, case)
    endpoint = await login_endpoint(harness, case, state)
    shown += [state, endpoint, case]
    secrets = {str(case.admin.password)}
    if endpoint.admin and endpoint.admin.password:
        secrets.add(str(endpoint.admin.password))
    expect(not any(secret in repr(shown) for secret in secrets), "a password is shown")


async def _delete(harness: Harness, case: ServerCase, policy: Policy) -> None:
    """Delete by a policy, looking again before each call as the operator does."""
    backend = harness.backend

    async def step() -> Outcome:
        return await backend.delete_server(case.ref, await backend.observe_server(case.ref), policy)

    await complete(harness, step)


def _expect_conflict(harness: Harness, case: ServerCase, observed: Observed[ServerState]) -> None:
    """Planning must refuse, and name what an adoption would have to name."""
    try:
        harness.backend.plan_server(case.ref, case.spec, observed)
    except Conflict as conflict:
        expect(conflict.external_name, "the conflict does not say what an adoption must name")
        return
    raise AssertionError("a server with another mark is planned for")


async def _expect_login(
    harness: Harness, case: ServerCase, login: Credentials, wanted: LoginResult
) -> None:
    """Log in as the published admin and compare the result."""
    if not harness.backend.capabilities.publishes_admin:
        return
    state = await converge_server(harness, case)
    endpoint = await harness.backend.endpoint(case.ref, state)
    login = Credentials(state.admin_username, login.password)
    result = await check_login(endpoint, login, "postgres")
    expect(result is wanted, f"the admin's login ended in {result}, not in {wanted}")


CHECKS = (
    check_the_spec_is_judged_without_side_effects,
    check_a_server_that_was_never_made_is_absent,
    check_a_converged_server_accepts_its_admin,
    check_a_repeated_apply_changes_nothing,
    check_a_foreign_server_is_a_conflict,
    check_a_named_server_is_adopted,
    check_the_admin_password_is_changed,
    check_a_retained_server_stays_and_is_marked,
    check_a_deleted_server_is_gone,
    check_a_server_that_is_not_ours_survives_deletion,
    check_an_unreachable_server_is_not_absent,
    check_a_server_shows_no_password,
)
