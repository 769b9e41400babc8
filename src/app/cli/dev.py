"""``hybridpg dev``: a real PostgreSQL database from a manifest, without a cluster."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...controller import stop_on_signals
from . import logs
from .exits import Exit
from .options import Kubeconfig

if TYPE_CHECKING:
    from ..dev import Options


def dev(
    state: Annotated[
        Path, typer.Option("--state", metavar="DIR", help="Where everything is kept.")
    ] = Path(".hybridpg"),
    kubeconfig: Kubeconfig = None,
    check: Annotated[
        bool, typer.Option("--check", help="Log in, create and drop a table, stop; exit 0 or 1.")
    ] = False,
    reset: Annotated[
        bool,
        typer.Option("--reset", help="Remove the state; with --check, begin from nothing."),
    ] = False,
) -> None:
    """Start a control plane, the controller and a real PostgreSQL server with one database.

    Everything listens on loopback only. Ctrl-C stops all of it, and the next start finds the data
    again. With --kubeconfig the objects live in that cluster instead.
    """
    # here: a pod does not pay for the control plane, the backend local and its cryptography
    from ..dev import Options

    options = Options(folder=state, kubeconfig=kubeconfig, check=check, reset=reset)
    raise typer.Exit(asyncio.run(_run(options)))


async def _run(options: Options) -> Exit:
    from ..dev import Dev, StepFailed, Steps

    steps = Steps(lambda line: print(line, flush=True))
    with stop_on_signals() as stop:
        try:
            await Dev(options, steps, _log_to).run(stop)
        except StepFailed as error:
            print(f"hybridpg dev: {error}", file=sys.stderr)
            return Exit.FAILED
    return Exit.OK


def _log_to(path: Path) -> None:
    """Send the log of the controller to a file: the terminal shows the steps."""
    stream = path.open("a", buffering=1)
    logs.configure(logs.handler(stream, as_json=False))
