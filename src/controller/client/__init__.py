"""The Kubernetes API over any transport, and the transport for real API servers."""

from .api import Client
from .auth import Auth, StaticAuth, TokenFile
from .config import Config, TlsConfig, load_in_cluster
from .discovery import find_resource, is_served
from .exchange import Timeouts
from .kubeconfig import load_default, load_kubeconfig
from .measured import MeasuredTransport
from .patch import ApplyPatch, JsonPatch, MergePatch, Patch, merge_difference
from .transport import AiohttpTransport

__all__ = [
    "AiohttpTransport",
    "ApplyPatch",
    "Auth",
    "Client",
    "Config",
    "JsonPatch",
    "MeasuredTransport",
    "MergePatch",
    "Patch",
    "StaticAuth",
    "Timeouts",
    "TlsConfig",
    "TokenFile",
    "find_resource",
    "is_served",
    "load_default",
    "load_in_cluster",
    "load_kubeconfig",
    "merge_difference",
]
