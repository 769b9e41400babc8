"""YAML as kubectl reads it: what is text there is text here."""

import pytest
import yaml

from hybridpg.crds.errors import YamlError
from hybridpg.crds.yaml import load_all


def value(text: str):
    [document] = load_all(f"value: {text}")
    return document["value"]


@pytest.mark.parametrize(
    "text",
    ["03:00", "1:30:00", "10:59.5", "2026-01-01", "2026-01-01T00:00:00Z", ".inf", ".nan", "="],
)
def test_words_that_json_does_not_know_are_text(text):
    """S10: a start time without quotes is not a number to the base of sixty."""
    assert value(text) == text


def test_the_usual_loader_would_make_a_number_of_a_time():
    assert yaml.safe_load("value: 10:30") == {"value": 630}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12),
        ("-12", -12),
        ("0", 0),
        ("0777", 0o777),
        ("0x1f", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("15.2", 15.2),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-1.5e-3", -0.0015),
        ("true", True),
        ("no", False),
        ("On", True),
        ("~", None),
        ("null", None),
        ("", None),
        ("'16'", "16"),
        ('"true"', "true"),
        ("16a", "16a"),
        ("08", "08"),
        ("0x", "0x"),
        (".", "."),
        ("1.2.3.4", "1.2.3.4"),
        ("[1, a, null]", [1, "a", None]),
        ("{}", {}),
    ],
)
def test_plain_words_mean_what_they_mean_to_kubectl(text, expected):
    found = value(text)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("key", ["on", "1", "null", "03:00", "true", "1.5"])
def test_keys_are_always_text(key):
    assert load_all(f"{key}: x") == [{key: "x"}]


def test_empty_documents_are_left_out():
    assert load_all("---\n# only a comment\n---\na: 1\n---\n") == [{"a": 1}]


def test_a_written_key_wins_over_a_merged_one():
    text = "base: &base {x: 1, y: 2}\nchild:\n  <<: *base\n  x: 3\n"

    assert load_all(text) == [{"base": {"x": 1, "y": 2}, "child": {"x": 3, "y": 2}}]


def test_an_anchor_can_be_used_twice():
    assert load_all("a: &a [1]\nb: *a") == [{"a": [1], "b": [1]}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice", id="double"),
        pytest.param("s:\n  x: 1\n  x: 1", "line 3: the key 'x' stands twice", id="nested double"),
        pytest.param("a: [1", "line 1: while parsing a flow sequence", id="open list"),
        pytest.param("a:\n\tb: 1", "line 2: while scanning for the next token", id="tab"),
        pytest.param("a: 1\n  b: 2", "line 2: mapping values are not allowed here", id="indent"),
        pytest.param("- a\n- b", "a document must be a mapping", id="list"),
        pytest.param("just words", "a document must be a mapping", id="text"),
        pytest.param("{a: 1}: 2", "line 1: a key must be a word", id="mapping as key"),
        pytest.param("a: &a [*a]", "recursive", id="alias of itself"),
        pytest.param("a: *b", "line 1: found undefined alias 'b'", id="unknown alias"),
        pytest.param("a: !!timestamp 2026-01-01", "timestamp", id="date"),
        pytest.param("a: !!python/name:os.system x", "could not determine", id="python object"),
        pytest.param("a: \x00", "special characters are not allowed", id="null byte"),
        pytest.param("[" * 3000, "nested too deeply", id="depth"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text, message):
    with pytest.raises(YamlError) as caught:
        load_all(text)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
