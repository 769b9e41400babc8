"""Claims on the simulated node: bound to new volumes, grown step by step, released at the end."""

from __future__ import annotations

from typing import Final

from ..types import JsonObject
from ._node_base import Node, claims_of, condition
from ._quantity import value_of
from ._volumes import CLAIM_FINALIZER, DEFAULT_CLASS, VOLUME_FINALIZER, size_of

CONTROLLER: Final = "ControllerResizeInProgress"
PENDING: Final = "NodeResizePending"
IN_PROGRESS: Final = "NodeResizeInProgress"
RESTART: Final = (
    "Waiting for user to (re-)start a pod to finish file system resize of volume on node."
)


def act(node: Node) -> None:
    """Do what is due for all claims and volumes."""
    for claim in node.all("persistentvolumeclaims"):
        if claim["metadata"].get("deletionTimestamp"):
            _end(node, claim)
        elif claim["status"]["phase"] == "Pending":
            _bind(node, claim)
        elif value_of(size_of(claim["spec"])) > value_of(claim["status"]["capacity"]["storage"]):
            _grow(node, claim)
    for volume in node.all("persistentvolumes"):
        _release(node, volume)


def _pods_of(node: Node, claim: JsonObject) -> list[JsonObject]:
    meta = claim["metadata"]
    return [pod for pod in node.all("pods", meta["namespace"]) if meta["name"] in claims_of(pod)]


def _class_of(node: Node, claim: JsonObject) -> JsonObject | None:
    """Return the class of a claim: the one it names, else the default one."""
    wanted = claim["spec"].get("storageClassName")
    for found in node.all("storageclasses"):
        annotations = found["metadata"].get("annotations") or {}
        if found["metadata"]["name"] == wanted:
            return found
        if wanted is None and annotations.get(DEFAULT_CLASS) == "true":
            return found
    return None


def _bind(node: Node, claim: JsonObject) -> None:
    storage = _class_of(node, claim)
    if storage is None:
        return
    late = storage["volumeBindingMode"] == "WaitForFirstConsumer"
    if (late and not _pods_of(node, claim)) or not node.may("bind", claim):
        return
    meta, spec = claim["metadata"], claim["spec"]
    name = f"pvc-{meta['uid']}"
    reference = {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        **{key: meta[key] for key in ("namespace", "name", "uid", "resourceVersion")},
    }
    size = {"storage": size_of(spec)}
    volume: JsonObject = {
        "capacity": size,
        "accessModes": spec["accessModes"],
        "claimRef": reference,
        "persistentVolumeReclaimPolicy": storage["reclaimPolicy"],
        "storageClassName": storage["metadata"]["name"],
        "csi": {"driver": storage["provisioner"], "volumeHandle": name},
    }
    made = node.create("persistentvolumes", {"metadata": {"name": name}, "spec": volume})
    node.set_status("persistentvolumes", made, {**made["status"], "phase": "Bound"})
    wanted = {"volumeName": name, "storageClassName": storage["metadata"]["name"]}
    node.update("persistentvolumeclaims", claim, lambda copy: copy["spec"].update(wanted))
    bound = {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": size}
    node.set_status("persistentvolumeclaims", claim, bound)


def _grow(node: Node, claim: JsonObject) -> None:
    """Go one step further: the volume grows first, then the file system, where a pod uses it."""
    status = claim["status"]
    stage = (status.get("allocatedResourceStatuses") or {}).get("storage", "")
    size = size_of(claim["spec"])
    if stage in ("", CONTROLLER) and status.get("allocatedResources", {}).get("storage") != size:
        _stage(node, claim, CONTROLLER, [condition("Resizing", "True", node.now)])
    elif stage in ("", CONTROLLER) and node.may("resize", claim):
        node.done("resize", claim)
        volume = node.get("persistentvolumes", "", claim["spec"]["volumeName"])
        if volume is not None:
            grown = {"storage": size}
            node.update(
                "persistentvolumes", volume, lambda copy: copy["spec"].update(capacity=grown)
            )
        resizing = condition("Resizing", "True", node.now)
        waiting = condition("FileSystemResizePending", "True", node.now, message=RESTART)
        _stage(node, claim, PENDING, [resizing, waiting])
    elif stage in (PENDING, IN_PROGRESS):
        _grow_file_system(node, claim, stage)


def _grow_file_system(node: Node, claim: JsonObject, stage: str) -> None:
    status = claim["status"]
    running = [pod for pod in _pods_of(node, claim) if pod["status"]["phase"] == "Running"]
    problem = node.failure("filesystem", claim["metadata"]["name"])
    if problem and running:
        known = [c for c in status["conditions"] if c["type"] != "NodeResizeError"]
        before = [c for c in status["conditions"] if c["type"] == "NodeResizeError"]
        error = condition("NodeResizeError", "True", node.now, message=problem)
        if not before or before[0].get("message") != problem:
            _stage(node, claim, IN_PROGRESS, [*known, error])
    elif running and node.may("filesystem", claim):
        if stage == PENDING:
            _stage(node, claim, IN_PROGRESS, status["conditions"])
            return
        node.done("filesystem", claim)
        done = {key: status[key] for key in ("phase", "accessModes", "allocatedResources")}
        size = {"storage": status["allocatedResources"]["storage"]}
        node.set_status("persistentvolumeclaims", claim, {**done, "capacity": size})


def _stage(node: Node, claim: JsonObject, stage: str, conditions: list[JsonObject]) -> None:
    allocated = claim["status"].get("allocatedResources") or {}
    if stage == CONTROLLER:
        allocated = {"storage": size_of(claim["spec"])}
    status = {
        **claim["status"],
        "allocatedResources": allocated,
        "allocatedResourceStatuses": {"storage": stage},
        "conditions": conditions,
    }
    node.set_status("persistentvolumeclaims", claim, status)


def _end(node: Node, claim: JsonObject) -> None:
    """Let a deleted claim go once no pod uses it."""
    finalizers = claim["metadata"].get("finalizers") or []
    if CLAIM_FINALIZER not in finalizers or _pods_of(node, claim):
        return
    left = [name for name in finalizers if name != CLAIM_FINALIZER]
    node.update(
        "persistentvolumeclaims", claim, lambda copy: copy["metadata"].update(finalizers=left)
    )


def _release(node: Node, volume: JsonObject) -> None:
    """Delete or keep a volume whose claim has gone, as its policy says."""
    reference, meta = volume["spec"].get("claimRef"), volume["metadata"]
    if meta.get("deletionTimestamp"):
        finalizers = meta.get("finalizers") or []
        left = [name for name in finalizers if name != VOLUME_FINALIZER]
        if left != finalizers:
            node.update(
                "persistentvolumes", volume, lambda copy: copy["metadata"].update(finalizers=left)
            )
        return
    if not reference:
        return
    claim = node.get("persistentvolumeclaims", reference["namespace"], reference["name"])
    if claim is not None and claim["metadata"]["uid"] == reference.get("uid"):
        return
    if volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
        node.delete("persistentvolumes", volume)
    else:
        node.set_status("persistentvolumes", volume, {**volume["status"], "phase": "Released"})
