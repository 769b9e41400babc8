"""The Kubernetes API as backends see it."""

from __future__ import annotations

import base64

from ..backends import Denied, KubeApi, Unknown
from ..controller import (
    SECRETS,
    ApiError,
    Client,
    Forbidden,
    NotFound,
    ObjectKey,
    TransportError,
)


class ClientKubeApi:
    """Fills :class:`~..backends.KubeApi` with the controller's client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """Return the decoded data of one Secret, or None where it is proven absent."""
        try:
            obj = await self._client.get(SECRETS, ObjectKey(namespace, name))
        except NotFound:
            return None
        except Forbidden as error:
            raise Denied(
                f"the controller may not read secret {namespace}/{name}; grant it get on secrets"
            ) from error
        except (ApiError, TransportError) as error:
            raise Unknown(f"secret {namespace}/{name} cannot be read now") from error
        data: dict[str, str] = obj.get("data") or {}
        return {key: base64.b64decode(value) for key, value in data.items()}


_: type[KubeApi] = ClientKubeApi
