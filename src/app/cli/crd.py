"""``hybridpg crd``: prints the CRDs, and on demand the admission policy beside them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ...crds.admission import admission_yaml
from ...crds.manifest import crd_yaml


def crd(
    admission: Annotated[
        bool,
        typer.Option(
            "--admission",
            help="Print the policy that lets authors name only Secrets that they may read, too.",
        ),
    ] = False,
) -> None:
    """Print the CustomResourceDefinitions as YAML, for ``kubectl apply -f -``."""
    sys.stdout.write(crd_yaml())
    if admission:
        sys.stdout.write(admission_yaml())
