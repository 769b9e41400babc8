"""String formats: what the real server accepts, odd as some of it is."""

from __future__ import annotations

import pytest

from hybridpg.controller.testing._formats import passes

ACCEPTED = {
    "date-time": [
        "2026-01-01T00:00:00Z",
        "2026-01-01t00:00:00z",
        "2026-01-01T00:00:00.123456789+02:00",
    ],
    "date": ["2026-01-01", "2024-02-29"],
    "duration": [
        "1h",
        "-5s",
        "0",
        "1.5h",
        "1d",
        "1w",
        "1 h",
        "1h 30m",
        "2 days",
        "3 Weeks",
        "4 min",
    ],
    "ipv4": ["1.2.3.4", "01.2.3.4", "255.255.255.255"],
    "ipv6": ["::1", "::ffff:1.2.3.4", "2001:db8::"],
    "cidr": ["10.0.0.1/8", "::/0", "0.0.0.0/32"],
    "hostname": ["a", "b-1", "db.example.com", "my-db.example.com", "ä.de"],
    "email": ["a@b", "a@b.c", "A <a@b.c>"],
    "uri": ["http://x", "/x", "x:", "mailto:a@b.c"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "00000000000040008000000000000000"],
    "byte": ["YQ==", "YWFh"],
    "colour": ["", "anything"],
}
REFUSED = {
    "date-time": ["2026-01-01 00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", ""],
    "date": ["2026-02-29", "20260101", "2026-W01-1", "01.01.2026"],
    "duration": ["5", "", "5x", "days", "5 parsecs"],
    "ipv4": ["1.2.3", "1.2.3.256", "1.2.3.4.5", "::1"],
    "ipv6": ["1.2.3.4", "fe80::1%eth0", ":::"],
    "cidr": ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "x/8"],
    "hostname": ["-a", "db-1", "a_b", "a.b.", "A.b", "1.2.3.4", "a" * 65],
    "email": ["a@@b", "a b@c.d", "b.c", ""],
    "uri": ["x", "?x", "#f", "http://a b", ""],
    "uuid": ["{00000000-0000-4000-8000-000000000000}", "urn:uuid:x", "zz"],
    "byte": ["YQ", "YQ=", "Y!", "_-==", ""],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in ACCEPTED.items() for text in texts]
)
def test_accepted(name: str, text: str):
    assert passes(name, text)


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in REFUSED.items() for text in texts]
)
def test_refused(name: str, text: str):
    assert not passes(name, text)
