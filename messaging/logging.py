"""Where log lines go and what they look like: one line each on standard error, JSON unless a person is watching.

Our own lines come through structlog; those of libraries (dramatiq, redis, openai, httpx2) come through the standard
library and get the same treatment. Whatever callers bind to structlog's context variables (job, turn, call, tool,
tenant, trace_id, span_id) is in every line. Secrets are hidden from values and texts. Configuring is for a process's
entry; nothing here happens at import.
"""

import logging
import logging.config
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from messaging.redaction import redact_fields, redact_value

__all__ = ["LogFormat", "LogLevel", "ProcessRole", "configure_logging"]

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "json", "console"]
ProcessRole: TypeAlias = str
"""What this process is, such as `orchestrator` or `worker`; in every line."""

_OWN_FIELDS: Final = frozenset({"level", "logger", "timestamp"})
"""What structlog puts there itself."""

_QUIET: Final = ("httpcore2", "httpx2", "openai")
"""Libraries that log every request at level info, and whole prompts at level debug, which are never shown."""


def configure_logging(
    level: LogLevel = "info",
    log_format: LogFormat = "auto",
    *,
    process_role: ProcessRole | None = None,
    hidden_fields: Iterable[str] = (),
) -> None:
    """Sets up the logging of this process. Called once, at its entry; calling it again replaces what was set up.

    Args:
        level: The lowest level that is shown.
        log_format: `auto` is `console` when standard error is a terminal, else `json`.
        process_role: Bound to every line as `process`, unless None.
        hidden_fields: See `messaging.redaction.redact_fields`.
    """
    redact_fields(hidden_fields)
    for_people = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared = _processors(process_role)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a logger that was used before this call has to follow too
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[*_last_processors(for_people=for_people)],
        )
    )
    root = logging.getLogger()
    for former in list(root.handlers):
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.INFO if level == "debug" else logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """What ends the process is a line like any other: in one piece, and without secrets."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        structlog.get_logger("uncaught").critical("the process ends", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(event: threading.ExceptHookArgs) -> None:
    if event.exc_value is not None and not issubclass(event.exc_type, SystemExit):
        name = event.thread.name if event.thread is not None else "?"
        exc_info = (event.exc_type, event.exc_value, event.exc_traceback)
        structlog.get_logger("uncaught").error("a thread ends", thread=name, exc_info=exc_info)


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hides secrets in what was bound to a line and in its text. A processor of structlog."""
    return {
        name: value if name in _OWN_FIELDS else redact_value(value, name=str(name)) for name, value in event.items()
    }


def _processors(process_role: ProcessRole | None) -> list[Processor]:
    def add_role(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if process_role is not None:
            event.setdefault("process", process_role)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        add_role,
    ]


def _last_processors(*, for_people: bool) -> list[Processor]:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if for_people:
        renderer: Any = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False, default=repr)
    return [
        remove_meta,
        # Text from here on, since an exception's own message may hold a secret.
        structlog.processors.format_exc_info,
        redact_event,
        renderer,
    ]
