"""Claims, volumes and storage classes: defaults, and what may not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ..types import JsonObject
from ._quantity import value_of
from ._schemas import normalise, schema_of
from ._status import Cause, forbidden_value, invalid_value, required, unsupported

CLAIM_FINALIZER: Final = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER: Final = "kubernetes.io/pv-protection"
ACCESS_MODES: Final = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


def _protected(obj: JsonObject, finalizer: str) -> None:
    present = obj["metadata"].get("finalizers") or []
    if finalizer not in present:
        obj["metadata"]["finalizers"] = [*present, finalizer]


def prepare_claim(obj: JsonObject, old: JsonObject | None) -> None:
    """Complete a claim; a new one is not bound and is protected from deletion while in use."""
    obj["spec"] = obj.get("spec") or {}
    normalise(obj["spec"], schema_of("PersistentVolumeClaimSpec"))
    obj["spec"].setdefault("volumeMode", "Filesystem")
    obj["spec"].setdefault("resources", {})
    if old is None:
        obj["status"] = {"phase": "Pending"}
    elif "status" in obj:
        normalise(obj["status"], schema_of("PersistentVolumeClaimStatus"))


def assign_claim(obj: JsonObject, old: JsonObject | None) -> None:
    """Protect a new claim from deletion while it is in use."""
    if old is None:
        _protected(obj, CLAIM_FINALIZER)


def assign_volume(obj: JsonObject, old: JsonObject | None) -> None:
    """Protect a new volume from deletion while it is bound."""
    if old is None:
        _protected(obj, VOLUME_FINALIZER)


def check_claim(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check a claim; once made it may be bound once, and its size may only grow."""
    spec = obj["spec"]
    causes = list(claim_causes(spec, "spec"))
    if old is None:
        return causes
    before = old["spec"]
    bound = (old.get("status") or {}).get("phase") == "Bound"
    if _fixed(spec, before, bound=bound) != _fixed(before, before, bound=bound):
        problem = (
            "spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims\n"
        )
        causes.append(forbidden_value("spec", problem))
    return [*causes, *_size_causes(obj, old)] if bound else causes


def _fixed(spec: JsonObject, before: JsonObject, *, bound: bool) -> JsonObject:
    fixed = {name: value for name, value in spec.items() if name != "volumeAttributesClassName"}
    if bound:
        resources = fixed.get("resources") or {}
        fixed["resources"] = {name: v for name, v in resources.items() if name != "requests"}
    for name in ("volumeName", "storageClassName"):
        if not before.get(name):
            fixed.pop(name, None)
    return fixed


def size_of(spec: JsonObject) -> str:
    """Return the size that a claim asks for."""
    requests = (spec.get("resources") or {}).get("requests") or {}
    size: str = requests.get("storage", "0")
    return size


def _size_causes(obj: JsonObject, old: JsonObject) -> Iterator[Cause]:
    path = "spec.resources.requests.storage"
    wanted, before = value_of(size_of(obj["spec"])), value_of(size_of(old["spec"]))
    if wanted >= before:
        return
    held = (old.get("status") or {}).get("capacity", {}).get("storage")
    if held is None:
        yield forbidden_value(path, "field can not be less than previous value")
    elif wanted < value_of(held):
        yield forbidden_value(path, "field can not be less than status.capacity")


def claim_causes(spec: JsonObject, path: str) -> Iterator[Cause]:
    """Yield what is wrong with what a claim asks for."""
    modes = spec.get("accessModes") or []
    if not modes:
        yield required(f"{path}.accessModes", "at least 1 access mode is required")
    for mode in modes:
        if mode not in ACCESS_MODES:
            yield unsupported(f"{path}.accessModes", mode, ACCESS_MODES)
    size = size_of(spec)
    if size == "0" and "storage" not in ((spec.get("resources") or {}).get("requests") or {}):
        yield required(f"{path}.resources[storage]")
    elif value_of(size) <= 0:
        problem = "must be greater than zero"
        yield invalid_value(f"{path}.resources[storage]", size, problem)


def prepare_volume(obj: JsonObject, old: JsonObject | None) -> None:
    """Complete a volume, which is protected from deletion while it is bound."""
    obj["spec"] = obj.get("spec") or {}
    normalise(obj["spec"], schema_of("PersistentVolumeSpec"))
    obj["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")
    obj["spec"].setdefault("volumeMode", "Filesystem")
    if "hostPath" in obj["spec"]:
        obj["spec"]["hostPath"].setdefault("type", "")
    if old is None:
        stamp = obj["metadata"]["creationTimestamp"]
        obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": stamp}


def check_volume(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check a volume: it has a size, and ways to reach it."""
    spec = obj["spec"]
    causes = []
    if not spec.get("accessModes"):
        causes.append(required("spec.accessModes"))
    if "storage" not in (spec.get("capacity") or {}):
        causes.append(required("spec.capacity"))
    return causes


def prepare_class(obj: JsonObject, old: JsonObject | None) -> None:
    """Complete a storage class."""
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def check_class(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check a storage class: it names a provisioner, and keeps what it says about volumes."""
    causes = [] if obj.get("provisioner") else [required("provisioner")]
    if old is None:
        return causes
    if obj.get("parameters") != old.get("parameters"):
        causes.append(forbidden_value("parameters", "updates to parameters are forbidden."))
    if obj.get("provisioner") != old.get("provisioner"):
        causes.append(forbidden_value("provisioner", "updates to provisioner are forbidden."))
    changed = (n for n in ("reclaimPolicy", "volumeBindingMode") if obj[n] != old[n])
    return [*causes, *(invalid_value(name, obj[name], "field is immutable") for name in changed)]
