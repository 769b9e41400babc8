"""The identity of the cluster: part of every mark, so that two clusters can share one target."""

from __future__ import annotations

from typing import Final

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from ..controller import (
    NAMESPACES,
    Client,
    Forbidden,
    JsonObject,
    NotFound,
    ObjectKey,
    ServerError,
    TooManyRequests,
    TransportError,
)
from .config import Config
from .errors import ConfigError

START_SECONDS: Final = 60.0
"""How long the start waits for an API server that restarts itself; then the process ends."""


async def resolve_cluster_id(config: Config, client: Client) -> str:
    """Return the configured cluster id, else the UID of namespace ``kube-system``.

    Raises:
        ConfigError: the UID may not be read; the message names the line to add.
    """
    if config.controller.cluster_id:
        return config.controller.cluster_id
    patient = AsyncRetrying(
        retry=retry_if_exception_type((TransportError, ServerError, TooManyRequests)),
        wait=wait_random_exponential(max=5),
        stop=stop_after_delay(START_SECONDS),
        reraise=True,
    )
    try:
        namespace: JsonObject = await patient(client.get, NAMESPACES, ObjectKey("", "kube-system"))
    except (Forbidden, NotFound) as error:
        raise ConfigError(
            [
                "controller.cluster_id: the UID of namespace kube-system may not be read; grant "
                "get on it, or add to the configuration: controller: {cluster_id: <a unique name>}"
            ]
        ) from error
    return str(namespace["metadata"]["uid"])
