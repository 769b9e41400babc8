"""One run of ``hybridpg dev``: control plane, controller, example, login; and the end of all that.

Everything that is started is entered on one stack, so that it ends in the reverse order whatever
happened: first the controller, then its PostgreSQL servers, then the control plane, then the lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from ...controller import Client
from ..operator import run_operator
from .crds import install_crds
from .example import DATABASE, apply, wait_ready
from .login import create_and_drop_table, wait_login
from .plane import Plane, open_plane
from .servers import data_folder, dev_config, find_postgres, stop_servers
from .state import State, hold, remove
from .steps import StepFailed, Steps
from .usage import usage, write_service

STOP_TIMEOUT: Final = 10.0
"""Seconds for the controller's ordered end; then it is cancelled."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for."""

    folder: Path
    kubeconfig: Path | None = None
    check: bool = False
    reset: bool = False


class Dev:
    """One run; ``log_to`` is told the file for the controller's log before anything is logged."""

    def __init__(self, options: Options, steps: Steps, log_to: Callable[[Path], None]) -> None:
        self._options = options
        self._steps = steps
        self._log_to = log_to

    async def run(self, stop: asyncio.Event) -> None:
        """Do what the options ask, until it is done or ``stop`` is set.

        Raises:
            StepFailed: the message says what to do about it.
        """
        if self._options.reset:
            await self._reset()
        if self._options.check or not self._options.reset:
            with hold(self._options.folder) as state:
                self._log_to(state.log)
                async with AsyncExitStack() as stack:
                    await self._session(state, stop, stack)

    async def _reset(self) -> None:
        folder = self._options.folder
        with self._steps.step("reset") as step:
            if not await asyncio.to_thread(folder.exists):
                step.done(f"{folder} does not exist")
                return
            with hold(folder) as state:
                await stop_servers(state)
                await asyncio.to_thread(remove, state, data_folder(state))
            step.done(f"removed {folder}")

    async def _session(self, state: State, stop: asyncio.Event, stack: AsyncExitStack) -> None:
        with self._steps.step("PostgreSQL") as step:
            step.done(await asyncio.to_thread(find_postgres))
        with self._steps.step("control plane") as step:
            plane = await stack.enter_async_context(open_plane(state, self._options.kubeconfig))
            step.done(plane.title)
        client = Client(plane.connect())
        stack.push_async_callback(client.close)
        with self._steps.step("CRDs") as step:
            step.done(", ".join(await install_crds(client)))
        stack.push_async_callback(stop_servers, state)
        with self._steps.step("controller") as step:
            operator = await stack.enter_async_context(_controller(state, plane))
            step.done(f"backend local, data in {data_folder(state)}, log in {state.log}")
        completed = await _either(self._use(state, client, plane), operator, stop)
        if self._options.check and not completed:
            raise StepFailed("stopped before the check was complete")

    async def _use(self, state: State, client: Client, plane: Plane) -> None:
        """Apply the example and log in; then, unless this is a check, stay."""
        with self._steps.step("example") as step:
            await apply(client)
            ready = partial(wait_ready, client, self._steps.note)
            login = await wait_login(client, DATABASE, state.certificate, ready)
            step.done("PostgreSQLServer demo and PostgreSQLDatabase app are Ready")
        if self._options.check:
            with self._steps.step("login") as step:
                await create_and_drop_table(login, state.certificate)
                step.done(f"{login.user} created and dropped a table in {login.dbname}")
            return
        write_service(state, login)
        self._steps.print(*usage(state, plane.kubeconfig, login.secret))
        await asyncio.Event().wait()


@asynccontextmanager
async def _controller(state: State, plane: Plane) -> AsyncIterator[asyncio.Task[None]]:
    """Run the operator; it has started when this yields, and has ended when this returns."""
    stop, started = asyncio.Event(), asyncio.Event()
    operator = asyncio.create_task(
        run_operator(dev_config(state), plane.connect(), stop, on_started=started.set),
        name="operator",
    )
    try:
        await _either(started.wait(), operator, asyncio.Event())
        yield operator
    finally:
        stop.set()
        await asyncio.wait({operator}, timeout=STOP_TIMEOUT)
        operator.cancel()


async def _either(
    work: Coroutine[Any, Any, object], operator: asyncio.Task[None], stop: asyncio.Event
) -> bool:
    """Run ``work`` until it ends, the operator dies or ``stop`` is set; return whether it ended."""
    working = asyncio.create_task(work)
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, operator, asked}, return_when=asyncio.FIRST_COMPLETED)
        completed = working.done()
    finally:
        for task in (working, asked):
            task.cancel()
        await asyncio.wait({working, asked})
    if completed:
        working.result()
    elif operator.done():
        raise StepFailed("the controller ended", fix="its log says why") from operator.exception()
    return completed
