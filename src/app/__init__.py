"""The operator: the only place that sees runtime, kinds and backends together."""

from .config import Config, load_config
from .errors import AppError, ConfigError
from .install import install, log_scope
from .operator import run_operator
from .placement import Backends
from .wiring import prepare_backends

__all__ = [
    "AppError",
    "Backends",
    "Config",
    "ConfigError",
    "install",
    "load_config",
    "log_scope",
    "prepare_backends",
    "run_operator",
]
