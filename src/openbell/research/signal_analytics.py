"""What stored signals are worth, by what they were: every figure with its n, its base rate and its interval."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.signal import CALLS, PROBABILITIES, Status
from openbell.core.time import utc
from openbell.quant.day_blocks import DayBlocks, calibration_error, calibration_noise, ratio
from openbell.quant.intervals import Estimate, wilson
from openbell.quant.reliability import expected_calibration_error, reliability_curve
from openbell.store.signal_conflicts import What
from openbell.store.signal_pages import EVENTS, TABLE

#: Known outcomes below which a figure is shown but not judged.
MINIMUM = 30
DAY_SECONDS = 86_400.0
#: Edges of the bands; an edge belongs to the band above it.
CONFIDENCE = (0.5, 0.6, 0.7, 0.8, 0.9)
AGE_SECONDS = (60.0, 300.0, 3_600.0, DAY_SECONDS)
_AGES = ("under 1 min", "1 to 5 min", "5 to 60 min", "1 to 24 h", "24 h or more")
NOT_EXECUTED = "not executed"
UNKNOWN = "unknown"
#: What signals are told apart by.
BY = ("all", "symbol", "call", "confidence", "regime", "age", "model_version")
#: Columns of `Analytics.rows`.
ROWS: Mapping[str, Any] = {
    "by": pl.String, "value": pl.String, "signals": pl.Int64, "known": pl.Int64, "days": pl.Int64, "trades": pl.Int64,
    "accuracy": pl.Float64, "accuracy_low": pl.Float64, "accuracy_high": pl.Float64, "base_rate": pl.Float64,
    "hit_rate": pl.Float64, "hit_low": pl.Float64, "hit_high": pl.Float64, "mean_return": pl.Float64,
    "return_low": pl.Float64, "return_high": pl.Float64, "profit_factor": pl.Float64, "expectancy": pl.Float64,
    "mean_confidence": pl.Float64, "interval": pl.String, "enough": pl.Boolean, "note": pl.String,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Analytics:
    """What signals came to.

    Attributes
    ----------
    rows : columns of `ROWS`, one row for each value of each of `BY`. ``accuracy`` is the share whose class came true,
        of all ``known``; ``base_rate`` what it would be by chance, calls and outcomes as often but apart. ``hit_rate``,
        ``mean_return`` (a fraction, after costs), ``profit_factor`` (gains over losses) and ``expectancy`` (mean return
        in units of the distance to the stop) are of the ``trades``, the BUYs and SELLs.
    reliability : confidence against how often it came true, as `quant.reliability.reliability_curve` gives it.
    calibration : expected calibration error of the confidence; None without outcomes. calibration_by_chance : what true
        probabilities would show. calibration_classwise : over all three classes.
    counts : signals by status, and what ended them. notes : sentences on what is missing.
    """

    rows: pl.DataFrame
    reliability: pl.DataFrame
    calibration: Estimate
    calibration_by_chance: float | None
    calibration_classwise: float | None
    counts: Mapping[str, int]
    notes: tuple[str, ...]


def analytics(
    table: pl.DataFrame,
    events: pl.DataFrame | None = None,
    *,
    as_of: dt.datetime | None = None,
    minimum: int = MINIMUM,
    level: float = 0.95,
    replications: int = 1000,
    seed: int = 0,
) -> Analytics:
    """Hit rate, returns and calibration of signals, by symbol, call, confidence, regime, age at execution and model.

    Parameters
    ----------
    table, events : as `store.signals.Signals.table` and `events_table` give them; without events meetings are not
        counted. as_of : outcomes known later are not looked at; None takes all.
    minimum : known outcomes below which a row says that n is too small. level : coverage of the intervals, from whole
        days resampled in blocks, or Wilson's where there are too few days (of shares only; the mean has none then).
    replications, seed : of the resampling.

    Raises
    ------
    BadInput
        Where a column is missing or `minimum` is under 1.
    """
    if missing := [name for name in TABLE if name not in table.columns]:
        raise BadInput(f"Analytics need the columns {list(TABLE)}; these were missing: {missing}.")
    if minimum < 1:
        raise BadInput(f"`minimum` is at least 1; was {minimum}.")
    signals = _told(table, as_of)
    known = signals.filter(pl.col("_known"))
    blocks = _blocks(known, level, replications, seed)
    rows = [row for by in BY for row in _grouped(signals, known, blocks, by, minimum)]
    judged = known["outcome"].is_not_null()
    happened = (known["outcome"] == known["call"]).filter(judged).to_numpy()
    sure = known["confidence"].filter(judged).to_numpy()
    return Analytics(
        rows=pl.DataFrame(rows, schema=dict(ROWS)),
        reliability=reliability_curve(
            np.column_stack([1.0 - sure, sure]), happened.astype(np.int64), of=1, level=level
        ),
        calibration=calibration_error(blocks.part(judged.to_numpy()), sure, happened),
        calibration_by_chance=_defined(calibration_noise(sure)),
        calibration_classwise=_classwise(known.filter(judged)),
        counts=_counts(signals, events),
        notes=_notes(signals, known, minimum),
    )


def _told(table: pl.DataFrame, as_of: dt.datetime | None) -> pl.DataFrame:
    """`table` with what signals are told apart by."""
    known = pl.col("known_at").is_not_null()
    if as_of is not None:
        known &= pl.col("known_at") <= utc(as_of)
    age = (pl.col("acted_at") - pl.col("created_at")).dt.total_microseconds() / 1e6
    executed = pl.col("status") == Status.EXECUTED.value
    names = [f"{low:.2f} to {high:.2f}" for low, high in zip((0.0, *CONFIDENCE), (*CONFIDENCE, 1.0), strict=True)]
    return table.sort("id").with_columns(
        _known=known,
        _day=pl.col("created_at").dt.convert_time_zone("America/New_York").dt.date(),
        _all=pl.lit("all"),
        _symbol="symbol",
        _call="call",
        _confidence=_band(pl.col("confidence"), CONFIDENCE, names),
        _regime=pl.col("regime").fill_null(UNKNOWN),
        _age=pl.when(executed).then(_band(age, AGE_SECONDS, _AGES)).otherwise(pl.lit(NOT_EXECUTED)),
        _model_version="model_version",
        _risk=(pl.col("stop_loss") / pl.col("price") - 1.0).abs(),
    )


def _band(of: pl.Expr, edges: Sequence[float], names: Sequence[str]) -> pl.Expr:
    found = pl.lit(names[0])
    for edge, name in zip(edges, names[1:], strict=True):
        found = pl.when(of >= edge).then(pl.lit(name)).otherwise(found)
    return found


def _blocks(known: pl.DataFrame, level: float, replications: int, seed: int) -> DayBlocks:
    """The resamples of the days; outcomes that overlap share blocks of twice their length."""
    longest = known["horizon_seconds"].drop_nulls().quantile(0.5) or DAY_SECONDS
    horizon = max(1, math.ceil(longest / DAY_SECONDS))
    return DayBlocks.of(
        known["_day"].to_numpy(), horizon_days=horizon, replications=replications, level=level, seed=seed
    )


def _grouped(
    signals: pl.DataFrame, known: pl.DataFrame, blocks: DayBlocks, by: str, minimum: int
) -> list[dict[str, Any]]:
    column = f"_{by}"
    counted = signals.group_by(column).agg(pl.len().alias("n"), pl.col("confidence").mean()).sort(column)
    values = known[column]
    found = []
    for value, count, confidence in counted.iter_rows():
        mask = (values == value).to_numpy()
        row = {"by": by, "value": value, "signals": count, "mean_confidence": confidence}
        found.append(row | _figures(known.filter(pl.Series(mask)), blocks.part(mask), minimum))
    return found


def _figures(some: pl.DataFrame, blocks: DayBlocks, minimum: int) -> dict[str, Any]:
    """The figures of one row of `Analytics.rows`."""
    judged = some["outcome"].is_not_null().to_numpy()
    right = (some["outcome"] == some["call"]).fill_null(value=False).to_numpy()
    traded = some["return_fraction"].is_not_null().to_numpy()
    returns = some["return_fraction"].drop_nulls().to_numpy()
    trades = blocks.part(traded)
    accuracy, low, high, how = _share(blocks.part(judged), right[judged])
    hit, hit_low, hit_high, _ = _share(trades, returns > 0)
    mean = trades.mean(returns) if len(returns) else None
    risk = some["_risk"].filter(pl.Series(traded)).to_numpy()
    usable = np.isfinite(risk) & (risk > 0)
    n = len(some)
    note = "" if n >= minimum else f"n too small: {n} known, {minimum} are needed to judge."
    return {
        "known": n, "days": blocks.days, "trades": len(returns), "accuracy": accuracy, "accuracy_low": low,
        "accuracy_high": high, "base_rate": _base_rate(some.filter(pl.Series(judged))), "hit_rate": hit,
        "hit_low": hit_low, "hit_high": hit_high, "mean_return": None if mean is None else mean.value,
        "return_low": None if mean is None else mean.low, "return_high": None if mean is None else mean.high,
        "profit_factor": _profit_factor(returns),
        "expectancy": float((returns[usable] / risk[usable]).mean()) if usable.any() else None,
        "interval": how, "enough": n >= minimum, "note": note,
    }  # fmt: skip


def _share(blocks: DayBlocks, happened: np.ndarray) -> tuple[float | None, float | None, float | None, str]:
    """A share with its interval, and which: of days in blocks, or Wilson's, which takes rows as independent."""
    if not len(happened):
        return None, None, None, "none"
    found = blocks.statistic(blocks.sums(np.column_stack([happened, np.ones(len(happened))])), ratio)
    if found.low is not None and found.high is not None and 0 < happened.sum() < len(happened):
        return found.value, found.low, found.high, "day blocks"
    low, high = wilson(int(happened.sum()), len(happened), blocks.level)
    return found.value, low, high, "wilson"


def _base_rate(judged: pl.DataFrame) -> float | None:
    """How often the class would come true if calls and outcomes, each as often as they were, knew nothing together."""
    if not len(judged):
        return None
    shares = [(judged["call"] == call.value).mean() * (judged["outcome"] == call.value).mean() for call in CALLS]
    return float(sum(shares))


def _profit_factor(returns: np.ndarray) -> float | None:
    lost = -float(returns[returns < 0].sum())
    return float(returns[returns > 0].sum()) / lost if lost > 0 else None


def _classwise(judged: pl.DataFrame) -> float | None:
    if not len(judged):
        return None
    words = [call.value for call in CALLS]
    labels = np.array([words.index(each) for each in judged["outcome"]])
    return _defined(expected_calibration_error(judged.select(PROBABILITIES).to_numpy(), labels, kind="classwise"))


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _counts(signals: pl.DataFrame, events: pl.DataFrame | None) -> Mapping[str, int]:
    """Signals by status; with events also the pairs that met, how those ended, and what went beyond the limit."""
    found = {status.value.lower(): int((signals["status"] == status.value).sum()) for status in Status}
    found |= {
        "signals": len(signals),
        "archived": int(signals["archived"].sum()),
        "known": int(signals["_known"].sum()),
    }
    if events is None:
        return found
    if missing := [name for name in EVENTS if name not in events.columns]:
        raise BadInput(f"Events have the columns {list(EVENTS)}; these were missing: {missing}.")
    ours = events.filter(pl.col("signal_id").is_in(signals["id"].implode()))
    met = ours.filter(pl.col("what") == What.CONFLICT.value).select(
        one=pl.min_horizontal("signal_id", "other_id"),
        two=pl.max_horizontal("signal_id", "other_id"),
        lost=(pl.col("to_status") == Status.SUPERSEDED.value),
        side="signal_id",
    )
    pairs = met.group_by("one", "two").agg(pl.col("side").filter(pl.col("lost")).n_unique().alias("lost"))
    return found | {
        "conflicts": len(pairs),
        "conflicts_held": int((pairs["lost"] == 2).sum()),
        "superseded_by_conflict": met.filter(pl.col("lost"))["side"].n_unique(),
        "superseded_by_limit": ours.filter(pl.col("what") == What.LIMIT.value)["signal_id"].n_unique(),
    }


def _notes(signals: pl.DataFrame, known: pl.DataFrame, minimum: int) -> tuple[str, ...]:
    notes = []
    if len(known) < len(signals):
        notes.append(
            f"{len(signals) - len(known)} of {len(signals)} signals have no known outcome and are only counted."
        )
    if len(known) < minimum:
        notes.append(f"n too small: {len(known)} outcomes are known and {minimum} are needed to judge anything.")
    untold = int(known["outcome"].is_null().sum())
    if untold:
        notes.append(f"{untold} known outcomes tell no class, as their horizon left the session or sigma was unknown.")
    return tuple(notes)
