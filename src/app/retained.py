"""What outlived its object and how it is taken over: read from the marks, without any object."""

from __future__ import annotations

from ..backends import BackendError, KeepsThings, Retained, RetainedThings
from ..controller import Client, Transport
from .config import Config
from .kinds import ADOPT, DATABASES, SERVERS
from .placement import Backends
from .readonly import ReadOnlyTransport
from .wiring import prepare_backends

_KINDS = {"server": SERVERS, "database": DATABASES}


async def read_retained(config: Config, transport: Transport, namespace: str) -> RetainedThings:
    """Return what this cluster's objects left behind; nothing is written through ``transport``.

    ``namespace`` leaves out what others of the cluster left; empty leaves out nothing.

    Raises:
        ConfigError: the configuration cannot be used in this cluster.
    """
    client = Client(ReadOnlyTransport(transport))
    try:
        backends = await prepare_backends(config, client)
        try:
            return await list_retained(backends, namespace)
        finally:
            await backends.close()
    finally:
        await client.close()


async def list_retained(backends: Backends, namespace: str) -> RetainedThings:
    """Ask every backend that can tell; one that cannot be asked is a problem and no more."""
    things = RetainedThings()
    for backend in backends:
        if not isinstance(backend, KeepsThings):
            continue
        try:
            things += await backend.retained()
        except BackendError as error:
            things += RetainedThings(problems=(f"backend {backend.name}: {error}",))
    ours = tuple(
        each
        for each in things.found
        if each.owner.cluster_id == backends.cluster_id and namespace in ("", each.owner.namespace)
    )
    return RetainedThings(ours, things.problems)


def described(thing: Retained) -> str:
    """Return one thing as lines of text: what it is, where it is, and how it is taken over."""
    owner = thing.owner
    title = f"{thing.kind} {thing.external_name} of {owner.namespace}/{owner.name}: {thing.place}"
    if thing.kind not in _KINDS:
        return f"{title}\n  restore it by hand, or remove the folder"
    kind = _KINDS[thing.kind].kind
    return (
        f"{title}\n  {kind} in namespace {owner.namespace} with annotation "
        f"{ADOPT}: {thing.external_name}"
    )
