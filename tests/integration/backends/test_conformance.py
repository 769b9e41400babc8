"""The conformance checks over ``external``, and over the backend of a third party."""

from __future__ import annotations

import contextlib

import pytest
from tests.external_harness import ExternalHarness
from tests.fix_postgres import PgServer

from hybridpg.backends.conformance import Check, Harness, NotApplicable, checks

pytestmark = pytest.mark.postgres

each_check = pytest.mark.parametrize("check", checks(), ids=lambda check: check.__name__)


async def run_check(check: Check, harness: Harness) -> None:
    """Run one check as a backend's author does; here only provisioning does not apply."""
    try:
        with contextlib.suppress(NotApplicable):
            await check(harness)
    finally:
        await harness.backend.close()


@each_check
async def test_external_conforms_on_every_version(
    check: Check, pg_each: PgServer, admin: str
) -> None:
    """N4, H5, H35, D4, D5, D7: with a superuser and with an admin as clouds have it."""
    await run_check(check, ExternalHarness(pg_each, admin))
