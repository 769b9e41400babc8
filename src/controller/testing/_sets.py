"""StatefulSets, Deployments and ReplicaSets: defaults, and what may not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ..types import JsonObject
from . import _pods, _volumes
from ._schemas import normalise, schema_of
from ._status import Cause, forbidden_value, invalid_value, required, unsupported

CHANGEABLE: Final = (
    *("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"),
    *("persistentVolumeClaimRetentionPolicy", "minReadySeconds"),
)
FIXED: Final = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
    "'minReadySeconds' are forbidden"
)


def _template(obj: JsonObject) -> JsonObject:
    spec: JsonObject = obj["spec"]
    template: JsonObject = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    template.setdefault("spec", {})
    _pods.complete(template["spec"])
    return spec


def prepare_stateful_set(obj: JsonObject, old: JsonObject | None) -> None:
    """Complete a StatefulSet; a new one has no replicas yet."""
    obj["spec"] = obj.get("spec") or {}
    normalise(obj["spec"], schema_of("StatefulSetSpec"))
    spec = _template(obj)
    spec.setdefault("replicas", 1)
    spec.setdefault("serviceName", "")
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for name in ("whenDeleted", "whenScaled"):
        retention.setdefault(name, "Retain")
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
        claim["status"] = {"phase": "Pending"}
    if old is None:
        obj["status"] = {"replicas": 0, "availableReplicas": 0}


def check_stateful_set(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check a StatefulSet: selector and template fit, and only some fields ever change."""
    spec = obj["spec"]
    causes = [*_selector_causes(spec), *_pods.template_causes(_with_claims(spec), _SPEC)]
    if spec["podManagementPolicy"] not in ("OrderedReady", "Parallel"):
        value = spec["podManagementPolicy"]
        problem = "must be 'OrderedReady' or 'Parallel'"
        causes.append(invalid_value("spec.podManagementPolicy", value, problem))
    for at, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        causes += _volumes.claim_causes(claim["spec"], f"spec.volumeClaimTemplates[{at}].spec")
    if old is not None and _fixed(spec) != _fixed(old["spec"]):
        causes.append(forbidden_value("spec", FIXED))
    return causes


_SPEC: Final = "spec.template.spec"


def _with_claims(spec: JsonObject) -> JsonObject:
    """Return the pod's spec with the volumes that the claims will be."""
    pod: JsonObject = spec["template"]["spec"]
    claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates") or ()]
    volumes = [v for v in pod.get("volumes") or () if v.get("name") not in claims]
    return {**pod, "volumes": [*volumes, *({"name": name} for name in claims)]}


def _fixed(spec: JsonObject) -> JsonObject:
    return {name: value for name, value in spec.items() if name not in CHANGEABLE}


def _selector_causes(spec: JsonObject) -> Iterator[Cause]:
    selector = spec.get("selector") or {}
    wanted = selector.get("matchLabels") or {}
    labels = spec["template"]["metadata"].get("labels") or {}
    if not spec.get("selector"):
        yield required("spec.selector")
    elif not wanted and not selector.get("matchExpressions"):
        yield invalid_value("spec.selector", selector, "empty selector is invalid for statefulset")
    if any(labels.get(name) != value for name, value in wanted.items()) or not wanted:
        problem = "`selector` does not match template `labels`"
        yield invalid_value("spec.template.metadata.labels", labels or None, problem)
    if spec["replicas"] < 0:
        problem = "must be greater than or equal to 0"
        yield invalid_value("spec.replicas", spec["replicas"], problem)


def prepare_deployment(obj: JsonObject, old: JsonObject | None) -> None:
    """Complete a Deployment."""
    obj["spec"] = obj.get("spec") or {}
    normalise(obj["spec"], schema_of("DeploymentSpec"))
    spec = _template(obj)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    if old is None:
        obj["status"] = {}


def prepare_replica_set(obj: JsonObject, old: JsonObject | None) -> None:
    """Complete a ReplicaSet."""
    obj["spec"] = obj.get("spec") or {}
    normalise(obj["spec"], schema_of("ReplicaSetSpec"))
    _template(obj).setdefault("replicas", 1)
    if old is None:
        obj["status"] = {"replicas": 0}


def check_replicated(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check a Deployment or ReplicaSet: selector and template fit, and the selector stays."""
    spec = obj["spec"]
    causes = [*_selector_causes(spec), *_pods.template_causes(spec["template"]["spec"], _SPEC)]
    policy = spec["template"]["spec"]["restartPolicy"]
    if policy != "Always":
        causes.append(unsupported(f"{_SPEC}.restartPolicy", policy, ("Always",)))
    if old is not None and spec.get("selector") != old["spec"].get("selector"):
        causes.append(invalid_value("spec.selector", spec["selector"], "field is immutable"))
    return causes
