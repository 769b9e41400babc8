"""The local certificate authority: what it signs verifies in full, and it survives crashes."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from hybridpg.backends.local.tls import AUTHORITY_LIFE, LEAF_LIFE, Authority, expires_soon


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _contexts(
    tmp_path: Path, authority: Authority, certificate: str, key: str
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    (tmp_path / "leaf.crt").write_text(certificate)
    (tmp_path / "leaf.key").write_text(key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "leaf.crt", tmp_path / "leaf.key")
    client = ssl.create_default_context(cadata=authority.certificate)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    return server, client


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(far, server_side=True) as wrapped:
                wrapped.recv(1)
        except (ssl.SSLError, OSError):
            far.close()  # the client's side reports the failure

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname=name) as wrapped:
            wrapped.send(b"x")
    finally:
        near.close()
        thread.join()


def test_the_key_of_the_authority_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    Authority.load_or_create(tmp_path / "ca")
    assert _mode(tmp_path / "ca") == 0o700
    assert _mode(tmp_path / "ca" / "ca.key") == 0o600
    assert _mode(tmp_path / "ca" / "ca.crt") == 0o644


def test_loading_again_gives_the_same_authority(tmp_path: Path) -> None:
    first = Authority.load_or_create(tmp_path)
    assert Authority.load_or_create(tmp_path).certificate == first.certificate


def test_two_that_start_at_once_agree_on_one_authority(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Authority.load_or_create(tmp_path).certificate, range(8)))
    assert len(set(made)) == 1


def test_a_crash_between_key_and_certificate_is_repaired_with_the_same_key(tmp_path: Path) -> None:
    first = Authority.load_or_create(tmp_path)
    leaf, _ = first.issue("db", ["localhost"])
    (tmp_path / "ca.crt").unlink()
    assert Authority.load_or_create(tmp_path).vouches_for(leaf)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_server_certificate_verifies_strictly_by_each_of_its_names(
    tmp_path: Path, name: str
) -> None:
    authority = Authority.load_or_create(tmp_path)
    issued = authority.issue("db", ["localhost"], ["127.0.0.1", "::1"])
    _handshake(*_contexts(tmp_path, authority, *issued), name)


def test_a_name_that_the_certificate_does_not_carry_is_refused(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path)
    issued = authority.issue("db", ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _handshake(*_contexts(tmp_path, authority, *issued), "db.example")


def test_a_client_certificate_cannot_serve(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path)
    issued = authority.issue("hybridpg", ["localhost"], client=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        _handshake(*_contexts(tmp_path, authority, *issued), "localhost")


def test_another_authority_is_not_trusted(tmp_path: Path) -> None:
    ours = Authority.load_or_create(tmp_path / "a")
    theirs = Authority.load_or_create(tmp_path / "b")
    leaf, key = theirs.issue("db", ["localhost"])
    assert not ours.vouches_for(leaf)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(*_contexts(tmp_path, ours, leaf, key), "localhost")


def test_a_long_common_name_is_cut_and_the_whole_name_still_verifies(tmp_path: Path) -> None:
    name = "a" * 50 + "." + "b" * 50
    authority = Authority.load_or_create(tmp_path)
    issued = authority.issue(name, [name])
    _handshake(*_contexts(tmp_path, authority, *issued), name)


@pytest.mark.parametrize(
    ("age", "soon"),
    [
        pytest.param(timedelta(), False, id="new"),
        pytest.param(LEAF_LIFE * 0.6, False, id="past-half"),
        pytest.param(LEAF_LIFE * 0.7, True, id="last-third"),
        pytest.param(LEAF_LIFE * 2, True, id="expired"),
    ],
)
def test_a_certificate_is_renewed_in_the_last_third_of_its_life(
    tmp_path: Path, age: timedelta, soon: bool
) -> None:
    issued = datetime(2026, 1, 1, tzinfo=UTC)
    leaf, _ = Authority.load_or_create(tmp_path, now=lambda: issued).issue("db")
    assert expires_soon(leaf, now=lambda: issued + age) is soon
    later = Authority.load_or_create(tmp_path, now=lambda: issued + age)
    assert later.vouches_for(leaf) is not soon


def test_an_old_authority_is_renewed_and_keeps_what_it_signed_valid(tmp_path: Path) -> None:
    born = datetime(2026, 1, 1, tzinfo=UTC)
    late = born + AUTHORITY_LIFE * 0.9
    old = Authority.load_or_create(tmp_path, now=lambda: born)
    leaf, _ = Authority(old._key, old._root, lambda: late).issue("db", ["localhost"])
    new = Authority.load_or_create(tmp_path, now=lambda: late)
    assert new.certificate != old.certificate
    assert new.vouches_for(leaf)


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nx"])
def test_rubbish_is_not_vouched_for(tmp_path: Path, text: str) -> None:
    assert not Authority.load_or_create(tmp_path).vouches_for(text)


def test_a_key_of_another_kind_is_named_and_left_alone(tmp_path: Path) -> None:
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "ca.key").write_bytes(pem)
    with pytest.raises(ValueError, match=r"ca\.key holds no elliptic-curve key"):
        Authority.load_or_create(tmp_path)
    assert (tmp_path / "ca.key").read_bytes() == pem


def test_a_certificate_of_another_key_is_replaced(tmp_path: Path) -> None:
    other = Authority.load_or_create(tmp_path / "other")
    Authority.load_or_create(tmp_path / "ca")
    (tmp_path / "ca" / "ca.crt").write_text(other.certificate)
    healed = Authority.load_or_create(tmp_path / "ca")
    leaf, _ = healed.issue("db")
    assert healed.vouches_for(leaf)


def test_the_authority_may_sign_leaves_only(tmp_path: Path) -> None:
    root = x509.load_pem_x509_certificate(Authority.load_or_create(tmp_path).certificate.encode())
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
