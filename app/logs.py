"""One line of JSON per event, from us and from the libraries that log."""

from __future__ import annotations

import logging.config
import re
import traceback

import structlog

from app.settings import Settings

_TRACEBACK = "Traceback (most recent call last):"
_WARNING_KIND = re.compile(r":\d+: (\w+):")
"""`/a/path.py:12: RuntimeWarning: what it says`"""


def configure_logging(settings: Settings) -> None:
    """Send everything to standard error in one format. uvicorn's own access log stays off: it holds whole addresses."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if settings.log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        cache_logger_on_first_use=True,
    )
    foreign = [_without_traceback, _without_places, *shared]
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        "foreign_pre_chain": foreign,
    }
    logging.captureWarnings(capture=True)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": settings.log_level.upper()},
            "loggers": {
                "uvicorn.access": {"handlers": [], "propagate": False},
                "python_multipart": {"level": "CRITICAL"},  # quotes what it could not parse
            },
        }
    )


def _without_traceback(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """A library's traceback names paths and may quote an upload: its class is kept, and of the text the first line."""
    event.pop("stack_info", None)
    exc_info = event.pop("exc_info", None)
    text = str(event["event"])
    if exc_info and exc_info[0] is not None:
        event["kind"] = exc_info[0].__name__
        event["event"] = text.split("\n", 1)[0]
    elif text.startswith(_TRACEBACK):  # written out, as Starlette hands it to uvicorn
        event["kind"] = text.rstrip().rsplit("\n", 1)[-1].split(":", 1)[0].rsplit(".", 1)[-1]
        event["event"] = "ended by an exception"
    return event


def _without_places(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """A warning of Python's comes with the path and the line that it is of: its class is kept, which follows these."""
    record = event.get("_record")
    if record is not None and record.name == "py.warnings":
        kinds = _WARNING_KIND.findall(str(event["event"]))
        event["event"] = "warning of a library"
        event["kind"] = kinds[0] if kinds else "Warning"
    return event


def where(error: Exception) -> dict[str, str]:
    """The kind of an unexpected error and our line that raised it. Never its message: that may quote an upload."""
    frames = traceback.extract_tb(error.__traceback__)
    chain = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}:{frame.name}" for frame in frames[-6:]]
    return {"kind": type(error).__name__, "at": " > ".join(chain)}
