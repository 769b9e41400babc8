"""Services: the addresses and ports that are allocated to them, and what may not change."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

from ..types import JsonObject
from ._schemas import normalise, schema_of
from ._status import Cause, invalid_value, required, unsupported

NETWORK: Final = ipaddress.ip_network("10.96.0.0/16")
NODE_PORTS: Final = range(30000, 32768)
TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
NONE: Final = "None"
MUST_STAY: Final = "may not change once set"


def prepare(obj: JsonObject, old: JsonObject | None) -> None:
    """Complete a service."""
    obj["spec"] = obj.get("spec") or {}
    spec = obj["spec"]
    normalise(spec, schema_of("ServiceSpec"))
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", NONE)
    for port in spec.get("ports") or ():
        port.setdefault("targetPort", port.get("port"))
    spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if spec["type"] == "ExternalName":
        del spec["internalTrafficPolicy"]
    if old is None:
        obj["status"] = {"loadBalancer": {}}


def assign(obj: JsonObject, old: JsonObject | None) -> None:
    """Give a service its addresses and ports; an update may leave out what it has."""
    spec, uid = obj["spec"], obj["metadata"]["uid"]
    before = (old or {}).get("spec") or {}
    if spec["type"] == "ExternalName":
        return
    address = spec.get("clusterIP") or before.get("clusterIP") or _address(uid)
    listed = spec.get("clusterIPs") or [address]
    moved = address != before.get("clusterIP") and listed == before.get("clusterIPs")
    spec["clusterIP"] = address
    spec["clusterIPs"] = [address] if moved else listed
    spec.setdefault("ipFamilies", before.get("ipFamilies") or ["IPv4"])
    spec.setdefault("ipFamilyPolicy", before.get("ipFamilyPolicy") or "SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        known = {port["port"]: port.get("nodePort") for port in before.get("ports") or ()}
        for at, port in enumerate(spec.get("ports") or ()):
            port.setdefault("nodePort", known.get(port.get("port")) or _node_port(uid, at))


def _address(uid: str) -> str:
    """Return an address that repeats with the uid; chance makes two services share one."""
    return str(NETWORK[1 + _number(uid) % (NETWORK.num_addresses - 2)])


def _node_port(uid: str, at: int) -> int:
    return NODE_PORTS[_number(f"{uid}/{at}") % len(NODE_PORTS)]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def check(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check a service: ports and type, and that its address stays."""
    spec = obj["spec"]
    causes = list(_port_causes(spec))
    if spec["type"] not in TYPES:
        causes.append(unsupported("spec.type", spec["type"], TYPES))
    if spec["type"] != "ExternalName":
        causes += _address_causes(spec)
    if old is not None and "ExternalName" not in (spec["type"], old["spec"]["type"]):
        causes += _fixed_causes(spec, old["spec"])
    return causes


def _address_causes(spec: JsonObject) -> Iterator[Cause]:
    address = spec["clusterIP"]
    if spec["clusterIPs"][:1] != [address]:
        yield invalid_value(
            "spec.clusterIPs", spec["clusterIPs"], "first value must match `clusterIP`"
        )
    if address == NONE:
        if spec["type"] != "ClusterIP":
            problem = f"may not be set to 'None' for {spec['type']} services"
            yield invalid_value("spec.clusterIPs[0]", NONE, problem)
        return
    try:
        ipaddress.ip_address(address)
    except ValueError:
        problem = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        yield invalid_value("spec.clusterIPs[0]", address, problem)


def _fixed_causes(spec: JsonObject, before: JsonObject) -> Iterator[Cause]:
    if spec["clusterIPs"][:1] != before["clusterIPs"][:1]:
        yield invalid_value("spec.clusterIPs[0]", spec["clusterIPs"], MUST_STAY)


def _port_causes(spec: JsonObject) -> Iterator[Cause]:
    ports = spec.get("ports") or []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != NONE:
        yield required("spec.ports")
    names: set[str] = set()
    for at, port in enumerate(ports):
        path = f"spec.ports[{at}]"
        name = port.get("name") or ""
        if len(ports) > 1 and not name:
            yield required(f"{path}.name")
        elif name in names:
            yield Cause(f"{path}.name", f'Duplicate value: "{name}"')
        names.add(name)
        number = port.get("port") or 0
        if not 0 < number < 65536:
            problem = "must be between 1 and 65535, inclusive"
            yield invalid_value(f"{path}.port", number, problem)
            if port.get("targetPort") == number:
                yield invalid_value(f"{path}.targetPort", number, problem)


def prepare_slice(obj: JsonObject, old: JsonObject | None) -> None:
    """Complete a slice of endpoints."""
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")
    for endpoint in obj.get("endpoints") or ():
        endpoint.setdefault("conditions", {})
