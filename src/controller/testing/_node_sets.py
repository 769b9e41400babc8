"""StatefulSets, pods and services on the simulated node."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from typing import Final

from ..types import JsonObject
from ._node_base import Node, claims_of, condition, is_ready
from ._storage import copy

NODE: Final = "node"
NODE_IP: Final = "192.0.2.1"
PODS: Final = ipaddress.ip_network("10.244.0.0/24")
REVISION: Final = "controller-revision-hash"
POD_NAME: Final = "statefulset.kubernetes.io/pod-name"
POD_INDEX: Final = "apps.kubernetes.io/pod-index"
SERVICE_NAME: Final = "kubernetes.io/service-name"


def act(node: Node) -> None:
    """Do what is due for all sets, pods and services."""
    for stateful in node.all("statefulsets"):
        if not stateful["metadata"].get("deletionTimestamp"):
            _act_on_set(node, stateful)
    for pod in node.all("pods"):
        if not pod["metadata"].get("deletionTimestamp"):
            _act_on_pod(node, pod)
    for service in node.all("services"):
        _publish(node, service)


def revision_of(stateful: JsonObject) -> str:
    """Return the revision that a set's template is."""
    raw = json.dumps(stateful["spec"]["template"], sort_keys=True).encode()
    return f"{stateful['metadata']['name']}-{hashlib.sha256(raw).hexdigest()[:10]}"


def _pods_of(node: Node, stateful: JsonObject) -> dict[int, JsonObject]:
    """Return the pods of a set by ordinal."""
    meta, found = stateful["metadata"], {}
    for pod in node.all("pods", meta["namespace"]):
        owners = pod["metadata"].get("ownerReferences") or ()
        if any(owner["uid"] == meta["uid"] for owner in owners):
            found[int(pod["metadata"]["name"].rpartition("-")[2])] = pod
    return found


def _act_on_set(node: Node, stateful: JsonObject) -> None:
    spec = stateful["spec"]
    start = (spec.get("ordinals") or {}).get("start", 0)
    wanted = range(start, start + spec["replicas"])
    pods = _pods_of(node, stateful)
    if not _scale(node, stateful, pods, wanted):
        _roll(node, stateful, pods)
    _report(node, stateful, _pods_of(node, stateful))


def _scale(node: Node, stateful: JsonObject, pods: dict[int, JsonObject], wanted: range) -> bool:
    """Make or delete pods, one at a time where the order matters; return whether one is awaited."""
    parallel = stateful["spec"]["podManagementPolicy"] == "Parallel"
    for ordinal in wanted:
        if ordinal not in pods:
            _make_pod(node, stateful, ordinal)
            if not parallel:
                return True
        elif not parallel and not is_ready(pods[ordinal]):
            return _is_current(stateful, pods[ordinal])
    for ordinal in sorted(pods.keys() - set(wanted), reverse=True):
        node.delete("pods", pods[ordinal])
        if not parallel:
            return True
    return False


def _is_current(stateful: JsonObject, pod: JsonObject) -> bool:
    """Whether a pod is worth waiting for; one of an old revision may never become ready."""
    revision: str = pod["metadata"]["labels"][REVISION]
    return revision == revision_of(stateful)


def _roll(node: Node, stateful: JsonObject, pods: dict[int, JsonObject]) -> None:
    """Replace the last pod of an older revision, once all behind it are ready."""
    strategy = stateful["spec"]["updateStrategy"]
    if strategy["type"] != "RollingUpdate":
        return
    for ordinal in sorted(pods, reverse=True):
        pod = pods[ordinal]
        if ordinal < strategy["rollingUpdate"]["partition"]:
            return
        if not _is_current(stateful, pod):
            node.delete("pods", pod)
            return
        if not is_ready(pod):
            return


def _make_pod(node: Node, stateful: JsonObject, ordinal: int) -> None:
    meta, spec = stateful["metadata"], copy(stateful["spec"])
    name = f"{meta['name']}-{ordinal}"
    template = spec["template"]
    pod = template["spec"]
    claims = {}
    for claim in spec.get("volumeClaimTemplates") or ():
        claims[claim["metadata"]["name"]] = _make_claim(node, stateful, claim, name)
    kept = [volume for volume in pod.get("volumes") or () if volume["name"] not in claims]
    mounted = [
        {"name": volume, "persistentVolumeClaim": {"claimName": claim}}
        for volume, claim in claims.items()
    ]
    pod["volumes"] = [*mounted, *kept]
    pod |= {"hostname": name, "subdomain": spec["serviceName"]}
    labels = {
        **(template["metadata"].get("labels") or {}),
        POD_INDEX: str(ordinal),
        REVISION: revision_of(stateful),
        POD_NAME: name,
    }
    owner = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    described = {
        **template["metadata"],
        "name": name,
        "namespace": meta["namespace"],
        "labels": labels,
        "ownerReferences": [owner],
    }
    node.create("pods", {"metadata": described, "spec": pod})


def _make_claim(node: Node, stateful: JsonObject, template: JsonObject, pod: str) -> str:
    meta = stateful["metadata"]
    name = f"{template['metadata']['name']}-{pod}"
    if node.get("persistentvolumeclaims", meta["namespace"], name) is None:
        labels = {
            **(template["metadata"].get("labels") or {}),
            **(stateful["spec"]["selector"].get("matchLabels") or {}),
        }
        described = {"name": name, "namespace": meta["namespace"], "labels": labels}
        node.create("persistentvolumeclaims", {"metadata": described, "spec": template["spec"]})
    return name


def _report(node: Node, stateful: JsonObject, pods: dict[int, JsonObject]) -> None:
    """Write the status; the revision is current once every pod has it."""
    update, before = revision_of(stateful), stateful["status"]
    updated = [pod for pod in pods.values() if _is_current(stateful, pod)]
    ready = [pod for pod in pods.values() if is_ready(pod)]
    whole = len(updated) == len(ready) == len(pods) == stateful["spec"]["replicas"]
    current = update if whole else before.get("currentRevision", update)
    of_current = [pod for pod in pods.values() if pod["metadata"]["labels"][REVISION] == current]
    status = {
        "observedGeneration": stateful["metadata"]["generation"],
        "replicas": len(pods),
        "availableReplicas": len(ready),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": 0,
    }
    counts = {
        "readyReplicas": len(ready),
        "currentReplicas": len(of_current),
        "updatedReplicas": len(updated),
    }
    status |= {name: count for name, count in counts.items() if count}
    node.set_status("statefulsets", stateful, status)


def _act_on_pod(node: Node, pod: JsonObject) -> None:
    phase = pod["status"]["phase"]
    if phase == "Pending" and _claims_bound(node, pod) and node.may("start", pod):
        node.place(pod, NODE)
        node.set_status("pods", pod, _running(node, pod, ready=False))
    elif phase == "Running" and is_ready(pod) == bool(_unready(node, pod)):
        node.set_status("pods", pod, _running(node, pod, ready=not is_ready(pod)))


def _unready(node: Node, pod: JsonObject) -> bool:
    """Whether a pod is not ready: not yet, or not any more."""
    if is_ready(pod):
        return bool(node.failure("ready", pod["metadata"]["name"]))
    return not node.may("ready", pod)


def _claims_bound(node: Node, pod: JsonObject) -> bool:
    place = pod["metadata"]["namespace"]
    claims = [node.get("persistentvolumeclaims", place, name) for name in claims_of(pod)]
    return all(claim is not None and claim["status"]["phase"] == "Bound" for claim in claims)


def _running(node: Node, pod: JsonObject, *, ready: bool) -> JsonObject:
    before = {c["type"]: c for c in pod["status"].get("conditions") or ()}
    told = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    conditions = []
    for type_, holds in told.items():
        now = condition(type_, str(holds), node.now)
        old = before.get(type_)
        conditions.append(old if old and old["status"] == now["status"] else now)
    states = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": ready,
            "started": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": pod["status"].get("startTime") or node.now}},
        }
        for container in pod["spec"]["containers"]
    ]
    address = pod["status"].get("podIP") or _free_address(node)
    return {
        **pod["status"],
        "phase": "Running",
        "conditions": conditions,
        "containerStatuses": states,
        "hostIP": NODE_IP,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": pod["status"].get("startTime") or node.now,
    }


def _free_address(node: Node) -> str:
    taken = {pod["status"].get("podIP") for pod in node.all("pods")}
    return next(str(address) for address in PODS.hosts() if str(address) not in taken)


def _publish(node: Node, service: JsonObject) -> None:
    """Write the endpoints of a service: the running pods that its selector finds."""
    meta, selector = service["metadata"], service["spec"].get("selector") or {}
    if not selector or service["spec"]["type"] == "ExternalName":
        return
    found = [
        pod
        for pod in node.all("pods", meta["namespace"])
        if selector.items() <= (pod["metadata"].get("labels") or {}).items()
        and pod["status"].get("podIP")
    ]
    body = {
        "addressType": "IPv4",
        "endpoints": [_endpoint(pod) for pod in found],
        "ports": [_endpoint_port(port, found) for port in service["spec"].get("ports") or ()],
    }
    name = f"{meta['name']}-{meta['uid'][:5]}"
    slice_ = node.get("endpointslices", meta["namespace"], name)
    if slice_ is not None:
        node.update("endpointslices", slice_, lambda made: made.update(copy(body)))
        return
    owner = {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"]}
    described = {
        "name": name,
        "namespace": meta["namespace"],
        "labels": {SERVICE_NAME: meta["name"]},
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    node.create("endpointslices", {"metadata": described, **body})


def _endpoint(pod: JsonObject) -> JsonObject:
    meta = pod["metadata"]
    ready = is_ready(pod)
    target = {key: meta[key] for key in ("namespace", "name", "uid")}
    endpoint = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "nodeName": NODE,
        "targetRef": {"kind": "Pod", **target},
    }
    hostname = pod["spec"].get("hostname")
    return {**endpoint, "hostname": hostname} if hostname else endpoint


def _endpoint_port(port: JsonObject, pods: list[JsonObject]) -> JsonObject:
    """Return a port with the number behind its name, which the pods' containers say."""
    number = port["targetPort"]
    if isinstance(number, str):
        named = [
            known["containerPort"]
            for pod in pods
            for container in pod["spec"]["containers"]
            for known in container.get("ports") or ()
            if known.get("name") == number
        ]
        number = named[0] if named else port["port"]
    return {"name": port.get("name", ""), "port": number, "protocol": port["protocol"]}
