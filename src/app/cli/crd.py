"""``hybridpg crd``: prints the CRDs."""

from __future__ import annotations

import sys

from ...crds.manifest import crd_yaml


def crd() -> None:
    """Print the CustomResourceDefinitions as YAML, for ``kubectl apply -f -``."""
    sys.stdout.write(crd_yaml())
