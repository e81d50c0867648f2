"""What the options desk has to beat: the rules ladder, one structure always, the best one so far, chance, holding.

Each gives a `Decide` for `research.option_backtest` and looks at nothing later than the close before the session. The
ladder (S0 Annex C) is a strategy here and never a label (check 1); its strikes are those of the serving rules
(`research.option_serving`, Annex D), which the other structure baselines share.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, unknown
from openbell.quant.legs import UNDERLYING, Legs
from openbell.quant.structures import (
    BEAR_PUT_SPREAD,
    BULL_CALL_SPREAD,
    CALENDAR_SPREAD,
    DIAGONAL_SPREAD,
    IRON_BUTTERFLY,
    IRON_CONDOR,
    LONG_CALL,
    LONG_PUT,
    LONG_STRADDLE,
    LONG_STRANGLE,
    STRUCTURES,
)
from openbell.research.option_orders import Decide, Entry, NoTrade
from openbell.research.option_serving import INPUTS, DayChain, served

BUY_AND_HOLD = "BUY_AND_HOLD"
#: Features that the ladder reads.
LADDER_INPUTS = ("iv_rank", "adx_14", "trend_regime", "rsi_14", "price_vs_sma_20")
#: The chain known before the open of the session in a place: that of the close before it.
ChainBefore = Callable[[int], DayChain]


def ladder(features: pl.DataFrame) -> pl.Series:
    """The structure that the rules of Annex C name for each row, null where one of their inputs is null.

    Parameters
    ----------
    features : the columns of `LADDER_INPUTS`, `iv_rank` and `rsi_14` from 0 to 100, `price_vs_sma_20` a fraction.

    Returns
    -------
    polars.Series
        Names of structures. Ten rules in order, the first that holds; where none does, by the rank of the volatility.
    """
    lacking = [name for name in LADDER_INPUTS if name not in features.columns]
    if lacking:
        raise BadInput(
            f"The rules ladder needs the feature `{lacking[0]}`; it was handed {len(features.columns)} others."
        )
    iv, adx, trend, rsi, distance = (pl.col(name) for name in LADDER_INPUTS)
    near = distance.abs()
    falling = (adx > 20) & ((trend <= 1) | (rsi < 42) | (distance < -0.025))
    falling = falling | ((adx >= 15) & ((rsi < 38) | (distance < -0.035))) | (rsi < 33)
    rules: Sequence[tuple[pl.Expr, str]] = (
        ((iv > 45) & (iv < 60) & (trend == 2) & (near > 0.005) & (near < 0.012) & (adx < 15), DIAGONAL_SPREAD),
        ((iv > 52) & (iv < 75) & (adx < 25) & (rsi > 45) & (rsi < 55), IRON_CONDOR),
        ((iv > 68) & (adx < 20), IRON_BUTTERFLY),
        ((iv < 46) & (adx > 21) & (trend >= 3) & (rsi > 54), LONG_CALL),
        ((iv < 48) & falling, LONG_PUT),
        ((iv >= 56) & (iv <= 63) & (trend >= 3) & (adx > 26) & (rsi > 62), BULL_CALL_SPREAD),
        ((iv >= 54) & (iv <= 65) & (trend <= 1) & (adx > 22) & (rsi < 45), BEAR_PUT_SPREAD),
        ((iv < 35) & (rsi > 45) & (rsi < 58) & (adx < 17), LONG_STRADDLE),
        ((iv < 36) & (rsi > 44) & (rsi < 59) & (adx < 25), LONG_STRANGLE),
        ((iv < 42) & (adx < 20) & (rsi > 42) & (rsi < 58) & (near < 0.022), CALENDAR_SPREAD),
        (iv > 55, IRON_CONDOR),
        ((iv < 35) & (rsi >= 50), LONG_CALL),
        (iv < 35, LONG_PUT),
        ((rsi > 58) & (adx > 18), BULL_CALL_SPREAD),
        ((rsi < 42) & (adx > 18), BEAR_PUT_SPREAD),
    )
    found = pl.lit(IRON_CONDOR)
    for holds, structure in reversed(rules):
        found = pl.when(holds).then(pl.lit(structure)).otherwise(found)
    known = pl.all_horizontal(pl.col(name).is_not_null() & pl.col(name).is_not_nan() for name in LADDER_INPUTS)
    plain = features.select(pl.col(name).cast(pl.Float64) for name in LADDER_INPUTS)
    return plain.select(pl.when(known).then(found).otherwise(None).alias("structure"))["structure"]


def by_session(features: pl.DataFrame, sessions: np.ndarray) -> list[Mapping[str, float | None] | None]:
    """The features that are known before the open of each session: those of the close before, None where there is none.

    Parameters
    ----------
    features : ``session`` (at whose close they are known) and feature columns. sessions : (n,) of the back-test.
    """
    days = pl.DataFrame({"session": pl.Series(sessions).cast(pl.Date)})
    joined = days.join(features.with_columns(pl.lit(True).alias("is_row")), on="session", how="left", validate="1:1")
    rows = joined.sort("session").to_dicts()
    before = [row if row["is_row"] else None for row in rows[:-1]]
    return [None, *before]


def _entry(
    structure: str, features: Mapping[str, float | None] | None, chain: ChainBefore, row: int, fill: np.datetime64
) -> Entry | NoTrade:
    """`structure` by the serving rules on the chain before `row`, or why not."""
    if features is None:
        return NoTrade("There are no features of the session before.")
    lacking = [name for name in INPUTS if features.get(name) is None]
    if lacking:
        return NoTrade(f"The feature `{lacking[0]}` is unavailable, and nothing stands in for it.")
    return served(structure, features, chain(row), after=fill)


def rules_ladder(features: pl.DataFrame, sessions: np.ndarray, chain: ChainBefore) -> Decide:
    """The ladder's structure of the close before, at the strikes of the serving rules.

    `features` have a ``session`` at whose close they are known, `LADDER_INPUTS` among their columns.
    """
    named = features.select("session", *dict.fromkeys((*LADDER_INPUTS, *INPUTS))).with_columns(ladder(features))
    known = by_session(named, sessions)

    def decide(row: int) -> Entry | NoTrade:
        before = known[row]
        if before is None or before["structure"] is None:
            lacking = [name for name in LADDER_INPUTS if before is None or before[name] is None]
            return NoTrade(f"The ladder has no `{lacking[0]}` of the session before; no default stands in for it.")
        return _entry(str(before["structure"]), before, chain, row, sessions[row])

    return decide


def constant(structure: str, features: pl.DataFrame, sessions: np.ndarray, chain: ChainBefore) -> Decide:
    """Always `structure`, at the strikes of the serving rules."""
    if structure not in STRUCTURES:
        raise unknown("structure", structure, STRUCTURES)
    known = by_session(features.select("session", *INPUTS), sessions)
    return lambda row: _entry(structure, known[row], chain, row, sessions[row])


def best_constant(outcomes: pl.DataFrame, moment: dt.datetime, *, minimum: int = 30) -> str | None:
    """The structure with the largest mean value among the outcomes known at `moment`; None under `minimum` of them.

    Parameters
    ----------
    outcomes : ``structure``, ``value`` (per unit of risk, say), ``known_at`` (aware). Nulls are no outcomes.
    minimum : outcomes that a structure needs to be looked at. Ties go to the order of S0.05.
    """
    order = {name: place for place, name in enumerate(STRUCTURES)}
    strange = sorted(set(outcomes["structure"].unique()) - set(order))
    if strange:
        raise unknown("structure", strange[0], STRUCTURES)
    means = (
        outcomes.filter(pl.col("known_at") <= moment)
        .drop_nulls("value")
        .group_by("structure")
        .agg(pl.col("value").mean(), pl.len().alias("n"))
        .filter(pl.col("n") >= minimum)
        .with_columns(pl.col("structure").replace_strict(order, return_dtype=pl.Int64).alias("place"))
        .sort("value", "place", descending=[True, False])
    )
    return None if means.is_empty() else str(means["structure"][0])


def best_so_far(
    outcomes: pl.DataFrame,
    opens: Sequence[dt.datetime],
    features: pl.DataFrame,
    sessions: np.ndarray,
    chain: ChainBefore,
    *,
    minimum: int = 30,
) -> Decide:
    """Before each open the best constant structure of all outcomes known by then; `opens` are those of `sessions`."""
    known = by_session(features.select("session", *INPUTS), sessions)

    def decide(row: int) -> Entry | NoTrade:
        structure = best_constant(outcomes, opens[row], minimum=minimum)
        if structure is None:
            return NoTrade(f"No structure has {minimum} known outcomes yet.")
        return _entry(structure, known[row], chain, row, sessions[row])

    return decide


def at_random(features: pl.DataFrame, sessions: np.ndarray, chain: ChainBefore, *, seed: int = 0) -> Decide:
    """A structure drawn anew for every session, each of the ten alike; the same seed draws the same ones.

    The draw of a session depends on the seed and its date alone, so it is the same whenever a back-test begins.
    """
    names = tuple(STRUCTURES)
    known = by_session(features.select("session", *INPUTS), sessions)

    def decide(row: int) -> Entry | NoTrade:
        rng = np.random.default_rng([seed, int(sessions[row].astype("datetime64[D]").astype(np.int64))])
        return _entry(names[int(rng.integers(len(names)))], known[row], chain, row, sessions[row])

    return decide


def buy_and_hold(lots: int, row: int = 1) -> Decide:
    """`lots` of the underlying bought at the close of the session in the place `row` and never sold.

    A lot is as many shares as `Costs.multiplier` says: walk it with a multiplier of 1, so that it is one share.
    """
    if lots < 1:
        raise BadInput(f"Buy and hold needs 1 lot or more; had {lots}. The capital is too small for the multiplier.")
    one = Legs(
        np.array([UNDERLYING], dtype=np.int8), np.zeros(1), np.ones(1, dtype=np.int64),
        np.array(["NaT"], dtype="datetime64[D]"),
    )  # fmt: skip
    held = Entry(BUY_AND_HOLD, one, contracts=lots)
    return lambda at: held if at == row else None


def on_first_of_week(decide: Decide, sessions: np.ndarray) -> Decide:
    """`decide` on the first session of each week alone; on the others nothing is decided."""
    weeks = (sessions.astype("datetime64[D]").astype(np.int64) + 3) // 7
    return lambda row: decide(row) if row == 0 or weeks[row] != weeks[row - 1] else None
