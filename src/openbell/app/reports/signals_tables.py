"""Rows of the report of the signals desk: what is compared with what, and what was hoped for beside what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from openbell.app.outputs import plain_rows
from openbell.app.reports.figures import OUT_OF_SAMPLE, Figure, TooFew, figure
from openbell.quant.intervals import Estimate
from openbell.research.signal_backtest import SIGNALS, SignalBacktest
from openbell.research.signal_scores import SignalScores
from openbell.research.signal_trades import GROUPS

#: Hopes of the request, beside what was measured (S3.09 to S3.12, S3.19, S3.25).
HOPED_ACCURACY: Mapping[str, float] = {
    "xgboost_classifier": 0.65, "random_forest_classifier": 0.60, "lstm_classifier": 0.62, "voting": 0.67,
}  # fmt: skip
HOPED_ECE, HOPED_HIGH, HOPED_LOW = 0.05, 0.80, 0.60
HOPED_SHARPE, HOPED_DRAWDOWN, HOPED_WINS, HOPED_TRADE = 1.0, 0.15, 0.55, 0.03
#: Trades that the page shows, the newest first; all of them are kept beside it.
NEWEST, MOST = 15, 200
_TITLES = {
    "call": "By call", "band": "By confidence", "symbol": "By symbol", "regime": "By regime of the market before",
    "reason": "By what ended them",
}  # fmt: skip


def row_of(scores: SignalScores, model: str) -> dict[str, Any]:
    """All figures of `model`."""
    return scores.models.row(by_predicate=pl.col("model") == model, named=True)


def knowledge_tiles(row: Mapping[str, Any], tries: int) -> list[tuple[str, Figure | TooFew]]:
    """Skill, accuracy, calibration and coverage, each beside what it has to beat."""
    wanted = (
        ("skill_nats", "Skill over the base rates, nats a decision", 0.0, "the base rates known then", "ic"),
        ("accuracy", "Accuracy of the likeliest class", row["commonest"], "always the commonest", "percent"),
        ("ece", "Calibration error (ECE)", row["ece_by_chance"], "by chance alone", "ic"),
        ("coverage", "Outcomes inside the conformal set", row["promised"], "promised", "percent"),
    )
    return [
        (label, figure(label, Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], row["n"], 0.95, 0),
                       baseline=baseline, baseline_name=beside, split=OUT_OF_SAMPLE, tries=tries, counted="decisions",
                       unit=unit))
        for name, label, baseline, beside, unit in wanted
    ]  # fmt: skip


def account_tiles(found: SignalBacktest) -> list[Figure | TooFew]:
    """Return, Sharpe ratio, drawdown and value at risk of the account, beside the first benchmark there is."""
    if found.performance is None:
        return []
    beside = next((name for name in found.metrics if name != SIGNALS), None)
    wanted = (
        ("annual_return", "Annual return", "percent"),
        ("sharpe", "Sharpe ratio", "number"),
        ("max_drawdown", "Deepest drawdown", "percent"),
        ("value_at_risk_95", "Value at risk, 95 %, one session", "percent"),
    )
    return [
        figure(
            label, found.performance.intervals[name], split=OUT_OF_SAMPLE, tries=max(found.tries, 1), unit=unit,
            baseline=0.0 if beside is None else found.metrics[beside].intervals[name].value,
            baseline_name="nothing" if beside is None else curve_name(beside),
        )
        for name, label, unit in wanted
    ]  # fmt: skip


def curve_name(name: str) -> str:
    """What a curve is called on the page."""
    return {SIGNALS: "signals", "equal_weight": "equal weight"}.get(name, name)


def group_tables(found: SignalBacktest) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Name, title and rows of each grouping of the trades; one that has a single unknown value is left out."""
    told = []
    for name in GROUPS:
        table = found.groups[name]
        if table.is_empty() or table[name].to_list() == ["unknown"]:
            continue
        told.append((name, _TITLES[name], plain_rows(table)))
    return told


def newest_trades(found: SignalBacktest) -> list[dict[str, Any]]:
    """The last trades, the newest first."""
    order = found.trades.sort("entry_at", "symbol", descending=[True, False]).head(MOST)
    return plain_rows(order)


def trial_rows(trials: pl.DataFrame) -> tuple[list[str], list[dict[str, Any]]]:
    """What was varied, and the trials with the best first."""
    measured = {"trades", "total_return", "sharpe", "sharpe_low", "sharpe_high", "max_drawdown", "eligible", "chosen"}
    varied = [name for name in trials.columns if name not in measured]
    return varied, plain_rows(trials.sort("sharpe", descending=True, nulls_last=True, maintain_order=True))


def hopes(scores: SignalScores, shown: str, found: SignalBacktest | None) -> list[tuple[str, str, str]]:
    """What the request hopes for, what was measured, and what to hold it against."""
    told = [
        (
            f"Accuracy of {hoped:.0%} for {name}",
            f"{row['accuracy']:.1%} of {row['n']:,}",
            f"always the commonest class is right {row['commonest']:.1%} of the time",
        )
        for name, hoped in HOPED_ACCURACY.items()
        if name in scores.models["model"]
        for row in [row_of(scores, name)]
    ]
    row = row_of(scores, shown)
    told.append(
        (
            f"Calibration error below {HOPED_ECE}",
            f"{row['ece']:.3f}",
            f"true probabilities show {row['ece_by_chance']:.3f}",
        )
    )
    told += _sure(scores, shown)
    if found is not None and found.performance is not None:
        told += _earned(found)
    return told


def _sure(scores: SignalScores, shown: str) -> Sequence[tuple[str, str, str]]:
    bands = scores.bands.filter((pl.col("model") == shown) & (pl.col("rule") == "likeliest") & (pl.col("n") > 0))
    told = []
    for band, hope in ((">= 0.8", f"Above {HOPED_HIGH:.0%} right where it is sure"),
                       ("0.5-0.6", f"Below {HOPED_LOW:.0%} right where it is not")):  # fmt: skip
        part = bands.filter(pl.col("band") == band)
        if part.is_empty():
            told.append((hope, f"no decision was that sure ({band})", ""))
            continue
        each = part.row(0, named=True)
        told.append((hope, f"{each['accuracy']:.1%} of {each['n']:,} at {band}", f"it said {each['confidence']:.1%}"))
    return told


def _earned(found: SignalBacktest) -> Sequence[tuple[str, str, str]]:
    measured, ended = found.performance, found.trades.filter(pl.col("reason") != "open")
    assert measured is not None
    sharpe = measured.sharpe
    others = ", ".join(
        f"{curve_name(name)} {each.sharpe.value:+.2f}" for name, each in found.metrics.items()
        if name != SIGNALS and each.sharpe.value is not None
    )  # fmt: skip
    told = [
        (
            f"Sharpe ratio above {HOPED_SHARPE:g}, later 1.5",
            "–" if sharpe.value is None else f"{sharpe.value:+.2f}",
            others or "no benchmark had bars",
        ),
        (f"Drawdown below {HOPED_DRAWDOWN:.0%}", f"{-measured.max_drawdown:.1%}", ""),
    ]
    if ended.height:
        told += [
            (f"More than {HOPED_WINS:.0%} of trades won, later 60 %",
             f"{(ended['return'] > 0).mean():.1%} of {ended.height:,}",
             "stops and targets decide this share: a near target wins often and little"),
            (f"More than {HOPED_TRADE:.0%} a trade", f"{ended['return'].mean():+.3%}",
             f"before costs {ended['gross_return'].mean():+.3%}"),
        ]  # fmt: skip
    return told
