"""hybridpg: one Kubernetes API for PostgreSQL on any target.

Import the part that is needed: ``hybridpg.controller`` (the controller runtime),
``hybridpg.crds`` (the kinds), ``hybridpg.backends`` (where databases live) or
``hybridpg.app`` (the operator). The root itself imports nothing.
"""

__version__ = "0.1.0"
