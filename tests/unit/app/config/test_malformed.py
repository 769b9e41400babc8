"""Every mistake in a configuration is named once, with its path, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybridpg.app.config import load_config
from hybridpg.app.errors import AppError, ConfigError

NO_BACKEND = "backend: is required: name the backend that is used where an object names none"


def problems(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ or {})
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", NO_BACKEND, id="empty file"),
        pytest.param("allowed_backends: []", NO_BACKEND, id="no backend"),
        pytest.param("backend:", NO_BACKEND, id="null backend"),
        pytest.param("backend: ''", "backend: must have at least 1 character", id="empty backend"),
        pytest.param("backend: 5", "backend: must be a valid string", id="backend is a number"),
        pytest.param(
            "backend: local\ncontroller: {lease: {renew_deadline_seconds: 15}}",
            "controller.lease: duration of lease default/hybridpg is 15 and must be more than its "
            "renew_deadline 15: else others take over from a leader that still works",
            id="a lease that two hold",
        ),
        pytest.param(
            "backend: local\ncontroller: {health_address: 'localhost:66000'}",
            "controller.health_address: must end in a port up to 65535",
            id="no port",
        ),
        pytest.param(
            "backend: local\nallowed_backends: local",
            "allowed_backends: must be a list",
            id="word for a list",
        ),
        pytest.param(
            "backend: local\nallowed_backends: [1]",
            "allowed_backends.0: must be a valid string",
            id="number in a list",
        ),
        pytest.param(
            "backend: local\nbackend_s: {}",
            "backend_s: unknown option; did you mean backends?",
            id="misspelt section",
        ),
        pytest.param(
            "backend: local\nsecurity: {password_lenght: 20}",
            "security.password_lenght: unknown option; did you mean password_length?",
            id="misspelt option",
        ),
        pytest.param("backend: local\nzzz: 1", "zzz: unknown option", id="nothing like it"),
        pytest.param(
            "backend: local\nsecurity: {password_length: '16'}",
            "security.password_length: must be a valid integer",
            id="text for a number",
        ),
        pytest.param(
            "backend: local\nsecurity: {password_length: 7}",
            "security.password_length: must be greater than or equal to 8",
            id="short passwords",
        ),
        pytest.param(
            "backend: local\nsecurity: {password_length: 42}",
            "security.password_length: must be less than or equal to 41",
            id="long passwords",
        ),
        pytest.param(
            "backend: local\nsecurity: {special_characters: 'no'}",
            "security.special_characters: must be a valid boolean",
            id="text for a boolean",
        ),
        pytest.param(
            "backend: local\nhandler_on_resume: 1",
            "handler_on_resume: must be a valid boolean",
            id="number for a boolean",
        ),
        pytest.param(
            "backend: local\nsecurity: [a]",
            "security: must be a mapping of keys to values",
            id="list for a section",
        ),
        pytest.param(
            "backend: local\nbackends: [local]",
            "backends: must be a mapping of keys to values",
            id="list of backends",
        ),
        pytest.param(
            "backend: local\nbackends: {local: yes}",
            "backends.local: must be a mapping of keys to values",
            id="word for a backend",
        ),
        pytest.param(
            "backend: local\ndeletion: {servers: delete}",
            "deletion.servers: must be 'Delete', 'Retain' or 'Snapshot'",
            id="policy in lower case",
        ),
        pytest.param(
            "backend: local\ndeletion: {databases: Snapshot}",
            "deletion.databases: must be 'Delete' or 'Retain'",
            id="policy that databases lack",
        ),
        pytest.param(
            "backend: local\ncontroller: {workers: 0}",
            "controller.workers: must be greater than or equal to 1",
            id="no workers",
        ),
        pytest.param(
            "backend: local\ncontroller: {secret_check_seconds: 0}",
            "controller.secret_check_seconds: must be greater than 0",
            id="no pause",
        ),
        pytest.param(
            "backend: local\ncontroller: {sql_route: tunnel}",
            "controller.sql_route: must be 'auto', 'direct' or 'port-forward'",
            id="unknown route",
        ),
        pytest.param(
            "backend: local\ncontroller: {cluster_id: 'a/b'}",
            "controller.cluster_id: must match pattern",
            id="cluster id",
        ),
        pytest.param(
            "backend: local\nextensions: [pgcrypto]",
            "extensions: must be a mapping of keys to values",
            id="list of extensions",
        ),
        pytest.param(
            "backend: local\nnamespaces: {'a-*': {limits: {storageGb: 1}}}",
            "namespaces.a-*.limits.storageGb: unknown option",
            id="misspelt limit",
        ),
        pytest.param(
            "backend: local\nnamespaces: {a: {limits: {servers: -1}}}",
            "namespaces.a.limits.servers: must be greater than or equal to 0",
            id="negative limit",
        ),
    ],
)
def test_a_mistake_gets_one_clear_line(tmp_path: Path, text: str, message: str):
    """C2, D50."""
    [line] = problems(tmp_path, text)

    assert line.startswith(message)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("backend: [", "is not valid: line 1:", id="no YAML"),
        pytest.param("backend: a\nbackend: b", "'backend' stands twice", id="double key"),
        pytest.param("- backend", "must be a mapping", id="list"),
        pytest.param("backend: a\n---\nbackend: b", "must hold one document", id="two documents"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str, message: str):
    [line] = problems(tmp_path, text)

    assert str(tmp_path / "config.yaml") in line
    assert message in line


def test_a_file_that_is_missing_is_named(tmp_path: Path):
    path = tmp_path / "nowhere.yaml"

    with pytest.raises(ConfigError) as caught:
        load_config(path, {})

    assert str(caught.value) == (
        f"the configuration file {path} cannot be read: No such file or directory"
    )


def test_a_file_that_is_missing_is_named_where_the_environment_names_it(tmp_path: Path):
    path = tmp_path / "nowhere.yaml"

    with pytest.raises(ConfigError, match=r"nowhere[.]yaml cannot be read"):
        load_config(None, {"OPERATOR_CONFIG": str(path), "HYBRIDCLOUD_BACKEND": "local"})


def test_a_file_that_is_no_text_is_named(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"backend: \xff\xfe")

    with pytest.raises(ConfigError, match="it is not a text in UTF-8"):
        load_config(path, {})


def test_all_mistakes_are_named_at_once(tmp_path: Path):
    found = problems(
        tmp_path,
        "allowed_backends: 1\nsecurity: {password_length: 3, x: 1}\ndeletion: {servers: Keep}",
        {"HYBRIDCLOUD_NO_SUCH_THING": "1"},
    )

    assert [line.split(":")[0] for line in found] == [
        "backend",
        "allowed_backends",
        "security.password_length",
        "security.x",
        "deletion.servers",
        "HYBRIDCLOUD_NO_SUCH_THING",
    ]


def test_values_are_never_quoted(tmp_path: Path):
    """A configuration may hold a secret, also in the wrong place."""
    found = problems(
        tmp_path, "backend: 1\nsecurity: {password_length: hunter2, special_characters: hunter2}"
    )

    assert "hunter2" not in "\n".join(found)


def test_the_error_reads_as_one_line_a_problem(tmp_path: Path):
    """D49: and it belongs to the operator's own tree."""
    path = tmp_path / "config.yaml"
    path.write_text("x: 1")

    with pytest.raises(AppError) as caught:
        load_config(path, {})

    assert len(str(caught.value).splitlines()) == 2
