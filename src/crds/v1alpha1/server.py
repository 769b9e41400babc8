"""PostgreSQLServer: one server, wherever its backend puts it.

Every field of a spec that is not set is unmanaged: the backend keeps what it finds or uses its
own default. That is why there are no defaults in the schema.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from ..markers import Format, KeyFormat, list_set, rule, rules
from ..meta import ApiModel, AsTuple, Name, ObjectMeta
from .common import CommonStatus, CredentialRotation, ExtensionName
from .network import Network
from .placement import Placement

_BACKEND_UNCHANGED = (
    "!has(oldSelf.backend) || oldSelf.backend == '' || "
    "(has(self.backend) && self.backend == oldSelf.backend)"
)
_SERVER_UNCHANGED = (
    "!has(oldSelf.backendOptions) || !('server' in oldSelf.backendOptions) || "
    "(has(self.backendOptions) && 'server' in self.backendOptions && "
    "self.backendOptions['server'] == oldSelf.backendOptions['server'])"
)
"""Databases on the server that is named first would be left behind, and made anew and empty."""


class Size(ApiModel):
    """How big the server is."""

    class_: str | None = Field(default=None, max_length=63)
    """Class of the administrator's list; cpu and memoryMB mean nothing beside it."""
    cpu: int | None = Field(default=None, ge=1)
    """Number of CPU cores."""
    memory_mb: int | None = Field(default=None, ge=1)
    """Memory in MB."""
    storage_gb: int | None = Field(default=None, ge=1)
    """Storage for the data in GB; it can grow, never shrink."""
    wal_storage_gb: int | None = Field(default=None, ge=1)
    """Storage for the write-ahead log in GB, where it is kept apart."""
    storage_class: str | None = Field(default=None, max_length=253)
    """Class of the storage, by the backend's names."""
    storage_auto_grow: bool | None = None
    """Whether the storage grows by itself when it gets full."""


class Backup(ApiModel):
    """How backups are kept."""

    retention_days: int | None = Field(default=None, ge=0)
    """Days that backups are kept; the range depends on the backend."""
    geo_redundant: bool | None = None
    """Whether backups are stored in more than one region."""


class MaintenanceWindow(ApiModel):
    """A time of the week at which maintenance disturbs least."""

    weekday: Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    """Day of the week."""
    starttime: Annotated[
        str,
        Format("([01][0-9]|2[0-3]):[0-5][0-9]", "must be hour:minute, from 00:00 to 23:59", 5),
    ]
    """Start as hour:minute, in UTC."""


class Maintenance(ApiModel):
    """When the server may be disturbed."""

    window: MaintenanceWindow | None = None
    """A time of the week at which maintenance disturbs least."""
    apply: Literal["Immediately", "InWindow"] | None = None
    """Whether changes that restart the server wait for the window."""


class HighAvailability(ApiModel):
    """How the server survives the loss of a machine."""

    enabled: bool | None = None
    """Whether there is a standby that takes over."""
    instances: int | None = Field(default=None, ge=1)
    """Number of instances, the primary among them."""
    synchronous: bool | None = None
    """Whether a commit waits for a standby."""
    zones: Annotated[
        tuple[Annotated[str, Field(max_length=63, description="Name of a zone.")], ...],
        AsTuple,
        list_set(),
        Field(max_length=16),
    ] = ()
    """Zones that the instances are spread over, by the backend's names."""


class ServerSpec(ApiModel):
    """What the server should be."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(_BACKEND_UNCHANGED, "backend is immutable once it is set"),
            rule(_SERVER_UNCHANGED, "backendOptions.server is immutable once it is set"),
        )
    )
    operator_fields: ClassVar[frozenset[str]] = frozenset(
        {"backend", "credentialsSecret", "deletionPolicy"}
    )

    backend: str = Field(default="", max_length=63)
    """Name of the backend; leave it empty unless the administrator names one. Immutable."""
    version: str = Field(default="", max_length=63)
    """Version of PostgreSQL, such as 16; empty or latest is the newest that the backend has."""
    allow_major_upgrade: bool = False
    """Whether a higher major in version upgrades an existing server."""
    size: Size = Size()
    """How big the server is."""
    backup: Backup = Backup()
    """How backups are kept."""
    extensions: Annotated[
        tuple[ExtensionName, ...], AsTuple, list_set(), Field(max_length=128)
    ] = ()
    """Extensions that databases may have; when empty, all that backend and administrator allow."""
    network: Network = Network()
    """How the server is reached."""
    server_parameters: Annotated[
        dict[str, Annotated[str, Field(description="Value of the parameter, as a string.")]],
        KeyFormat(
            "[A-Za-z_][A-Za-z0-9_.$]*",
            "a parameter has a name of letters, digits, '_', '$' and '.', such as work_mem",
        ),
    ] = Field(default_factory=dict, max_length=512)
    """Parameters of PostgreSQL, such as work_mem; one that is taken out gets its default again."""
    maintenance: Maintenance = Maintenance()
    """When the server may be disturbed."""
    highavailability: HighAvailability = HighAvailability()
    """How the server survives the loss of a machine."""
    placement: Placement = Placement()
    """On which nodes the server runs, where it runs in the cluster."""
    credentials: CredentialRotation = CredentialRotation()
    """How the password is changed."""
    credentials_secret: Name
    """Name of the Secret, in the same namespace, that the login is written to."""
    deletion_policy: Literal["Delete", "Retain", "Snapshot"] | None = None
    """What happens to the data when this object is deleted. The administrator's choice if unset."""
    backend_options: dict[
        str, Annotated[str, Field(description="Value of the option, as a string.")]
    ] = Field(default_factory=dict, max_length=64)
    """Options that only this backend knows."""


class ServerStatus(CommonStatus):
    """What was observed of the server, and what is being done about it."""


class PostgreSQLServer(ApiModel):
    """A PostgreSQL server, in a cloud, in the cluster or on a machine."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ServerSpec
    """What the server should be."""
    status: ServerStatus = ServerStatus()
    """What was observed of the server, and what is being done about it."""
