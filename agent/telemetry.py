"""Logs: where they go, in two forms, and never with a secret."""

import io
import logging
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Literal, TextIO, TypeAlias, cast

import structlog
from pydantic import JsonValue

from agent.redaction.texts import may_hold_secret, redact_named
from contracts.knowledge.inert import printable

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


def redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog's processor: the whole event without secrets. Values that are no JSON are shown as their text."""
    clean: dict[str, Any] = {key: _plain(value) for key, value in event.items()}
    if may_hold_secret(clean):
        for key, value in clean.items():
            clean[key], _ = redact_named(key, value)
    return clean


def _plain(value: object) -> JsonValue:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_plain(inner) for inner in cast("Sequence[object]", value)]
        case dict():
            return {str(key): _plain(inner) for key, inner in cast("Mapping[object, object]", value).items()}
        case _:
            return str(value)


class LogStream(io.TextIOBase):
    """Where logs go: a stream, or without one whatever standard error is at that moment.

    A log that cannot be written (closed terminal, broken pipe, full disk) is lost; the request that logs goes on.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        with suppress(OSError, ValueError):
            return (self._stream or sys.stderr).write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            (self._stream or sys.stderr).flush()

    def isatty(self) -> bool:
        return (self._stream or sys.stderr).isatty()


def set_up_logging(level: LogLevel = "info", stream: TextIO | None = None) -> None:
    """Send this program's and its libraries' logs to `stream` (standard error): for people on a terminal, else as JSON."""
    target = cast("TextIO", LogStream(stream))
    first: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: list[structlog.typing.Processor] = [redact_event, *_rendering(target)]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def _rendering(stream: TextIO) -> list[structlog.typing.Processor]:
    if stream.isatty():
        return [_write_out, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.JSONRenderer(sort_keys=False)]


def _write_out(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Texts in the event without what would steer the terminal; lists and objects are shown by `repr`, which has none."""
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}
