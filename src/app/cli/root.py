"""The verbs of ``hybridpg``, and what becomes of an error that reaches the command line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import typer

from ...backends import BackendError
from ...controller import ConfigError as ClusterConfigError
from ...controller import ControllerError, TransportError
from ..errors import AppError, ConfigError
from .config import config
from .crd import crd
from .dev import dev
from .exits import Exit
from .plan import plan
from .retained import retained
from .run import run
from .version import version

app = typer.Typer(
    name="hybridpg",
    help="One Kubernetes API for PostgreSQL on any target.",
    epilog="Exit codes: 0 done, 1 failed or not ready, 2 wrong usage or configuration, "
    "3 the Kubernetes API does not answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (run, plan, retained, dev, crd, version):
    app.command()(verb)
app.add_typer(config, name="config")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with an exit code of :class:`~.exits.Exit`."""
    try:
        app(args=arguments, prog_name="hybridpg")
    except (ConfigError, ClusterConfigError) as error:
        sys.exit(_fail(str(error), Exit.USAGE))
    except TransportError as error:
        sys.exit(_fail(f"the Kubernetes API does not answer: {error}", Exit.UNREACHABLE))
    except asyncio.CancelledError:
        sys.exit(_fail("stopped without grace", Exit.FAILED))
    except (AppError, BackendError, ControllerError) as error:
        sys.exit(_fail(str(error), Exit.FAILED))


def _fail(message: str, code: Exit) -> Exit:
    for line in message.splitlines():
        print(f"hybridpg: {line}", file=sys.stderr)
    return code
