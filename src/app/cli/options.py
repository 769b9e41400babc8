"""The options that several verbs share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from ...backends import registry

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration. Else the file that OPERATOR_CONFIG names, else ./config.yaml.",
    ),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", metavar="FILE", help="The cluster to use.", exists=True),
]


def installed_options() -> Mapping[str, type[BaseModel]]:
    """Return the options model of every backend that is installed."""
    return {name: registry.options(name) for name in registry.available()}
