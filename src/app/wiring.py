"""Makes the backends that the configuration names; one that cannot be used says why and no more."""

from __future__ import annotations

from collections.abc import Mapping

from ..backends import Backend, BackendContext, BackendFactory, Unavailable, registry
from ..controller import Client
from .cluster_id import resolve_cluster_id
from .config import Config, backend_options
from .errors import ConfigError
from .kube import ClientKubeApi
from .placement import Backends


async def prepare_backends(
    config: Config, client: Client, *, factories: Mapping[str, BackendFactory] | None = None
) -> Backends:
    """Make every backend that the configuration names.

    ``factories`` are those of the program itself, by name; they are made from the section of that
    name in the configuration, and go before what is installed. ``client`` is the manager's: while
    that may not write because another replica leads, no backend changes anything either.

    Raises:
        ConfigError: the cluster id cannot be had; without it nothing could be marked as ours.
    """
    cluster_id = await resolve_cluster_id(config, client)
    names = {config.backend, *config.allowed_backends, *config.backends}
    own = factories or {}
    made = {name: _make(config, name, own.get(name), client, cluster_id) for name in sorted(names)}
    return Backends(config, made, cluster_id)


def _make(
    config: Config, name: str, own: BackendFactory | None, client: Client, cluster_id: str
) -> Backend | Unavailable:
    """Make one backend; a wrong option disables this one and leaves the others alone."""
    try:
        factory = own or registry.factory(name)
        options = backend_options(config, name, factory.options)
        allowed = config.extensions.allowed
        return factory(
            BackendContext(
                name=name,
                options=options,
                kube=ClientKubeApi(client),
                cluster_id=cluster_id,
                extensions_allowed=None if allowed is None else frozenset(allowed),
                fence=client.check,
            )
        )
    except ConfigError as error:
        problems = "; ".join(error.problems)
        return Unavailable(f"backend {name!r} cannot be used: {problems}")
    except Unavailable as error:
        return error
