"""Certificates for the tests: an authority, a server, a client."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SERVER_NAME = "api.example.com"


@dataclass(frozen=True)
class Pki:
    """File names of PEM files; ``other_ca`` signed nothing here."""

    ca: Path
    other_ca: Path
    server: Path
    client: Path

    def server_context(self, *, client_certificates: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.server)
        if client_certificates:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def make_pki(folder: Path, *, days: float = 1) -> Pki:
    """Write all certificates into a folder; each PEM holds its key as well.

    They end in so many days, which may be in the past.
    """
    authority = _certificate(folder / "ca.pem", "ca", issuer=None, days=days)
    _certificate(folder / "other.pem", "other", issuer=None, days=days)
    _certificate(folder / "server.pem", "server", issuer=authority, days=days)
    _certificate(folder / "client.pem", "client", issuer=authority, days=days)
    return Pki(*(folder / f"{name}.pem" for name in ("ca", "other", "server", "client")))


_Authority = tuple[x509.Name, ec.EllipticCurvePrivateKey]


def _certificate(path: Path, name: str, *, issuer: _Authority | None, days: float) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(SERVER_NAME)]
    if name == "server":
        names += [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return subject, key
