"""Logging: one structured line per event, with the organization's schema and request id, secrets hidden."""

from __future__ import annotations

from typing import Any

import structlog

from core.redaction import redact


def hide_secrets(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Redact every value of a log event by its name and shape."""
    hidden: structlog.typing.EventDict = redact(event)
    return hidden


def _as_is(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event


def logging_settings(*, is_production: bool) -> dict[str, Any]:
    """Build Django's LOGGING and configure structlog: JSON lines in production, columns elsewhere.

    Tracebacks are plain: a formatter that prints local variables would print secrets.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if is_production else _as_is,
        hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if is_production
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            "django.request": {"level": "ERROR"},
            "django.security.DisallowedHost": {"level": "ERROR"},
            "celery": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
        },
    }
