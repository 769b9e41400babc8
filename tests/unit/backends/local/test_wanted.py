"""What a spec comes to on a machine: nothing that cannot be honoured is silently dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.backends.local.samples import Shelf, spec, wishes

from hybridpg.backends import Problem

SHELF = Shelf("15.7", "16.4", "17.0")


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        ("", "17.0"),
        ("latest", "17.0"),
        ("16", "16.4"),
        ("15", "15.7"),
        ("15.2", "15.7"),
        ("16.4", "16.4"),
    ],
)
def test_an_installed_version_is_used_without_ado(asked: str, version: str) -> None:
    """H15, S2: empty and latest are the newest, a minor is a floor."""
    installation, problems = wishes(SHELF).version(asked)
    assert (installation.version, problems) == (version, ())


@pytest.mark.parametrize(("asked", "version"), [("", "15.7"), ("latest", "17.0")])
def test_a_spec_without_a_version_gets_the_one_that_the_administrator_chose(
    asked: str, version: str
) -> None:
    """H15: only who asks for the latest gets a newer one."""
    installation, problems = wishes(SHELF, default_version=15).version(asked)
    assert (installation.version, problems) == (version, ())


@pytest.mark.parametrize("asked", ["99", "14", "14.3", "nine", "16-alpine", "16.4.1", "-1"])
def test_another_version_falls_back_to_the_default_and_says_so(asked: str) -> None:
    """H15, D55."""
    newest, [problem] = wishes(SHELF).version(asked)
    assert newest.version == "17.0"
    assert problem.field == "version"
    assert problem.fallback == "17.0"
    assert asked in problem.message
    assert "15, 16, 17" in problem.message
    chosen, [problem] = wishes(SHELF, default_version=15).version(asked)
    assert (chosen.version, problem.fallback) == ("15.7", "15.7")


def test_a_minor_that_is_not_there_falls_back_within_its_major() -> None:
    installation, [problem] = wishes(SHELF).version("16.9")
    assert (installation.version, problem.fallback) == ("16.4", "16.4")


CLASSES = {"classes": {"small": {"cpu": 2, "memory_mb": 1024}, "tiny": {"memory_mb": 64}}}
SMALL = {"max_parallel_workers": "2", "shared_buffers": "256MB", "effective_cache_size": "768MB"}
TINY = {"shared_buffers": "16MB", "effective_cache_size": "48MB"}


@pytest.mark.parametrize(
    ("options", "size", "settings"),
    [
        pytest.param({}, {}, {}, id="unset-is-unmanaged"),
        pytest.param(CLASSES, {"class": "small"}, SMALL, id="class"),
        pytest.param(CLASSES, {"class": "small", "memoryMB": 64}, SMALL, id="class-wins"),
        pytest.param(CLASSES, {"memoryMB": 64}, TINY, id="memory"),
        pytest.param(CLASSES, {"cpu": 3}, {"max_parallel_workers": "3"}, id="cpu"),
        pytest.param({**CLASSES, "default_class": "tiny"}, {}, TINY, id="default"),
        pytest.param(
            {**CLASSES, "default_class": "tiny"},
            {"cpu": 3, "memoryMB": 64},
            {"max_parallel_workers": "3", **TINY},
            id="own-size-beats-default",
        ),
    ],
)
def test_a_size_tunes_the_server(
    options: dict[str, Any], size: dict[str, Any], settings: dict[str, str]
) -> None:
    """H17."""
    wanted = wishes(SHELF, **options).of(spec(size=size), SHELF.newest())
    assert (wanted.settings, wanted.problems) == (settings, ())


@pytest.mark.parametrize(
    ("options", "fallback", "settings"),
    [
        (CLASSES, "postgresql's own defaults", {}),
        ({**CLASSES, "default_class": "tiny"}, "tiny", TINY),
    ],
)
def test_an_unknown_class_falls_back_and_says_so(
    options: dict[str, Any], fallback: str, settings: dict[str, str]
) -> None:
    """H16, D62."""
    wanted = wishes(SHELF, **options).of(spec(size={"class": "big"}), SHELF.newest())
    [problem] = wanted.problems
    assert (problem.field, problem.fallback) == ("size.class", fallback)
    assert "small, tiny" in problem.message
    assert wanted.settings == settings


def test_more_memory_than_the_machine_has_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 2**20, "SC_PHYS_PAGES": 64}.__getitem__)
    wanted = wishes(SHELF).of(spec(size={"memoryMB": 10**6}), SHELF.newest())
    assert wanted.settings == TINY
    assert [(each.field, each.fallback) for each in wanted.problems] == [("size.memoryMB", "64")]


def test_parameters_of_the_user_beat_those_of_the_size() -> None:
    asked = spec(size={"memoryMB": 64}, serverParameters={"shared_buffers": "99MB"})
    assert wishes(SHELF).of(asked, SHELF.newest()).settings["shared_buffers"] == "99MB"


def test_a_refused_parameter_is_a_problem_and_the_rest_is_used() -> None:
    """D66."""
    parameters = {"work_mem": "8MB", "port": "5432", "nonsense": "1"}
    wanted = wishes(SHELF).of(spec(serverParameters=parameters), SHELF.newest())
    assert wanted.settings == {"work_mem": "8MB"}
    assert wanted.problems == (
        Problem(
            "serverParameters.nonsense",
            "this version of postgresql has no such parameter",
        ),
        Problem("serverParameters.port", "the operator chooses the port"),
    )


def test_what_a_server_refused_is_left_out_with_that_value_only() -> None:
    refused = {("work_mem", "plenty"): "no such amount", ("shared_buffers", "256MB"): "no room"}
    judge, newest = wishes(SHELF), SHELF.newest()
    bad, good = ({"serverParameters": {"work_mem": value}} for value in ("plenty", "8MB"))
    wanted = judge.of(spec(**bad), newest, refused)
    assert wanted.problems == (Problem("serverParameters.work_mem", "no such amount"),)
    assert wanted.settings == {}
    assert judge.of(spec(**good), newest, refused).problems == ()
    wanted = judge.of(spec(size={"memoryMB": 1024}), newest, refused)
    assert wanted.problems == (Problem("size", "shared_buffers = 256MB: no room"),)
    assert wanted.settings == {"effective_cache_size": "768MB"}


def test_a_listed_extension_is_preloaded_where_its_library_is_there(tmp_path: Path) -> None:
    """S7, D67: order and repetition of the list do not matter."""
    (tmp_path / "lib").mkdir()
    for name in ("pg_stat_statements", "auto_explain"):
        (tmp_path / "lib" / f"{name}.so").touch()
    shelf = Shelf("16.4", folder=tmp_path / "bin")
    asked = ["pg_stat_statements", "hstore", "pg_cron", "auto_explain"]
    first, second = (
        wishes(shelf).of(spec(extensions=names), shelf.newest())
        for names in (asked, list(reversed(asked)))
    )
    assert first == second
    assert first.settings == {"shared_preload_libraries": "auto_explain,pg_stat_statements"}
    [problem] = first.problems
    assert problem == Problem("extensions", "pg_cron does not come with postgresql 16 here")
