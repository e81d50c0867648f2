"""What the gate's models are handed, and what they say: rows by column name, from a table or from a single request."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from scipy.special import logit

from openbell.core.errors import BadInput, LeakFound, nearest
from openbell.core.time import utc
from openbell.core.trade_rows import OUTCOME
from openbell.quant.design_effects import Floats, Integers, design_effects

#: A table of rows, or columns by name: scalars (one row) or sequences of equal length, None where a value is missing.
Rows = pl.DataFrame | Mapping[str, Any]

#: Columns of a training row besides its features.
TRAINING = ("session", "known_at", "outcome_known_at", "symbol", "strategy", "price_probability", "win")
#: The price's log-odds are held within 9,999 to 1, as `trade_facts.facts` does: a price without a chance has no end.
_LEAST = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a model says of n rows.

    Attributes
    ----------
    probability : (n,) of a win after costs. level : (n,) one of `core.trade_rows.LEVELS`, the level that speaks.
    weights : (n, 5) of every level, rows sum to 1. effective_n : (n,) trades behind the level that speaks, corrected
        for those that shared a day. uncalibrated : (n,) where `probability` was calibrated.
    """

    probability: Floats
    level: np.ndarray
    weights: Floats
    effective_n: Floats
    uncalibrated: Floats | None = None


class GateModel(Protocol):
    """What every model of the gate can do."""

    @property
    def name(self) -> str:
        """One of `gate_models.NAMES`."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """Columns it was fitted on, in their order."""
        ...

    @property
    def report(self) -> Mapping[str, Any]:
        """What became of the fit, canonical JSON types only."""
        ...

    def forecast(self, rows: Rows) -> Said:
        """What it says; columns are taken by name and a missing one is refused."""
        ...

    def save(self, folder: Path) -> None:
        """Write it to the new folder, in formats that execute nothing when they are read."""
        ...


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How models are fitted: a cell under `min_trades` never speaks alone; `seed` of what is drawn."""

    min_trades: int = 100
    seed: int = 42

    def __post_init__(self) -> None:
        if self.min_trades < 1:
            raise BadInput(f"`min_trades` must be at least 1; was {self.min_trades}.")


def checked_training(rows: pl.DataFrame, features: Sequence[str], fit_at: dt.datetime) -> pl.DataFrame:
    """`rows` in an order that depends on their content alone; refuses what cannot be learned from.

    Raises
    ------
    LeakFound
        Where an outcome was not known at `fit_at`, or a feature tells the outcome.
    BadInput
        On missing columns or outcomes, features named twice, values that are not finite (null is missing), or no rows.
    """
    told = [name for name in features if name in OUTCOME or name in ("profit_usd", "win")]
    if told:
        raise LeakFound(f"{_quoted(told)} tell the outcome of a trade; no model may be fitted on them.")
    if len(set(features)) != len(features):
        raise BadInput(f"A feature is named twice: {_quoted(sorted({f for f in features if features.count(f) > 1}))}.")
    _refuse_missing(rows.columns, (*TRAINING, *features), "The rows of a fit")
    if not rows.height:
        raise BadInput("There are no rows to fit on.")
    nulls = {name: rows[name].null_count() for name in TRAINING if rows[name].null_count()}
    if nulls:
        counted = ", ".join(f"`{name}` of {count}" for name, count in nulls.items())
        raise BadInput(
            f"Of {rows.height} rows {counted} are null. Leave them out and count them: no outcome is no loss."
        )
    late = rows.filter(pl.col("outcome_known_at") > utc(fit_at)).height
    if late:
        raise LeakFound(
            f"{late} of {rows.height} outcomes were not known at {utc(fit_at).isoformat()}, the moment of the fit. "
            "Leave these rows out."
        )
    feature_values(rows, features)
    order = ["session", "known_at", "symbol", "strategy"]
    rest = [name for name in ("price_probability", "win", "outcome_known_at", *features) if name not in order]
    return rows.sort([*order, *rest], maintain_order=True)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _refuse_missing(there: Sequence[str], wanted: Sequence[str], who: str) -> None:
    missing = [name for name in wanted if name not in there]
    if missing:
        unknown = [name for name in there if name not in wanted]
        raise BadInput(
            f"{who} need {_quoted(wanted[:40])}; missing: {_quoted(missing)}; not known: {_quoted(unknown) or 'none'}. "
            + nearest(missing[0], there)
        )


def compared(model: str, fitted: Sequence[str], given: Sequence[str]) -> None:
    """Refuse feature lists that differ, naming what is missing and what is not known; their order does not matter."""
    missing, unknown = [f for f in fitted if f not in given], [f for f in given if f not in fitted]
    if missing or unknown:
        raise BadInput(
            f"The model `{model}` was fitted on {len(fitted)} features; missing here: {_quoted(missing) or 'none'}; "
            f"not known to it: {_quoted(unknown) or 'none'}. Compute its features, or train again."
        )


class OneRow(dict[str, Any]):
    """The values of a single row by column: what a request comes down to, so that it is taken apart only once."""


def opened(rows: Rows) -> Rows:
    """`rows` as they are, or as `OneRow` where there is just one."""
    if isinstance(rows, OneRow):
        return rows
    if isinstance(rows, pl.DataFrame):
        return OneRow(zip(rows.columns, rows.row(0), strict=True)) if rows.height == 1 else rows
    symbol = rows.get("symbol")
    return OneRow(rows) if symbol is None or isinstance(symbol, str) or len(symbol) == 1 else rows


def single(rows: Rows) -> OneRow | None:
    """The values of the only row by column, where there is one."""
    found = opened(rows)
    return found if isinstance(found, OneRow) else None


def _value(value: Any) -> Any:
    """The value of a column of one row: itself, or the only one of its sequence."""
    return value if isinstance(value, _SCALARS) else value[0]


_SCALARS = (float, int, str, type(None), np.generic)


def as_frame(rows: Rows) -> pl.DataFrame:
    """`rows` as a table."""
    return rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(dict(rows), strict=False)


def feature_values(rows: Rows, features: Sequence[str], model: str = "a model") -> Floats:
    """The features by name, shape (n, k), NaN where a value is missing (null).

    Raises
    ------
    BadInput
        Where a feature is missing, no number, NaN or infinite; the message names the missing and the unknown.
    """
    alone = single(rows)
    if alone is not None:
        try:
            values = [_value(alone[name]) for name in features]
            found = np.array([[math.nan if each is None else each for each in values]], dtype=np.float64)
        except KeyError:
            _refuse_missing(list(alone), features, f"The features of {model}")
        except (ValueError, TypeError) as failure:
            raise BadInput(f"A feature of {model} is no number: {failure}.") from None
        if not np.isfinite(found).all():
            bad = [f for f, v in zip(features, values, strict=True) if v is not None and not math.isfinite(v)]
            _refuse_wild(bad, 1)
        return found
    frame = as_frame(rows)
    _refuse_missing(frame.columns, features, f"The features of {model}")
    chosen = frame.select(features)
    words = [name for name, kind in chosen.schema.items() if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null))]
    if words:
        raise BadInput(f"Features of {model} must be numbers; {_quoted(words)} are not.")
    found = chosen.select(pl.all().cast(pl.Float64)).to_numpy()
    found = np.ascontiguousarray(found) if features else np.empty((frame.height, 0))
    known = chosen.select(pl.all().is_not_null()).to_numpy() if features else np.empty((frame.height, 0), dtype=bool)
    wild = known & ~np.isfinite(found)
    _refuse_wild(
        [name for name, bad in zip(features, wild.any(axis=0), strict=True) if bad], int(wild.any(axis=1).sum())
    )
    return found


def _refuse_wild(names: Sequence[str], rows: int) -> None:
    if names:
        raise BadInput(f"NaN or infinite values in {_quoted(names)} ({rows} rows); a missing value is null.")


def prices(rows: Rows) -> Floats:
    """The probability of a win that the price implies, (n,); refuses missing values and those outside [0, 1]."""
    alone = single(rows)
    if alone is not None:
        _refuse_missing(list(alone), ("price_probability",), "The rows of a forecast")
        given = _value(alone["price_probability"])
        found = np.array([math.nan if given is None else given], dtype=np.float64)
    else:
        frame = as_frame(rows)
        _refuse_missing(frame.columns, ("price_probability",), "The rows of a forecast")
        found = frame["price_probability"].cast(pl.Float64).to_numpy()
    bad = int((~((found >= 0.0) & (found <= 1.0))).sum())
    if bad:
        raise BadInput(
            f"{bad} of {len(found)} rows have no `price_probability` in [0, 1]; without one no model speaks."
        )
    return found


def price_log_odds(rows: Rows) -> Floats:
    """Log-odds of `prices`, (n,), held within 9,999 to 1."""
    return np.asarray(logit(np.minimum(np.maximum(prices(rows), _LEAST), 1.0 - _LEAST)))


def positions(rows: Rows, place: Callable[[str, str], int]) -> Integers:
    """``place(symbol, strategy)`` of every row, (n,), asked once for each distinct pair."""
    alone = single(rows)
    if alone is not None:
        _refuse_missing(list(alone), ("symbol", "strategy"), "The rows of a forecast")
        pair = _value(alone["symbol"]), _value(alone["strategy"])
        if None in pair:
            raise BadInput("Every row needs a `symbol` and a `strategy`; some have none.")
        return np.array([place(*pair)], dtype=np.int64)
    frame = as_frame(rows)
    _refuse_missing(frame.columns, ("symbol", "strategy"), "The rows of a forecast")
    keys = frame.select("symbol", "strategy")
    if any(keys[name].null_count() for name in keys.columns):
        raise BadInput("Every row needs a `symbol` and a `strategy`; some have none.")
    pairs = keys.unique(maintain_order=True)
    found = pairs.with_columns(at=pl.Series([place(*pair) for pair in pairs.iter_rows()], dtype=pl.Int64))
    return np.asarray(keys.join(found, on=["symbol", "strategy"], how="left", maintain_order="left")["at"].to_numpy())


def effective_rows(win: Floats, expected: Floats, day: Integers, group: Integers, groups: int) -> Floats:
    """Rows of each group over their design effect, (groups,): residuals against `expected`, clustered by day."""
    there = group >= 0
    held = np.bincount(group[there], minlength=groups).astype(np.float64)
    spread = np.bincount(group[there], weights=(expected * (1.0 - expected))[there], minlength=groups)
    effects = design_effects((win - expected)[:, None], np.ones(len(win)), day, group, spread[:, None])
    return np.asarray(held / effects[:, 0])
