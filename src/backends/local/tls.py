"""A certificate authority in a folder, so that TLS is verified in full even on a laptop.

The servers of the ``local`` backend, the operator's own logins and the control plane of
``hybridpg dev`` get their certificates here. The key of the authority never leaves its folder.
Reading and writing block; callers on the event loop use ``asyncio.to_thread``.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .files import PRIVATE, PUBLIC, make_folder, read_text, write_atomic

Clock = Callable[[], datetime]

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=397)  # what browsers and Apple's TLS accept at most is 398
BACKDATED = timedelta(hours=1)  # a client whose clock is a little behind must not refuse us
NAME_LIMIT = 64  # of a common name, by X.520


def utc_now() -> datetime:
    """Return the present moment; certificates know wall-clock time only."""
    return datetime.now(UTC)


class Authority:
    """A certificate authority: make it with :meth:`load_or_create`."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, root: x509.Certificate, now: Clock) -> None:
        self._key = key
        self._root = root
        self._now = now
        self._renewals: dict[str, datetime] = {}
        """When each certificate that proved to be ours is due: proving costs half a millisecond,
        and every server's is asked for every two seconds."""

    @property
    def certificate(self) -> str:
        """The authority's own certificate as PEM: what clients trust."""
        return _pem(self._root)

    @classmethod
    def load_or_create(cls, folder: Path, *, now: Clock = utc_now) -> Authority:
        """Read the authority of ``folder``, or make it there.

        A crash between key and certificate, or a certificate about to expire, is repaired with
        the same key and name: what the old certificate vouches for, the new one does too.
        """
        make_folder(folder)
        with _locked(folder):
            key = _load_key(folder / "ca.key")
            text = read_text(folder / "ca.crt")
            root = x509.load_pem_x509_certificate(text.encode()) if text else None
            if root is None or expires_soon(_pem(root), now=now) or not _matches(root, key):
                root = _make_root(key, now())
                write_atomic(folder / "ca.crt", _pem(root), mode=PUBLIC)
        return cls(key, root, now)

    def issue(
        self,
        common_name: str,
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
        *,
        client: bool = False,
    ) -> tuple[str, str]:
        """Return a new certificate and its key, both PEM.

        ``names`` and ``addresses`` are what a server is reached by; a ``client`` certificate can
        log in and cannot serve, any other one the reverse.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            _builder(_name(common_name[:NAME_LIMIT]), key.public_key(), self._now(), LEAF_LIFE)
            .issuer_name(self._root.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usages(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=False
            )
        return _pem(builder.sign(self._key, hashes.SHA256())), _key_pem(key)

    def vouches_for(self, certificate: str) -> bool:
        """Return whether we signed this certificate and it is good for a while yet."""
        due = self._renewals.get(certificate)
        if due is None:
            try:
                leaf = x509.load_pem_x509_certificate(certificate.encode())
                leaf.verify_directly_issued_by(self._root)
            except (ValueError, TypeError, InvalidSignature):
                return False
            due = self._renewals[certificate] = _renewal(leaf)
        return self._now() < due


def expires_soon(certificate: str, *, now: Clock = utc_now) -> bool:
    """Return whether less than a third of the certificate's life is left.

    For a server's certificate that is four months: even a controller that runs seldom renews it.
    """
    return now() >= _renewal(x509.load_pem_x509_certificate(certificate.encode()))


def _renewal(certificate: x509.Certificate) -> datetime:
    end = certificate.not_valid_after_utc
    return end - (end - certificate.not_valid_before_utc) / 3


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let two processes that start at once agree on one authority."""
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    text = read_text(path)
    if text is None:
        key = ec.generate_private_key(ec.SECP256R1())
        write_atomic(path, _key_pem(key), mode=PRIVATE)
        return key
    loaded = serialization.load_pem_private_key(text.encode(), password=None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} holds no elliptic-curve key; remove it to have one made")
    return loaded


def _make_root(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    # The name holds a part of the key's digest: authorities of two machines are told apart.
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _name(f"hybridpg local authority {identifier.digest.hex()[:8]}")
    return (
        _builder(name, key.public_key(), now, AUTHORITY_LIFE)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usages(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _builder(
    name: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usages(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _matches(root: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    return root.public_key() == key.public_key()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
