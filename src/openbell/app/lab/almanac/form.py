"""The form of a scenario: values of its controls to a `Scenario`, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openbell.app.lab.entries import day, number
from openbell.core.errors import BadInput
from openbell.research.almanac_filters import Filter, Group, Parameter, filters_from, kinds, parameters
from openbell.research.almanac_metrics import METRICS, TRADES
from openbell.research.almanac_scenario import STATISTICS, Scenario

#: Names of groups that filters can stand in; a filter with none stands alone.
LETTERS = ("A", "B", "C")
STATISTIC_TITLES: Mapping[str, str] = {
    "hourly": "By hour", "minute": "By minute", "session": "By part of the session", "weekday": "By weekday",
    "week_of_month": "By week of the month", "week": "By week of the year", "month": "By month",
    "years": "Years beside each other", "extremes": "High and low of each day", "survival": "When high and low are set",
    "heatmap": "High and low by weekday and month", "rolling": "Time of high and low, rolling median",
    "trend": "Time of high and low, trend", "distribution": "Distribution of the metric",
    "correlation": "Correlation with another product", "volatility": "Volatility (GARCH)",
    "clusters": "Groups of like days", "regimes": "Regimes", "anomalies": "Days that stand out",
    "levels": "Supports and resistances", "risk": "Value at risk and drawdown",
}  # fmt: skip
TRADES_TITLES: Mapping[str, str] = {
    "none": "never: it only describes",
    "pre-open": "before the regular open",
    "cut-off": "at the cut-off",
}
assert set(STATISTIC_TITLES) == set(STATISTICS)
assert set(TRADES_TITLES) == set(TRADES)
_WORDS: Mapping[str, str] = {
    "mon": "Monday", "tue": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "fri": "Friday", "sat": "Saturday",
    "sun": "Sunday", "jan": "January", "feb": "February", "mar": "March", "apr": "April", "may": "May", "jun": "June",
    "jul": "July", "aug": "August", "sep": "September", "oct": "October", "nov": "November", "dec": "December",
    "before": "the session before", "day": "the day itself", "cut-off": "up to the cut-off",
    "day_return_pct": "open to close", "change_pct": "close to close", "range_pct": "range, %",
    "range": "range, points",
    ">": "more than", ">=": "at least", "<": "less than", "<=": "at most",
}  # fmt: skip


def word(choice: str, *, metric: bool = False) -> str:
    """What a choice is called on the page."""
    if metric:
        return f"{METRICS[choice].about}, {METRICS[choice].unit}"
    return _WORDS.get(choice, choice)


def metric_options() -> list[dict[str, str]]:
    """Every metric, with what it is."""
    return [{"value": name, "label": f"{name}: {word(name, metric=True)}"} for name in METRICS]


def entries(tree: Group) -> list[dict[str, Any]]:
    """The filters of a tree as the form holds them: ``kind``, ``group`` (a letter or none) and ``values``.

    A tree that the form cannot hold (groups within groups, or joined as their parent is) becomes one fixed entry per
    such part: ``kind`` is then ``group`` and ``values`` the part itself.
    """
    found: list[dict[str, Any]] = []
    letters = iter(LETTERS)
    for each in tree.members:
        if isinstance(each, Filter):
            found.append(_entry(each, None))
            continue
        plain = all(isinstance(member, Filter) for member in each.members) and each.join != tree.join
        letter = next(letters, None) if plain and each.members else None
        if letter is None:
            found.append({"kind": "group", "group": None, "values": each.as_dict()})
        else:
            found += [_entry(member, letter) for member in each.members if isinstance(member, Filter)]
    return found


def _entry(each: Filter, group: str | None) -> dict[str, Any]:
    values = {name: value for name, value in each.as_dict().items() if name != "kind"}
    return {"kind": each.KIND, "group": group, "values": values}


def new_entry(kind: str) -> dict[str, Any]:
    """An entry for a filter of `kind` with its defaults, and an example where it has none."""
    if kind not in kinds():
        raise BadInput(f"There is no kind of filter `{str(kind)[:40]}`.")
    return {
        "kind": kind,
        "group": None,
        "values": {name: _default(kind, name, p) for name, p in parameters(kinds()[kind]).items()},
    }


def _default(kind: str, name: str, asked: Parameter) -> Any:
    import dataclasses

    own = next(each for each in dataclasses.fields(kinds()[kind]) if each.name == name)
    if own.default is not dataclasses.MISSING:
        return list(own.default) if isinstance(own.default, tuple) else own.default
    if asked.kind == "time":
        return "10:00" if name == "a" else "09:30"
    return [asked.choices[0]] if asked.kind == "choices" else asked.choices[0]


def tree_of(rows: Sequence[Mapping[str, Any]], join: str) -> Group:
    """The filters of the form as a tree: those with one letter are joined the other way among themselves."""
    other = "or" if join == "and" else "and"
    groups: dict[str, list[Filter | Group]] = {}
    members: list[Filter | Group | str] = []
    for row in rows:
        made = _made(row)
        letter = row.get("group")
        if letter in LETTERS:
            if letter not in groups:
                groups[letter] = []
                members.append(letter)
            groups[letter].append(made)
        else:
            members.append(made)
    return Group(join, tuple(Group(other, tuple(groups[each])) if isinstance(each, str) else each for each in members))


def _made(row: Mapping[str, Any]) -> Filter | Group:
    if row.get("kind") == "group":
        return filters_from(row.get("values"))
    kind = str(row.get("kind"))
    asked = parameters(kinds()[kind]) if kind in kinds() else {}
    values = {name: _value(asked.get(name), value) for name, value in dict(row.get("values") or {}).items()}
    return filters_from({"kind": kind, **values})


def _value(asked: Parameter | None, value: Any) -> Any:
    if asked is None:
        return value
    if asked.kind == "number":
        return number(value, asked.label)
    if asked.kind == "names" and isinstance(value, str):
        return [each for each in value.replace(",", " ").upper().split() if each]
    return value.strip() if isinstance(value, str) else value


#: The plain controls of the form, by the part of a scenario that each holds.
CONTROLS = (
    "product", "freq", "first", "last", "cutoff", "trades_at", "trim", "statistic", "metric", "bin", "against",
)  # fmt: skip


def scenario_of(values: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], join: str) -> Scenario:
    """The scenario that the form says, or the sentence about what in it cannot be."""
    if not values.get("product"):
        raise BadInput("Choose a product.")
    trim, size = number(values.get("trim"), "the trimming"), number(values.get("bin"), "the minutes of a bin")
    return Scenario(
        product=str(values["product"]),
        first=day(values.get("first"), "the first session"),
        last=day(values.get("last"), "the last session"),
        cutoff=str(values.get("cutoff") or "10:15").strip(),
        trades_at=values.get("trades_at") or "none",
        filters=tree_of(rows, join),
        trim=0.0 if trim is None else trim,
        statistic=values.get("statistic") or "hourly",
        metric=values.get("metric") or "day_return_pct",
        bin=15 if size is None else int(size),
        freq=values.get("freq") or None,
        against=(str(values.get("against") or "").strip() or None),
    )
