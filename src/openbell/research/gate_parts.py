"""The parts of a walk's scores: thresholds, errors, calibration by bin and by quarter, rewards, levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from openbell.core.trade_rows import LEVELS
from openbell.quant.day_blocks import DayBlocks, calibration_error, spearman
from openbell.research.gate_judged import Judged, bounded, log_losses

#: Bins of the reliability curves, of equal width.
BINS = 10


def thresholds(found: Judged) -> pl.DataFrame:
    """What each rule made per strategy: taking all, odds of one half, odds at the threshold, the whole rule (S1.35).

    ``usd_all``, ``usd_half``, ``usd_threshold`` and ``usd_rule`` are USD per day on which the strategy was proposed;
    ``uplift_…`` is the difference to taking all, with its interval.
    """
    rows = []
    for strategy, here in _each(found, "strategy"):
        part, profit = found.blocks.part(here), found.profit[here]
        for name, said in found.said.items():
            own = said.filter(here)
            p, least = own["probability"].to_numpy(), own["threshold"].to_numpy()
            rules = {"half": p >= 0.5, "threshold": p >= least, "rule": own["take"].to_numpy()}
            row: dict[str, Any] = {
                "model": name, "strategy": strategy, "n": len(p), "days": part.days,
                "threshold_low": float(least.min()), "threshold_high": float(least.max()),
                "usd_all": part.per_day(profit).value,
            }  # fmt: skip
            for rule, take in rules.items():
                row |= {f"taken_{rule}": int(take.sum()), f"usd_{rule}": part.per_day(profit * take).value}
                row |= bounded(f"uplift_{rule}", part.per_day(profit * (take - 1.0)))
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def errors_by_symbol(found: Judged) -> pl.DataFrame:
    """Losers that were taken and winners that were left, per model and symbol, each as a share of its kind (S1.35)."""
    rows = []
    for symbol, here in _each(found, "symbol"):
        part, win = found.blocks.part(here), found.win[here]
        for name, said in found.said.items():
            take = said["take"].to_numpy()[here]
            row = {
                "model": name, "symbol": symbol, "n": len(win), "days": part.days, "taken": int(take.sum()),
                "losers": int((~win).sum()), "winners": int(win.sum()),
                "false_positives": int((take & ~win).sum()), "false_negatives": int((~take & win).sum()),
            }  # fmt: skip
            losers, winners = found.blocks.part(_among(here, ~win)), found.blocks.part(_among(here, win))
            row |= bounded("losers_taken", losers.mean(take[~win]))
            rows.append(row | bounded("winners_left", winners.mean(~take[win])))
    return pl.DataFrame(rows, infer_schema_length=None)


def _among(here: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Rows of `here` that are `chosen`, as a truth for each of all rows."""
    found = here.copy()
    found[here] = chosen
    return found


def reliability(found: Judged) -> pl.DataFrame:
    """Per model and bin of its probability: what was said, and what happened with the interval of its days."""
    rows = []
    for name, said in found.said.items():
        p = said["probability"].to_numpy()
        number = np.minimum((p * BINS).astype(np.int64), BINS - 1)
        for at in np.unique(number):
            here = number == at
            observed = bounded("observed", found.blocks.part(here).mean(found.win[here]))
            rows.append(
                {"model": name, "bin": int(at), "n": int(here.sum()), "said": float(p[here].mean()), **observed}
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def by_quarter(found: Judged, replications: int, seed: int) -> pl.DataFrame:
    """Calibration over time: per model and quarter what was said and what happened, the gap, and the skill."""
    quarter = found.keys["session"].dt.truncate("1q")
    price = log_losses(found.keys["price_probability"].to_numpy(), found.win)
    rows = []
    for first in quarter.unique().sort():
        here = (quarter == first).to_numpy()
        win = found.win[here]
        days = found.keys["session"].filter(here).to_numpy()
        part = DayBlocks.of(days, horizon_days=found.horizon_days, replications=min(replications, 1000), seed=seed)
        for name, said in found.said.items():
            p = said["probability"].to_numpy()[here]
            rows.append(
                {
                    "model": name, "quarter": first, "n": len(p), "days": part.days, "said": float(p.mean()),
                    "observed": float(win.mean()), **bounded("gap", part.mean(win - p)),
                    **bounded("ece", calibration_error(part, p, win, bins=BINS)),
                    **bounded("skill_nats", part.mean(price[here] - log_losses(p, win))),
                }
            )  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def ratio(found: Judged) -> pl.DataFrame:
    """Spearman's correlation of reward over risk with the profit, and with the profit per risk, by strategy (S1.27).

    ``n`` counts trades with a ratio, ``without`` those that have none.
    """
    known = _ratios(found.keys)
    rows = []
    for strategy, here in _each(found, "strategy"):
        had = here & np.isfinite(known)
        part, profit = found.blocks.part(had), found.profit[had]
        row: dict[str, Any] = {"strategy": strategy, "n": int(had.sum()), "days": part.days}
        row["without"] = int((here & ~had).sum())
        if had.any():
            risk = found.keys["risk_usd"].to_numpy()[had]
            row |= bounded("with_profit", spearman(part, known[had], profit))
            row |= bounded("with_return", spearman(part, known[had], profit / risk))
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def _ratios(keys: pl.DataFrame) -> np.ndarray:
    """Reward over risk of each trade, out of the fair odds where there is no ratio; NaN where nothing is known."""
    if "ratio" in keys.columns:
        return keys["ratio"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if "fair_probability" in keys.columns:
        fair = pl.col("fair_probability")
        return keys.select(((1.0 - fair) / fair).fill_null(float("nan"))).to_series().to_numpy()
    return np.full(keys.height, np.nan)


def level_weights(found: Judged) -> pl.DataFrame:
    """Per model, symbol and strategy: mean weight of each level, how often each speaks, trades behind the word."""
    weights = [f"weight_{level}" for level in LEVELS]
    return (
        pl.concat([said.select("model", "symbol", "strategy", "level", "effective_n", *weights)
                   for said in found.said.values()])
        .group_by("model", "symbol", "strategy", maintain_order=True)
        .agg(
            pl.len().alias("n"),
            pl.col("effective_n").mean(),
            pl.col(weights).mean(),
            *((pl.col("level") == level).mean().alias(f"speaks_{level}") for level in LEVELS),
        )
        .sort("model", "symbol", "strategy")
    )  # fmt: skip


def _each(found: Judged, column: str) -> list[tuple[str, np.ndarray]]:
    """Every value of a key with the truth of which rows have it."""
    values = found.keys[column]
    return [(str(each), (values == each).to_numpy()) for each in values.unique().sort()]
