"""Sockets that notice a dead peer."""

from __future__ import annotations

import socket

from hybridpg.controller.client.sockets import (
    KEEPALIVE_IDLE,
    KEEPALIVE_INTERVAL,
    KEEPALIVE_PROBES,
    UNACKNOWLEDGED_MS,
    KeepaliveSockets,
)

ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))


def test_the_system_asks_a_silent_peer_whether_it_lives():
    with KeepaliveSockets().make(ADDRESS) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        for option, value in (
            (socket.TCP_KEEPIDLE, KEEPALIVE_IDLE),
            (socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL),
            (socket.TCP_KEEPCNT, KEEPALIVE_PROBES),
            (socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS),
        ):
            assert made.getsockopt(socket.IPPROTO_TCP, option) == value


def test_a_dead_peer_is_found_within_a_minute():
    assert KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES <= 60


def test_a_system_without_some_of_the_options_still_gets_a_socket(monkeypatch):
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")

    with KeepaliveSockets().make(ADDRESS) as made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE_IDLE
