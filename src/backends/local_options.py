"""The section ``backends.local`` of the configuration.

Beside the backend instead of in it: the configuration is read with the options of every backend,
and a pod that has no use for this one should not hold its cryptography.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# Servers run for years beside whatever else the machine does: the range lies below Linux's
# ephemeral ports only in part, so every port is tried before it is taken. 5432 is never in it.
DEFAULT_PORTS = "54320-54999"
FIRST_UNPRIVILEGED_PORT = 1024
OPERATOR_ROLE = "hybridpg"  # the operator's own login: a superuser, by certificate only


class PortRange(NamedTuple):
    """The ports that servers may listen on, both ends included."""

    first: int
    last: int


def _ports(value: object) -> object:
    """Read ``54320-54999``, ``54320`` or ``{from: 54320, to: 54999}``."""
    if isinstance(value, dict):
        if set(value) != {"from", "to"}:
            raise ValueError("must have the keys from and to, and no others")
        return (value["from"], value["to"])
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        first, _, last = (part.strip() for part in str(value).partition("-"))
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise ValueError("must be FIRST-LAST, such as 54320-54999")
        return (first, last or first)
    return value


def _ordered(ports: PortRange) -> PortRange:
    if not FIRST_UNPRIVILEGED_PORT <= ports.first <= ports.last <= 65535:
        raise ValueError("must be a range FIRST-LAST within 1024-65535")
    return ports


def _address(value: str) -> str:
    address = ipaddress.ip_address(value)
    if address.is_unspecified:
        raise ValueError(
            "must be one address of this machine: it is published to clients and its "
            "certificate carries it"
        )
    return str(address)


def _admin(value: str) -> str:
    if value == OPERATOR_ROLE or value.startswith("pg_"):
        raise ValueError(f"must not be {OPERATOR_ROLE}, nor begin with pg_: these are taken")
    return value


def default_path() -> Path:
    """Return where the data lies unless the configuration says it.

    For root that is a system folder, because the unprivileged user that runs the servers cannot
    reach root's home; for anybody else it is where programs keep their data.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/hybridpg")
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "hybridpg"


class SizeClass(BaseModel):
    """What ``spec.size.class`` means on this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: int | None = Field(default=None, ge=1, description="Cores that one query may use.")
    memory_mb: int | None = Field(
        default=None, ge=64, description="Memory to tune for; a quarter becomes shared_buffers."
    )


class LocalOptions(BaseModel):
    """Options of the backend ``local``: real PostgreSQL servers on this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(
        default_factory=default_path,
        description="Folder for data, certificates and logs. "
        "Default /var/lib/hybridpg for root, ~/.local/share/hybridpg for anybody else.",
    )
    address: Annotated[str, AfterValidator(_address)] = Field(
        default="127.0.0.1", description="The one address that servers listen on."
    )
    ports: Annotated[PortRange, BeforeValidator(_ports), AfterValidator(_ordered)] = Field(
        default=DEFAULT_PORTS,
        validate_default=True,
        description="Ports that servers get, as FIRST-LAST or {from, to}.",
    )
    binaries: tuple[Path, ...] = Field(
        default=(),
        description="Further folders with PostgreSQL programs: a bin folder, or one that holds "
        "MAJOR/bin folders.",
    )
    user: str | None = Field(
        default=None,
        description="Who runs the servers where the controller is root. Default postgres, "
        "else nobody.",
    )
    admin_username: Annotated[str, AfterValidator(_admin)] = Field(
        default="postgres",
        pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$",
        description="The login that each server's Secret holds.",
    )
    name_pattern: str = Field(
        default="{namespace}-{name}",
        min_length=1,
        description="How a server's name on this machine is made of its object's.",
    )
    default_version: int | None = Field(
        default=None,
        ge=13,
        description="Major version for servers that ask for none or for one that is not "
        "installed. Default the newest installed.",
    )
    classes: dict[str, SizeClass] = Field(
        default_factory=dict, description="Meanings of spec.size.class."
    )
    default_class: str | None = Field(
        default=None, description="The class of servers that ask for none, or for an unknown one."
    )

    @model_validator(mode="after")
    def _default_class_exists(self) -> LocalOptions:
        if self.default_class is not None and self.default_class not in self.classes:
            raise ValueError(f"default_class {self.default_class!r} is not one of classes")
        return self
