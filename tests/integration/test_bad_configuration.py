"""A configuration that is wrong ends the program at once, which says everything that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.fix_testenv import TestEnv
from tests.product import home_folder, hybridpg

pytestmark = [pytest.mark.postgres, pytest.mark.testenv, pytest.mark.slow]


class Wrong(NamedTuple):
    """A configuration, and the lines that say everything that is wrong with it."""

    text: str | bytes
    lines: tuple[str, ...]


CONFIGURATIONS = {
    "empty": Wrong("", ("backend: is required: name the backend",)),
    "unknown key": Wrong("backend: local\nbackendz: {}", ("backendz: unknown option; did you",)),
    "wrong type": Wrong(
        "backend: local\nsecurity: {password_length: long}",
        ("security.password_length: must be a valid integer",),
    ),
    "out of range": Wrong(
        "backend: local\ncontroller: {workers: 0}",
        ("controller.workers: must be greater than or equal to 1",),
    ),
    "unknown policy": Wrong(
        "backend: local\ndeletion: {servers: Keep}",
        ("deletion.servers: must be 'Delete', 'Retain' or 'Snapshot'",),
    ),
    "unknown backend": Wrong("backend: locale", ("backend: there is no backend 'locale'",)),
    "unknown allowed backend": Wrong(
        "backend: local\nallowed_backends: [local, oracle]",
        ("allowed_backends: there is no backend 'oracle'",),
    ),
    "three problems": Wrong(
        "security: {password_length: 5}\ncontroller: {wokers: 2}",
        (
            "backend: is required",
            "security.password_length: must be greater than or equal to 8",
            "controller.wokers: unknown option; did you mean workers?",
        ),
    ),
    "no YAML": Wrong("backend: [local", ("is not valid: ",)),
    "a tab": Wrong("backend: local\nsecurity:\n\tpassword_length: 9", ("is not valid: ",)),
    "a key twice": Wrong("backend: local\nbackend: external", ("is not valid: ",)),
    "two documents": Wrong("backend: local\n---\nbackend: external", ("must hold one document",)),
    "a list": Wrong("- backend: local", ("is not valid: ",)),
    "no text": Wrong(b"backend: \xff\xfe", ("cannot be read: it is not a text in UTF-8",)),
}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder to run the command line in."""
    with home_folder() as folder:
        yield folder


def check_refusal(done: Any, *lines: str) -> None:
    """Exit code 2, every problem once and nothing besides."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    said = done.stderr.splitlines()
    assert len(said) == len(lines), done.stderr
    for line in lines:
        assert [each for each in said if each.startswith("hybridpg: ") and line in each], line


@pytest.mark.parametrize("what", CONFIGURATIONS)
def test_a_malformed_configuration_is_refused_at_the_start(home: Path, testenv: TestEnv, what: str):
    """C2."""
    wrong = CONFIGURATIONS[what]
    file = home / "config.yaml"
    file.write_bytes(wrong.text if isinstance(wrong.text, bytes) else wrong.text.encode())

    kubeconfig = str(testenv.kubeconfig)
    done = hybridpg("run", "--config", str(file), "--kubeconfig", kubeconfig, home=home)

    check_refusal(done, *wrong.lines)


def test_a_configuration_that_is_not_there_is_named(home: Path):
    done = hybridpg("run", "--config", str(home / "nowhere.yaml"), home=home)

    check_refusal(done, f"the configuration file {home / 'nowhere.yaml'} cannot be read: No such")


def test_a_folder_is_no_configuration(home: Path):
    done = hybridpg("run", "--config", str(home), home=home)

    check_refusal(done, f"the configuration file {home} cannot be read: Is a directory")


def test_a_malformed_variable_is_named_beside_its_option(home: Path):
    """C2, H29."""
    variable = "HYBRIDCLOUD_SECURITY_PASSWORD_LENGTH"
    done = hybridpg("run", home=home, OPERATOR_CONFIG=str(good(home)), **{variable: "many"})

    check_refusal(done, f"security.password_length ({variable}): must be a valid integer")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(None, "does not exist", id="missing"),
        pytest.param("", "kubeconfig", id="empty"),
        pytest.param("clusters: [", "kubeconfig", id="no YAML"),
        pytest.param("current-context: nowhere\nclusters: []\nusers: []", "nowhere", id="context"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_named(home: Path, text: str | None, words: str):
    file = home / f"kubeconfig-{len(text or 'none')}"
    if text is not None:
        file.write_text(text)

    done = hybridpg("run", "--config", str(good(home)), "--kubeconfig", str(file), home=home)

    assert done.returncode == 2, done.stderr
    plain = re.sub(r"[^\w.,:'/-]+", " ", done.stderr)  # without the frame that a terminal gets
    assert words in plain
    assert "Traceback" not in done.stderr


def good(home: Path) -> Path:
    """A configuration without a mistake."""
    file = home / "good.yaml"
    file.write_text(yaml.safe_dump({"backend": "local", "controller": {"cluster_id": "test"}}))
    return file
