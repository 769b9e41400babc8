"""Names, label keys and values, finalizers, keys of Secrets: accepted and refused."""

from __future__ import annotations

import pytest

from hybridpg.controller.testing import _names as names

SUBDOMAIN = names.SUBDOMAIN_PROBLEM
PART = names.NAME_PART_PROBLEM


@pytest.mark.parametrize("name", ["a", "a-b", "a.b-c.d", "0", "a" * 253])
def test_names_of_objects(name: str):
    assert names.subdomain_problems(name) == []


@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("a" * 254, ["must be no more than 253 characters"]),
        ("A", [SUBDOMAIN]),
        ("a_b", [SUBDOMAIN]),
        ("-a", [SUBDOMAIN]),
        ("a.", [SUBDOMAIN]),
        ("a\n", [SUBDOMAIN]),
        ("A" * 254, ["must be no more than 253 characters", SUBDOMAIN]),
    ],
)
def test_names_that_no_object_has(name: str, problems: list[str]):
    assert names.subdomain_problems(name) == problems


@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("a" * 63, []),
        ("a" * 64, ["must be no more than 63 characters"]),
        ("a.b", ["must not contain dots"]),
        ("A", [names.LABEL_PROBLEM]),
    ],
)
def test_names_of_namespaces(name: str, problems: list[str]):
    assert names.label_problems(name) == problems


@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("a", []),
        ("A.b_c-d", []),
        ("example.com/a", []),
        (f"{'a' * 253}/{'b' * 63}", []),
        ("", ["name part must be non-empty", PART]),
        ("a/", ["name part must be non-empty", PART]),
        ("/a", ["prefix part must be non-empty"]),
        ("A/a", [f"prefix part {SUBDOMAIN}"]),
        ("a" * 64, ["name part must be no more than 63 characters"]),
        ("a b", [PART]),
        ("a/b/c", [names.QUALIFIED_NAME_PROBLEM]),
    ],
)
def test_keys_of_labels(name: str, problems: list[str]):
    assert names.qualified_name_problems(name) == problems


@pytest.mark.parametrize(
    ("value", "problems"),
    [
        ("", []),
        ("a", []),
        ("A_b.c-d", []),
        ("a" * 63, []),
        ("a" * 64, ["must be no more than 63 characters"]),
        ("a b", [names.LABEL_VALUE_PROBLEM]),
        ("-", [names.LABEL_VALUE_PROBLEM]),
    ],
)
def test_values_of_labels(value: str, problems: list[str]):
    assert names.label_value_problems(value) == problems


@pytest.mark.parametrize(
    ("key", "problems"),
    [
        ("tls.crt", []),
        ("A_b-c", []),
        ("...", []),
        (".", ["must not be '.'"]),
        ("..", ["must not be '..'"]),
        ("a b", [names.CONFIG_KEY_PROBLEM]),
        ("", [names.CONFIG_KEY_PROBLEM]),
        ("a" * 254, ["must be no more than 253 characters"]),
    ],
)
def test_keys_of_secrets(key: str, problems: list[str]):
    assert names.config_key_problems(key) == problems
