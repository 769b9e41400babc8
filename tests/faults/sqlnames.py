"""What a string of SQL is called in a list of calls: its words without names, numbers, literals.

A statement that writes keeps all its other words, because the list of calls is there to notice a
new one. A statement that reads is named by what it reads from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

PLACEHOLDER = "_"
_TOKEN = re.compile(
    r"""
    (?P<skipped> \s+ | --[^\n]* | /\*.*?\*/ )
  | (?P<value>
        [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
      | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | \$\d+ | \d[\d.]*
    )
  | (?P<end> ; )
  | (?P<word> [A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*)* )
  | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_READS = (
    *("SELECT", "SHOW", "VALUES", "TABLE", "SET", "RESET"),
    *("BEGIN", "COMMIT", "ROLLBACK", "PREPARE", "DEALLOCATE"),
)
_ACTS = re.compile(r"\b(pg_terminate_backend|pg_cancel_backend|pg_reload_conf)\b")
"""Functions with which a SELECT changes something."""
_SOURCE = re.compile(r"\b(?:FROM|JOIN)\s+(?:LATERAL\s+)?([A-Za-z_][\w.]*)", re.IGNORECASE)
_LIST = re.compile(rf"\b{PLACEHOLDER}(?:, {PLACEHOLDER})+\b")
_DROPS = ("DROP", "TRUNCATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Named:
    """A string of statements, as a call is named: ``CREATE+COMMENT``, and the words."""

    verb: str
    words: str
    writes: bool
    destroys: bool


def named(text: str) -> Named:
    """Name the statements of one string, which the server carries out as one."""
    statements = list(_statements(text))
    writing = [each for each in statements if _writes(each)]
    verbs = [each.split(" ", 1)[0].upper() for each in writing or statements]
    return Named(
        "+".join(dict.fromkeys(verbs)) or "EMPTY",
        "; ".join(each if _writes(each) else _read(each) for each in statements),
        writes=bool(writing),
        destroys=any(verb in _DROPS for verb in verbs),
    )


def _statements(text: str) -> Iterator[str]:
    words: list[str] = []
    for token in _TOKEN.finditer(text):
        if token["end"]:
            yield from _joined(words)
            words = []
        elif token["value"]:
            words.append(PLACEHOLDER)
        elif not token["skipped"]:
            words.append(token[0])
    yield from _joined(words)


def _joined(words: list[str]) -> Iterator[str]:
    """Put the words of a statement together, each list of values as one value."""
    text = re.sub(r" ([,)\]])", r"\1", re.sub(r"([(\[]) ", r"\1", " ".join(words)))
    if text:
        yield _LIST.sub(PLACEHOLDER, text)


def _writes(statement: str) -> bool:
    reads = statement.split(" ", 1)[0].upper() in _READS
    return not reads or bool(_ACTS.search(statement))


def _read(statement: str) -> str:
    verb = statement.split(" ", 1)[0].upper()
    if verb != "SELECT":
        return statement
    sources = {each.rsplit(".", 1)[-1] for each in _SOURCE.findall(statement)}
    return " ".join([verb, *sorted(sources)])
