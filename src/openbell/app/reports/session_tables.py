"""Rows of the report of the session desk: what is known, what was called, what that earned, what it stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from openbell.app.outputs import plain_rows
from openbell.app.reports.figures import OUT_OF_SAMPLE, Figure, TooFew, figure
from openbell.core.session import NO_CALL
from openbell.quant.intervals import Estimate
from openbell.research.session_backtest import CURVES, SessionBacktest
from openbell.research.session_scores import SessionScores

#: Trades that the page shows at once, and at all: the newest first; all of them are kept beside the back-test.
NEWEST, MOST = 15, 200
_GROUPS = {"call": "By call", "band": "By confidence", "reason": "By what ended them"}
_OF_TRADES = (
    ("win_rate", "Trades won, after costs", "percent"), ("profit_factor", "Profit factor: gains over losses", "number"),
    ("mean_return", "Mean return of a trade", "percent"), ("exposure", "Sessions with a position", "percent"),
    ("turnover_annual", "Turnover a year, times the account", "number"),
    ("cost_annual", "Costs a year, of the account", "percent"),
)  # fmt: skip


def row_of(scores: SessionScores, model: str) -> dict[str, Any]:
    """All figures of `model`."""
    return scores.models.row(by_predicate=pl.col("model") == model, named=True)


def of_model(frame: pl.DataFrame, model: str) -> list[dict[str, Any]]:
    """Rows of one model as plain values."""
    return [] if frame.is_empty() else plain_rows(frame.filter(pl.col("model") == model))


def headline(evidence: str) -> tuple[str, str]:
    """The first words of the sentence on the evidence, to be set large, and the rest of it."""
    head, _, rest = evidence.partition(": ")
    return (f"{head}.", rest) if rest else (head, "")


def knowledge_tiles(row: Mapping[str, Any], tries: int) -> list[tuple[str, Figure | TooFew]]:
    """Skill, accuracy, AUC and calibration, each beside what it has to beat."""
    wanted = (
        ("skill_nats", "Skill over the base rates, nats a session", 0.0, "the base rates known then", "ic"),
        (
            "accuracy",
            "Accuracy of the likeliest class",
            row["commonest"],
            f"always {row['commonest_class']}",
            "percent",
        ),
        ("auc", "Area under the ROC curve", 0.5, "no order at all", "ic"),
        ("ece", "Calibration error (ECE)", row["ece_by_chance"], "by chance alone", "ic"),
    )
    return [
        (label, figure(label, Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], row["n"], 0.95, 0),
                       baseline=baseline, baseline_name=beside, split=OUT_OF_SAMPLE, tries=tries, counted="sessions",
                       unit=unit))
        for name, label, baseline, beside, unit in wanted
    ]  # fmt: skip


def account_tiles(found: SessionBacktest) -> list[Figure | TooFew]:
    """Return, Sharpe ratio, drawdown and value at risk of the account, beside always long."""
    if found.performance is None:
        return []
    beside = found.measures.get("always_long")
    wanted = (
        ("annual_return", "Annual return", "percent"),
        ("sharpe", "Sharpe ratio", "number"),
        ("max_drawdown", "Deepest drawdown", "percent"),
        ("value_at_risk_95", "Value at risk, 95 %, one session", "percent"),
    )
    return [
        figure(
            label, found.performance.intervals[name], split=OUT_OF_SAMPLE, tries=max(found.tries, 1), unit=unit,
            baseline=0.0 if beside is None else beside.intervals[name].value,
            baseline_name="nothing" if beside is None else "always long",
        )
        for name, label, unit in wanted
    ]  # fmt: skip


def trade_rows(found: SessionBacktest) -> list[dict[str, Any]]:
    """Measures of the trades with their intervals."""
    return [
        {"label": label, "unit": unit, "found": found.of_trades[name]}
        for name, label, unit in _OF_TRADES
        if found.of_trades[name].value is not None
    ]


def group_tables(found: SessionBacktest) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Name, title and rows of each grouping of the trades."""
    return [
        (name, title, plain_rows(found.groups[name])) for name, title in _GROUPS.items() if found.groups[name].height
    ]


def newest_trades(found: SessionBacktest) -> list[dict[str, Any]]:
    """The last trades, the newest first."""
    return plain_rows(found.trades.sort("session", descending=True).head(MOST))


def confusion(scores: SessionScores, model: str, rule: str) -> list[dict[str, Any]]:
    """A row per class that happened: how often each class was said, with its share of that row."""
    own = scores.confusion.filter((pl.col("model") == model) & (pl.col("rule") == rule))
    words = [*scores.label_classes, *([NO_CALL] if rule == "call" else [])]
    found = []
    for actual in scores.label_classes:
        cells = {row["said"]: row["n"] for row in own.filter(pl.col("actual") == actual).iter_rows(named=True)}
        total = sum(cells.values())
        shares = [{"n": cells[word], "share": cells[word] / total if total else None, "right": word == actual,
                   "wrong": word not in (actual, NO_CALL)}
                  for word in words]  # fmt: skip
        found.append({"actual": actual, "n": total, "cells": shares})
    return found


def features(lineage: pl.DataFrame | None, importance: pl.DataFrame | None, families: Mapping[str, str]) -> list[
    dict[str, Any]
]:  # fmt: skip
    """A row per feature: what it weighs, what it stands on and as of when, the heaviest first."""
    if lineage is None:
        return []
    table = lineage.select("feature", "reads", "source", pl.col("as_of"), "lookback")
    if importance is not None:
        table = table.join(importance, on="feature", how="left")
    else:
        table = table.with_columns(importance=None, direction=None, n=0)
    order = table.sort("importance", "feature", descending=[True, False], nulls_last=True)
    return [{**row, "family": families.get(row["feature"], "")} for row in order.iter_rows(named=True)]


def curve_names(names: Sequence[str]) -> list[str]:
    """What the curves are called."""
    return [CURVES.get(name, name) for name in names]
