"""From a stored spec to a typed one; what the schema should have refused is said in a condition."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from .errors import InvalidSpec
from .subject import Subject

M = TypeVar("M", bound=BaseModel)


def parse_spec(model: type[M], subject: Subject) -> M:
    """Validate a spec that may have been stored under an older or a missing schema.

    Raises:
        InvalidSpec: naming every wrong field.
    """
    try:
        return model.model_validate(subject.spec)
    except ValidationError as error:
        problems = [
            f"spec.{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidSpec("; ".join(problems)) from error


def fields_not_in(set_fields: frozenset[str], honoured: frozenset[str]) -> list[str]:
    """Return the set fields that are not honoured; an honoured parent covers its children."""

    def covered(field: str) -> bool:
        parts = field.split(".")
        return any(".".join(parts[: i + 1]) in honoured for i in range(len(parts)))

    return sorted(field for field in set_fields if not covered(field))
