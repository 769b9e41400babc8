"""Certificates that change under a running process reach new connections, broken ones do not."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.controller.client.pki import Pki

from hybridpg.controller.client import TlsConfig
from hybridpg.controller.client.tlscontext import RECHECK_SECONDS, TlsContexts
from hybridpg.controller.errors import ConfigError

pytestmark = pytest.mark.virtual_time


@pytest.fixture
def ca(tmp_path: Path, pki: Pki) -> Path:
    return Path(shutil.copy(pki.ca, tmp_path / "ca.crt"))


@pytest.fixture
def contexts(ca: Path) -> TlsContexts:
    tls = TlsConfig(ca_file=str(ca))
    return TlsContexts(lambda: tls)


def serials(contexts: TlsContexts) -> set[object]:
    return {found["serialNumber"] for found in contexts.current().get_ca_certs()}


async def test_files_that_stay_the_same_keep_the_context(contexts: TlsContexts):
    first = contexts.current()
    await asyncio.sleep(10 * RECHECK_SECONDS)

    assert contexts.current() is first
    assert contexts.replaced(first) is False


async def test_a_rotated_authority_is_seen_within_a_minute(contexts, ca: Path, pki: Pki):
    first, before = contexts.current(), serials(contexts)
    shutil.copy(pki.other_ca, ca)

    await asyncio.sleep(RECHECK_SECONDS - 1)
    assert contexts.current() is first
    await asyncio.sleep(1)
    assert contexts.current() is not first
    assert serials(contexts).isdisjoint(before)


async def test_a_rotated_authority_is_seen_at_once_when_asked(contexts, ca: Path, pki: Pki):
    first = contexts.current()
    shutil.copy(pki.other_ca, ca)

    assert contexts.replaced(first) is True
    second = contexts.current()
    assert second is not first
    # requests that used the former one learn of the new one, each of them
    assert contexts.replaced(first) is True
    assert contexts.replaced(second) is False


async def test_a_volume_that_is_swapped_as_the_kubelet_does_is_seen(tmp_path: Path, pki: Pki):
    for name, source in (("..one", pki.ca), ("..two", pki.other_ca)):
        (tmp_path / name).mkdir()
        shutil.copy2(source, tmp_path / name / "ca.crt")
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "ca.crt").symlink_to("..data/ca.crt")
    tls = TlsConfig(ca_file=str(tmp_path / "ca.crt"))
    contexts = TlsContexts(lambda: tls)
    first = contexts.current()

    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").replace(tmp_path / "..data")

    assert contexts.replaced(first)


@pytest.mark.parametrize("broken", ["half", "empty", "missing"])
async def test_a_file_that_is_half_written_keeps_the_old_context_and_is_said_once(
    contexts, ca: Path, pki: Pki, broken: str, caplog: pytest.LogCaptureFixture
):
    first = contexts.current()
    if broken == "missing":
        ca.unlink()
    else:
        ca.write_bytes(pki.other_ca.read_bytes()[:200] if broken == "half" else b"")

    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            await asyncio.sleep(RECHECK_SECONDS)
            assert contexts.current() is first
            assert contexts.replaced(first) is False
    assert len(caplog.records) == 1
    assert str(ca) in caplog.text

    shutil.copy(pki.other_ca, ca)
    assert contexts.replaced(first)


async def test_a_broken_file_that_becomes_what_it_was_needs_no_new_context(contexts, ca: Path):
    first, content = contexts.current(), ca.read_bytes()
    ca.write_bytes(b"")
    assert contexts.replaced(first) is False
    ca.write_bytes(content)

    assert contexts.replaced(first) is False
    await asyncio.sleep(RECHECK_SECONDS)
    assert contexts.current() is first


async def test_a_certificate_that_comes_before_its_key_waits_for_it(tmp_path: Path, pki: Pki):
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    shutil.copy(pki.client, certificate)
    shutil.copy(pki.client, key)
    tls = TlsConfig(ca_file=str(pki.ca), certificate_file=str(certificate), key_file=str(key))
    contexts = TlsContexts(lambda: tls)
    first = contexts.current()

    shutil.copy(pki.server, certificate)
    assert contexts.replaced(first) is False
    shutil.copy(pki.server, key)
    assert contexts.replaced(first) is True


async def test_other_file_names_are_used_at_once(pki: Pki):
    """As of a login plugin that returned a new certificate."""
    tls = TlsConfig(ca_file=str(pki.ca))
    contexts = TlsContexts(lambda: tls)
    first = contexts.current()
    tls = replace(tls, certificate_file=str(pki.client), key_file=str(pki.client))

    assert contexts.current() is not first


async def test_other_file_names_that_cannot_be_used_are_tried_once_a_minute(pki: Pki, caplog):
    tls = TlsConfig(ca_file=str(pki.ca))
    contexts = TlsContexts(lambda: tls)
    first = contexts.current()
    tls = replace(tls, ca_file="/does/not/exist")

    for _ in range(10):
        assert contexts.current() is first
    assert caplog.text.count("/does/not/exist") == 1


async def test_files_that_never_could_be_used_are_an_error_each_time(tmp_path: Path, pki: Pki):
    ca = tmp_path / "ca.crt"
    contexts = TlsContexts(lambda: TlsConfig(ca_file=str(ca)))

    for _ in range(2):
        with pytest.raises(ConfigError, match=str(ca)):
            contexts.current()
    shutil.copy(pki.ca, ca)
    assert contexts.current().get_ca_certs()


async def test_the_authorities_of_the_system_need_no_file():
    contexts = TlsContexts(TlsConfig)
    first = contexts.current()
    await asyncio.sleep(RECHECK_SECONDS)

    assert contexts.current() is first
