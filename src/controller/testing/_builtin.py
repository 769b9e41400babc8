"""The built-in kinds, with the schemas that say what their fields are."""

from __future__ import annotations

from typing import Any, Final

from ..types import JsonObject, Resource
from . import _events, _rules
from ._kinds import Column, Kind, Registry
from ._workloads import workload_kinds

NAME_COLUMN: Final = Column("Name", format="name", description="The name of the object.")
AGE_COLUMN: Final = Column("Age", description="The time since the object was created.")

STRING: Final[JsonObject] = {"type": "string"}
INTEGER: Final[JsonObject] = {"type": "integer"}
BOOLEAN: Final[JsonObject] = {"type": "boolean"}
TIME: Final[JsonObject] = {"type": "string"}
ANYTHING: Final[JsonObject] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
STRINGS: Final[JsonObject] = {"type": "array", "items": STRING}
STRING_MAP: Final[JsonObject] = {"type": "object", "additionalProperties": STRING}


def fields(description: str = "", **properties: JsonObject) -> JsonObject:
    """Return an object schema."""
    schema: JsonObject = {"type": "object", "properties": properties}
    return {**schema, "description": description} if description else schema


def _conditions() -> JsonObject:
    return {"type": "array", "items": ANYTHING}


SECRET: Final = fields(
    "Secret holds secret data of a certain type.",
    data=STRING_MAP,
    stringData=STRING_MAP,
    type=STRING,
    immutable=BOOLEAN,
)
CONFIG_MAP: Final = fields(
    "ConfigMap holds configuration data for pods to consume.",
    data=STRING_MAP,
    binaryData=STRING_MAP,
    immutable=BOOLEAN,
)
NAMESPACE: Final = fields(
    "Namespace provides a scope for Names.",
    spec=fields(finalizers=STRINGS),
    status=fields(phase=STRING, conditions=_conditions()),
)
SERVICE_ACCOUNT: Final = fields(
    "ServiceAccount binds together a name, a principal and a set of secrets.",
    secrets={"type": "array", "items": ANYTHING},
    imagePullSecrets={"type": "array", "items": ANYTHING},
    automountServiceAccountToken=BOOLEAN,
)
LEASE: Final = fields(
    "Lease defines a lease concept.",
    spec=fields(
        holderIdentity=STRING,
        leaseDurationSeconds=INTEGER,
        acquireTime=TIME,
        renewTime=TIME,
        leaseTransitions=INTEGER,
        strategy=STRING,
        preferredHolder=STRING,
    ),
)
REFERENCE: Final = fields(
    apiVersion=STRING,
    kind=STRING,
    name=STRING,
    namespace=STRING,
    uid=STRING,
    resourceVersion=STRING,
    fieldPath=STRING,
)
_SERIES: Final = fields(count=INTEGER, lastObservedTime=TIME)
_SOURCE: Final = fields(component=STRING, host=STRING)
CORE_EVENT: Final = fields(
    "Event is a report of an event somewhere in the cluster.",
    involvedObject=REFERENCE,
    related=REFERENCE,
    reason=STRING,
    message=STRING,
    source=_SOURCE,
    firstTimestamp=TIME,
    lastTimestamp=TIME,
    count=INTEGER,
    type=STRING,
    eventTime=TIME,
    series=_SERIES,
    action=STRING,
    reportingComponent=STRING,
    reportingInstance=STRING,
)
EVENT: Final = fields(
    "Event is a report of an event somewhere in the cluster.",
    regarding=REFERENCE,
    related=REFERENCE,
    reason=STRING,
    note=STRING,
    type=STRING,
    eventTime=TIME,
    series=_SERIES,
    action=STRING,
    reportingController=STRING,
    reportingInstance=STRING,
    deprecatedSource=_SOURCE,
    deprecatedFirstTimestamp=TIME,
    deprecatedLastTimestamp=TIME,
    deprecatedCount=INTEGER,
)
EVENT_COLUMNS: Final = (
    Column("Last Seen"),
    Column("Type"),
    Column("Reason"),
    Column("Object"),
    Column("Subobject", priority=1),
    Column("Source", priority=1),
    Column("Message"),
    Column("First Seen", priority=1),
    Column("Count", priority=1),
    Column("Name", format="name", priority=1),
)
PROTECTED: Final = frozenset({"default", "kube-system", "kube-public"})


def _kind(
    group: str, plural: str, name: str, schema: JsonObject, *, namespaced: bool = True, **more: Any
) -> Kind:
    resource = Resource(group, "v1", plural, name, namespaced)
    more.setdefault("stored_as", (group, plural))
    structures = {"spec", "status"} & schema["properties"].keys()
    more.setdefault("zero", {"metadata": {}, **{name: {} for name in structures}})
    return Kind(resource, singular=name.lower(), schema=schema, **more)


def _columns(*names: str) -> tuple[Column, ...]:
    return (NAME_COLUMN, *(Column(name) for name in names), AGE_COLUMN)


def built_in() -> Registry:
    """Return a registry of the built-in kinds, definitions of custom resources apart."""
    registry = Registry()
    for kind in (*_core(), *_accounts_and_events(), *_others(), *workload_kinds()):
        registry.add(kind)
    return registry


def _core() -> tuple[Kind, ...]:
    return (
        _kind(
            "",
            "namespaces",
            "Namespace",
            NAMESPACE,
            namespaced=False,
            short_names=("ns",),
            columns=_columns("Status"),
            cells=_rules.namespace_cells,
            prepare=_rules.prepare_namespace,
            fields=frozenset({"status.phase"}),
            has_status=True,
            undeletable=PROTECTED,
            begin_delete=_rules.terminate_namespace,
            zero={"metadata": {}, "spec": {"finalizers": ["kubernetes"]}, "status": {}},
            verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        ),
        _kind(
            "",
            "secrets",
            "Secret",
            SECRET,
            columns=_columns("Type", "Data"),
            cells=_rules.secret_cells,
            prepare=_rules.prepare_secret,
            check=_rules.check_secret,
            fields=frozenset({"type"}),
        ),
        _kind(
            "",
            "configmaps",
            "ConfigMap",
            CONFIG_MAP,
            short_names=("cm",),
            columns=_columns("Data"),
            cells=_rules.config_map_cells,
            prepare=_rules.prepare_config_map,
            check=_rules.check_config_map,
        ),
    )


def _accounts_and_events() -> tuple[Kind, ...]:
    return (
        _kind(
            "",
            "serviceaccounts",
            "ServiceAccount",
            SERVICE_ACCOUNT,
            short_names=("sa",),
            columns=_columns("Secrets"),
            cells=_rules.service_account_cells,
        ),
        _kind(
            "",
            "events",
            "Event",
            CORE_EVENT,
            short_names=("ev",),
            columns=EVENT_COLUMNS,
            cells=_events.cells,
            prepare=_events.prepare,
            check=_events.check,
            fields=_events.CORE_FIELDS,
            create_on_update=True,
        ),
    )


def _others() -> tuple[Kind, ...]:
    return (
        _kind(
            "events.k8s.io",
            "events",
            "Event",
            EVENT,
            short_names=("ev",),
            stored_as=("", "events"),
            columns=EVENT_COLUMNS,
            cells=lambda obj, age: _events.cells(_events.to_core(obj), age),
            prepare=_events.prepare,
            check=_events.check_new,
            fields=_events.FIELDS,
            create_on_update=True,
            show=_events.from_core,
            store=_events.to_core,
        ),
        _kind(
            "coordination.k8s.io",
            "leases",
            "Lease",
            LEASE,
            columns=_columns("Holder"),
            cells=_rules.lease_cells,
            prepare=_rules.prepare_lease,
            check=_rules.check_lease,
            unconditional_update=False,
            create_on_update=True,
        ),
    )
