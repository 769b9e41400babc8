"""What all kinds share: how objects are read, their metadata and their conditions.

Reading is lenient about what is not known (a newer CRD must not break an older controller) and
strict about what is: a string is never taken for a number. A null counts as not written.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from .markers import Format

_UPPER_CASE_UNITS = {"mb": "MB", "gb": "GB", "uid": "UID"}


def camel_case(name: str) -> str:
    """Return the name of an attribute as it is written in a manifest: ``memoryMB``, ``class``."""
    head, *tail = name.rstrip("_").split("_")
    return head + "".join(_UPPER_CASE_UNITS.get(word, word.capitalize()) for word in tail)


class ApiModel(BaseModel):
    """Base of everything that is read from an object."""

    model_config = ConfigDict(
        alias_generator=camel_case,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        strict=True,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_means_unset(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None}


AsTuple = Strict(strict=False)
"""Lets a tuple be read from a list; what it holds stays strict."""

Name = Annotated[
    str,
    Format(
        "[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        "must be the name of an object: lower-case letters, digits, '-' and '.'",
        253,  # the limit of a DNS subdomain
    ),
]
"""The name of another object."""


class OwnerReference(ApiModel):
    """An object that this one belongs to."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(ApiModel):
    """The part of ``metadata`` that is used here."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: Annotated[tuple[str, ...], AsTuple] = ()
    owner_references: Annotated[tuple[OwnerReference, ...], AsTuple] = ()


class Condition(ApiModel):
    """One aspect of the state of the object."""

    type: str = Field(max_length=316)
    """Name of the aspect, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds: True, False or Unknown."""
    reason: str = Field(max_length=1024)
    """Why, as one stable CamelCase word."""
    message: str = Field(max_length=32768)
    """Why, and what to do next, for people."""
    last_transition_time: str = Field(json_schema_extra={"format": "date-time"})
    """When the status changed last."""
    observed_generation: int = 0
    """The metadata.generation that the condition was made from."""


def set_fields(spec: ApiModel) -> frozenset[str]:
    """Return the paths of what the user asks for: ``size.storageGB``, ``serverParameters``.

    A value that asks for nothing (false, 0, empty) is not counted, as every backend honours it. A
    model with required fields is one value and has one path (``maintenance.window``); fields
    that the operator itself honours for every backend (``operator_fields``) are left out.
    """
    return frozenset(_paths(spec)) - getattr(spec, "operator_fields", frozenset())


def _paths(model: ApiModel, prefix: str = "") -> list[str]:
    found: list[str] = []
    for attribute, field in type(model).model_fields.items():
        value = getattr(model, attribute)
        path = f"{prefix}{field.alias}"
        if isinstance(value, ApiModel) and not _is_one_value(value):
            found += _paths(value, f"{path}.")
        elif value:
            found.append(path)
    return found


def _is_one_value(model: ApiModel) -> bool:
    return any(field.is_required() for field in type(model).model_fields.values())
