"""Log lines: one JSON object each, on stderr."""

import logging
import sys
import threading
import time
import traceback
from typing import Any

import msgspec

_lock = threading.Lock()
_encode = msgspec.json.Encoder().encode


def log_line(event: str, **fields: Any) -> None:
    """Write one line: the time, what happened, and the fields. A stderr that is closed or full is no reason to stop."""
    line = _encode({"time": round(time.time(), 3), "event": event, **fields}) + b"\n"
    try:
        with _lock:
            sys.stderr.write(line.decode())
            sys.stderr.flush()
    except (OSError, ValueError):
        return


def log_error(event: str, error: BaseException, **fields: Any) -> None:
    """`log_line` with where an exception came from, but not what the caller sent: no message, no values."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = [f"{frame.filename.rpartition('shortlist/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    log_line(event, error=type(error).__name__, where=where, **fields)


class JsonHandler(logging.Handler):
    """What libraries log, as such lines."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[1]:
            fields["error"] = type(record.exc_info[1]).__name__
        log_line("log", **fields)


def route_logging() -> None:
    """Send what libraries log at WARNING or above through `JsonHandler`."""
    root = logging.getLogger()
    root.handlers = [JsonHandler()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
