"""The bodies that ``kubectl create secret|configmap|namespace`` sends."""

from __future__ import annotations

from tests.unit.controller.testing.conftest import SECRETS, Api

KIND = "application/vnd.kubernetes.protobuf"


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def envelope(kind: bytes, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, b"v1") + field(2, kind)) + field(2, raw)


async def test_a_secret(api: Api):
    meta = field(1, field(1, b"a") + field(11, field(1, b"x") + field(2, b"y")))
    data = field(2, field(1, b"k") + field(2, b"\xff\x00"))
    body = envelope(b"Secret", meta + data + field(3, b"Opaque"))
    status, made = await api("POST", SECRETS, body, kind=KIND)
    assert status == 201
    assert made["metadata"]["labels"] == {"x": "y"}
    assert made["data"] == {"k": "/wA="}


async def test_a_config_map_and_a_namespace(api: Api):
    data = field(2, field(1, b"k") + field(2, b"v"))
    body = envelope(b"ConfigMap", field(1, field(1, b"a")) + data)
    _, made = await api("POST", "/api/v1/namespaces/default/configmaps", body, kind=KIND)
    assert made["data"] == {"k": "v"}
    body = envelope(b"Namespace", field(1, field(1, b"n")))
    status, made = await api("POST", "/api/v1/namespaces", body, kind=KIND)
    assert (status, made["status"]["phase"]) == (201, "Active")


async def test_what_is_no_protobuf_is_refused(api: Api):
    for body in (b"{}", envelope(b"Lease", b""), envelope(b"Secret", b"\x0a\x7fshort")):
        status, answer = await api("POST", SECRETS, body, kind=KIND)
        assert (status, answer["reason"]) == (400, "BadRequest")
