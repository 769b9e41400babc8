"""What the controller is asked to do while things go wrong.

A workload begins in a setting (nothing, or a server with a database, both Ready), acts once as a
user does, and is over when its condition holds. What it leaves behind in an undisturbed run is what
it must leave behind in every run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.faults import actions as do
from tests.faults.actions import (
    ADMIN,
    DATABASE,
    DATABASE_LOGIN,
    EXTERNAL,
    LOCAL,
    NOTHING,
    OTHER_LOGIN,
    PAIR,
    SERVER_LOGIN,
    UNTOUCHED,
)
from tests.faults.seam import CRASH, ERROR, GROUPS

if TYPE_CHECKING:
    from tests.faults.lane import Lane


@dataclass(frozen=True)
class Workload:
    """One course of events.

    ``setting`` is where it begins; ``leaves`` is the setting that it ends in without a trace.
    """

    name: str
    setting: str
    act: Callable[[Lane], Awaitable[None]]
    over: Callable[[Lane], bool]
    leaves: str = ""
    spec: dict[str, Any] = field(default_factory=dict)
    """What the database's spec has beyond the usual in the setting."""
    policy: str = "Delete"
    cold: bool = False
    """Whether the controller starts when the user has acted, so that its start is looked at too."""
    sweeps: bool = False
    """Whether Secrets are looked at all the time: what is done by the clock has no number."""
    loses_secret: bool = False
    """Whether the user spoils the Secret: until it is mended nothing that works is published."""
    passwords: int = 1
    """How many verifiers the role of the database has, from the setting to the end."""
    logins: tuple[str, ...] = (DATABASE_LOGIN,)
    """The Secrets that publish the login of the database."""
    backend: str = EXTERNAL
    groups: tuple[str, ...] = GROUPS
    """The faults that it is struck by: what is alike for all backends is shown with one."""
    role: str = DATABASE
    """Whose password and login are followed."""

    @property
    def login(self) -> str:
        """The Secret whose passwords are counted."""
        return self.logins[0] if self.logins else DATABASE_LOGIN


def _of_local() -> Iterator[Workload]:
    """Yield the workloads in which a server is made, changed and removed."""
    local = partial(Workload, backend=LOCAL, groups=(CRASH, ERROR))
    yield local("local-create", NOTHING, do.create, do.pair_is_ready, PAIR)
    yield local("local-server-update", PAIR, do.configure_server, do.pair_is_ready)
    yield local(
        "local-server-rotate",
        *(PAIR, do.reset_server, do.pair_is_ready),
        passwords=2,
        logins=(SERVER_LOGIN,),
        role=ADMIN,
    )
    yield local("local-delete", PAIR, do.delete_both, do.nothing_is_left, NOTHING)
    yield local("local-retain", PAIR, do.delete_both, do.nothing_owned_is_left, policy="Retain")


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("create", NOTHING, do.create, do.pair_is_ready, PAIR),
        Workload("create-while-down", NOTHING, do.create, do.pair_is_ready, PAIR, cold=True),
        Workload(
            "create-database-first", NOTHING, do.create_database_first, do.pair_is_ready, PAIR
        ),
        Workload("beside-stranger", NOTHING, do.create_beside_stranger, do.in_conflict, logins=()),
        Workload(UNTOUCHED, PAIR, do.touch_nothing, do.pair_is_ready, PAIR),
        Workload("server-update", PAIR, do.update_server, do.pair_is_ready),
        Workload("database-extensions", PAIR, do.extensions, do.pair_is_ready),
        Workload("database-rotate", PAIR, do.reset, do.pair_is_ready, passwords=2),
        Workload(
            "secret-renamed",
            PAIR,
            do.rename_secret,
            do.renamed,
            logins=(DATABASE_LOGIN, OTHER_LOGIN),
        ),
        Workload("database-delete", PAIR, do.delete_database, do.database_gone),
        Workload(
            "database-retain", PAIR, do.delete_database, do.database_retained, policy="Retain"
        ),
        Workload("both-delete", PAIR, do.delete_both, do.nothing_is_left, NOTHING),
        Workload(
            "database-again",
            PAIR,
            do.make_again,
            do.pair_is_ready,
            PAIR,
            passwords=2,
        ),
        # who takes a role over sets its password anew, to the same one
        Workload("database-adopt", PAIR, do.adopt, do.pair_is_ready, policy="Retain", passwords=2),
        Workload(
            "secret-lost",
            PAIR,
            do.lose_secret,
            do.pair_is_ready,
            PAIR,
            sweeps=True,
            loses_secret=True,
            passwords=2,
        ),
        Workload(
            "secret-edited",
            PAIR,
            do.edit_secret,
            do.login_is_right,
            PAIR,
            sweeps=True,
            loses_secret=True,
            passwords=2,
        ),
        *_of_local(),
    )
}
