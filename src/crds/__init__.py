"""The pydantic models of our kinds and the CRDs made from them."""

from .v1alpha1 import DatabaseSpec, ServerSpec

__all__ = ["DatabaseSpec", "ServerSpec"]
