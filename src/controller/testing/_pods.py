"""Pods and the templates of pods: what the server fills in, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..types import JsonObject
from ._names import label_problems
from ._schemas import normalise, schema_of
from ._status import Cause, forbidden_value, invalid_value, required, unsupported

PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
PROBE: Final = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1}
FILE_MODE: Final = 0o644
CONTAINER_LISTS: Final = ("initContainers", "containers")
MUTABLE: Final = ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations")
"""Fields of a pod's spec that may change, images of containers apart."""
_SPEC: Final = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
}


def prepare(obj: JsonObject, old: JsonObject | None) -> None:
    """Complete a pod; a new one waits for a node."""
    obj["spec"] = obj.get("spec") or {}
    normalise(obj["spec"], schema_of("PodSpec"))
    complete(obj["spec"])
    spec = obj["spec"]
    spec.setdefault("enableServiceLinks", True)
    if old is None:
        obj["status"] = {"phase": "Pending", "qosClass": _quality(spec)}


def assign(obj: JsonObject, old: JsonObject | None) -> None:
    """Give a new pod its account, its priority, and patience with nodes that are not ready."""
    if old is not None:
        return
    spec = obj["spec"]
    spec["serviceAccountName"] = spec.get("serviceAccountName") or "default"
    spec["serviceAccount"] = spec["serviceAccountName"]
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    known = {toleration.get("key") for toleration in spec.get("tolerations") or ()}
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        if key not in known
    ]
    spec["tolerations"] = [*(spec.get("tolerations") or ()), *added]


def _quality(spec: JsonObject) -> str:
    resources = [container.get("resources") or {} for container in spec.get("containers") or ()]
    if not any(resource.get("requests") or resource.get("limits") for resource in resources):
        return "BestEffort"
    wanted = {"cpu", "memory"}
    full = all(
        (limits := resource.get("limits") or {}).keys() >= wanted
        and {**limits, **(resource.get("requests") or {})} == limits
        for resource in resources
    )
    return "Guaranteed" if full else "Burstable"


def complete(spec: JsonObject) -> None:
    """Fill in the defaults of a pod's spec."""
    for name, value in _SPEC.items():
        spec.setdefault(name, value)
    spec.setdefault("securityContext", {})
    for container in _containers(spec):
        _complete_container(container)
    for volume in spec.get("volumes") or ():
        _complete_volume(volume)


def _containers(spec: JsonObject) -> Iterator[JsonObject]:
    for name in CONTAINER_LISTS:
        yield from spec.get(name) or ()


def _complete_container(container: JsonObject) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    image = container.get("image") or ""
    floating = "@" not in image and image.rpartition("/")[2].partition(":")[2] in ("", "latest")
    container.setdefault("imagePullPolicy", "Always" if floating else "IfNotPresent")
    limits = container["resources"].get("limits") or {}
    if limits:
        requests = container["resources"].get("requests") or {}
        container["resources"]["requests"] = {**limits, **requests}
    for name in PROBES:
        if container.get(name):
            _complete_probe(container[name])
    for variable in container.get("env") or ():
        field = (variable.get("valueFrom") or {}).get("fieldRef")
        if field is not None:
            field.setdefault("apiVersion", "v1")


def _complete_probe(probe: JsonObject) -> None:
    for name, value in {**PROBE, "failureThreshold": 3}.items():
        probe.setdefault(name, value)
    if "httpGet" in probe:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _complete_volume(volume: JsonObject) -> None:
    if volume.keys() == {"name"}:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if volume.get(name) is not None:
            volume[name].setdefault("defaultMode", FILE_MODE)
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")


def check(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check a pod; once made, little of it may change."""
    causes = list(template_causes(obj["spec"], "spec"))
    if old is not None and _fixed(obj["spec"]) != _fixed(old["spec"]):
        problem = (
            "pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
            "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to "
            "be set to 1 if it was previously negative)"
        )
        causes.append(forbidden_value("spec", problem))
    return causes


def _fixed(spec: JsonObject) -> JsonObject:
    fixed: dict[str, Any] = {name: v for name, v in spec.items() if name not in MUTABLE}
    for name in CONTAINER_LISTS:
        fixed[name] = [
            {key: value for key, value in container.items() if key != "image"}
            for container in spec.get(name) or ()
        ]
    return fixed


def template_causes(spec: JsonObject, path: str) -> Iterator[Cause]:
    """Yield what is wrong with a pod's spec: names, images, and what refers to what."""
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    volumes: set[str] = set()
    for at, volume in enumerate(spec.get("volumes") or ()):
        yield from _name_causes(volume, f"{path}.volumes[{at}].name", volumes)
    names: set[str] = set()
    for field in CONTAINER_LISTS:
        for at, container in enumerate(spec.get(field) or ()):
            here = f"{path}.{field}[{at}]"
            yield from _name_causes(container, f"{here}.name", names)
            if not container.get("image"):
                yield required(f"{here}.image")
            yield from _mount_causes(container, here, volumes)
    if spec["restartPolicy"] not in ("Always", "OnFailure", "Never"):
        allowed = ("Always", "OnFailure", "Never")
        yield unsupported(f"{path}.restartPolicy", spec["restartPolicy"], allowed)


def _name_causes(item: JsonObject, path: str, seen: set[str]) -> Iterator[Cause]:
    name = item.get("name") or ""
    if not name:
        yield required(path)
        return
    for problem in label_problems(name):
        yield invalid_value(path, name, problem)
    if name in seen:
        yield Cause(path, f'Duplicate value: "{name}"')
    seen.add(name)


def _mount_causes(container: JsonObject, path: str, volumes: set[str]) -> Iterator[Cause]:
    for at, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            where = f"{path}.volumeMounts[{at}].name"
            yield Cause(where, f'Not found: "{mount.get("name")}"', "FieldValueNotFound")
