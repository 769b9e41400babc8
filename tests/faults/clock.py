"""A wall clock that a point can step: hours off, while the monotonic one goes on.

No program of this machine is asked for it. A controller that was started with the variable
:data:`VARIABLE` reads from that file how far its clock is off, each time that it looks at it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

VARIABLE = "HYBRIDPG_FAULTS_CLOCK"
"""Names the file; of the harness alone."""
PACKAGE = "hybridpg"


class WallClock:
    """The clock of one machine, as the harness sets it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.step(timedelta())

    def step(self, by: timedelta) -> None:
        """Put the clock that far from the true time."""
        made = self.path.with_suffix(".new")
        made.write_text(f"{by.total_seconds()}")
        made.replace(self.path)  # whoever reads finds the one or the other

    @property
    def variables(self) -> dict[str, str]:
        """What a controller on that machine has in its environment."""
        return {VARIABLE: str(self.path)}


class _Kind(type):
    """Lets real moments pass for what :class:`Stepped` makes."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class Stepped(datetime, metaclass=_Kind):
    """Stands for ``datetime`` in the modules of a controller; only the present is another."""

    path = Path()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # not of this class
        """Return the present by the clock of this machine."""
        return datetime.now(tz) + timedelta(seconds=float(cls.path.read_text()))


def install(environment: Mapping[str, str] = os.environ) -> None:
    """Give this process the clock that its environment names, if it names one."""
    path = environment.get(VARIABLE)
    if path is None:
        return
    Stepped.path = Path(path)
    for name, module in tuple(sys.modules.items()):
        if name.split(".")[0] == PACKAGE and vars(module).get("datetime") is datetime:
            module.__dict__["datetime"] = Stepped
