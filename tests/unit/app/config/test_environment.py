"""Options from the environment: cut at the known names, typed, and stronger than the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from hybridpg.app.config import Config, backend_options, load_config
from hybridpg.app.errors import ConfigError


class Strict(BaseModel):
    """Options are typed and known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Network(Strict):
    """A section of a backend."""

    public_access: bool = True
    allowed_ranges: list[str] = []


class NetworkTwo(Strict):
    """A section whose name begins as the other's."""

    access: str = ""


class CloudOptions(Strict):
    """Options of one backend of every type."""

    name_pattern: str = "{name}"
    cpu_limit: int | None = None
    threshold: float = 1.0
    mode: Literal["fast", "safe"] = "safe"
    folder: Path | None = None
    tags: dict[str, str] = {}
    ports: Annotated[list[int], Field(max_length=2)] = []
    zone: str | dict[str, str] | None = None
    network: Network = Network()
    network_public: NetworkTwo | None = None


OPTIONS: dict[str, type[BaseModel]] = {
    "azurepostgresflexible": CloudOptions,
    "my-cloud": CloudOptions,
}


def load(tmp_path: Path, environ: dict[str, str], text: str = "backend: my-cloud") -> Config:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return load_config(path, {"PATH": "/bin", **environ}, OPTIONS)


def refused(tmp_path: Path, environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environ)
    return caught.value.problems


@pytest.mark.parametrize(
    ("variable", "text", "option", "expected"),
    [
        ("SECURITY_SPECIAL_CHARACTERS", "false", ("security", "special_characters"), False),
        ("SECURITY_SPECIAL_CHARACTERS", "False", ("security", "special_characters"), False),
        ("SECURITY_PASSWORD_LENGTH", "20", ("security", "password_length"), 20),
        ("CONTROLLER_SECRET_CHECK_SECONDS", "2.5", ("controller", "secret_check_seconds"), 2.5),
        ("CONTROLLER_SECRET_CHECK_SECONDS", "2", ("controller", "secret_check_seconds"), 2.0),
        ("CONTROLLER_CLUSTER_ID", "1234", ("controller", "cluster_id"), "1234"),
        ("CONTROLLER_LEASE_NAME", "true", ("controller", "lease", "name"), "true"),
        ("CONTROLLER_SQL_ROUTE", "direct", ("controller", "sql_route"), "direct"),
        ("CONTROLLER_WATCH_NAMESPACES", '["a"]', ("controller", "watch_namespaces"), ("a",)),
        ("DELETION_SERVERS", "Delete", ("deletion", "servers"), "Delete"),
        ("EXTENSIONS_ALLOWED", "[]", ("extensions", "allowed"), ()),
        ("ALLOWED_BACKENDS", '["my-cloud"]', ("allowed_backends",), ("my-cloud",)),
    ],
)
def test_an_option_of_ours_gets_its_type(
    tmp_path: Path, variable: str, text: str, option: tuple[str, ...], expected: object
):
    """H29, D50: the text false is not true."""
    found: Any = load(tmp_path, {f"HYBRIDCLOUD_{variable}": text})
    for name in option:
        found = getattr(found, name)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("NAME_PATTERN", "{namespace}-{name}", {"name_pattern": "{namespace}-{name}"}),
        ("CPU_LIMIT", "64", {"cpu_limit": 64}),
        ("THRESHOLD", "0.5", {"threshold": 0.5}),
        ("MODE", "fast", {"mode": "fast"}),
        ("TAGS", '{"a": "1"}', {"tags": {"a": "1"}}),
        ("PORTS", "[1, 2]", {"ports": [1, 2]}),
        ("ZONE", "1", {"zone": "1"}),
        ("ZONE", '{"name": "z"}', {"zone": {"name": "z"}}),
        ("NETWORK_PUBLIC_ACCESS", "x", {"network_public": {"access": "x"}}),
        ("NETWORK_ALLOWED_RANGES", '["a"]', {"network": {"allowed_ranges": ["a"]}}),
        ("NETWORK", '{"public_access": false}', {"network": {"public_access": False}}),
    ],
    ids=[
        "text in braces",
        "number",
        "fraction",
        "choice",
        "map",
        "list",
        "text where a map would do",
        "map where text would do",
        "the longest name wins",
        "list in a section",
        "section",
    ],
)
def test_an_option_of_a_backend_gets_its_type(
    tmp_path: Path, variable: str, text: str, expected: dict[str, Any]
):
    """H29: in the section of a backend and in the one that backends of a cloud share."""
    for section, written in (("AZURE", "azure"), ("MY_CLOUD", "my-cloud")):
        config = load(tmp_path, {f"HYBRIDCLOUD_BACKENDS_{section}_{variable}": text})

        assert config.backends[written] == expected


def test_the_environment_beats_the_file_and_leaves_the_rest(tmp_path: Path):
    """H29."""
    config = load(
        tmp_path,
        {"HYBRIDCLOUD_BACKENDS_MY_CLOUD_NETWORK_ALLOWED_RANGES": '["b"]'},
        """
backend: my-cloud
backends:
  my-cloud:
    cpu_limit: 4
    network: {public_access: false, allowed_ranges: [a]}
""",
    )

    options = backend_options(config, "my-cloud", CloudOptions)
    assert options.network == Network(public_access=False, allowed_ranges=["b"])
    assert options.cpu_limit == 4


def test_a_single_option_beats_its_whole_section(tmp_path: Path):
    config = load(
        tmp_path,
        {
            "HYBRIDCLOUD_SECURITY_PASSWORD_LENGTH": "12",
            "HYBRIDCLOUD_SECURITY": '{"password_length": 30, "special_characters": true}',
        },
    )

    assert (config.security.password_length, config.security.special_characters) == (12, True)


def test_an_empty_variable_is_not_set(tmp_path: Path):
    config = load(tmp_path, {"HYBRIDCLOUD_SECURITY_PASSWORD_LENGTH": ""})

    assert config.security.password_length is None


def test_a_whole_map_is_set_by_json(tmp_path: Path):
    config = load(tmp_path, {"HYBRIDCLOUD_NAMESPACES": '{"a-*": {"limits": {"storageGB": 5}}}'})

    assert config.namespaces["a-*"].limits.storage_gb == 5


def test_an_option_of_a_backend_that_is_not_installed_is_kept_for_it(tmp_path: Path):
    config = load(tmp_path, {"HYBRIDCLOUD_BACKENDS_AWSRDS_SUBNET_GROUP": "mine"})

    assert config.backends["awsrds"] == {"subnet_group": "mine"}


def test_a_section_of_the_file_names_a_backend(tmp_path: Path):
    config = load(
        tmp_path,
        {"HYBRIDCLOUD_BACKENDS_IN_HOUSE_TOKEN_FILE": "/t"},
        "backend: my-cloud\nbackends: {in-house: {}}",
    )

    assert config.backends["in-house"] == {"token_file": "/t"}


@pytest.mark.parametrize(
    "variable",
    [
        "HYBRIDCLOUD_BACKEND_S",
        "HYBRIDCLOUD_SECURITY_",
        "HYBRIDCLOUD_SECURITY_PASSWORD",
        "HYBRIDCLOUD_BACKENDS_MY_CLOUD_TAGS_A",
        "HYBRIDCLOUD_BACKENDS_MY_CLOUD_NO_SUCH",
        "HYBRIDCLOUD_BACKENDS_AZURE_NO_SUCH",
        "HYBRIDCLOUD_BACKENDS_NOBODY_X",
        "HYBRIDCLOUD_",
    ],
)
def test_a_variable_that_means_no_option_is_named(tmp_path: Path, variable: str):
    """A misspelt variable would otherwise be lost without a word."""
    [line] = refused(tmp_path, {variable: "x"})

    assert line.startswith(f"{variable}: there is no such option")


def test_what_the_kubelet_sets_for_a_service_is_no_option(tmp_path: Path):
    """A Service `hybridcloud-web` beside the pod must not keep the controller from starting."""
    links = {
        "HYBRIDCLOUD_WEB_SERVICE_HOST": "10.0.0.1",
        "HYBRIDCLOUD_WEB_SERVICE_PORT": "80",
        "HYBRIDCLOUD_WEB_SERVICE_PORT_HTTP": "80",
        "HYBRIDCLOUD_WEB_PORT": "tcp://10.0.0.1:80",
        "HYBRIDCLOUD_WEB_PORT_80_TCP": "tcp://10.0.0.1:80",
        "HYBRIDCLOUD_WEB_PORT_80_TCP_ADDR": "10.0.0.1",
    }

    assert load(tmp_path, links).backend == "my-cloud"


def test_a_port_that_is_no_link_is_named(tmp_path: Path):
    [line] = refused(tmp_path, {"HYBRIDCLOUD_CONTROLLER_PORT": "80"})

    assert line.startswith("HYBRIDCLOUD_CONTROLLER_PORT: there is no such option")


@pytest.mark.parametrize(
    ("variable", "text", "line"),
    [
        (
            "SECURITY_PASSWORD_LENGTH",
            "many",
            "security.password_length (HYBRIDCLOUD_SECURITY_PASSWORD_LENGTH): "
            "must be a valid integer",
        ),
        (
            "ALLOWED_BACKENDS",
            "local,external",
            "allowed_backends (HYBRIDCLOUD_ALLOWED_BACKENDS): must be a list",
        ),
        (
            "SECURITY",
            '{"password_length": 3}',
            "security.password_length (HYBRIDCLOUD_SECURITY): must be greater than or equal to 8",
        ),
        (
            "DELETION_SERVERS",
            "delete",
            "deletion.servers (HYBRIDCLOUD_DELETION_SERVERS): "
            "must be 'Delete', 'Retain' or 'Snapshot'",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(
    tmp_path: Path, variable: str, text: str, line: str
):
    assert refused(tmp_path, {f"HYBRIDCLOUD_{variable}": text}) == (line,)


def test_a_wrong_value_for_a_backend_is_named_with_its_variable(tmp_path: Path):
    """D48: only where the backend is used, and not when the process starts."""
    config = load(tmp_path, {"HYBRIDCLOUD_BACKENDS_MY_CLOUD_CPU_LIMIT": "many"})

    with pytest.raises(ConfigError) as caught:
        backend_options(config, "my-cloud", CloudOptions)

    assert caught.value.problems == (
        "backends.my-cloud.cpu_limit (HYBRIDCLOUD_BACKENDS_MY_CLOUD_CPU_LIMIT): "
        "must be a valid integer",
    )


def test_all_sections_of_backends_are_set_at_once(tmp_path: Path):
    config = load(tmp_path, {"HYBRIDCLOUD_BACKENDS": '{"my-cloud": {"cpu_limit": 1}}'})

    assert config.backends == {"my-cloud": {"cpu_limit": 1}}


def test_a_backend_that_nobody_has_is_named_with_those_that_there_are(tmp_path: Path):
    [line] = refused(tmp_path, {"HYBRIDCLOUD_BACKEND": "locla"})

    assert line.startswith("backend: there is no backend 'locla'; there are: aws")
    assert "my-cloud" in line


def test_a_backend_that_is_not_installed_but_has_a_section_is_let_pass(tmp_path: Path):
    """It is unavailable where it is used, and its objects say so."""
    config = load(tmp_path, {}, "backend: in-house\nbackends: {in-house: }")

    assert config.backend == "in-house"


def test_allowed_backends_that_nobody_has_are_named(tmp_path: Path):
    found = refused(tmp_path, {"HYBRIDCLOUD_ALLOWED_BACKENDS": '["my-cloud", "azure", "x"]'})

    assert [line.split(";")[0] for line in found] == [
        "allowed_backends: there is no backend 'azure'",
        "allowed_backends: there is no backend 'x'",
    ]
