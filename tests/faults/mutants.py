"""The defects that the harness must find, and the points at which each must show.

One violation is enough. They are planted into the controller of a child (``zygote.py``).
"""

from __future__ import annotations

from collections.abc import Callable

from tests.faults import defects

MUTANTS: dict[str, Callable[[], None]] = {
    "role-before-secret": defects.role_before_secret,
    "secret-deleted-first": defects.secret_deleted_first,
    "no-live-read": defects.no_live_read,
    "absent-on-any-error": defects.absent_on_any_error,
    "uid-ignored": defects.uid_ignored,
    "owner-ignored": defects.owner_ignored,
    "finalizer-first": defects.finalizer_first,
    "edge-triggered": defects.edge_triggered,
    "no-observed-generation": defects.no_observed_generation,
    "no-preconditions": defects.no_preconditions,
    "promoted-unproven": defects.promoted_unproven,
    "password-logged": defects.password_logged,
    "always-writes": defects.always_writes,
    "made-from-the-cache": defects.made_from_the_cache,
    "name-is-identity": defects.name_is_identity,
    "deletes-unblocked": defects.deletes_unblocked,
    "login-not-tried": defects.login_not_tried,
    "status-remembers": defects.status_remembers,
    "lease-ignored": defects.lease_ignored,
    "loop-blocked": defects.loop_blocked,
}
KILLED_BY: dict[str, str] = {
    "role-before-secret": r"^create \| K POST /api/.*app-login #1 \| crash/before",
    "secret-deleted-first": r"^database-rotate \| S ALTER.* \| crash/before",
    "no-live-read": r"^database-delete \| K PATCH .*app #1 \| crash/committed",
    "absent-on-any-error": r"^secret-renamed \| K GET .*app-login #1 \| error/500",
    "uid-ignored": r"^database-adopt \| K PATCH .*app/status #1 \| crash/committed",
    "owner-ignored": r"^beside-stranger \| K PATCH .*app/status #1 \| crash/committed",
    "finalizer-first": r"^database-delete \| K PATCH .*app #1 \| crash/committed",
    "edge-triggered": r"^database-delete \| S DROP.* \| crash/before",
    "no-observed-generation": r"^database-extensions \| K PATCH .*app/status #1 \| error/500",
    "no-preconditions": r"^secret-renamed \| K GET .*other-login #1 \| crash/committed",
    "promoted-unproven": r"^database-rotate \| K PATCH .*app-login #1 \| crash/committed",
    "password-logged": r"^create \| K PATCH .*app-login #1 \| crash/before",
    "always-writes": r"^create \| K PATCH .*app-login #1 \| crash/before",
    "made-from-the-cache": r"^database-delete \| K PATCH .*app #1 \| stale/travel-committed-2",
    "name-is-identity": r"^database-again \| .* \| stale/travel-committed-deleting",
    "deletes-unblocked": r"^create \| K PATCH .*app-login #1 \| user/server-deleted",
    "login-not-tried": r"^create \| K PATCH .*app-login #1 \| user/role-password",
    "status-remembers": r"^untouched \| U CHANGE .*/size.cpu #1 \| spec/good",
    "lease-ignored": r"^database-rotate \| K PATCH .*app-login #1 \| leaders/answered",
    "loop-blocked": r"^database-rotate \| K PATCH .* \| leaders/clock",
}


def plant(name: str) -> None:
    """Make this process defective; an empty name leaves it as it is."""
    if name:
        MUTANTS[name]()
