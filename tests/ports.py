"""Ports of the servers that tests start: below the ephemeral ones, and nobody else's.

``hack/testenv/cluster`` takes 20000 to 25999, and starts its servers again on the ports that they
had; whoever borrowed one of these meanwhile would keep an API server from coming back.
"""

from __future__ import annotations

import os
import random
from collections.abc import Container

FIRST = 26000
WORKERS = 3
EACH = 2000


def first_of_a_hundred_ports(taken: Container[int] = ()) -> int:
    """Return the first of a hundred ports for one folder of servers.

    Test processes that run side by side (pytest-xdist) draw from ranges of their own.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    begin = FIRST + int(worker.removeprefix("gw")) % WORKERS * EACH
    return random.choice([port for port in range(begin, begin + EACH, 100) if port not in taken])
