"""Which hosts the proxy of the environment is not for, by the rules of Go's tools, kubectl's too.

Python's own know no networks, and send what is for this machine through the proxy, which cannot
know what listens here.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_WITH_PORT: Final = re.compile(r"(?:\[(?P<address>[^]]+)\]|(?P<name>[^][:]+)):(?P<port>\d*)")


def is_direct(host: str, port: int, no_proxy: str) -> bool:
    """Return whether a host is reached without a proxy: this machine, or what ``no_proxy`` names.

    That is a list, with commas, of names (and what is below them; with a dot before it that
    alone), addresses and networks, with a port where only that is meant, or ``*`` for all. What
    is none of these is passed over.
    """
    host = host.lower()
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = (entry.strip().lower() for entry in no_proxy.split(","))
    return any(_names(entry, host, address, port) for entry in entries if entry)


def _names(entry: str, host: str, address: Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _is_in(address, entry)
    if parts := _WITH_PORT.fullmatch(entry):
        if parts["port"] not in ("", str(port)):
            return False
        entry = parts["address"] or parts["name"]
    if address is not None:
        return address == _address(entry)
    domain = entry.removeprefix("*") if entry.startswith("*.") else entry
    below = domain if domain.startswith(".") else f".{domain}"
    return host == domain or host.endswith(below)


def _is_in(address: Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _address(text: str) -> Address | None:
    """Return the address that a text is, without the interface that it may be reached by."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
