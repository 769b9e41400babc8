"""What the two kinds have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from ..markers import Format, list_map, open_object
from ..meta import ApiModel, AsTuple, Condition

GROUP = "hybridcloud.maibornwolff.de"
VERSION = "v1alpha1"

ExtensionName = Annotated[
    str,
    Format(
        "[a-z][a-z0-9_-]*",
        "an extension is a lower-case letter followed by lower-case letters, digits, '_' and '-'",
        63,  # the limit of a PostgreSQL identifier
    ),
    Field(description="Name of an extension as in CREATE EXTENSION."),
]

JsonObject = Annotated[dict[str, Any], open_object()]
"""An object whose fields are not known here."""


class CredentialRotation(ApiModel):
    """How the password is changed."""

    rotate_every: (
        Annotated[
            str,
            Format(
                "[1-9][0-9]*(s|m|h|d)",
                "must be a number and a unit (s, m, h or d), such as 90d",
                16,
            ),
        ]
        | None
    ) = None
    """Time after which the password is changed, such as 90d. Never when not set."""


class Endpoint(ApiModel):
    """Where a server is reached."""

    host: str = ""
    """Host name or address."""
    port: int = 0
    """Port."""


class Deployment(ApiModel):
    """The state in the form of the first version of this API; conditions say more."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    status: str = ""
    """One of working, finished and failed."""
    reason: str | None = None
    """Why it failed."""
    latest_update: str | None = None
    """When the state was written last."""


class Binding(ApiModel):
    """The Secret, as the Service Binding specification wants to find it."""

    name: str = ""
    """Name of the Secret with the credentials."""


class CommonStatus(ApiModel):
    """What was observed, and what is being done about it."""

    observed_generation: int = -1
    """The metadata.generation that this status was made from; -1 before the first."""
    conditions: Annotated[tuple[Condition, ...], AsTuple, list_map("type")] = ()
    """The state in its aspects; Ready is always among them once the object was seen."""
    backend: str = ""
    """Name of the backend that the object is bound to."""
    external_name: str = ""
    """Name in the place where it really is."""
    endpoint: Endpoint | None = None
    """Where the server is reached."""
    version: str = ""
    """Version of PostgreSQL that runs."""
    effective: JsonObject = Field(default_factory=dict)
    """What the backend made of the spec and its own defaults."""
    unsupported_fields: Annotated[
        tuple[Annotated[str, Field(description="Path of a field.")], ...], AsTuple
    ] = ()
    """Fields of the spec that are set and that the backend cannot honour."""
    pending_changes: Annotated[
        tuple[Annotated[str, Field(description="One change, in words.")], ...], AsTuple
    ] = ()
    """Differences between the spec and the real thing that are not removed yet."""
    last_rotation: str | None = None
    """When the password was changed last."""
    deployment: Deployment | None = None
    """The state in the form of the first version of this API; conditions say more."""
    binding: Binding | None = None
    """The Secret, as the Service Binding specification wants to find it."""
    secret_names: Annotated[
        tuple[Annotated[str, Field(description="Name of a Secret.")], ...], AsTuple
    ] = ()
    """While spec.credentialsSecret is being renamed, or a former Secret could not be deleted: every
    name by which there may be one."""
    password_reset: str = ""
    """Identifier of the password reset under way, so that a crash does not make it two."""
