"""The configuration: a file, overridden by the environment."""

from .backends import backend_options
from .load import load_config
from .model import (
    Config,
    ControllerConfig,
    DeletionConfig,
    ExtensionsConfig,
    LeaseConfig,
    LimitsConfig,
    NamespaceConfig,
    SecurityConfig,
)

__all__ = [
    "Config",
    "ControllerConfig",
    "DeletionConfig",
    "ExtensionsConfig",
    "LeaseConfig",
    "LimitsConfig",
    "NamespaceConfig",
    "SecurityConfig",
    "backend_options",
    "load_config",
]
