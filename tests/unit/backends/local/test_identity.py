"""A folder knows which one it is: an empty mount point proves nothing about anybody's server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.backends.local.samples import REF, spec

from hybridpg.backends import (
    Absent,
    BackendContext,
    Credentials,
    Done,
    Password,
    Policy,
    Present,
    ServerRef,
    Unknown,
)
from hybridpg.backends.local import Local, LocalOptions
from hybridpg.backends.local.layout import Layout
from hybridpg.backends.local.record import Record, save
from hybridpg.backends.local.site import SITE

ADMIN = Credentials("postgres", Password("x"))


@pytest.fixture
def path() -> Iterator[Path]:
    """A folder that an unprivileged user can get to, which those of pytest are not for root."""
    with tempfile.TemporaryDirectory(prefix="hybridpg-identity") as parent:
        Path(parent).chmod(0o755)
        yield Path(parent) / "site"


class NoKube:
    """A Kubernetes that is never asked."""

    async def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """Fail."""
        raise AssertionError(name)


@asynccontextmanager
async def controller(path: Path) -> AsyncIterator[Local]:
    """Run a backend on a folder, as after a start of the controller."""
    backend = Local(BackendContext("local", LocalOptions(path=path), NoKube(), "cluster"))
    try:
        yield backend
    finally:
        await backend.close()


async def made(path: Path) -> ServerRef:
    """Make a server's record in a folder, and return the reference with what status says of it."""
    async with controller(path) as backend:
        assert await backend.observe_server(REF) == Absent()
        home = Layout(path.resolve()).home(REF.external_name)
        home.root.mkdir()
        save(home, Record(REF.owner.mark(), REF.external_name, 54321, 16, started=True))
        observed = await backend.observe_server(REF)
        assert isinstance(observed, Present)
        return replace(REF, recorded=observed.state.effective)


def unmount(path: Path) -> Path:
    """Leave an empty folder in the place of one, and return where that is now."""
    away = path.with_name("away")
    path.rename(away)
    path.mkdir()
    return away


def mount(away: Path, path: Path) -> None:
    shutil.rmtree(path)
    away.rename(path)


async def test_a_first_start_in_an_empty_folder_needs_nobody(path: Path):
    async with controller(path) as backend:
        assert await backend.observe_server(REF) == Absent()
        assert await backend.delete_server(REF, Absent(), Policy.DELETE) == Done()


async def test_a_server_is_not_absent_from_a_folder_that_is_not_mounted(path: Path):
    ref = await made(path)
    unmount(path)
    async with controller(path) as backend:
        with pytest.raises(Unknown, match="is the folder mounted"):
            await backend.observe_server(ref)
        with pytest.raises(Unknown, match="is the folder mounted"):
            await backend.delete_server(ref, Absent(), Policy.DELETE)
        changes = backend.plan_server(ref, spec(), Absent())
        with pytest.raises(Unknown, match="is the folder mounted"):
            await backend.create_or_update_server(ref, changes, ADMIN)
        assert Layout(path.resolve()).names() == []


async def test_a_folder_that_is_mounted_later_is_taken_as_it_is(path: Path):
    """Nothing of the empty one, its authority first of all, gets into it."""
    ref = await made(path)
    authority = (path / "ca" / "ca.crt").read_text()
    away = unmount(path)
    async with controller(path) as backend:
        with pytest.raises(Unknown):
            await backend.observe_server(ref)
        mount(away, path)
        observed = await backend.observe_server(ref)
        assert isinstance(observed, Present)
        endpoint = await backend.endpoint(ref, observed.state)
        assert endpoint.ca == authority == (path / "ca" / "ca.crt").read_text()


async def test_a_folder_that_goes_while_the_controller_runs_is_not_made_anew(path: Path):
    ref = await made(path)
    async with controller(path) as backend:
        assert isinstance(await backend.observe_server(ref), Present)
        away = unmount(path)
        for reference in (ref, REF):
            with pytest.raises(Unknown, match="mounted"):
                await backend.observe_server(reference)
        assert list(path.iterdir()) == []
        mount(away, path)
        assert isinstance(await backend.observe_server(ref), Present)


async def test_a_new_server_is_not_made_of_what_another_folder_lost(path: Path):
    """Status of a server that never answered says nothing of a folder: it is made where it is."""
    await made(path)
    unmount(path)
    async with controller(path) as backend:
        assert await backend.observe_server(REF) == Absent()


async def test_a_folder_that_an_administrator_gave_up_holds_nothing_up(path: Path):
    ref = await made(path)
    shutil.rmtree(path)
    async with controller(path) as backend:
        with pytest.raises(Unknown) as caught:
            await backend.observe_server(ref)
        assert f"write {ref.recorded[SITE]} into {path / 'lost-sites'}" in str(caught.value)
        (path / "lost-sites").write_text(f"0123\n{ref.recorded[SITE]}\n")
        assert await backend.observe_server(ref) == Absent()
        assert await backend.delete_server(ref, Absent(), Policy.DELETE) == Done()


async def test_a_server_that_is_gone_from_its_own_folder_is_absent(path: Path):
    ref = await made(path)
    shutil.rmtree(Layout(path.resolve()).home(REF.external_name).root)
    async with controller(path) as backend:
        assert await backend.observe_server(ref) == Absent()


async def test_a_folder_that_was_moved_is_the_same(path: Path):
    ref = await made(path)
    moved = path.rename(path.with_name("moved"))
    async with controller(moved) as backend:
        assert isinstance(await backend.observe_server(ref), Present)


async def test_a_server_of_a_folder_without_id_is_found_and_learns_it(path: Path):
    """As a version without ids left it."""
    ref = await made(path)
    (path / "site.id").unlink()
    async with controller(path) as backend:
        observed = await backend.observe_server(ref)
        assert isinstance(observed, Present)
        assert observed.state.effective[SITE] == (path / "site.id").read_text().strip()
