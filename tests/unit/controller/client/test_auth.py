"""Tokens are renewed in time, once, and never lost to a bad moment."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from hybridpg.controller.client.auth import (
    RENEWAL_PAUSE,
    RENEWAL_SECONDS,
    Credential,
    RenewedAuth,
    StaticAuth,
    TokenFile,
    bearer,
)
from hybridpg.controller.errors import ConfigError

pytestmark = pytest.mark.virtual_time


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first")
    return file


async def test_a_static_header_has_nothing_else_to_offer():
    auth = StaticAuth("Bearer x")

    assert await auth.header() == "Bearer x"
    assert await auth.rejected("Bearer x") is False
    assert await StaticAuth().header() == ""


@pytest.mark.parametrize("text", ["token", "token\n", "  token\r\n"])
def test_white_space_around_a_token_is_not_part_of_it(text: str):
    assert bearer(text) == "Bearer token"


@pytest.mark.parametrize("text", ["", " \n", "a\nb", "a b", "töken", "a\x00b", "a\x7f"])
def test_what_cannot_be_a_token_is_refused_and_not_repeated(text: str):
    with pytest.raises(ValueError, match="the token") as caught:
        bearer(text)

    assert not text.strip() or text not in str(caught.value)


async def test_a_token_file_is_read_again_after_a_minute(path: Path):
    """H27."""
    auth = TokenFile(path)
    assert await auth.header() == "Bearer first"
    path.write_text("second\n")

    await asyncio.sleep(59)
    assert await auth.header() == "Bearer first"
    await asyncio.sleep(1)
    assert await auth.header() == "Bearer second"


async def test_a_rejected_token_is_read_again_at_once(path: Path):
    """H27."""
    auth = TokenFile(path)
    used = await auth.header()
    path.write_text("second")

    assert await auth.rejected(used) is True
    assert await auth.header() == "Bearer second"


async def test_a_rejected_token_that_did_not_change_is_not_tried_again(path: Path):
    auth = TokenFile(path)

    assert await auth.rejected(await auth.header()) is False


async def test_a_401_of_a_request_with_an_older_token_reads_nothing(path: Path):
    auth = TokenFile(path)
    old = await auth.header()
    path.write_text("second")
    assert await auth.rejected(old)
    path.write_text("third")

    assert await auth.rejected(old) is True
    assert await auth.header() == "Bearer second"


@pytest.mark.parametrize("broken", ["missing", "empty"])
async def test_a_file_that_is_missing_for_a_moment_keeps_the_old_token(
    path: Path, broken: str, caplog: pytest.LogCaptureFixture
):
    auth = TokenFile(path)
    used = await auth.header()
    path.unlink() if broken == "missing" else path.write_text("")
    await asyncio.sleep(60)

    with caplog.at_level(logging.WARNING):
        assert await auth.header() == "Bearer first"
        assert await auth.rejected(used) is False
    assert str(path) in caplog.text
    assert "first" not in caplog.text


async def test_a_file_that_never_held_a_token_is_an_error_that_names_it(tmp_path: Path):
    auth = TokenFile(tmp_path / "token")

    with pytest.raises(ConfigError, match=str(tmp_path / "token")):
        await auth.header()


def test_a_credential_does_not_show_its_token():
    assert "secret" not in repr(Credential("Bearer secret", 5))


class Plugin:
    """A login plugin: numbered tokens, each a while in coming."""

    def __init__(self, lifetime: float | None = None, seconds: float = 1) -> None:
        self.lifetime = lifetime
        self.seconds = seconds
        self.runs = 0
        self.broken = False

    async def __call__(self) -> Credential:
        self.runs += 1
        await asyncio.sleep(self.seconds)
        if self.broken:
            raise ConfigError("plugin failed")
        return Credential(f"Bearer {self.runs}", self.lifetime)


async def test_a_token_without_an_end_is_kept():
    plugin = Plugin()
    auth = RenewedAuth(Credential("Bearer 0"), plugin)
    for _ in range(10):
        assert await auth.header() == "Bearer 0"
        await asyncio.sleep(86_400)

    assert plugin.runs == 0


async def test_a_token_is_renewed_a_minute_before_its_end():
    plugin = Plugin(lifetime=600)
    auth = RenewedAuth(Credential("Bearer 0", 600), plugin)
    assert await auth.header() == "Bearer 0"

    await asyncio.sleep(539)
    assert await auth.header() == "Bearer 0"
    await asyncio.sleep(1)
    assert (await auth.header(), plugin.runs) == ("Bearer 0", 0), "the plugin begins now"
    await asyncio.sleep(2)
    assert (await auth.header(), plugin.runs) == ("Bearer 1", 1)
    await asyncio.sleep(540)
    await auth.header()
    await asyncio.sleep(2)
    assert (await auth.header(), plugin.runs) == ("Bearer 2", 2)


async def test_a_slow_plugin_holds_up_no_request_while_the_old_token_is_good():
    """A leader whose requests wait for a plugin longer than ten seconds loses its lease."""
    plugin = Plugin(lifetime=600, seconds=30)
    auth = RenewedAuth(Credential("Bearer 0", 600), plugin)
    await auth.header()
    await asyncio.sleep(550)
    begun = asyncio.get_running_loop().time()

    for _ in range(29):
        assert await auth.header() == "Bearer 0"
        await asyncio.sleep(1)
    assert asyncio.get_running_loop().time() - begun == 29
    await asyncio.sleep(1)

    assert await auth.header() == "Bearer 1"
    assert plugin.runs == 1


async def test_after_the_end_of_a_token_requests_wait_for_the_plugin():
    plugin = Plugin(lifetime=600, seconds=30)
    auth = RenewedAuth(Credential("Bearer 0", 600), plugin)
    await auth.header()
    await asyncio.sleep(590)
    assert await auth.header() == "Bearer 0"
    await asyncio.sleep(10)
    assert await auth.header() == "Bearer 1"
    assert (asyncio.get_running_loop().time(), plugin.runs) == (620, 1)


@pytest.mark.parametrize("how", ["ended", "rejected"])
async def test_requests_that_are_given_up_do_not_end_the_plugin_that_they_wait_for(how):
    """Or a plugin slower than the requests' time limit would never come to its end."""
    plugin = Plugin(seconds=8)
    auth = RenewedAuth(Credential("Bearer 0", 0 if how == "ended" else None), plugin)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await (auth.header() if how == "ended" else auth.rejected("Bearer 0"))
    await asyncio.sleep(2)

    assert await auth.header() == "Bearer 1"
    assert plugin.runs == 1


async def test_a_plugin_with_a_bug_leaves_the_old_token_and_says_so(caplog):
    async def broken() -> Credential:
        raise KeyError("no such thing")

    auth = RenewedAuth(Credential("Bearer 0", 0), broken)

    assert await auth.header() == "Bearer 0"
    assert "KeyError" in caplog.text


async def test_a_token_of_seconds_does_not_run_the_plugin_for_each_request():
    plugin = Plugin(lifetime=20)
    auth = RenewedAuth(Credential("Bearer 0", 20), plugin)
    for _ in range(15):
        assert await auth.header() == "Bearer 0"
        await asyncio.sleep(0.9)

    assert plugin.runs == 0


async def test_tokens_that_have_ended_by_our_clock_do_not_run_the_plugin_for_each_request():
    plugin = Plugin(lifetime=0)
    auth = RenewedAuth(Credential("Bearer 0", 1), plugin)
    await auth.header()
    await asyncio.sleep(1)
    for _ in range(100):
        assert (await auth.header()) != "Bearer 0"
        await asyncio.sleep(0.5)

    assert plugin.runs == 5


async def test_many_requests_at_the_end_of_a_token_run_the_plugin_once():
    plugin = Plugin(lifetime=600)
    auth = RenewedAuth(Credential("Bearer 0", 0), plugin)

    headers = await asyncio.gather(*(auth.header() for _ in range(50)))

    assert headers == ["Bearer 1"] * 50
    assert plugin.runs == 1


async def test_many_rejections_of_one_token_run_the_plugin_once():
    plugin = Plugin()
    auth = RenewedAuth(Credential("Bearer 0"), plugin)
    used = await auth.header()

    assert all(await asyncio.gather(*(auth.rejected(used) for _ in range(50))))
    assert plugin.runs == 1
    assert await auth.header() == "Bearer 1"


async def test_a_plugin_that_fails_leaves_the_old_token_and_is_not_hammered(caplog):
    plugin = Plugin(lifetime=600)
    plugin.broken = True
    auth = RenewedAuth(Credential("Bearer 0", 0), plugin)

    assert [await auth.header() for _ in range(5)] == ["Bearer 0"] * 5
    assert plugin.runs == 1
    assert "plugin failed" in caplog.text

    plugin.broken = False
    await asyncio.sleep(RENEWAL_PAUSE)
    assert await auth.header() == "Bearer 2"


async def test_rejections_while_the_plugin_fails_are_final_and_do_not_run_it_each():
    plugin = Plugin()
    plugin.broken = True
    auth = RenewedAuth(Credential("Bearer 0"), plugin)
    used = await auth.header()

    assert not any(await asyncio.gather(*(auth.rejected(used) for _ in range(50))))
    assert plugin.runs == 1

    plugin.broken = False
    await asyncio.sleep(RENEWAL_PAUSE)
    assert await auth.rejected(used) is True


async def test_a_plugin_that_always_gives_the_same_token_is_not_run_for_each_401():
    runs = 0

    async def same() -> Credential:
        nonlocal runs
        runs += 1
        return Credential("Bearer 0")

    auth = RenewedAuth(Credential("Bearer 0"), same)

    assert [await auth.rejected("Bearer 0") for _ in range(20)] == [False] * 20
    assert runs == 1


async def test_a_plugin_that_hangs_does_not_stop_the_requests(caplog):
    async def hang() -> Credential:
        await asyncio.Event().wait()
        raise AssertionError

    auth = RenewedAuth(Credential("Bearer 0", 0), hang)
    started = asyncio.get_running_loop().time()

    assert await asyncio.gather(*(auth.header() for _ in range(5))) == ["Bearer 0"] * 5
    assert asyncio.get_running_loop().time() - started == RENEWAL_SECONDS
    assert "longer than 60 s" in caplog.text
