"""Filters of sessions: what one is, how they are joined, and which a study that trades may not use.

A filter says of each session yes, no, or not known (null); a session that is not known to pass is left out and counted.
Known names what it needs: the session before and the calendar (pre-open), the session up to the cut-off (pre-cut-off),
or more (full-day). A study that trades refuses every filter that is known only later than it trades.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import polars as pl

from openbell.core.errors import BadInput, Refused, unknown
from openbell.research.almanac_metrics import Known, Study, clock_of, clock_text

#: Filters in a tree, groups within groups, and words in a list: more than anybody means.
MOST_FILTERS, DEEPEST, LONGEST = 40, 3, 60
JOINS = ("and", "or")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a field of a filter takes: for its check, its help and its control on a page.

    `kind` is number, choice, choices (several), time (``HH:MM``), names (words) or product (a symbol, or none).
    """

    kind: str
    label: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf


def parameter(kind: str, label: str, default: Any = dataclasses.MISSING, **more: Any) -> Any:
    """A dataclass field that is a parameter of a filter."""
    return dataclasses.field(default=default, metadata={"parameter": Parameter(kind, label, **more)})


@dataclass(frozen=True)
class Filter(ABC):
    """One condition on a session. A subclass is a frozen dataclass whose fields are made by `parameter`."""

    KIND: ClassVar[str] = ""
    TITLE: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value = _checked(self.KIND, each.name, each.metadata["parameter"], getattr(self, each.name))
            object.__setattr__(self, each.name, value)

    def words(self) -> str:
        """The condition in words."""
        return self._words()

    def known_at(self, study: Study) -> pl.Series:
        """From when on the answer for each session is known, aware moments; null where it never mattered."""
        return self._known_at(study)

    def mask(self, study: Study) -> pl.Series:
        """The answer for each session of the almanac's days, Boolean; null where it is not known."""
        return self._mask(study).cast(pl.Boolean)

    def known(self, study: Study) -> Known:
        """What the filter needs, computed from the hours of the product and the cut-off."""
        return study.known(self._known_at(study))

    def note(self, study: Study) -> str:
        """What must be said of the answer; empty where nothing."""
        return self._note(study)

    @abstractmethod
    def _words(self) -> str: ...

    @abstractmethod
    def _known_at(self, study: Study) -> pl.Series: ...

    @abstractmethod
    def _mask(self, study: Study) -> pl.Series: ...

    def _note(self, study: Study) -> str:
        return ""

    def as_dict(self) -> dict[str, Any]:
        """The filter as plain values."""
        told = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {"kind": self.KIND} | {name: list(v) if isinstance(v, tuple) else v for name, v in told.items()}


#: Every kind of filter by its name, in the order they are offered.
FILTERS: dict[str, type[Filter]] = {}
_Kind = TypeVar("_Kind", bound=type[Filter])


def filter_kind(name: str, title: str) -> Callable[[_Kind], _Kind]:
    """Declare a class a kind of filter."""

    def declare(kind: _Kind) -> _Kind:
        if name in FILTERS:
            raise BadInput(f"There are two kinds of filter called `{name}`; rename one.")
        kind.KIND, kind.TITLE = name, title
        FILTERS[name] = kind
        return kind

    return declare


def kinds() -> Mapping[str, type[Filter]]:
    """Every kind of filter there is, by its name."""
    from openbell.research import almanac_filter_kinds  # noqa: F401  (declares them)

    return FILTERS


def parameters(kind: type[Filter]) -> dict[str, Parameter]:
    """The parameters of a kind of filter, by field."""
    return {each.name: each.metadata["parameter"] for each in dataclasses.fields(kind)}


@dataclass(frozen=True, slots=True)
class Group:
    """Filters and groups that must all pass (``and``), or of which one is enough (``or``)."""

    join: str = "and"
    members: tuple[Filter | Group, ...] = ()

    def __post_init__(self) -> None:
        if self.join not in JOINS:
            raise unknown("way to join filters,", str(self.join)[:40], JOINS)
        if _depth(self) > DEEPEST:
            raise BadInput(f"Groups of filters may lie {DEEPEST} deep; these lie {_depth(self)} deep.")
        count = sum(1 for _ in self.filters())
        if count > MOST_FILTERS:
            raise BadInput(f"A scenario takes up to {MOST_FILTERS} filters; this one has {count}.")

    def filters(self) -> Iterator[Filter]:
        """All filters, in order."""
        for each in self.members:
            if isinstance(each, Group):
                yield from each.filters()
            else:
                yield each

    def words(self) -> str:
        """The condition in words."""
        said = [f"({each.words()})" if isinstance(each, Group) else each.words() for each in self.members]
        return f" {self.join} ".join(said) if said else "every session"

    def as_dict(self) -> dict[str, Any]:
        """The group as plain values."""
        return {"join": self.join, "filters": [each.as_dict() for each in self.members]}


def filters_from(value: Any) -> Filter | Group:
    """A filter or a group out of plain values, strictly: what is unknown is refused with the nearest valid word."""
    return _from(value, 1)


def _from(value: Any, depth: int) -> Filter | Group:
    if not isinstance(value, Mapping):
        raise BadInput(f"A filter is written as an object with a `kind`; was {str(value)[:60]!r}.")
    if depth > DEEPEST + 1:
        raise BadInput(f"Groups of filters may lie {DEEPEST} deep; these lie deeper.")
    if "join" in value or "filters" in value:
        for name in value:
            if name not in ("join", "filters"):
                raise unknown("part of a group of filters,", str(name)[:40], ("join", "filters"))
        members = value.get("filters", [])
        if not isinstance(members, list | tuple) or len(members) > MOST_FILTERS:
            raise BadInput(f"`filters` is a list of up to {MOST_FILTERS} filters.")
        return Group(value.get("join", "and"), tuple(_from(each, depth + 1) for each in members))
    name = str(value.get("kind", ""))
    if name not in kinds():
        raise unknown("kind of filter", name[:40], kinds())
    kind, given = FILTERS[name], {key: each for key, each in value.items() if key != "kind"}
    valid = parameters(kind)
    for key in given:
        if key not in valid:
            raise unknown(f"parameter of the filter {name},", str(key)[:40], valid)
    for each in dataclasses.fields(kind):
        if each.default is dataclasses.MISSING and each.name not in given:
            raise BadInput(f"The filter {name} needs `{each.name}` ({valid[each.name].label}).")
    return kind(**given)


def filter_of(text: str) -> Filter:
    """A filter out of one line: its kind, then ``name=value`` words; several values are parted by commas."""
    kind, *words = text.split() or [""]
    if kind not in kinds():
        raise unknown("kind of filter", kind[:40], kinds())
    valid = parameters(FILTERS[kind])
    given: dict[str, Any] = {"kind": kind}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise BadInput(f"`{word[:40]}` in the filter {kind} is no name=value. Write it like `{_example(kind)}`.")
        if name not in valid:
            raise unknown(f"parameter of the filter {kind},", name[:40], valid)
        given[name] = _typed(valid[name], value)
    found = filters_from(given)
    assert isinstance(found, Filter)
    return found


def _typed(parameter: Parameter, text: str) -> Any:
    if parameter.kind in ("choices", "names"):
        return [each for each in text.split(",") if each]
    if parameter.kind != "number":
        return text
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"`{parameter.label}` is a number; was `{text[:40]}`.") from None


def _example(kind: str) -> str:
    shown = {"number": "1", "time": "10:00", "product": "ES"}
    words = (
        f"{name}={shown.get(p.kind) or ','.join(p.choices[:1]) or 'CPI'}"
        for name, p in parameters(FILTERS[kind]).items()
    )
    return " ".join([kind, *words])


def _checked(kind: str, name: str, asked: Parameter, value: Any) -> Any:
    where = f"`{name}` of the filter {kind}"
    if asked.kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInput(f"{where} ({asked.label}) is a number; was {str(value)[:40]!r}.")
        if not asked.low <= value <= asked.high:
            raise BadInput(f"{where} ({asked.label}) lies in {asked.low:g} to {asked.high:g}; was {value:g}.")
        return float(value)
    if asked.kind in ("choices", "names"):
        return _several(where, asked, value)
    if asked.kind == "product" and value in (None, ""):
        return None
    if not isinstance(value, str) or len(value) > LONGEST:
        raise BadInput(f"{where} ({asked.label}) is a word; was {str(value)[:40]!r}.")
    if asked.kind == "time":
        return clock_text(clock_of(value))
    if asked.kind == "choice" and value not in asked.choices:
        raise unknown(f"{name} of the filter {kind},", value, asked.choices)
    return value


def _several(where: str, asked: Parameter, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or len(value) > LONGEST:
        raise BadInput(f"{where} ({asked.label}) is a list of at least one word; was {str(value)[:40]!r}.")
    for each in value:
        if not isinstance(each, str) or not 0 < len(each) <= LONGEST:
            raise BadInput(f"{where} ({asked.label}) holds words; one was {str(each)[:40]!r}.")
        if asked.choices and each not in asked.choices:
            raise unknown(f"{asked.label},", each, asked.choices)
    chosen = set(value)
    return tuple(each for each in asked.choices if each in chosen) if asked.choices else tuple(sorted(chosen))


def _depth(group: Group) -> int:
    return 1 + max((_depth(each) for each in group.members if isinstance(each, Group)), default=0)


def joined(tree: Filter | Group, study: Study) -> pl.Series:
    """The answer of the whole tree for each session; not known where the known part does not decide it."""
    if isinstance(tree, Filter):
        return tree.mask(study)
    if not tree.members:
        return pl.repeat(True, study.almanac.days.height, eager=True)
    found = joined(tree.members[0], study)
    for each in tree.members[1:]:
        found = found & joined(each, study) if tree.join == "and" else found | joined(each, study)
    return found


def refuse_late(tree: Group, study: Study) -> None:
    """Refuse a study that trades before all its filters are known.

    Raises
    ------
    Refused
        Names each such filter, what it needs, and when the study trades.
    """
    said = [sentence for each in tree.filters() if (sentence := lateness(each, study))]
    if said:
        raise Refused(" ".join(said))


def lateness(each: Filter, study: Study) -> str:
    """Why a study that trades when this one does cannot use the filter; empty where it can."""
    if study.trades == "none":
        return ""
    limit = study.times["regular_open_at" if study.trades == "pre-open" else "cutoff_at"]
    needed = each.known_at(study)
    late = (needed > limit).fill_null(False)
    if not late.any():
        return ""
    local = (needed.filter(late) - limit.filter(late)).max()
    clock = needed.filter(late).dt.convert_time_zone(study.almanac.zone).dt.strftime("%H:%M").last()
    trades = "before the open" if study.trades == "pre-open" else f"at the cut-off {clock_text(study.cutoff)}"
    return (
        f"The filter `{each.words()}` is {each.known(study)}: it is known from {clock!s} on, and this study trades "
        f"{trades}, up to {_length(local)} earlier. Choose one that is known by then, a later cut-off, or a study that "
        "only describes."
    )


def _length(span: Any) -> str:
    minutes = math.ceil(span.total_seconds() / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
