"""The kinds that run things: pods, their sets, services and volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..types import JsonObject, Resource
from . import _pods, _services, _sets, _volumes
from ._kinds import Column, Kind
from ._schemas import schema_of

NAME: Final = Column("Name", format="name", description="The name of the object.")
AGE: Final = Column("Age", description="The time since the object was created.")

Cell = Callable[[JsonObject], Any]


def workload_kinds() -> tuple[Kind, ...]:
    """Return the kinds of workloads."""
    return (*_core(), *_apps(), *_storage())


def _kind(
    group: str,
    plural: str,
    name: str,
    short: str,
    columns: dict[str, Cell],
    *,
    namespaced: bool = True,
    generations: bool = False,
    has_status: bool = True,
    **more: Any,
) -> Kind:
    def cells(obj: JsonObject, age: Callable[[str], str]) -> list[Any]:
        shown = [cell(obj) for cell in columns.values()]
        return [obj["metadata"]["name"], *shown, age(obj["metadata"]["creationTimestamp"])]

    schema = schema_of(name)
    structures = {"spec", "status"} & schema["properties"].keys()
    more.setdefault("zero", {"metadata": {}, **{part: {} for part in structures}})
    return Kind(
        Resource(group, "v1", plural, name, namespaced),
        singular=name.lower(),
        stored_as=(group, plural),
        short_names=(short,) if short else (),
        columns=(NAME, *(Column(title) for title in columns), AGE),
        cells=cells,
        schema=schema,
        has_status=has_status,
        counts_generations=generations,
        **more,
    )


def _status(*path: str, default: Any = "") -> Cell:
    return lambda obj: _at(obj.get("status"), path, default)


def _spec(*path: str, default: Any = "") -> Cell:
    return lambda obj: _at(obj.get("spec"), path, default)


def _at(value: Any, path: tuple[str, ...], default: Any) -> Any:
    for step in path:
        value = (value or {}).get(step)
    return default if value is None else value


def _ready(obj: JsonObject) -> str:
    return f"{_status('readyReplicas', default=0)(obj)}/{_spec('replicas', default=1)(obj)}"


def _ready_containers(obj: JsonObject) -> str:
    states = _status("containerStatuses", default=[])(obj)
    return f"{sum(state['ready'] for state in states)}/{len(obj['spec']['containers'])}"


def _restarts(obj: JsonObject) -> int:
    states: list[JsonObject] = _status("containerStatuses", default=[])(obj)
    return sum(state.get("restartCount", 0) for state in states)


def _ports(obj: JsonObject) -> str:
    shown = []
    for port in obj["spec"].get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node}/{port['protocol']}")
    return ",".join(shown) or "<none>"


def _core() -> tuple[Kind, ...]:
    return (
        _kind(
            "",
            "pods",
            "Pod",
            "po",
            {
                "Ready": _ready_containers,
                "Status": _status("phase"),
                "Restarts": _restarts,
            },
            generations=True,
            categories=("all",),
            fields=frozenset({"spec.nodeName", "spec.serviceAccountName", "status.phase"}),
            prepare=_pods.prepare,
            assign=_pods.assign,
            check=_pods.check,
            zero={"metadata": {}, "spec": {"containers": None}, "status": {}},
        ),
        _kind(
            "",
            "services",
            "Service",
            "svc",
            {
                "Type": _spec("type"),
                "Cluster-IP": _spec("clusterIP", default="<none>"),
                "External-IP": lambda _: "<none>",
                "Port(s)": _ports,
            },
            categories=("all",),
            fields=frozenset({"spec.clusterIP", "spec.type"}),
            prepare=_services.prepare,
            assign=_services.assign,
            check=_services.check,
        ),
        _kind(
            "discovery.k8s.io",
            "endpointslices",
            "EndpointSlice",
            "",
            {"AddressType": lambda obj: obj["addressType"]},
            generations=True,
            has_status=False,
            prepare=_services.prepare_slice,
        ),
    )


_SET: Final[JsonObject] = {
    "metadata": {},
    "spec": {
        "template": {"metadata": {}, "spec": {"containers": None}},
        "updateStrategy": {},
        "strategy": {},
    },
    "status": {},
}


def _apps() -> tuple[Kind, ...]:
    replicas: dict[str, Cell] = {
        "Desired": _spec("replicas"),
        "Current": _status("replicas", default=0),
        "Ready": _status("readyReplicas", default=0),
    }
    common: dict[str, Any] = {"generations": True, "categories": ("all",), "zero": _SET}
    return (
        _kind(
            "apps",
            "statefulsets",
            "StatefulSet",
            "sts",
            {"Ready": _ready},
            prepare=_sets.prepare_stateful_set,
            check=_sets.check_stateful_set,
            **common,
        ),
        _kind(
            "apps",
            "deployments",
            "Deployment",
            "deploy",
            {
                "Ready": _ready,
                "Up-to-date": _status("updatedReplicas", default=0),
                "Available": _status("availableReplicas", default=0),
            },
            prepare=_sets.prepare_deployment,
            check=_sets.check_replicated,
            **common,
        ),
        _kind(
            "apps",
            "replicasets",
            "ReplicaSet",
            "rs",
            replicas,
            prepare=_sets.prepare_replica_set,
            check=_sets.check_replicated,
            **common,
        ),
    )


def _storage() -> tuple[Kind, ...]:
    return (
        _kind(
            "",
            "persistentvolumeclaims",
            "PersistentVolumeClaim",
            "pvc",
            {
                "Status": _status("phase"),
                "Volume": _spec("volumeName"),
                "Capacity": _status("capacity", "storage"),
                "Access Modes": lambda obj: ",".join(obj["spec"].get("accessModes") or ()),
                "StorageClass": _spec("storageClassName"),
            },
            prepare=_volumes.prepare_claim,
            assign=_volumes.assign_claim,
            check=_volumes.check_claim,
            zero={"metadata": {}, "spec": {"resources": {}}, "status": {}},
        ),
        _kind(
            "",
            "persistentvolumes",
            "PersistentVolume",
            "pv",
            {
                "Capacity": _spec("capacity", "storage"),
                "Reclaim Policy": _spec("persistentVolumeReclaimPolicy"),
                "Status": _status("phase"),
                "StorageClass": _spec("storageClassName"),
            },
            namespaced=False,
            prepare=_volumes.prepare_volume,
            assign=_volumes.assign_volume,
            check=_volumes.check_volume,
        ),
        _kind(
            "storage.k8s.io",
            "storageclasses",
            "StorageClass",
            "sc",
            {
                "Provisioner": lambda obj: obj["provisioner"],
                "ReclaimPolicy": lambda obj: obj["reclaimPolicy"],
                "VolumeBindingMode": lambda obj: obj["volumeBindingMode"],
            },
            namespaced=False,
            has_status=False,
            prepare=_volumes.prepare_class,
            check=_volumes.check_class,
        ),
    )
