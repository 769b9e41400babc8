"""What a program says is understood, and ports are tried as the server will."""

from __future__ import annotations

import socket

from hybridpg.backends.local.cluster import TEXT_LIMIT, complaints, port_is_free, tail

OUTPUT = """\
2026-11-21 04:17:16.317 UTC [17123] LOG:  invalid value for parameter "work_mem": "plenty"
2026-11-21 04:17:16.317 UTC [17123] HINT:  Valid units for this parameter are "B" and "kB".
2026-11-21 04:17:16.317 UTC [17123] LOG:  parameter "fsync" requires a Boolean value
2026-11-21 04:17:16.317 UTC [17123] LOG:  unrecognized configuration parameter "odd" in file \
"/data/candidate.conf" line 33
2026-11-21 04:17:16.317 UTC [17123] LOG:  invalid value for parameter "listen": "x"
2026-11-21 04:17:16.317 UTC [17123] HINT:  This hint is for a parameter of ours.
2026-11-21 04:17:16.317 UTC [17123] FATAL:  configuration file "/data/candidate.conf" has errors
"""


def test_each_refused_setting_gets_its_own_sentence_and_hint() -> None:
    settings = {"work_mem": "plenty", "fsync": "x", "odd": "1", "fine": "1"}
    assert complaints(OUTPUT, settings) == {
        "work_mem": 'invalid value for parameter "work_mem": "plenty"; '
        'Valid units for this parameter are "B" and "kB".',
        "fsync": 'parameter "fsync" requires a Boolean value',
        "odd": 'unrecognized configuration parameter "odd"',
    }


def test_a_complaint_of_nothing_of_the_users_names_nobody() -> None:
    assert complaints(OUTPUT, {"fine": "1"}) == {}


def test_a_long_sentence_is_cut() -> None:
    value = "x" * 1000
    [reason] = complaints(
        f'LOG:  invalid value for parameter "a": "{value}"', {"a": value}
    ).values()
    assert len(reason) == TEXT_LIMIT


def test_output_becomes_one_line_of_bounded_length() -> None:
    assert tail("a\n\n  b \n") == "a; b"
    assert len(tail("word\n" * 1000)) == TEXT_LIMIT


def test_a_port_is_free_unless_somebody_listens() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        port = stranger.getsockname()[1]
        stranger.listen()
        assert not port_is_free("127.0.0.1", port)
    assert port_is_free("127.0.0.1", port)


def test_a_listener_on_all_addresses_takes_the_port_too() -> None:
    with socket.socket() as stranger:
        stranger.bind(("0.0.0.0", 0))
        stranger.listen()
        assert not port_is_free("127.0.0.1", stranger.getsockname()[1])


def test_a_setting_is_known_by_its_name_in_any_case():
    """M12: a program complains of TimeZone, whoever set timezone."""
    output = (
        '2026-11-21 08:25:52 UTC [19954] LOG:  invalid value for parameter "TimeZone": "${x}"\n'
    )
    assert list(complaints(output, {"timezone": "${x}", "other": "1"})) == ["timezone"]
