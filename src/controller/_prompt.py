"""A future whose task goes on at once, in the same turn of the event loop.

``set_result`` of an ordinary one has the loop call the task in its next turn. A turn costs a look
at all sockets, which is a call of the system: for a lone event it is as much as to decode it. Where
a callback of the loop has nothing left to do, nothing is gained by waiting for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context


class PromptFuture(asyncio.Future[None]):
    """Awaited by one task; it is done, cancelled and raises as any other future."""

    _step: tuple[Callable[[PromptFuture], object], Context] | None = None

    def add_done_callback(
        self, fn: Callable[[PromptFuture], object], /, *, context: Context | None = None
    ) -> None:
        """Have ``fn`` called when this is done: for a task that awaits it, its next step."""
        super().add_done_callback(fn, context=context)
        if context is not None:
            self._step = fn, context

    def finish(self) -> None:
        """Be done, and run what the task does until it waits again.

        To be called last: the task may do anything. Within a task, whose turn this is then, it is
        as ``set_result``.
        """
        step = self._step
        if step is None or asyncio.current_task() is not None:
            self.set_result(None)
            return
        fn, context = step
        self.remove_done_callback(fn)
        self.set_result(None)
        context.run(fn, self)
