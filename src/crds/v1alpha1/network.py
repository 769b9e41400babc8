"""The part of a server's spec that says how it is reached."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..markers import Format, list_map, list_set
from ..meta import ApiModel, AsTuple

_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ADDRESS = f"{_BYTE}([.]{_BYTE}){{3}}"

IPv4Address = Annotated[str, Format(_ADDRESS, "must be an IPv4 address, such as 192.0.2.1", 15)]
IPv4Range = Annotated[
    str,
    Format(f"{_ADDRESS}/([12]?[0-9]|3[0-2])", "must be an IPv4 range, such as 192.0.2.0/24", 18),
    Field(description="A range of IPv4 addresses, such as 192.0.2.0/24."),
]


class FirewallRule(ApiModel):
    """A range of addresses that may connect."""

    name: str = Field(min_length=1, max_length=128)
    """Name of the rule, unique in the list."""
    start_ip: IPv4Address
    """First IPv4 address."""
    end_ip: IPv4Address
    """Last IPv4 address."""


class Exposure(ApiModel):
    """How the server's Service is made, where it runs in the cluster."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] | None = None
    """Type of the Service."""
    annotations: dict[str, Annotated[str, Field(description="Value of the annotation.")]] = Field(
        default_factory=dict, max_length=64
    )
    """Annotations of the Service."""
    allowed_source_ranges: Annotated[
        tuple[IPv4Range, ...], AsTuple, list_set(), Field(max_length=256)
    ] = ()
    """Addresses that may connect to the Service from outside."""


class Network(ApiModel):
    """How the server is reached."""

    firewall_rules: (
        Annotated[tuple[FirewallRule, ...], AsTuple, list_map("name"), Field(max_length=128)] | None
    ) = None
    """Ranges of addresses that may connect from outside the cluster."""
    exposure: Exposure = Exposure()
    """How the server's Service is made, where it runs in the cluster."""
