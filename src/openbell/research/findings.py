"""What a tournament found, as the frames of its report."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from openbell.quant.evaluation import quantile_returns, skill
from openbell.quant.performance import sharpe
from openbell.quant.regime import Regime
from openbell.research.contest import JOINED_BY
from openbell.research.selection import Selection, regime_consistency
from openbell.research.walkforward import WalkForward

#: Quantiles of the score whose spread is the score portfolio: top less bottom.
QUANTILES = 5

FAILURES = {"entrant": pl.String, "where": pl.String, "why": pl.String}
TRAINING = {
    "model": pl.String,
    "rows": pl.Int64,
    "dates": pl.Int64,
    "rank_ic": pl.Float64,
    "rank_ic_lower": pl.Float64,
    "rank_ic_upper": pl.Float64,
    "rank_ic_ir": pl.Float64,
    "score_sharpe": pl.Float64,
    "status": pl.String,
    "why": pl.String,
}


def training_frame(
    models: Sequence[str],
    walked: WalkForward,
    ics: pl.DataFrame,
    outcomes: pl.DataFrame,
    *,
    untuned: Mapping[str, str],
    per_year: float,
    seed: int,
) -> pl.DataFrame:
    """One row per model; see `contest.Contest.training`.

    `outcomes` are ``session``, ``symbol``, ``outcome`` (a return); `per_year` is how many decisions a year has;
    `untuned` says why the search for a model's parameters failed: a row of its own.
    """
    scores = walked.scores.join(outcomes, on=["session", "symbol"], how="left")
    rows = []
    for name in models:
        why = walked.failed.get(name) or walked.abstained.get(name)
        status = "failed" if name in walked.failed else "abstained" if name in walked.abstained else "done"
        row: dict[str, Any] = dict.fromkeys(TRAINING) | {"model": name, "status": status, "why": why or ""}
        known = scores.select("session", pl.col(name).alias("score"), "outcome").drop_nulls()
        if known.height:
            # Decisions stand a whole horizon apart, so neighbours share no outcome: the block counts decisions.
            found = skill(ics[name], horizon_sessions=1, seed=seed)
            spread = quantile_returns(known, quantiles=QUANTILES, horizon_sessions=1, seed=seed).by_date
            row |= {
                "rows": known.height,
                "dates": found.mean.n,
                "rank_ic": found.mean.value,
                "rank_ic_lower": found.mean.low,
                "rank_ic_upper": found.mean.high,
                "rank_ic_ir": found.icir,
                "score_sharpe": _spread_sharpe(spread, per_year),
            }
        rows.append(row)
    rows += [dict.fromkeys(TRAINING) | {"model": name, "status": "failed", "why": why} for name, why in untuned.items()]
    return pl.DataFrame(rows, schema=TRAINING)


def _spread_sharpe(by_date: pl.DataFrame, per_year: float) -> float | None:
    """Annual Sharpe ratio of the top less the bottom quantile, before costs; None where it is undefined."""
    wide = by_date.pivot(on="quantile", index="session", values="avg_return").sort("session")
    top, bottom = str(QUANTILES), "1"
    if top not in wide.columns or bottom not in wide.columns:
        return None
    values = (wide[top] - wide[bottom]).drop_nulls().to_numpy()
    found = sharpe(values, per_year=per_year, risk_free_annual=0.0) if len(values) > 1 else math.nan
    return found if math.isfinite(found) else None


def consistency(regimes: pl.DataFrame, entrants: Sequence[str]) -> np.ndarray:
    """`selection.regime_consistency` of each entrant, out of `portfolios.by_regime`."""
    at = {name: row for row, name in enumerate(entrants)}
    ratios, sessions = np.full((len(at), len(Regime)), np.nan), np.zeros((len(at), len(Regime)))
    for row in regimes.iter_rows(named=True):
        place = (at[row["entrant"]], row["regime"])
        ratios[place] = np.nan if row["sharpe"] is None else row["sharpe"]
        sessions[place] = row["sessions"]
    return regime_consistency(ratios, sessions)


def matrix(
    measured: pl.DataFrame, bounds: pl.DataFrame, selection: Selection, fallbacks: Mapping[str, int]
) -> pl.DataFrame:
    """One row per entrant, best first; see `contest.Contest.matrix`."""
    ratio = bounds.filter(pl.col("measure") == "sharpe").select(
        "entrant", pl.col("lower").alias("sharpe_lower"), pl.col("upper").alias("sharpe_upper")
    )
    halves = pl.col("entrant").str.split_exact(JOINED_BY, 1)
    counts = pl.DataFrame(
        {"entrant": list(fallbacks), "fallbacks": list(fallbacks.values())},
        schema={"entrant": pl.String, "fallbacks": pl.Int64},
    )
    return (
        selection.leaderboard.drop("rank")
        .join(measured, on="entrant", how="left", maintain_order="left")
        .join(ratio, on="entrant", how="left", maintain_order="left")
        .join(counts, on="entrant", how="left", maintain_order="left")
        .with_columns(halves.struct.field("field_0").alias("model"), halves.struct.field("field_1").alias("allocator"))
    )


def failures_frame(
    walked: WalkForward, failed: pl.DataFrame, *, untuned: Mapping[str, str], unfitted: Mapping[str, str]
) -> pl.DataFrame:
    """``entrant`` (or model), ``where``, ``why``: who raised or abstained.

    `failed` are the entrants that raised in deciding, `untuned` and `unfitted` the models whose search or whose final
    fit did, with the reason.
    """
    rows = [(name, "tuning", why) for name, why in untuned.items()]
    rows += [(name, "training", why) for name, why in {**walked.failed, **walked.abstained}.items()]
    rows += [(row["entrant"], f"decision of {row['session']}", row["why"]) for row in failed.iter_rows(named=True)]
    rows += [(name, "final fit", why) for name, why in unfitted.items()]
    return pl.DataFrame(rows, schema=FAILURES, orient="row")


def significance(selection: Selection, counted: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """What each test found, by its name. `counted` is the ledger's count by kind."""
    trials = dict(selection.trials)
    found: dict[str, dict[str, Any]] = {
        "trials": {"raw": int(trials.pop("tries")), **trials, **{f"counted_{kind}": n for kind, n in counted.items()}}
    }
    if selection.superior is not None:
        test = selection.superior
        found["stepm"] = {
            "alpha": test.alpha,
            "critical": test.critical if math.isfinite(test.critical) else None,
            "entrants": test.tries,
            "sessions": test.dates,
            "block_sessions": test.block_sessions,
            "replications": test.replications,
        }
    if selection.pbo is not None:
        pbo = selection.pbo
        found["pbo"] = {
            "pbo": pbo.pbo,
            "slope": pbo.slope if math.isfinite(pbo.slope) else None,
            "loss": pbo.loss,
            "splits": pbo.splits,
            "entrants": pbo.trials,
            "sessions": pbo.observations,
        }
    if selection.spa is not None:
        spa = selection.spa
        found["spa"] = {
            "reality_check": spa.reality_check,
            "spa": spa.spa,
            "spa_lower": spa.spa_lower,
            "spa_upper": spa.spa_upper,
            "sessions": spa.dates,
            "replications": spa.replications,
        }
    if selection.mcs is not None:
        mcs = selection.mcs
        kept = [name for name, inside in zip(mcs.names, mcs.included, strict=True) if inside]
        found["mcs"] = {"included": len(kept), "of": len(mcs.names), "entrants": kept, "size": mcs.size}
    return found


def decisions_per_year(dates: Sequence[dt.date]) -> float:
    """Decisions of a calendar year, from their own dates."""
    span = (dates[-1] - dates[0]).days / 365.25 if len(dates) > 1 else 1.0
    return (len(dates) - 1) / span if span > 0 else 1.0
