"""The report of the gate on one page: whether it knows more than the price, where, and what that was worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.outputs import plain_rows
from openbell.app.reports import gate_charts as charts
from openbell.app.reports.figures import OUT_OF_SAMPLE, Figure, TooFew, figure, refuse_in_sample
from openbell.quant.intervals import Estimate

if TYPE_CHECKING:
    from openbell.research.gate_scores import GateScores

#: Hopes of the request that stand beside what was measured: accuracy of a pair, correlation of reward with profit,
#: more profit, fewer losers (S1.26, S1.27, S1.39).
HOPED_ACCURACY, HOPED_CORRELATION, HOPED_UPLIFT, HOPED_FEWER = (0.85, 0.95), 0.7, 0.5, 0.3
#: Pairs with fewer trades are left out of the count of pairs that reach an accuracy.
LEAST_TRADES = 100
#: The strongest colour of the map stands for this skill at least, so that nothing is not painted as something.
LEAST_NATS = 0.005


def gate_page(
    scores: GateScores,
    *,
    when: str,
    source: str = "walk-forward",
    split: str = OUT_OF_SAMPLE,
    computed: pl.DataFrame | None = None,
    drift: pl.DataFrame | None = None,
    notes: Sequence[str] = (),
    made_of: Mapping[str, str] | None = None,
) -> str:
    """The report as one HTML page that opens offline; the same scores give the same bytes.

    Parameters
    ----------
    when : as of when, in words. source : ``walk-forward`` or ``prediction log``.
    computed : ``what``, ``reason``, ``trades`` (see `gate_coverage.computed`). drift : of `gate_drift.feature_drift`.
    notes : sentences on what was left out.

    Raises
    ------
    Refused
        On anything that was not measured out of sample.
    """
    from openbell.app.reports.page import render

    refuse_in_sample("the report of the gate", split)
    shown = scores.shown
    rows = plain_rows(scores.models)
    values = {
        "scores": scores,
        "when": when,
        "source": source,
        "shown": shown,
        "verdict": verdict(scores, shown),
        "models": sorted(rows, key=lambda row: (row["kind"] == "baseline", -row["skill_nats"], row["model"])),
        "spans": {name: _span(scores.models, name) for name in ("skill_nats", "usd_over_all")},
        "tries": sum(row["kind"] == "candidate" for row in rows),
        "tiles": [] if shown is None else _tiles(scores, shown, split),
        "heat": None if shown is None else heat_map(scores.cells, shown),
        "cells": _parted(scores.cells, shown),
        "thresholds": _of(scores.thresholds, shown),
        "errors": _of(scores.errors, shown),
        "ratio": plain_rows(scores.ratio),
        "least_drawn": charts.LEAST_DRAWN,
        "hopes": [] if shown is None else hopes(scores, shown),
        "computed": None if computed is None else plain_rows(computed),
        "drift": None if drift is None else plain_rows(drift),
        "notes": list(notes),
        "made_of": dict(sorted((made_of or {}).items())),
        **_pictures(scores, shown),
    }
    return render("gate.html.jinja", values)


def verdict(scores: GateScores, shown: str | None) -> list[str]:
    """The answer in plain words to whether the gate knows more than the price."""
    if shown is None:
        return ["There is no answer: no candidate was walked forward."]
    row = scores.models.row(by_predicate=pl.col("model") == shown, named=True)
    head = {
        True: f"Yes. {_listed(scores.proven)} knew more about these trades than their own prices did.",
        False: "No. No candidate has been shown to know more about these trades than their own prices do.",
    }[bool(scores.proven)]
    if row["skill_nats_low"] is None:
        return [head, f"{scores.days} days of trades are too few for an interval, so nothing can be shown at all."]
    gain = math.expm1(row["skill_nats"])
    nats = (
        f"`{shown}` gave what happened odds that were {abs(gain):.2%} {'higher' if gain >= 0 else 'lower'} than the "
        f"price's, on average over {row['n']:,} trades of {row['days']:,} days: a skill of {row['skill_nats']:+.5f} "
        f"nats per trade, 95 % interval {row['skill_nats_low']:+.5f} to {row['skill_nats_high']:+.5f}"
        f"{', which holds 0' if row['skill_nats_low'] <= 0 <= row['skill_nats_high'] else ''}."
    )
    money = (
        f"Its rule took {row['taken']:,} of the {row['n']:,} trades and made {row['usd_per_day']:+,.2f} USD per day "
        f"with one unit of each; taking all made {row['usd_per_day'] - row['usd_over_all']:+,.2f} USD. "
        + (
            "That is more than by the price alone, and more than luck explains."
            if row["earns"]
            else "That it makes more than the price alone is not shown."
        )
    )
    return [head, nats, money]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _estimate(row: Mapping[str, Any], name: str, n: int) -> Estimate:
    return Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], n, 0.95, 0)


def _tiles(scores: GateScores, shown: str, split: str) -> list[tuple[str, Figure | TooFew]]:
    """Skill in nats, dollars against taking all, calibration and accuracy, each beside what it has to beat."""
    row = scores.models.row(by_predicate=pl.col("model") == shown, named=True)
    tries = scores.models.filter(pl.col("kind") == "candidate").height
    wanted = (
        ("skill_nats", "Skill over the price, nats per trade", 0.0, "the price", "ic"),
        ("usd_over_all", "USD per day over taking every trade", 0.0, "every trade", "number"),
        ("ece", "Calibration error (ECE)", row["ece_by_chance"], "by chance alone", "ic"),
        ("accuracy", "Accuracy at one half", row["base_accuracy"], "always the likelier", "percent"),
    )
    return [
        (label, figure(label, _estimate(row, name, row["n"]), baseline=baseline, baseline_name=beside, split=split,
                       tries=tries, counted="trades", unit=unit))
        for name, label, baseline, beside, unit in wanted
    ]  # fmt: skip


def heat_map(cells: pl.DataFrame, shown: str) -> dict[str, Any]:
    """Cells of the model by symbol (rows) and strategy (columns), None where there are no trades."""
    part = cells.filter(pl.col("model") == shown)
    symbols, strategies = (part[name].unique(maintain_order=True).sort().to_list() for name in ("symbol", "strategy"))
    found = {(row["symbol"], row["strategy"]): row for row in plain_rows(part)}
    widest = max([LEAST_NATS, *(abs(row["skill_nats"]) for row in found.values())])
    rows = [(symbol, [found.get((symbol, strategy)) for strategy in strategies]) for symbol in symbols]
    return {"strategies": strategies, "rows": rows, "widest": widest}


def hopes(scores: GateScores, shown: str) -> list[tuple[str, str, str]]:
    """What the request hopes for beside what was measured: the hope, the measurement, what to hold it against."""
    row = scores.models.row(by_predicate=pl.col("model") == shown, named=True)
    cells = scores.cells.filter((pl.col("model") == shown) & (pl.col("n") >= LEAST_TRADES))
    reached = cells.filter(pl.col("accuracy") >= HOPED_ACCURACY[0])
    trivial = reached.filter(pl.col("base_accuracy") >= HOPED_ACCURACY[0])
    best = scores.ratio.drop_nulls("with_profit").sort("with_profit", descending=True) if (
        "with_profit" in scores.ratio.columns) else pl.DataFrame()  # fmt: skip
    found = [
        (
            f"Accuracy of {HOPED_ACCURACY[0]:.0%} to {HOPED_ACCURACY[1]:.0%} per symbol and strategy",
            f"{row['accuracy']:.1%} over all; {reached.height} of {cells.height} pairs with {LEAST_TRADES} trades or "
            f"more reach {HOPED_ACCURACY[0]:.0%}",
            f"calling the commoner outcome every time is right {row['base_accuracy']:.1%} of the time"
            + (f", and alone reaches it in {trivial.height} of those {reached.height}" if reached.height else ""),
        )
    ]
    if best.height:
        top = best.row(0, named=True)
        found.append(
            (
                f"Correlation of reward over risk with profit above {HOPED_CORRELATION}",
                f"{top['with_profit']:+.2f} at most ({top['strategy']}, Spearman, n {top['n']:,})",
                "a fair price pays a larger reward more rarely, so 0 is what an honest market shows",
            )
        )
    uplift = row["profit_uplift"]
    found.append(
        (
            f"Profit {HOPED_UPLIFT:+.0%}",
            "no percentage: taking every trade made nothing to raise" if uplift is None else f"{uplift:+.0%}",
            f"{row['usd_over_all']:+,.2f} USD per day against taking every trade",
        )
    )
    fewer, left = row["losers_fewer"], 1.0 - row["taken"] / row["n"]
    told = "no trade lost" if fewer is None else f"{-fewer:+.0%}"
    found.append((f"Losers taken {-HOPED_FEWER:+.0%}", told, f"the rule leaves {left:.0%} of all trades"))
    days = f"{row['days_won']:.0%} of days made money", f"{row['days_won_taking_all']:.0%} when taking every trade"
    return [*found, ("Even days", *days)]


def _span(frame: pl.DataFrame, name: str) -> tuple[float, float]:
    """The common axis of the intervals, 0 always on it."""
    values = [each for part in (name, f"{name}_low", f"{name}_high") for each in frame[part].drop_nulls().to_list()]
    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.06 * ((high - low) or 1.0)
    return low - room, high + room


def _of(frame: pl.DataFrame, shown: str | None) -> list[dict[str, Any]]:
    return plain_rows(frame.filter(pl.col("model") == shown)) if shown is not None else []


def _parted(cells: pl.DataFrame, shown: str | None) -> list[tuple[str, list[dict[str, Any]]]]:
    """Cells by model, the one that is shown first."""
    names = cells["model"].unique(maintain_order=True).to_list()
    return [(name, _of(cells, name)) for name in sorted(names, key=lambda each: each != shown)]


def _pictures(scores: GateScores, shown: str | None) -> dict[str, Any]:
    if shown is None:
        return {"pictures": None, "money_legend": [], "weights_legend": []}
    candidates = [name for name in scores.daily.columns if name not in ("session", "take_all", "price")]
    return {
        "pictures": {
            "reliability": charts.reliability_chart(scores.reliability, shown),
            "money": charts.money_chart(scores.daily, candidates),
            "calibration": charts.calibration_chart(scores.quarters, shown),
            "weights": charts.weights_chart(scores.weights, shown),
        },
        "money_legend": charts.money_legend(candidates),
        "weights_legend": charts.weights_legend(),
    }
