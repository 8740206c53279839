"""Structured logs: one JSON object a line, with the id of the request that a line belongs to."""

import logging
import sys
import uuid

import structlog
from structlog.contextvars import bind_contextvars, get_contextvars

REQUEST_ID = "request_id"


def configure_logs(service: str, level: str = "info", log_format: str = "json") -> None:
    """Sets up logging for a whole process, once, at its start.

    Args:
        service: name of the process, on every line.
        level: the least severity that is written: debug, info, warning or error.
        log_format: `json` for machines, `console` for people.
    """
    number = logging.getLevelNamesMapping()[level.upper()]

    def add_service(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, **event}

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_service,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    for chatty in ("alembic", "nats", "sqlalchemy.engine", "httpx"):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind_request_id(request_id: str | None = None) -> str:
    """Makes every line that the present task logs carry a request id; makes one up if there is none."""
    request_id = request_id or str(uuid.uuid4())
    bind_contextvars(**{REQUEST_ID: request_id})
    return request_id


def current_request_id() -> str:
    """The id of the request that the present task works for, or an empty string."""
    return str(get_contextvars().get(REQUEST_ID, ""))
