"""The content of a credentials Secret: one shape for both kinds, usable by any libpq client."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

from ..backends import Credentials, Endpoint

LOGIN_KEYS: Final = ("username", "user", "password", "uri", "jdbc-uri", "pgpass")
NEXT_PASSWORD: Final = "next-password"  # noqa: S105
_PLACE_KEYS: Final = ("hostname", "host", "port", "dbname", "database", "sslmode")
_TRUST_KEYS: Final = ("ca.crt", "certificates")
OUR_KEYS: Final = frozenset(
    {*LOGIN_KEYS, *_PLACE_KEYS, *_TRUST_KEYS, "type", "provider", NEXT_PASSWORD}
)
"""The keys that we own; every other key of a Secret is the user's and stays."""


def pending_keys(login: Credentials, provider: str) -> dict[str, str]:
    """Return what is known before the server exists: the login, written before it is used."""
    return {
        "username": login.username,
        "user": login.username,
        "password": str(login.password),
        "type": "postgresql",
        "provider": provider,
    }


def endpoint_keys(endpoint: Endpoint, database: str, provider: str) -> dict[str, str]:
    """Return the keys that say where to connect, without a login.

    ``host`` is what the predecessor wrote and ``hostname`` what it documented; ``database`` is
    what Spring reads, ``certificates`` what Service Binding names.
    """
    keys = {
        "hostname": endpoint.host,
        "host": endpoint.host,
        "port": str(endpoint.port),
        "dbname": database,
        "database": database,
        "sslmode": endpoint.sslmode,
        "type": "postgresql",
        "provider": provider,
    }
    if endpoint.ca:
        keys |= {"ca.crt": endpoint.ca, "certificates": endpoint.ca}
    return keys


def connection_keys(
    endpoint: Endpoint, login: Credentials, database: str, provider: str
) -> dict[str, str]:
    """Return every key of a Secret whose login works."""
    return {
        **endpoint_keys(endpoint, database, provider),
        **pending_keys(login, provider),
        "uri": _uri(endpoint, login, database),
        "jdbc-uri": _jdbc_uri(endpoint, login, database),
        "pgpass": _pgpass(endpoint, login, database),
    }


def _host(endpoint: Endpoint) -> str:
    return f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host


def _uri(endpoint: Endpoint, login: Credentials, database: str) -> str:
    user, password = quote(login.username, safe=""), quote(str(login.password), safe="")
    place = f"{_host(endpoint)}:{endpoint.port}/{quote(database, safe='')}"
    return f"postgresql://{user}:{password}@{place}?{urlencode({'sslmode': endpoint.sslmode})}"


def _jdbc_uri(endpoint: Endpoint, login: Credentials, database: str) -> str:
    options = {"user": login.username, "password": str(login.password), "sslmode": endpoint.sslmode}
    place = f"{_host(endpoint)}:{endpoint.port}/{quote(database, safe='')}"
    return f"jdbc:postgresql://{place}?{urlencode(options, quote_via=quote)}"


def _pgpass(endpoint: Endpoint, login: Credentials, database: str) -> str:
    fields = (endpoint.host, str(endpoint.port), database, login.username, str(login.password))
    return ":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in fields)
