"""A JSON document and its values, each of the kind that is asked for or refused with its name and what it was."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

from openbell.core.errors import BadInput, nearest

LONGEST, LARGEST, DEEPEST = 1_000_000, 1e9, 20
_E = TypeVar("_E", bound=StrEnum)


class Broken(BadInput):
    """Text that is no JSON, with the place where it stops being so."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__(why)
        self.position = position


def document(text: str) -> Any:
    """The value that `text` is; NaN, infinities, a name twice in one object, and deep nesting are refused."""
    if len(text) > LONGEST:
        raise Broken(LONGEST, f"A document of {len(text):,} characters is above the {LONGEST:,} that are read.")
    _check_depth(text)
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_number)
    except json.JSONDecodeError as error:
        raise Broken(
            error.pos, f"The text is no JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None


def _check_depth(text: str) -> None:
    """Nesting beyond what any order has would exhaust the parser."""
    depth = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        depth += (found[0] in "[{") - (found[0] in "]}")
        if depth > DEEPEST:
            raise Broken(found.start(), f"The document nests deeper than {DEEPEST} levels, which no order does.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadInput(f"The field `{name}` is written twice; which is meant?")
        found[name] = value
    return found


def _no_constant(word: str) -> Any:
    raise BadInput(f"{word} is no number of JSON; leave the field out.")


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= 15 else float(digits)


class Fields:
    """The fields of one object, each taken once; `done` refuses what nobody asked for."""

    def __init__(self, found: dict[str, Any], name: str) -> None:
        self._found, self._name = found, name
        self._asked: set[str] = set()

    @classmethod
    def of(cls, value: Any, name: str) -> Fields:
        """The fields of `value`, which must be an object."""
        if not isinstance(value, dict):
            raise BadInput(f"`{name}` must be an object with fields; was {_shown(value)}.")
        return cls(value, name)

    def has(self, field: str) -> bool:
        """Whether `field` is there and not null."""
        return self._found.get(field) is not None

    def is_text(self, field: str) -> bool:
        """Whether `field` is a text."""
        return isinstance(self._found.get(field), str)

    def done(self) -> None:
        """Refuse fields that nobody asked for."""
        unknown = sorted(set(self._found) - self._asked)
        if unknown:
            raise BadInput(f"There is no field `{unknown[0][:40]}`. {nearest(unknown[0], self._asked)}")

    def _take(self, field: str, optional: bool) -> Any:
        self._asked.add(field)
        value = self._found.get(field)
        if value is None and not optional:
            raise BadInput(f"The field `{field}` is missing.")
        return value

    def number(self, field: str, *, optional: bool = False) -> Any:
        """A finite number; None where it is optional and missing."""
        value = self._take(field, optional)
        if value is None:
            return None
        if not _is_number(value):
            raise BadInput(f"`{field}` must be a number of at most {LARGEST:,.0f}; was {_shown(value)}.")
        return float(value)

    def numbers(self, field: str) -> list[float]:
        """A list of numbers."""
        values = self._take(field, False)
        if not isinstance(values, list) or not all(_is_number(each) for each in values):
            raise BadInput(f"`{field}` must be a list of numbers; was {_shown(values)}.")
        return [float(each) for each in values]

    def whole(self, field: str) -> int:
        """A whole number."""
        value = self._take(field, False)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
            raise BadInput(f"`{field}` must be a whole number; was {_shown(value)}.")
        return value

    def flag(self, field: str) -> bool:
        """True or false."""
        value = self._take(field, False)
        if not isinstance(value, bool):
            raise BadInput(f"`{field}` must be true or false; was {_shown(value)}.")
        return value

    def text(self, field: str, *, optional: bool = True) -> Any:
        """A text; None where it is missing."""
        value = self._take(field, optional)
        if value is not None and not isinstance(value, str):
            raise BadInput(f"`{field}` must be a text; was {_shown(value)}.")
        return value

    def texts(self, field: str) -> list[str]:
        """A list of texts, empty where it is missing."""
        values = self._take(field, True)
        if values is None:
            return []
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise BadInput(f"`{field}` must be a list of texts; was {_shown(values)}.")
        return values

    def symbol(self, field: str) -> str:
        """A symbol, in capitals."""
        value = str(self.text(field, optional=False)).upper()
        if not re.fullmatch(r"/?[A-Z][A-Z0-9.:/]{0,15}", value, re.ASCII):
            raise BadInput(f"`{field}` must be a symbol like SPX or /ESZ26; was {_shown(value)}.")
        return value

    def word(self, field: str, words: type[_E], *, optional: bool = False) -> Any:
        """One of `words`, in any case."""
        value = self.text(field, optional=optional)
        if value is None:
            return None
        return words(_one_of(field, value, [each.value for each in words]))

    def name(self, field: str, names: Iterable[str]) -> str:
        """One of `names`, in any case; blanks may be written as underscores."""
        value = self.text(field, optional=False)
        return _one_of(field, value.replace("_", " "), list(names))

    def day(self, field: str) -> dt.date | None:
        """A day as 2025-05-22; None where it is missing."""
        value = self.text(field)
        if value is None:
            return None
        try:
            return dt.datetime.strptime(value, "%Y-%m-%d").date()
        except ValueError:
            raise BadInput(f"`{field}` must be a day like 2025-05-22; was {_shown(value)}.") from None

    def list_of(self, field: str) -> list[Any]:
        """A list with something in it."""
        value = self._take(field, False)
        if not isinstance(value, list) or not value:
            raise BadInput(f"`{field}` must be a list with at least one entry; was {_shown(value)}.")
        return value

    def object(self, field: str) -> Fields | None:
        """The fields of an object; None where it is missing."""
        value = self._take(field, True)
        return None if value is None else Fields.of(value, field)


def _one_of(field: str, value: str, words: list[str]) -> str:
    if value.strip().upper() not in words:
        raise BadInput(f"`{field}` cannot be `{value[:40]}`. {nearest(value.strip().upper(), words)}")
    return value.strip().upper()


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) <= LARGEST
    )


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:59] + "…"
