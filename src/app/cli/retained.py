"""``hybridpg retained``: lists what outlived its object, and how it is taken over."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from ...backends import RetainedThings
from ...controller import AiohttpTransport, load_default, load_kubeconfig
from ..config import Config, load_config
from ..retained import described, read_retained
from .exits import Exit
from .options import ConfigFile, Kubeconfig, installed_options

Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="What objects of one namespace left; else all.")
]


def retained(
    namespace: Namespace = "",
    config: ConfigFile = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List servers and databases whose objects are gone, and how to take them over.

    Everything is read from the marks on them. The exit code is 1 where a place cannot be asked.
    """
    loaded = load_config(config, os.environ, installed_options())
    things = asyncio.run(_read(loaded, kubeconfig, namespace))
    for thing in things.found:
        typer.echo(described(thing))
    for problem in things.problems:
        typer.echo(f"not known: {problem}", err=True)
    if things.problems:
        raise typer.Exit(Exit.FAILED)


async def _read(config: Config, kubeconfig: Path | None, namespace: str) -> RetainedThings:
    cluster = await (load_kubeconfig(kubeconfig) if kubeconfig else load_default())
    return await read_retained(config, AiohttpTransport(cluster), namespace)
