"""What a server offers: which locale a user means, and in which order extensions are created."""

from __future__ import annotations

import pytest

from hybridpg.backends import Rejected
from hybridpg.backends.sql.offer import ExtensionOffer, Locale, Offer

LIBC = frozenset({"C", "POSIX", "C.utf8", "en_US.utf8", "de_DE.utf8", "de_DE.iso88591"})
ICU = frozenset({"de-DE", "fr-FR", "fr", "und"})


def offer(version: int = 160000, libc=LIBC, icu=ICU, **requires: tuple[str, ...]) -> Offer:
    extensions = {name: ExtensionOffer(name, None, needs) for name, needs in requires.items()}
    return Offer(version, extensions, libc, icu)


@pytest.mark.parametrize(
    ("wanted", "charset", "name"),
    [
        ("de_DE.utf8", "UTF8", "de_DE.utf8"),
        ("de-DE", "UTF8", "de_DE.utf8"),
        ("de-DE", "", "de_DE.utf8"),
        ("de-DE", "LATIN1", "de_DE.iso88591"),
        ("de_DE", "utf-8", "de_DE.utf8"),
        ("en_US.UTF-8", "UTF8", "en_US.utf8"),
        ("C", "UTF8", "C"),
    ],
)
def test_a_loose_form_finds_the_locale_of_the_system(wanted, charset, name):
    """S14: "de-DE" of the predecessor's README."""
    assert offer().locale(wanted, charset) == Locale("c", name)


def test_icu_serves_what_the_system_does_not_have():
    assert offer().locale("fr-FR", "UTF8") == Locale("i", "fr-FR")


def test_icu_serves_no_database_before_version_15():
    with pytest.raises(Rejected, match="no locale 'fr-FR'"):
        offer(version=140010).locale("fr-FR", "UTF8")


def test_a_full_name_of_the_system_is_tried_even_if_initdb_did_not_know_it():
    assert offer().locale("pt_BR.utf8", "UTF8") == Locale("c", "pt_BR.utf8")


def test_a_locale_that_nobody_knows_is_refused_with_what_there_is():
    with pytest.raises(Rejected) as caught:
        offer().locale("xx-XX", "UTF8")

    assert caught.value.field == "database.collation"
    assert "use one of C, C.utf8, POSIX, de_DE.iso88591, de_DE.utf8, en_US.utf8" in str(
        caught.value
    )


def test_the_hint_stays_short_where_a_server_knows_hundreds():
    libc = frozenset(f"l{number:03}.utf8" for number in range(100))
    message = offer(libc=libc).no_locale("xx")

    assert message.endswith("l019.utf8 and 80 more")


def test_an_extension_is_created_after_what_it_requires():
    result = offer(earthdistance=("cube",), cube=(), citext=()).ordered(
        ["citext", "earthdistance", "cube"]
    )

    assert [extension.name for extension in result] == ["citext", "cube", "earthdistance"]


def test_what_is_required_but_not_listed_is_not_created():
    """The administrator's list says what may be there, and nothing is slipped in beside it."""
    result = offer(earthdistance=("cube",), cube=()).ordered(["earthdistance"])

    assert [extension.name for extension in result] == ["earthdistance"]


def test_extensions_that_require_each_other_do_not_loop():
    result = offer(a=("b",), b=("a",)).ordered(["a", "b"])

    assert sorted(extension.name for extension in result) == ["a", "b"]


def test_what_the_server_does_not_have_is_left_out():
    assert offer(a=()).ordered(["missing"]) == ()
