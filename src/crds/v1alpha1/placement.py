"""The part of a server's spec that says on which nodes of the cluster it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..meta import ApiModel, AsTuple
from .common import JsonObject


class Toleration(ApiModel):
    """A taint of nodes that does not keep the server away, as in a pod."""

    key: str | None = Field(default=None, max_length=317)
    """Key of the taint; every taint when not set."""
    operator: Literal["Exists", "Equal"] | None = None
    """Whether the value counts; Equal when not set."""
    value: str | None = Field(default=None, max_length=63)
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; every effect when not set."""
    toleration_seconds: int | None = None
    """Seconds that a NoExecute taint is tolerated; for ever when not set."""


class TopologySpread(ApiModel):
    """How instances are spread over zones, nodes or other parts of the cluster."""

    topology_key: str = Field(min_length=1, max_length=317)
    """Label of nodes whose values are the parts."""
    max_skew: int = Field(ge=1)
    """By how many instances two parts may differ."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """What happens to an instance that would make the difference greater."""


class Placement(ApiModel):
    """On which nodes the server runs, where it runs in the cluster."""

    node_selector: dict[str, Annotated[str, Field(description="Value of the label.")]] = Field(
        default_factory=dict, max_length=64
    )
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], AsTuple, Field(max_length=64)] = ()
    """Taints of nodes that do not keep the server away."""
    affinity: JsonObject = Field(default_factory=dict)
    """Affinity of the instances, as in a pod."""
    topology_spread: Annotated[tuple[TopologySpread, ...], AsTuple, Field(max_length=16)] = ()
    """How the instances are spread over the cluster."""
