"""The options of a backend: its own section, filled up from the one that its cloud shares."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from hybridpg.app.config import Config, backend_options
from hybridpg.app.errors import ConfigError


class Strict(BaseModel):
    """Options are typed and known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Class(Strict):
    """A size."""

    name: str


class Network(Strict):
    """A section of a backend."""

    public_access: bool = True
    vnets: list[str] = []


class Options(Strict):
    """The options of a cloud's backend."""

    location: str
    name_pattern: str = "{name}"
    tags: dict[str, str] = {}
    classes: dict[str, Class] = {}
    network: Network = Network()


def config(**backends: Any) -> Config:
    return Config(backend="azurepostgres", backends=backends)


def options(**backends: Any) -> Options:
    return backend_options(config(**backends), "azurepostgres", Options)


def problems(name: str = "azurepostgres", **backends: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        backend_options(config(**backends), name, Options)
    return caught.value.problems


def test_the_specific_option_wins_and_the_others_are_filled_up():
    """H30: key by key."""
    found = options(
        azure={"location": "westeurope", "name_pattern": "a-{name}"},
        azurepostgres={"location": "northeurope"},
    )

    assert (found.location, found.name_pattern) == ("northeurope", "a-{name}")


def test_sections_are_filled_up_option_by_option():
    found = options(
        azure={"location": "x", "network": {"public_access": False}},
        azurepostgres={"network": {"vnets": ["v"]}},
    )

    assert found.network == Network(public_access=False, vnets=["v"])


def test_a_map_is_one_value():
    """A class that only the other backend of the cloud can make must not be offered."""
    found = options(
        azure={"location": "x", "tags": {"a": "1"}, "classes": {"big": {"name": "B"}}},
        azurepostgres={"tags": {}, "classes": {"dev": {"name": "D"}}},
    )

    assert found.tags == {}
    assert set(found.classes) == {"dev"}


def test_a_null_is_not_written():
    found = options(azure={"location": "x"}, azurepostgres={"location": None, "tags": None})

    assert found.location == "x"


def test_values_that_are_false_or_empty_are_written():
    """D50: a required option may be empty."""
    found = options(azure={"location": "x"}, azurepostgres={"location": ""})

    assert found.location == ""


def test_neither_section_is_changed():
    """D62: what one backend makes of its options must not show in another's."""
    shared = {"location": "x", "network": {"public_access": False}}
    own = {"network": {"vnets": ["v"]}}

    options(azure=shared, azurepostgres=own)

    assert shared == {"location": "x", "network": {"public_access": False}}
    assert own == {"network": {"vnets": ["v"]}}


def test_the_section_of_another_cloud_is_not_looked_at():
    assert problems("awsrds", azure={"location": "x"}) == ("backends.awsrds.location: is required",)


def test_a_backend_without_a_section_has_its_defaults():
    class Easy(Strict):
        """Nothing is required."""

        path: str = "/var"

    assert backend_options(config(local=None), "local", Easy).path == "/var"
    assert backend_options(config(), "local", Easy).path == "/var"


def test_every_problem_is_named_in_the_section_where_it_was_written():
    found = problems(
        azure={"tags": {"a": 1}, "locaton": "x"},
        azurepostgres={"network": {"vnets": [1], "public_acces": True}, "name_pattern": 5},
    )

    assert set(found) == {
        "backends.azurepostgres.location: is required",
        "backends.azurepostgres.name_pattern: must be a valid string",
        "backends.azure.tags.a: must be a valid string",
        "backends.azurepostgres.network.vnets.0: must be a valid string",
        "backends.azurepostgres.network.public_acces: unknown option; did you mean public_access?",
        "backends.azure.locaton: unknown option; did you mean location?",
    }


def test_problems_of_one_backend_do_not_concern_another():
    """D48."""
    loaded = config(azurepostgres={"location": 5}, other={"location": "x"})

    with pytest.raises(ConfigError):
        backend_options(loaded, "azurepostgres", Options)
    assert backend_options(loaded, "other", Options).location == "x"
