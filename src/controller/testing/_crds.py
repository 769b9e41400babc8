"""CustomResourceDefinitions: validation of the definition, and the kinds that it makes.

The cost budgets that a real server puts on CEL rules are not computed, and rules are not type
checked: both need the server's own compiler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..types import JsonObject, Resource
from ._builtin import AGE_COLUMN, ANYTHING, NAME_COLUMN, STRINGS, fields
from ._kinds import Column, Kind
from ._names import subdomain_problems
from ._schema import validate
from ._status import Cause, invalid_value, required, unsupported

CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"
TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
UNTYPED: Final = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")

_STRING: Final[JsonObject] = {"type": "string"}
_BOOLEAN: Final[JsonObject] = {"type": "boolean"}
_NAMES: Final = fields(
    plural=_STRING,
    singular=_STRING,
    kind=_STRING,
    listKind=_STRING,
    shortNames=STRINGS,
    categories=STRINGS,
)
_VERSION: Final = fields(
    name=_STRING,
    served=_BOOLEAN,
    storage=_BOOLEAN,
    deprecated=_BOOLEAN,
    deprecationWarning=_STRING,
    schema=fields(openAPIV3Schema=ANYTHING),
    subresources=fields(status=ANYTHING, scale=ANYTHING),
    additionalPrinterColumns={"type": "array", "items": ANYTHING},
    selectableFields={"type": "array", "items": fields(jsonPath=_STRING)},
)
SCHEMA: Final = fields(
    "CustomResourceDefinition represents a resource that should be exposed on the API server.",
    spec=fields(
        group=_STRING,
        names=_NAMES,
        scope=_STRING,
        versions={"type": "array", "items": _VERSION},
        conversion=ANYTHING,
        preserveUnknownFields=_BOOLEAN,
    ),
    status=ANYTHING,
)
RESOURCE: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)


def definition_kind() -> Kind:
    """Return the kind of definitions themselves."""
    return Kind(
        RESOURCE,
        singular="customresourcedefinition",
        stored_as=(RESOURCE.group, RESOURCE.plural),
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        columns=(NAME_COLUMN, Column("Created At", type="date")),
        cells=lambda obj, age: [obj["metadata"]["name"], obj["metadata"]["creationTimestamp"]],
        schema=SCHEMA,
        has_status=True,
        counts_generations=True,
        prepare=prepare,
        check=check,
        begin_delete=begin_delete,
        unconditional_update=False,
    )


def prepare(obj: JsonObject, old: JsonObject | None) -> None:
    """Fill in the names that can be derived, and the status that a new definition starts with."""
    spec = obj.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})
    if old is None:
        stored = [version["name"] for version in spec.get("versions", ()) if version.get("storage")]
        accepted = {"plural": "", "kind": ""}
        obj["status"] = {"conditions": None, "acceptedNames": accepted, "storedVersions": stored}


def begin_delete(obj: JsonObject) -> None:
    """Hold the definition until its objects are gone."""
    finalizers = obj["metadata"].get("finalizers") or []
    if CLEANUP not in finalizers:
        obj["metadata"]["finalizers"] = [*finalizers, CLEANUP]


def established(obj: JsonObject) -> bool:
    """Whether the objects of a definition are served."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def accepted_status(obj: JsonObject, now: str) -> JsonObject:
    """Return the status of a definition whose names nobody else has."""
    texts = (
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    )
    conditions = [
        {
            "type": type_,
            "status": "True",
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }
        for type_, reason, message in texts
    ]
    return {**obj["status"], "conditions": conditions, "acceptedNames": obj["spec"]["names"]}


def kinds_of(definition: JsonObject) -> Iterator[Kind]:
    """Yield a kind for every served version of a definition."""
    spec = definition["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if version.get("served"):
            resource = Resource(
                spec["group"],
                version["name"],
                names["plural"],
                names["kind"],
                namespaced=spec["scope"] == "Namespaced",
            )
            yield _custom_kind(resource, names, version)


def _custom_kind(resource: Resource, names: JsonObject, version: JsonObject) -> Kind:
    def show(obj: JsonObject) -> JsonObject:
        return {**obj, "apiVersion": resource.api_version}

    columns = tuple(_columns(version.get("additionalPrinterColumns") or ()))
    selectable = (item["jsonPath"].lstrip(".") for item in version.get("selectableFields") or ())
    return Kind(
        resource,
        singular=names.get("singular", ""),
        list_kind=names.get("listKind", ""),
        stored_as=(resource.group, resource.plural),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        columns=(NAME_COLUMN, *(columns or (_AGE,))),
        schema=version["schema"]["openAPIV3Schema"],
        custom=True,
        has_status="status" in (version.get("subresources") or {}),
        counts_generations=True,
        fields=frozenset(selectable),
        show=show,
        unconditional_update=False,
    )


_AGE: Final = Column(
    "Age", type="date", description=AGE_COLUMN.description, path=".metadata.creationTimestamp"
)


def _columns(definitions: Sequence[JsonObject]) -> Iterator[Column]:
    for column in definitions:
        path = column["jsonPath"]
        default = f"Custom resource definition column (in JSONPath format): {path}"
        yield Column(
            column["name"],
            type=column["type"],
            format=column.get("format", ""),
            description=column.get("description") or default,
            priority=column.get("priority", 0),
            path=path,
        )


def check(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check a definition: names, versions, and that every schema is structural."""
    spec = obj["spec"]
    causes = [*_spec_causes(obj), *_version_causes(spec.get("versions") or ())]
    versions = spec.get("versions") or ()
    for at, version in enumerate(versions):
        path = f"spec.versions[{at}].schema" if len(versions) > 1 else "spec.validation"
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            where = f"spec.versions[{at}].schema.openAPIV3Schema"
            causes.append(required(where, "schemas are required"))
        else:
            causes += _schema_causes(schema, f"{path}.openAPIV3Schema", root=True)
    if old is not None:
        causes += _fixed_causes(spec, old["spec"])
    return causes


def _spec_causes(obj: JsonObject) -> Iterator[Cause]:
    spec, names = obj["spec"], obj["spec"]["names"]
    for field in ("plural", "kind"):
        if not names.get(field):
            yield required(f"spec.names.{field}")
    if not spec.get("group"):
        yield required("spec.group")
    for problem in subdomain_problems(spec.get("group") or "x"):
        yield invalid_value("spec.group", spec["group"], problem)
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield unsupported("spec.scope", spec.get("scope", ""), ("Cluster", "Namespaced"))
    name = obj["metadata"].get("name", "")
    if name != f"{names.get('plural', '')}.{spec.get('group', '')}":
        yield invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group')


def _version_causes(versions: Sequence[JsonObject]) -> Iterator[Cause]:
    if sum(bool(version.get("storage")) for version in versions) != 1:
        problem = "must have exactly one version marked as storage version"
        yield invalid_value("spec.versions", list(versions), problem)


def _fixed_causes(spec: JsonObject, old: JsonObject) -> Iterator[Cause]:
    if spec.get("scope") != old.get("scope"):
        yield invalid_value("spec.scope", spec.get("scope"), "field is immutable")
    if spec.get("group") != old.get("group"):
        yield invalid_value("spec.group", spec.get("group"), "field is immutable")


def _schema_causes(schema: JsonObject, path: str, *, root: bool = False) -> list[Cause]:
    causes = []
    type_ = schema.get("type", "")
    if type_ and type_ not in TYPES:
        causes.append(unsupported(f"{path}.type", type_, TYPES))
    elif not type_ and not any(schema.get(name) for name in UNTYPED):
        place = "at the root" if root else "for specified object fields"
        causes.append(required(f"{path}.type", f"must not be empty {place}"))
    if "default" in schema and not causes:
        causes += _default_causes(schema, path)
    for name, child in (schema.get("properties") or {}).items():
        causes += _schema_causes(child, f"{path}.properties[{name}]")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            causes += _schema_causes(schema[name], f"{path}.{name}")
    return causes


def _default_causes(schema: JsonObject, path: str) -> Iterator[Cause]:
    default: Any = schema["default"]
    for cause in validate(default, schema):
        where = f"{path}.default" + (f".{cause.field}" if cause.field else "")
        yield Cause(where, cause.message, cause.reason)
