"""The names by which our kinds, marks and requests are known in Kubernetes."""

from __future__ import annotations

from typing import Final

from ..controller import Resource
from ..crds import GROUP, VERSION

SERVERS: Final = Resource(GROUP, VERSION, "postgresqlservers", "PostgreSQLServer")
DATABASES: Final = Resource(GROUP, VERSION, "postgresqldatabases", "PostgreSQLDatabase")

FINALIZER: Final = f"{GROUP}/finalizer"
ADOPT: Final = f"{GROUP}/adopt"
"""Annotation by which a user hands over a thing that is not ours; its value is the exact name."""
ACCEPT_SERVER: Final = f"{GROUP}/accept-server"
"""Annotation of a database: it may be made anew on the server whose object has this UID."""
PAUSED: Final = f"{GROUP}/paused"
"""Annotation ``"true"``: nothing is written until it is gone."""
RETAINED_FROM: Final = f"{GROUP}/retained-from"
"""Annotation of a Secret that outlived its object: ``<external name>``."""
SECRET_STATE: Final = f"{GROUP}/state"
"""Annotation of a Secret: ``pending`` until its password logged in once, then ``active``."""
SECRET_ROTATION: Final = f"{GROUP}/rotation"
"""Annotation of a Secret: the id of the newest reset that reached it."""
MANAGED_BY: Final = ("app.kubernetes.io/managed-by", "hybridpg")

ACTION_LABEL: Final = "operator/action"
RESET_PASSWORD: Final = "reset-password"  # noqa: S105
