"""What a server's configuration files say.

TLS for every connection, SCRAM for every password, no socket file, and one address. The operator's
own role is let in by a certificate of the authority and by nothing else, so a lost password never
locks the operator out, and a stolen one does not let anybody in as superuser.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..local_options import OPERATOR_ROLE
from .layout import Home
from .parameters import render
from .record import Record
from .state import SERVER_CERTIFICATE

SERVER_KEY = "server.key"
CLIENT_AUTHORITY = "clients.crt"

HBA = f"""\
# written by the operator at every start; changes are lost
hostssl all {OPERATOR_ROLE} all cert
hostssl all all all scram-sha-256
"""
IDENT = "# no maps: the name in a certificate is the role\n"


def main_file(home: Home, record: Record, address: str, settings: Mapping[str, str]) -> str:
    """Return ``postgresql.conf``: the operator's part, then the user's, which may not repeat it."""
    return "\n".join(
        (
            "# written by the operator; changes are lost",
            render(_system(home, record, address)),
            "# spec.serverParameters, spec.size and spec.extensions of the server's object",
            render(settings),
        )
    )


def published_host(address: str) -> str:
    """Return the name that clients use: older ones verify names only, never addresses."""
    return "localhost" if address in ("127.0.0.1", "::1") else address


def _system(home: Home, record: Record, address: str) -> dict[str, str]:
    return {
        "listen_addresses": address,
        "port": str(record.port),
        "unix_socket_directories": "",
        "cluster_name": _ascii(record.name),
        "ssl": "on",
        "ssl_min_protocol_version": "TLSv1.2",
        "ssl_cert_file": SERVER_CERTIFICATE,
        "ssl_key_file": SERVER_KEY,
        "ssl_ca_file": CLIENT_AUTHORITY,
        "password_encryption": "scram-sha-256",
        # one file a weekday, emptied when its day comes again: a week of logs and no more
        "logging_collector": "on",
        "log_directory": str(home.log),
        "log_filename": "postgresql-%a.log",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        # what initdb would take from the environment: the same on every machine
        "log_timezone": "UTC",
        "timezone": "UTC",
        "lc_messages": "C",
        "default_text_search_config": "pg_catalog.english",
    }


def _ascii(name: str) -> str:
    return name.encode("ascii", "replace").decode()


def files(home: Home, record: Record, address: str, settings: Mapping[str, str]) -> dict[Path, str]:
    """Return every configuration file but the certificates."""
    return {
        home.data / "postgresql.conf": main_file(home, record, address, settings),
        home.data / "pg_hba.conf": HBA,
        home.data / "pg_ident.conf": IDENT,
    }
