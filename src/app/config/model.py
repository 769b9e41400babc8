"""The options of the operator and their defaults.

The sections of backends stay as they were written: each backend knows its own options, and one
that is set up wrongly must not stop the others (:mod:`.backends`).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    field_validator,
    model_validator,
)

from ...controller import LeaseConfig as Lease
from ...controller.lease import DURATION, RENEW_DEADLINE, RETRY_PERIOD

Path = tuple[str, ...]
"""The keys that lead to an option."""
MAX_PORT: Final = 65535
Names = Annotated[tuple[str, ...], Strict(strict=False)]
"""A list of words."""


class Section(BaseModel):
    """Base of every section: no unknown keys, no conversions; a null is not written."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _null_means_unset(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None}


class SecurityConfig(Section):
    """How passwords are made."""

    password_length: int | None = Field(default=None, ge=8, le=41)  # what every backend takes
    """Number of characters; a strong length that suits every backend when not set."""
    special_characters: bool | None = None
    """Whether +-_.:<>? are among them; a set that needs no escaping anywhere when not set."""


class LeaseConfig(Section):
    """The Lease by which several replicas agree on the one that works."""

    enabled: bool = True
    """Off only where never more than one replica runs, not even during an update."""
    name: str = Field(default="hybridpg", min_length=1)
    """Name of the Lease; one for each controller that shares the cluster with others."""
    namespace: str | None = None
    """Namespace of the Lease; the pod's own, or that of the kubeconfig, when not set."""
    duration_seconds: float = DURATION
    """How long the others wait for a leader that is silent."""
    renew_deadline_seconds: float = RENEW_DEADLINE
    """How long a leader works without being able to renew; less than the duration."""
    retry_period_seconds: float = RETRY_PERIOD
    """How often a leader renews and the others look."""

    @model_validator(mode="after")
    def _can_work(self) -> LeaseConfig:
        self.lease("default")
        return self

    def lease(self, namespace: str) -> Lease | None:
        """Return what the election needs, or None where there is none.

        Raises:
            ValueError: the numbers cannot work; the message says why.
        """
        lease = Lease(
            self.namespace or namespace,
            self.name,
            self.duration_seconds,
            self.renew_deadline_seconds,
            self.retry_period_seconds,
        )
        return lease if self.enabled else None


class ControllerConfig(Section):
    """How the controller itself works."""

    cluster_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """What tells this cluster apart where several share a target; found out when not set."""
    workers: int = Field(default=16, ge=1, le=256)  # each waits for the network nearly always
    """Objects of one kind that are worked on at the same time."""
    watch_namespaces: Names = ()
    """The namespaces to look at; all when empty."""
    secret_check_seconds: float = Field(default=30.0, gt=0)
    """How often every published Secret is compared with what it should be."""
    sql_route: Literal["auto", "direct", "port-forward"] = "auto"
    """How databases in the cluster are reached; auto is direct in a pod, port-forward outside."""
    lease: LeaseConfig = LeaseConfig()
    """The Lease by which several replicas agree on the one that works."""
    health_address: str | None = Field(default=None, pattern=r"^[^ /]*:[0-9]{1,5}$")
    """Where health and metrics are served, as HOST:PORT. Not set: in a pod :8080, else nowhere."""
    tune_collector: bool = True
    """Whether garbage is collected more rarely, and not at all while the caches are filled."""
    tracing: bool = False
    """Whether passes and requests have spans of OpenTelemetry, for the provider of the process."""

    @field_validator("health_address")
    @classmethod
    def _has_a_port(cls, address: str | None) -> str | None:
        if address is not None and int(address.rpartition(":")[2]) > MAX_PORT:
            raise ValueError(f"must end in a port up to {MAX_PORT}")
        return address


class DeletionConfig(Section):
    """What becomes of data when its object is deleted and says nothing about it."""

    servers: Literal["Delete", "Retain", "Snapshot"] = "Retain"
    """The policy of servers."""
    databases: Literal["Delete", "Retain"] = "Retain"
    """The policy of databases."""


class ExtensionsConfig(Section):
    """Which extensions users may ask for."""

    allowed: Names | None = None
    """The permitted names; whatever a backend offers when not set."""


class LimitsConfig(Section):
    """What the objects of one namespace may ask for in total."""

    servers: int | None = Field(default=None, ge=0)
    """Number of servers."""
    storage_gb: int | None = Field(default=None, ge=0, validation_alias="storageGB")
    """Sum of size.storageGB."""
    cpu: int | None = Field(default=None, ge=0)
    """Sum of size.cpu."""


class NamespaceConfig(Section):
    """What is different in some namespaces."""

    allowed_backends: Names = ()
    """The backends that may be used there, of those that are allowed at all; all when empty."""
    allowed_classes: Names = ()
    """The values of size.class that may be used there; all when empty."""
    limits: LimitsConfig = LimitsConfig()
    """What the objects of one namespace may ask for in total."""


class Config(Section):
    """Everything that an administrator decides."""

    handler_on_resume: bool = False
    """Kept for old files: every start looks at every object, so that it has no effect."""
    backend: str = Field(min_length=1)
    """The backend of objects that name none."""
    allowed_backends: Names = ()
    """The backends that objects may name; when empty, all get the default one."""
    backends: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """One section a backend, as it was written."""
    security: SecurityConfig = SecurityConfig()
    """How passwords are made."""
    controller: ControllerConfig = ControllerConfig()
    """How the controller itself works."""
    deletion: DeletionConfig = DeletionConfig()
    """What becomes of data when its object is deleted and says nothing about it."""
    extensions: ExtensionsConfig = ExtensionsConfig()
    """Which extensions users may ask for."""
    namespaces: dict[str, NamespaceConfig] = Field(default_factory=dict)
    """What is different in some namespaces, by a pattern of their names."""

    @field_validator("backends", mode="before")
    @classmethod
    def _null_means_empty(cls, sections: Any) -> Any:
        if not isinstance(sections, dict):
            return sections
        return {name: {} if written is None else written for name, written in sections.items()}

    _variables: dict[Path, str] = PrivateAttr(default_factory=dict)

    def with_variables(self, variables: dict[Path, str]) -> Config:
        """Return the same configuration that knows which variable an option came from."""
        known = self.model_copy()
        known._variables = dict(variables)
        return known

    def variable(self, path: Path) -> str | None:
        """Return the environment variable that set an option or a part of it, or None."""
        return variable_of(path, self._variables)


def variable_of(path: Path, variables: dict[Path, str]) -> str | None:
    """Return the variable that set the option at ``path`` or the section around it, or None."""
    for length in range(len(path), 0, -1):
        if path[:length] in variables:
            return variables[path[:length]]
    return None
