"""The form in which the page Evaluation takes what a training found, whatever desk it is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

SCORES: Mapping[str, Any] = {
    "model": pl.String, "kind": pl.String, "n": pl.Int64, "score": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "p_value": pl.Float64, "proven": pl.Boolean,
}  # fmt: skip
CONFUSION: Mapping[str, Any] = {
    "model": pl.String, "rule": pl.String, "actual": pl.String, "said": pl.String, "n": pl.Int64,
}  # fmt: skip
RELIABILITY: Mapping[str, Any] = {
    "model": pl.String, "of": pl.String, "n": pl.Int64, "predicted": pl.Float64, "observed": pl.Float64,
    "low": pl.Float64, "high": pl.Float64,
}  # fmt: skip
IMPORTANCE: Mapping[str, Any] = {"model": pl.String, "feature": pl.String, "importance": pl.Float64}
#: Space at which no line is broken: a figure stays beside its interval.
_UNBROKEN = "\u00a0"


def nothing(columns: Mapping[str, Any]) -> pl.DataFrame:
    """A frame of these columns without rows."""
    return pl.DataFrame(schema=dict(columns))


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What a training found.

    Attributes
    ----------
    head, rest : the verdict: a few words in large print, and the sentence. why : the test, in sentences. notes : what
        was left out. made_up : the word that stands beside every figure of generated data.
    measure : what `scores` are, with its unit. chance : what 0 means. scores : columns of `SCORES`.
    table : all figures of each model, in words. shown : the model that is looked at first.
    confusion : columns of `CONFUSION`; `classes` in order. reliability : of `RELIABILITY`; `base` by model and view is
        how often it happened at all. importance : of `IMPORTANCE`; `weight` says what it measures.
    extra : tables that only this desk has, by caption. ics : ``session`` and a rank IC of each model.
    lineage : of the features. made_of : hashes. lacks : sentences on what this desk has no record of.
    """

    desk: str
    training: str
    head: str
    rest: str
    why: tuple[str, ...]
    notes: tuple[str, ...]
    measure: str
    chance: str
    scores: pl.DataFrame
    table: pl.DataFrame
    shown: str
    tries: int
    alpha: float | None
    made_up: str = ""
    classes: tuple[str, ...] = ()
    confusion: pl.DataFrame = field(default_factory=lambda: nothing(CONFUSION))
    reliability: pl.DataFrame = field(default_factory=lambda: nothing(RELIABILITY))
    base: Mapping[tuple[str, str], float] = field(default_factory=dict)
    importance: pl.DataFrame = field(default_factory=lambda: nothing(IMPORTANCE))
    weight: str = ""
    extra: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    ics: pl.DataFrame | None = None
    lineage: pl.DataFrame | None = None
    made_of: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """All models with a score, as they stand in it."""
        return tuple(self.scores["model"])


def between(value: float | None, low: float | None, high: float | None, form: str) -> str:
    """A figure with its interval, in words; a dash where there is none of it."""
    if value is None:
        return "–"
    if low is None or high is None:
        return f"{value:{form}} (no interval)".replace(" ", _UNBROKEN)
    return f"{value:{form}} ({low:{form}} to {high:{form}})".replace(" ", _UNBROKEN)


def told(rows: pl.DataFrame, wanted: Mapping[str, tuple[str, str]]) -> pl.DataFrame:
    """Columns of `rows` for a reader: title -> (column, form); where it has bounds, with its interval.

    An empty form leaves the values as they are. A column that is not there is left out.
    """
    found: dict[str, list[Any]] = {}
    for title, (name, form) in wanted.items():
        if name not in rows.columns:
            continue
        values = rows[name].to_list()
        if not form:
            found[title] = values
        elif f"{name}_low" in rows.columns:
            bounds = rows.select(name, f"{name}_low", f"{name}_high").iter_rows()
            found[title] = [between(*each, form) for each in bounds]
        else:
            found[title] = ["–" if each is None else f"{each:{form}}" for each in values]
    return pl.DataFrame(found, infer_schema_length=None)


def scores_of(rows: pl.DataFrame, **columns: pl.Expr | str) -> pl.DataFrame:
    """`rows` in the columns of `SCORES`."""
    return rows.select(**columns).cast(dict(SCORES)).select(list(SCORES))  # type: ignore[arg-type]
