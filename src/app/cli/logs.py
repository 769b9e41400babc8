"""Logging of the process: JSON in a pod, plain lines on a terminal.

Only the command line configures logging; whoever embeds the packages keeps their own. The records
of the standard library's ``logging``, which the packages below ``app`` use, take the same way as
structlog's.
"""

from __future__ import annotations

import logging
import re
from typing import IO, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ...backends import Password

HIDDEN: Final = "***"
_SECRET_KEYS: Final = frozenset(
    {"password", "next_password", "token", "uri", "pgpass", "secret_data"}
)
_URI_PASSWORD: Final = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what looks like a secret.

    A second line of defence: nothing of ours passes a secret to a logger in the first place.
    """
    for key, value in event.items():
        if isinstance(value, Password) or key in _SECRET_KEYS:
            event[key] = HIDDEN
        elif isinstance(value, str):
            event[key] = _URI_PASSWORD.sub(rf"\g<1>{HIDDEN}@", value)
    return event


def shared_processors() -> list[Processor]:
    """Return what happens to every record, wherever it comes from."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]


def handler(stream: IO[str], *, as_json: bool, level: int = logging.INFO) -> logging.Handler:
    """Return a handler that renders records of both kinds to ``stream``."""
    renderer: Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    )
    made = logging.StreamHandler(stream)
    made.setLevel(level)
    made.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared_processors(),
        )
    )
    return made


def configure(*handlers: logging.Handler) -> None:
    """Send structlog's records and those of ``logging`` to these handlers, and nowhere else.

    Our own packages log from INFO; what other libraries say matters from WARNING on.
    """
    structlog.configure(
        processors=[*shared_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(logging.WARNING)
    logging.getLogger("hybridpg").setLevel(logging.INFO)
