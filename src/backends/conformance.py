"""The checks that every backend must pass, ours and third parties'.

Write a :class:`Harness` around your backend and run every check of :func:`checks`; no test
framework is needed. With pytest::

    @pytest.mark.parametrize("check", checks(), ids=lambda check: check.__name__)
    async def test_my_backend_conforms(check, my_harness):
        try:
            await check(my_harness)
        except NotApplicable as reason:
            pytest.skip(str(reason))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from . import _database_checks, _server_checks
from ._harness import Harness, NotApplicable, ServerCase

__all__ = ["Check", "Harness", "NotApplicable", "ServerCase", "checks"]

Check: TypeAlias = Callable[[Harness], Awaitable[None]]
"""One check: raises ``AssertionError`` where the backend breaks the contract."""


def checks() -> tuple[Check, ...]:
    """Return all checks, the ones of servers first; their order does not matter."""
    return (*_server_checks.CHECKS, *_database_checks.CHECKS)
