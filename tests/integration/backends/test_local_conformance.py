"""The backend ``local`` passes the checks that every backend must pass."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from tests.fix_local import LocalHarness, LocalSite, local_folder, server_case
from tests.requirements import require

from hybridpg.backends.conformance import Check, NotApplicable, ServerCase, checks

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[LocalSite, ServerCase]]:
    """One site for all checks, with the server that those share which need no fresh one."""
    with local_folder() as site:
        case = server_case(serverParameters={"work_mem": "8MB"})

        async def make() -> None:
            backend = site.backend()
            require(backend._installations.offered(), "no PostgreSQL is installed")
            await LocalHarness(site, backend).converge(case)
            await backend.close()

        asyncio.run(make())
        yield site, case


@pytest.mark.parametrize("check", checks(), ids=lambda check: check.__name__)
async def test_the_backend_local_conforms(
    check: Check, shared: tuple[LocalSite, ServerCase]
) -> None:
    """N4."""
    site, case = shared
    backend = site.backend()
    applies = (
        check.__name__ != "check_a_server_that_is_not_ours_survives_deletion"
    )  # it is about servers of others
    try:
        with contextlib.nullcontext() if applies else pytest.raises(NotApplicable):
            await check(LocalHarness(site, backend, shared=case))
    finally:
        await backend.close()
