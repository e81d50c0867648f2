"""The service's log: one JSON object a line, without keys, tokens and passwords."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import structlog

from openbell.core.errors import StorageFailed
from openbell.store.redaction import seems_secret
from openbell.store.urls import redacted

_HIDDEN = "***"
#: Text that may be a key wherever it stands: 24 or more characters of a token's alphabet, letters and digits in it.
_TOKEN = re.compile(r"\b(?=[A-Za-z0-9_-]*[A-Za-z])(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{24,}\b")
#: What we make ourselves and want to read: ids of requests, predictions and keys.
_OURS = frozenset({"request_id", "prediction_id", "key_id", "timestamp"})


def without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`event` where passwords, tokens and what looks like a key are hidden."""
    return {name: value if name in _OURS else _shown(name, value) for name, value in event.items()}


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown(str(key), each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(name, each) for each in value]
    if not isinstance(value, (str, bytes)):
        return value
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return _HIDDEN if seems_secret(name) else _TOKEN.sub(_HIDDEN, redacted(text))


def configure(level: str, file: str) -> BinaryIO:
    """Write events of `level` and above to `file`, or to standard error where it is empty; what is written to."""
    target = _target(file)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            without_secrets,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.BytesLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    return target


def _json(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)


def _target(file: str) -> BinaryIO:
    if not file:
        return sys.stderr.buffer
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        return Path(file).open("ab", buffering=0)  # whole lines: several workers append to one file
    except OSError as failure:
        raise StorageFailed(f"The log {file} cannot be written: {failure.strerror}. Set `serve.log_file`.") from failure


class Events(logging.Handler):
    """What the server itself says, in the same log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record of the standard library's logging to the log."""
        told: Mapping[str, Any] = {"logger": record.name}
        structlog.get_logger().log(record.levelno, record.getMessage(), **told)
