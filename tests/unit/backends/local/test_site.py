"""What all servers share: made once, found again, repaired."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from hybridpg.backends.local.account import Account
from hybridpg.backends.local.site import Site, open_site
from hybridpg.backends.local.tls import LEAF_LIFE, Authority
from hybridpg.backends.local_options import LocalOptions

ME = Account("me", os.geteuid(), os.getegid(), switch=False)


def _open(path: Path, address: str = "127.0.0.1") -> Site:
    return open_site(LocalOptions(path=path / "site", address=address), ME)


def _operator(site: Site) -> x509.Certificate:
    return x509.load_pem_x509_certificate(site.certificate.read_bytes())


def test_the_operators_own_login_is_a_client_certificate_with_a_private_key(
    tmp_path: Path,
) -> None:
    site = _open(tmp_path)
    [name] = _operator(site).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "hybridpg"
    assert site.key.stat().st_mode & 0o777 == 0o600
    assert site.layout.authority.stat().st_mode & 0o777 == 0o700


def test_opening_again_finds_what_is_there(tmp_path: Path) -> None:
    first, again = _open(tmp_path), _open(tmp_path)
    assert again.certificate.read_text() == first.certificate.read_text()
    assert again.authority.certificate == first.authority.certificate


@pytest.mark.parametrize("lost", ["operator.crt", "operator.key"])
def test_a_pair_that_a_crash_tore_apart_is_made_anew(tmp_path: Path, lost: str) -> None:
    before = _operator(_open(tmp_path))
    (tmp_path / "site" / "ca" / lost).unlink()
    after = _operator(_open(tmp_path))
    assert after.serial_number != before.serial_number


def test_the_operators_certificate_is_renewed_in_time(tmp_path: Path) -> None:
    site = _open(tmp_path)
    before = _operator(site)
    late = datetime.now(UTC) + LEAF_LIFE * 0.8
    later = Authority.load_or_create(site.layout.authority, now=lambda: late)
    replace(site, authority=later).renew()
    assert _operator(site).not_valid_after_utc > before.not_valid_after_utc


@pytest.mark.parametrize(
    ("address", "host", "hostaddr"),
    [("127.0.0.1", "localhost", "127.0.0.1"), ("10.1.2.3", "10.1.2.3", "")],
)
def test_an_endpoint_is_verified_in_full_and_holds_our_way_in(
    tmp_path: Path, address: str, host: str, hostaddr: str
) -> None:
    site = _open(tmp_path, address)
    endpoint = site.endpoint(54321)
    assert (endpoint.host, endpoint.hostaddr, endpoint.port) == (host, hostaddr, 54321)
    assert endpoint.sslmode == "verify-full"
    assert endpoint.ca == site.authority.certificate
    assert endpoint.admin is not None
    assert endpoint.admin.password is None
    assert endpoint.admin.certificate == str(site.certificate)
    assert endpoint.admin.key == str(site.key)
