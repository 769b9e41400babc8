"""What ``hybridpg dev`` says: one line per step with its time, and a fix for each failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_TITLE_WIDTH: Final = 14

Say = Callable[[str], None]


class StepFailed(Exception):
    """A step failed; ``fix`` is what the user can do about it."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(f"{message} → {fix}" if fix else message)
        self.message = message
        self.fix = fix


class Step:
    """A step under way; ``done`` says what came of it."""

    def __init__(self) -> None:
        self.result = ""

    def done(self, result: str) -> None:
        """Set what the line says when the step ends."""
        self.result = result


class Steps:
    """Prints a line for each step when it ends."""

    def __init__(self, say: Say, now: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._now = now
        self._noted: set[str] = set()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Time a step; the line is printed when it succeeds, the failure is the caller's."""
        step = Step()
        begin = self._now()
        yield step
        self._say(f"{self._now() - begin:6.1f} s  {title:<{_TITLE_WIDTH}}  {step.result}")

    def print(self, *lines: str) -> None:
        """Print lines as they are."""
        for line in lines:
            self._say(line)

    def note(self, text: str) -> None:
        """Print a line between two steps, once: what alternates must not fill the terminal."""
        if text not in self._noted:
            self._noted.add(text)
            self._say(f"          {text}")
