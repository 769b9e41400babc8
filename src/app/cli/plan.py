"""``hybridpg plan``: shows what the controller would do, and does nothing."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final

import typer

from ...controller import AiohttpTransport, JsonObject, ObjectKey, load_default, load_kubeconfig
from ...crds.yaml import load_all
from ..config import Config, load_config
from ..errors import AppError
from ..kinds import DATABASES, SERVERS
from ..planning import Plan
from ..preview import ObjectName, open_preview
from .exits import Exit
from .options import ConfigFile, Kubeconfig, installed_options

_KINDS: Final = {
    name: resource
    for resource, short in ((SERVERS, "server"), (DATABASES, "database"))
    for name in (short, resource.plural, resource.kind.lower(), str(resource))
}

Objects = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KIND/NAME]...", help="server/NAME or database/NAME; else all."),
]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="Else the namespace of the kubeconfig's context.")
]
AllNamespaces = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="Objects of all namespaces.")
]
Manifest = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", metavar="FILE", help="Plan a manifest before it is applied.", exists=True
    ),
]


def plan(
    objects: Objects = None,
    namespace: Namespace = "",
    all_namespaces: AllNamespaces = False,
    file: Manifest = None,
    config: ConfigFile = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what the controller would do, without doing it.

    The exit code is 1 where something would not be done until somebody acts.
    """
    loaded = load_config(config, os.environ, installed_options())
    wanted = [_name(each) for each in objects or []]
    written = load_all(file.read_text()) if file else None
    plans = asyncio.run(_plan(loaded, kubeconfig, wanted, namespace, all_namespaces, written))
    for each in plans:
        typer.echo(render(each))
    if any(each.refused for each in plans):
        raise typer.Exit(Exit.FAILED)


async def _plan(
    config: Config,
    kubeconfig: Path | None,
    wanted: list[tuple[str, str]],
    namespace: str,
    all_namespaces: bool,
    written: list[JsonObject] | None,
) -> list[Plan]:
    cluster = await (load_kubeconfig(kubeconfig) if kubeconfig else load_default())
    inside = namespace or cluster.namespace
    async with open_preview(config, AiohttpTransport(cluster)) as preview:
        if written is not None:
            return await preview.written(written, inside)
        if wanted:
            return await preview.named(_keys(wanted, inside))
        return await preview.existing("" if all_namespaces else inside)


def _keys(wanted: list[tuple[str, str]], namespace: str) -> list[ObjectName]:
    return [(_KINDS[kind], ObjectKey(namespace, name)) for kind, name in wanted]


def _name(text: str) -> tuple[str, str]:
    kind, _, name = text.partition("/")
    if kind.lower() not in _KINDS or not name:
        raise AppError(f"{text!r} names no object: write server/NAME or database/NAME")
    return kind.lower(), name


def render(plan: Plan) -> str:
    """Return a plan as lines of text."""
    subject = plan.subject
    title = f"{subject.resource.kind} {subject.key}"
    if not plan.steps:
        return f"{title}: nothing to do"
    return "\n".join([f"{title}:", *(f"  {step.sign.value} {step.text}" for step in plan.steps)])
