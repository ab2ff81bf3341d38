"""What the worker says: one JSON object a line, on standard output."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from archive.store.faults import redact

__all__ = ["Lines", "log", "to_standard_output"]

_LOGGER = logging.getLogger("lightkeep.worker")


class Lines(logging.Formatter):
    """Makes a record one line of JSON: time, level, what happened, and its facts. Secrets in texts are taken out."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts: dict[str, Any] = getattr(record, "facts", {})
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": redact(record.getMessage()),
            **{name: redact(value) if isinstance(value, str) else value for name, value in facts.items()},
        }
        if record.name != _LOGGER.name:
            line["logger"] = record.name
        if record.exc_info and record.exc_info[1] is not None:
            trace = traceback.extract_tb(record.exc_info[2])
            line["error"] = redact(str(record.exc_info[1]))
            line["kind"] = type(record.exc_info[1]).__name__
            line["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in trace]
        return json.dumps(line, ensure_ascii=False, default=str)


def to_standard_output(level: str) -> None:
    """Send the worker's lines, and the warnings of libraries, to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _LOGGER.setLevel(level.upper())
    logging.captureWarnings(capture=True)


def log(event: str, level: int = logging.INFO, *, error: BaseException | None = None, **facts: Any) -> None:
    """Say what happened, with its facts, and the trace of an error that nobody expected."""
    _LOGGER.log(level, "%s", event, extra={"facts": facts}, exc_info=error)
