"""The layers that settings come from: a TOML file, the environment, and words on the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openbell.core.errors import BadInput, nearest

PREFIX = "OPENBELL__"


@dataclass(frozen=True)
class Key:
    """One settings key."""

    default: Any
    what: str
    secret: bool = False

    @property
    def is_text(self) -> bool:
        """Whether a bare word is its value, without quotes."""
        return isinstance(self.default, str) or self.secret


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _literal(text: str, key: Key) -> Any:
    """The value a word in the environment or behind --set stands for."""
    if key.is_text:
        return text
    try:
        return _tuples(tomllib.loads(f"value = {text}")["value"])
    except tomllib.TOMLDecodeError:
        return text


def _no_such(name: str, known: Mapping[str, Key], origin: str) -> BadInput:
    sections = {key.rpartition(".")[0] for key in known} - {""}
    if name in sections:
        return BadInput(f"`{name}` ({origin}) is a section; write its keys below it, such as `{_first(name, known)}`.")
    namesakes = [key for key in known if key.rpartition(".")[2] == name.rpartition(".")[2]]
    return BadInput(f"There is no setting `{name}` ({origin}). {nearest(name, namesakes[:3] or known)}")


def _first(section: str, known: Mapping[str, Key]) -> str:
    return next(key for key in known if key.startswith(f"{section}."))


def from_table(table: Mapping[str, Any], known: Mapping[str, Key], origin: str, path: str = "") -> dict[str, Any]:
    """The values of a settings table by dotted key; a key that does not exist is refused."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        here = f"{path}{name}"
        inside = any(key.startswith(f"{here}.") for key in known)
        if isinstance(value, Mapping) and inside:
            flat |= from_table(value, known, origin, f"{here}.")
        elif here in known:
            flat[here] = _tuples(value)
        else:
            raise _no_such(here, known, origin)
    return flat


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a settings file; a syntax error or a key given twice is refused with its line."""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text)
    except OSError as failure:
        raise BadInput(f"The settings file {path} cannot be read: {failure.strerror}.") from failure
    except UnicodeDecodeError as failure:
        raise BadInput(f"The settings file {path} is not UTF-8 text: {failure.reason}.") from failure
    except tomllib.TOMLDecodeError as failure:
        raise BadInput(_syntax(path, text, str(failure))) from failure


def _syntax(path: Path, text: str, message: str) -> str:
    found = re.search(r"line (\d+)", message)
    number = int(found[1]) if found else len(text.splitlines())
    line = text.splitlines()[number - 1].strip() if text.splitlines() else ""
    if "overwrite" in message or "declare" in message or "mutate" in message:
        return f"{path}, line {number}: `{line}` gives a key or a section a second time. Keep one of the two."
    return f"{path}, line {number}: `{line}` is not TOML: {message}."


def from_environment(environ: Mapping[str, str], known: Mapping[str, Key]) -> dict[str, tuple[Any, str]]:
    """The values that environment variables such as OPENBELL__RUN__CAPITAL give, each with its origin."""
    found = {}
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX):
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            if key not in known:
                raise _no_such(key, known, f"environment variable {name}")
            found[key] = (_literal(text, known[key]), f"environment {name}")
    return found


def from_words(sets: Iterable[str], known: Mapping[str, Key]) -> dict[str, tuple[Any, str]]:
    """The values that words such as ``run.capital=5`` give, each with its origin."""
    found = {}
    for word in sets:
        name, equals, text = word.partition("=")
        if not equals:
            raise BadInput(f"`--set {word}` names no value. Write --set section.key=value.")
        if name not in known:
            raise _no_such(name, known, "--set")
        found[name] = (_literal(text, known[name]), "--set")
    return found
