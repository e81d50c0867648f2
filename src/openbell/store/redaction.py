"""Secrets never reach the journal: a payload that seems to hold one is refused, with the place of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from openbell.core.errors import BadInput
from openbell.store.urls import redacted

_WORDS = (
    "password|passwd|passphrase|secret|secrets|token|tokens|credential|credentials|authorization|"
    "api_?keys?|access_?keys?|private_?keys?|secret_?keys?"
)
_KEY = re.compile(rf"(?:^|_)(?:{_WORDS})(?:_|$)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_WORD = re.compile(r"[^A-Za-z0-9]+")
_HIDDEN = re.compile(r"[*•x.]*|<[a-z ]+>|\[[a-z ]+\]|redacted", re.IGNORECASE)
_VALUE = re.compile(
    r"://[^/?#\s:@]*:(?!\*+@)[^/?#\s@]+@"  # a URL with a password
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # AWS
    r"|\bob_[a-z0-9]{10}_[A-Za-z0-9]{43}"  # Openbell's own API keys
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}"  # GitHub
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|hooks\.slack\.com/services/\w|discord(?:app)?\.com/api/webhooks/\d"
    r"|\b[Bb]earer\s+[A-Za-z0-9._~+/-]{16,}"
)

#: ``password=…`` and its kin, in a line of text.
_NAMED = re.compile(rf"((?:{_WORDS})\"?\s*[=:]\s*\"?)(?!\*)[^\s\",;&]+", re.IGNORECASE)


@lru_cache(maxsize=4_096)
def seems_secret(key: str) -> bool:
    """Whether `key` names a secret, as ``api_key`` and ``smtpPassword`` do."""
    return _KEY.search(_NOT_WORD.sub("_", _CAMEL.sub("_", key)).lower()) is not None


def hidden(text: str) -> str:
    """`text` with ``***`` in the place of what looks like a secret, for a log that people read."""
    return _VALUE.sub("***", _NAMED.sub(r"\1***", redacted(text)))


def refuse_secrets(payload: Mapping[str, Any], path: str = "payload") -> None:
    """Refuse `payload` where text stands under a secret's name, or looks like a secret itself.

    Text that is hidden already (``***``) passes, and so do numbers, truth values and nulls: a count of tokens is
    no secret. The refusal names the place and never shows the value.
    """
    _walk(payload, path, False)


def _walk(value: Any, path: str, named_secret: bool) -> None:
    if isinstance(value, Mapping):
        if len({str(key) for key in value}) != len(value):
            raise BadInput(f"Two keys of `{path}` are the same when written as text: {list(value)}. Rename one.")
        for key, item in value.items():
            _walk(item, f"{path}.{key}", named_secret or seems_secret(str(key)))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for at, item in enumerate(value):
            _walk(item, f"{path}[{at}]", named_secret)
    elif isinstance(value, str) and ((named_secret and not _HIDDEN.fullmatch(value)) or _VALUE.search(value)):
        raise BadInput(
            f"`{path}` seems to hold a secret, and the journal keeps for ever what it is given. "
            "Leave it out, or write `***` in its place."
        )
