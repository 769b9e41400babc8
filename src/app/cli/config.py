"""``hybridpg config``: what is wrong with a configuration, before a process needs it."""

from __future__ import annotations

import os

import typer

from ..config import backend_options, load_config
from ..errors import ConfigError
from .options import ConfigFile, installed_options

config = typer.Typer(help="Look at the configuration.", no_args_is_help=True)


@config.callback()
def _group() -> None:
    """Look at the configuration."""


@config.command()
def check(config_file: ConfigFile = None) -> None:
    """Check the configuration and name all mistakes; those of backends once the rest is right."""
    options = installed_options()
    loaded = load_config(config_file, os.environ, options)
    problems: list[str] = []
    for name in sorted({loaded.backend, *loaded.allowed_backends, *loaded.backends} & set(options)):
        try:
            backend_options(loaded, name, options[name])
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    typer.echo("the configuration is good")
