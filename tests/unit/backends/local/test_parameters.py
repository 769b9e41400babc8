"""Which parameters a user may set, and that no value breaks out of its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridpg.backends.local.parameters import (
    Parameter,
    parse_description,
    refusal,
    render,
    restarts,
)

DESCRIPTION = "\n".join(
    (
        "work_mem\tuser\tResource Usage / Memory\tINTEGER\t4096\t64\t2147483647\tshort\tlong",
        "DateStyle\tuser\tClient Connection Defaults / Locale and Formatting\tSTRING\t\t\t\ts\t",
        "shared_buffers\tpostmaster\tResource Usage / Memory\tINTEGER\t0\t16\t1\tshort\tlong",
        "block_size\tinternal\tPreset Options\tINTEGER\t8192\t8192\t8192\tshort\tlong",
        "ssl_cert_file\tsighup\tConnections and Authentication / SSL\tSTRING\t\t\t\tshort\t",
        "archive_command\tsighup\tWrite-Ahead Log / Archiving\tSTRING\t\t\t\tshort\t",
        "restore_command\tsighup\tWrite-Ahead Log / Archive Recovery\tSTRING\t\t\t\tshort\t",
        "hba_file\tpostmaster\tFile Locations\tSTRING\t\t\t\tshort\t",
        "jit_provider\tpostmaster\tClient Connection Defaults / Shared Library Preloading\tSTRING"
        "\t\t\t\tshort\t",
        "log_directory\tsighup\tReporting and Logging / Where to Log\tSTRING\t\t\t\tshort\t",
        "log_statement\tsuperuser\tReporting and Logging / What to Log\tENUM\t\t\t\tshort\t",
        "",
        "a line of another program",
    )
)
KNOWN = parse_description(DESCRIPTION)


def test_a_description_is_read_by_its_columns_and_other_lines_are_passed_over() -> None:
    assert KNOWN["work_mem"] == Parameter("user", "Resource Usage / Memory")
    assert len(KNOWN) == 11


@pytest.mark.parametrize("name", ["work_mem", "WORK_MEM", "datestyle", "log_statement", "my.own"])
def test_what_concerns_only_the_users_own_server_may_be_set(name: str) -> None:
    assert refusal(name, "1", KNOWN) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("listen_addresses", "where the server listens"),
        ("port", "chooses the port"),
        ("PORT", "chooses the port"),
        ("ssl_cert_file", "certificates"),
        ("hba_file", "where files lie"),
        ("archive_command", "as the user of all servers"),
        ("restore_command", "as the user of all servers"),
        ("jit_provider", "list the extension"),
        ("log_directory", "where logs go"),
        ("unix_socket_directories", "no socket file"),
        ("unix_socket_permissions", "no socket file"),
        ("password_encryption", "SCRAM"),
        ("oauth_validator_libraries", "as the user of all servers"),
        ("default_transaction_read_only", "could no longer make databases"),
        ("block_size", "cannot be set"),
        ("no_such", "no such parameter"),
        ("include", "no such parameter"),
        ("work_mem = 1\nport", "no such parameter"),
        ("my.own\nport", "no such parameter"),
        ("", "no such parameter"),
    ],
)
def test_what_concerns_others_is_refused_with_its_reason(name: str, why: str) -> None:
    assert why in refusal(name, "1", KNOWN)


def test_a_value_that_no_file_can_hold_is_refused() -> None:
    assert "NUL" in refusal("work_mem", "1\0", KNOWN)


@pytest.mark.parametrize(
    ("name", "needed"),
    [("shared_buffers", True), ("Shared_Buffers", True), ("work_mem", False), ("my.own", False)],
)
def test_only_what_is_fixed_at_the_start_needs_a_restart(name: str, needed: bool) -> None:
    assert restarts(name, KNOWN) is needed


@given(st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_a_value_stays_on_its_line_and_inside_its_quotes(value: str) -> None:
    line = render({"my.own": value})
    body = line.removeprefix("my.own = '").removesuffix("'\n")
    assert "\n" not in body
    quotes = body.replace("\\\\", "").replace("''", "")
    assert "'" not in quotes
    assert not quotes.endswith("\\")


def test_settings_keep_their_order_one_a_line() -> None:
    assert render({"b": "1", "a": "it's"}) == "b = '1'\na = 'it''s'\n"
