"""How long a signal lasts: what its calls still foretell with each bar that passes, and the half-life of that."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.signal import Call
from openbell.quant.day_blocks import DayBlocks, Floats, ratio
from openbell.quant.intervals import Estimate
from openbell.research.gate_judged import bounded

#: Half-lives that are tried for each bar that is looked at.
_GRID_PER_BAR = 8
_AGES = {
    "age": pl.Int64, "n": pl.Int64, "effect": pl.Float64, "effect_low": pl.Float64, "effect_high": pl.Float64,
    "fitted": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Decay:
    """How the signals of one model fade.

    Attributes
    ----------
    ages : per age in bars, ``effect``: the mean return of that bar in the direction of the call, in volatilities of
        a bar, with its interval; ``fitted``: the exponential. half_life : in base bars, with the interval of the
        bootstrap of days; its value is 0 where the calls foretell nothing. longest : bars that were looked at.
    """

    model: str
    ages: pl.DataFrame
    half_life: Estimate
    longest: int

    @property
    def bars(self) -> float | None:
        """The half-life in base bars; None unless the lower bound of its interval lies above 0."""
        found = self.half_life
        return found.value if found.low is not None and found.low > 0 else None

    def seconds(self, bar_seconds: float) -> float | None:
        """The half-life in time that can be waited; None where none is known."""
        return None if self.bars is None else self.bars * bar_seconds

    @property
    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "model": self.model, "longest": self.longest, "calls": self.half_life.n, "bars": self.bars,
            **bounded("half_life", self.half_life), "ages": self.ages.to_dicts(),
        }  # fmt: skip


def decay(
    forecasts: pl.DataFrame,
    bars: pl.DataFrame,
    *,
    longest: int = 20,
    within_session: bool,
    replications: int = 1000,
    seed: int = 0,
) -> Decay:
    """Half-life of the calls of one model, out of sample.

    Parameters
    ----------
    forecasts : columns of `core.signal.FORECASTS`, of one model. bars : ``symbol session at open close``, base bars.
    longest : bars after the entry that are looked at. within_session : whether nothing is held over night.
    replications, seed : of the bootstrap of days.

    Notes
    -----
    Of a call at bar t the effect at age a is ``s ln(open_{t+a+1} / open_{t+a}) / sigma_t`` with s = 1 for BUY and -1
    for SELL: since s and the scaled return have unit size, its mean is their correlation. The means are fitted by
    ``c 2^(-(a - 1) / T)``, c at least 0, by least squares over a grid of T up to twice `longest`, the ages weighted by
    their calls; T is 0 where c is. The bootstrap repeats that on resampled days. The lower
    bound is 0 too where the best fit is no stronger than the best of resamples around no effect.
    """
    if longest < 2:
        raise BadInput(f"A half-life needs at least 2 ages; `longest` was {longest}.")
    names = forecasts["model"].unique().to_list()
    if len(names) > 1:
        raise BadInput(f"A half-life is that of one model; there were {len(names)}: {', '.join(sorted(names))}.")
    model = str(names[0]) if names else ""
    calls = forecasts.filter(pl.col("call") != Call.HOLD.value)
    effects = _effects(calls, bars, longest, within_session)
    if not len(effects):
        none = Estimate(None, None, None, 0, 0.95, 1)
        return Decay(model, pl.DataFrame(schema=_AGES), none, longest)
    blocks = DayBlocks.of(calls["session"].to_numpy(), horizon_days=1, replications=replications, seed=seed)
    there = np.isfinite(effects)
    sums = blocks.sums(np.column_stack([np.where(there, effects, 0.0), there.astype(np.float64)]))
    found = blocks.statistic(sums, lambda each: _half_lives(each, longest)[0])
    if found.low is not None and not _is_there(blocks, sums, longest):
        found = replace(found, low=0.0)
    return Decay(model, _ages(blocks, sums, longest), found, longest)


def _effects(calls: pl.DataFrame, bars: pl.DataFrame, longest: int, within_session: bool) -> np.ndarray:
    """(calls, ages) in volatilities of a bar, NaN where a bar is missing or lies in another session."""
    ordered = bars.sort("symbol", "at").with_columns(pl.when(pl.col("open") > 0).then(pl.col("open")))
    ordered = ordered.with_columns(pl.col("open").shift(-1).over("symbol").alias("_next"))
    step = (pl.col("_next") / pl.col("open")).log()
    ages = [step.shift(-age).over("symbol").alias(f"{age}") for age in range(1, longest + 1)]
    if within_session:
        same = [pl.col("session").shift(-age - 1).over("symbol") == pl.col("session") for age in range(1, longest + 1)]
        ages = [
            pl.when(own).then(each).alias(f"{at}") for at, (own, each) in enumerate(zip(same, ages, strict=True), 1)
        ]
    table = ordered.select("symbol", pl.col("at").alias("as_of"), *ages)
    joined = calls.join(table, on=["symbol", "as_of"], how="left", maintain_order="left")
    side = np.where(joined["call"].to_numpy() == Call.BUY.value, 1.0, -1.0)
    values = joined.select(f"{age}" for age in range(1, longest + 1)).to_numpy().astype(np.float64)
    return np.asarray(side[:, None] * values / joined["sigma"].to_numpy()[:, None])


def _is_there(blocks: DayBlocks, sums: Floats, longest: int) -> bool:
    """Whether the best exponential is stronger than those of resamples whose ages foretell nothing, at 2.5 %.

    The best of many half-lives fits noise too, so it is held against the best of as many.
    """

    def strength(each: Floats) -> Floats:
        along, norm = _projected(each, longest)
        return np.divide(along, np.sqrt(norm), out=np.zeros_like(along), where=norm > 0).max(axis=1)

    total, count = sums[:, :longest], sums[:, longest:]
    mean = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1.0)
    null = strength(blocks.weights @ np.concatenate([total - mean * count, count], axis=1))
    return bool(strength(sums.sum(axis=0, keepdims=True))[0] > np.quantile(null, 0.975))


def _grid(longest: int) -> Floats:
    return np.geomspace(0.25, 2.0 * longest, _GRID_PER_BAR * longest)


def _projected(sums: Floats, longest: int) -> tuple[Floats, Floats]:
    """Of each row and half-life of the grid, the effects along its curve and the square of that, (k, grid)."""
    curve = 2.0 ** (-np.arange(longest) / _grid(longest)[:, None])
    return sums[:, :longest] @ curve.T, sums[:, longest:] @ (curve**2).T


def _half_lives(sums: Floats, longest: int) -> tuple[Floats, Floats]:
    """Half-life (k,) and effect at the first age (k,) that fit the sums and counts of each row best."""
    grid, count = _grid(longest), sums[:, longest:]
    along, norm = _projected(sums, longest)
    first = np.divide(along, norm, out=np.zeros_like(along), where=norm > 0)
    explained = np.where(along > 0, along * first, -np.inf)
    best = explained.argmax(axis=1)
    rows = np.arange(len(sums))
    lasts = np.isfinite(explained[rows, best])
    life = np.where(lasts, grid[best], 0.0)
    return np.where(count.sum(axis=1) > 0, life, math.nan), np.where(lasts, first[rows, best], 0.0)


def _ages(blocks: DayBlocks, sums: Floats, longest: int) -> pl.DataFrame:
    life, first = (float(each[0]) for each in _half_lives(sums.sum(axis=0, keepdims=True), longest))
    told = []
    for at in range(longest):
        found = blocks.statistic(sums[:, [at, longest + at]], ratio)
        fitted = first * 2.0 ** (-at / life) if life > 0 else 0.0
        told.append(
            {"age": at + 1, "n": int(sums[:, longest + at].sum()), **bounded("effect", found), "fitted": fitted}
        )
    return pl.DataFrame(told, schema=_AGES)
