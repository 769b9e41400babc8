"""Quantities such as ``1Gi`` and ``500m``: compared by value, written in one canonical way."""

from __future__ import annotations

import re
from decimal import ROUND_UP, Decimal
from typing import Any, Final

_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15}
_EXA: Final = {"E": 18}
_FORM: Final = re.compile(r"([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([KMGTPE]i|[numkMGTPE]?))")
PATTERN: Final = r"'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def value_of(quantity: Any) -> Decimal:
    """Return the number that a quantity stands for.

    Errors: ValueError for what is none.
    """
    found = _FORM.fullmatch(str(quantity))
    if found is None:
        raise ValueError(f"quantities must match the regular expression {PATTERN}")
    number, exponent, suffix = found.groups()
    if exponent:
        return Decimal(number + exponent)
    if suffix in _BINARY:
        return Decimal(number) * Decimal(1024) ** _BINARY[suffix]
    return Decimal(number).scaleb({**_DECIMAL, **_EXA}[suffix or ""])


def canonical(quantity: Any) -> str:
    """Return a quantity with no fraction and the largest suffix of its own family."""
    value = value_of(quantity)
    found = _FORM.fullmatch(str(quantity))
    binary = found is not None and (found[3] or "") in _BINARY
    if binary and abs(value) >= 1024 and value == value.to_integral_value():
        return _scaled(value, {name: Decimal(1024) ** p for name, p in _BINARY.items()})
    units = {name: Decimal(10) ** p for name, p in {**_DECIMAL, **_EXA}.items()}
    if found is not None and found[2]:  # who writes exponents is given exponents
        units = {f"e{power}" if power else "": Decimal(10) ** power for power in range(-9, 19, 3)}
    nano = value.quantize(Decimal("1e-9"), rounding=ROUND_UP)
    return _scaled(nano, units)


def _scaled(value: Decimal, units: dict[str, Decimal]) -> str:
    if not value:
        return "0"
    ordered = sorted({**units, "": Decimal(1)}.items(), key=lambda unit: -unit[1])
    suffix, unit = next(u for u in ordered if value % u[1] == 0)
    return f"{int(value / unit)}{suffix}"
