"""Quantities: what they are worth, and the one way in which they are written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hybridpg.controller.testing._quantity import canonical, value_of


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("1Gi", 1024**3),
        ("1k", 1000),
        ("500m", "0.5"),
        ("1e3", 1000),
        (2, 2),
        ("-1", -1),
        ("1E", 10**18),
    ],
)
def test_a_quantity_stands_for_a_number(quantity: Any, value: Any):
    assert value_of(quantity) == Decimal(value)


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5", "500m"),
        ("0", "0"),
        ("0.5Ki", "512"),
        ("1e3", "1e3"),
        ("1000k", "1M"),
        (2, "2"),
        ("0.0000000001", "1n"),
    ],
)
def test_a_quantity_is_written_in_one_way(quantity: Any, text: str):
    assert canonical(quantity) == text


@pytest.mark.parametrize("quantity", ["", "1X", "Gi", "1 Gi", "1e3Gi"])
def test_what_is_no_quantity_is_refused(quantity: str):
    with pytest.raises(ValueError, match="quantities must match"):
        value_of(quantity)
