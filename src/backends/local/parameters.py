"""``serverParameters``: which ones a user may set, and how a configuration file says them.

What a program of PostgreSQL knows is asked of the program itself (``--describe-config``), so a new
major needs no table here. Refused is what would take the server out of the operator's hands or
run code as the user that runs everybody's servers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

SYSTEM_GROUPS = {
    "File Locations": "the operator decides where files lie",
    "SSL": "the operator manages certificates",
    "Where to Log": "the operator decides where logs go",
    "Archiving": "its commands would run as the user of all servers",
    "Archive Recovery": "its commands would run as the user of all servers",
    "Recovery Target": "restoring is not a parameter",
    "Shared Library Preloading": "libraries run as the user of all servers; list the extension "
    "in spec.extensions",
    "Developer Options": "it is meant for developers of postgresql and can destroy data",
}
"""The last part of a parameter's group, and why nothing in it may be set."""

SYSTEM_NAMES = {
    "listen_addresses": "the operator decides where the server listens",
    "port": "the operator chooses the port",
    "cluster_name": "the operator names the server",
    "password_encryption": "passwords are stored as SCRAM verifiers only",
    "krb_server_keyfile": "logins are by password or certificate",
    "db_user_namespace": "it changes the names of all logins",
    "oauth_validator_libraries": "libraries run as the user of all servers",
    "dynamic_library_path": "libraries run as the user of all servers",
    "extension_control_path": "extensions run as the user of all servers",
    "default_transaction_read_only": "the operator could no longer make databases; set it for a "
    "role",
    "lc_messages": "the operator reads the messages of the server",
    "superuser_reserved_connections": "the operator needs a connection that is always free",
    "stats_temp_directory": "the operator decides where files lie",
    "primary_conninfo": "replication is not a parameter",
    "primary_slot_name": "replication is not a parameter",
    "promote_trigger_file": "replication is not a parameter",
    "recovery_end_command": "its commands would run as the user of all servers",
}
SYSTEM_PREFIXES = {"unix_socket_": "servers have no socket file", "bonjour": "it announces us"}

_CUSTOM = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)+")
_ESCAPES = str.maketrans(
    {"'": "''", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
)


class Parameter(NamedTuple):
    """What a program says about one of its parameters."""

    context: str
    """When it can change: ``postmaster`` at a start only, ``internal`` never, else at a reload."""
    group: str


def parse_description(text: str) -> dict[str, Parameter]:
    """Read the output of ``postgres --describe-config``."""
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0].lower(): Parameter(row[1], row[2]) for row in rows if len(row) > 3}


def refusal(name: str, value: str, known: Mapping[str, Parameter]) -> str:
    """Return why a parameter may not be set, or an empty string; values are judged elsewhere.

    Only the server knows which values it takes; see ``Cluster.refused``.
    """
    lower = name.lower()
    if "\0" in value:
        return "the value holds a NUL character"
    if _CUSTOM.fullmatch(name):
        return ""
    for prefix, reason in SYSTEM_PREFIXES.items():
        if lower.startswith(prefix):
            return reason
    if lower in SYSTEM_NAMES:
        return SYSTEM_NAMES[lower]
    parameter = known.get(lower)
    if parameter is None:
        return "this version of postgresql has no such parameter"
    if parameter.context == "internal":
        return "it cannot be set"
    return SYSTEM_GROUPS.get(parameter.group.rpartition(" / ")[2], "")


def restarts(name: str, known: Mapping[str, Parameter]) -> bool:
    """Return whether a change of this parameter needs a restart."""
    parameter = known.get(name.lower())
    return parameter is not None and parameter.context == "postmaster"


def render(settings: Mapping[str, str]) -> str:
    """Render lines of ``postgresql.conf``; every value is quoted, whatever it holds."""
    return "".join(f"{name} = '{value.translate(_ESCAPES)}'\n" for name, value in settings.items())
