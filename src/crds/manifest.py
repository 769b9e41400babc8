"""The CustomResourceDefinitions of our kinds.

Column names, short names and categories are what users type and see; the schema below them comes
from the models. The first short names of each kind are older than this project and shared with
others; the unique one is last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import BaseModel

from .markers import RULES, Rule
from .schema import Schema, structural
from .v1alpha1 import GROUP, VERSION, PostgreSQLDatabase, PostgreSQLServer
from .v1alpha1.database import METADATA_NAME_RULE

Column = tuple[str, str, str, int]
"""Name, type, JSON path and priority; a priority of 1 is shown by ``-o wide``."""

_READY: Final = '.status.conditions[?(@.type=="Ready")]'
_AGE: Final[Column] = ("Age", "date", ".metadata.creationTimestamp", 0)

_API_VERSION = "Version of the API that the object is written for."
_KIND = "Kind of the object."


@dataclass(frozen=True)
class Kind:
    """One kind and how kubectl shows it; ``rules`` see the name of the object."""

    model: type[BaseModel]
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()

    @property
    def singular(self) -> str:
        """The name of the kind in lower case."""
        return self.model.__name__.lower()

    @property
    def plural(self) -> str:
        """The name of the kind in URLs."""
        return f"{self.singular}s"


KINDS: Final = (
    Kind(
        model=PostgreSQLServer,
        short_names=("pg", "postgre", "postgres", "hpgs"),
        columns=(
            ("Ready", "string", f"{_READY}.status", 0),
            ("Reason", "string", f"{_READY}.reason", 0),
            ("Backend", "string", ".status.backend", 0),
            ("Version", "string", ".status.version", 0),
            ("Class", "string", ".spec.size.class", 0),
            ("Endpoint", "string", ".status.endpoint.host", 1),
            ("Message", "string", f"{_READY}.message", 1),
            _AGE,
        ),
    ),
    Kind(
        model=PostgreSQLDatabase,
        short_names=("pgdb", "database", "db", "hpgd"),
        columns=(
            ("Ready", "string", f"{_READY}.status", 0),
            ("Reason", "string", f"{_READY}.reason", 0),
            ("Server", "string", ".spec.serverRef.name", 0),
            ("DB Name", "string", ".status.externalName", 1),
            ("Secret", "string", ".spec.credentialsSecret", 1),
            _AGE,
        ),
        rules=(METADATA_NAME_RULE,),
    ),
)


def definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            # a release that is removed must not take every server and database with it
            "annotations": {"helm.sh/resource-policy": "keep"},
            "labels": {"servicebinding.io/provisioned-service": "true"},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.model.__name__,
                "listKind": f"{kind.model.__name__}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": ["hybridcloud", "databases"],
            },
            "scope": "Namespaced",
            "versions": [_version(kind)],
        },
    }


def _version(kind: Kind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": type_, "jsonPath": path, "priority": priority}
            for name, type_, path, priority in kind.columns
        ],
        "schema": {"openAPIV3Schema": _root(kind)},
    }


def _root(kind: Kind) -> Schema:
    """Return the schema of the whole object, whose metadata is the API server's own."""
    root = structural(kind.model)
    properties = root["properties"]
    properties["status"] |= {
        # without a status, tools take an object that nobody has looked at for a finished one
        "default": {"observedGeneration": -1},
        "nullable": True,  # the first version of this API stored nulls
    }
    root["properties"] = {
        "apiVersion": {"description": _API_VERSION, "type": "string"},
        "kind": {"description": _KIND, "type": "string"},
        "metadata": {"type": "object"},
        "spec": properties["spec"],
        "status": properties["status"],
    }
    return {**root, RULES: list(kind.rules)} if kind.rules else root


def crd_yaml(kind: Kind | None = None) -> str:
    """Return the CustomResourceDefinition of one kind, or of all, as ``kubectl apply`` takes it."""
    kinds = KINDS if kind is None else (kind,)
    return yaml.safe_dump_all(
        [definition(each) for each in kinds],
        explicit_start=True,
        sort_keys=False,
        width=100,
        allow_unicode=True,
    )
