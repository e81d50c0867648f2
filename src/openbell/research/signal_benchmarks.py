"""What stands beside an account of signals: the market held over the same sessions, and the regime in force in each."""

from __future__ import annotations

import numpy as np
import polars as pl

from openbell.quant.accounting import account, fixed_targets
from openbell.quant.signal_account import Rules

EQUAL_WEIGHT = "equal_weight"
BENCHMARKS = ("SPY", "QQQ")
#: Sessions between two rebalances of the equal-weight benchmark.
_MONTH = 21


def daily_bars(bars: pl.DataFrame) -> pl.DataFrame:
    """``symbol session open close`` of whole sessions."""
    return bars.group_by("symbol", "session", maintain_order=True).agg(pl.col("open").first(), pl.col("close").last())


def benchmark_curves(
    daily: pl.DataFrame, given: pl.DataFrame | None, curve: pl.DataFrame, rules: Rules
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Value of what could have been held on the sessions of `curve`, at the same costs; and which of it is missing."""
    days = curve["session"][1:]
    curves, missing = {}, []
    for name in BENCHMARKS:
        own = daily.filter(pl.col("symbol") == name)
        if own.is_empty() and given is not None:
            own = daily_bars(given.filter(pl.col("symbol") == name).sort("session", maintain_order=True))
        found = _held(own, days, rules, None)
        if found is None:
            missing.append(
                f"{name} has no bar in the first session, {days[0]}, so it does not stand beside the account."
            )
        else:
            curves[name] = found
    equal = _held(daily, days, rules, _MONTH)
    return curves | ({} if equal is None else {EQUAL_WEIGHT: equal}), missing


def _held(daily: pl.DataFrame, days: pl.Series, rules: Rules, every: int | None) -> np.ndarray | None:
    """Value of the names at equal weights, bought at the first open, brought back to them `every` so many sessions."""
    grid = pl.DataFrame({"session": days})
    opens, closes = (
        grid.join(daily.pivot("symbol", index="session", values=name), on="session", how="left", maintain_order="left")
        .drop("session").cast(pl.Float64).to_numpy() for name in ("open", "close")
    )  # fmt: skip
    rows = [0] if every is None else list(range(0, len(days), every))
    if not opens.shape[1] or not np.isfinite(opens[0]).any():
        return None
    there = {row: np.isfinite(opens[row]) for row in rows}
    weights = {row: known / known.sum() for row, known in there.items() if known.any()}
    held = account(
        fixed_targets(weights), closes, opens, decide_at=list(weights), capital_usd=rules.capital_usd,
        commission_bp=rules.commission_bp, slippage_bp=rules.slippage_bp, staleness_sessions=rules.staleness_sessions,
        delisting_return=rules.delisting_return,
    )  # fmt: skip
    return held.curve_usd


def regimes_before(closes: pl.DataFrame) -> pl.DataFrame:
    """``session`` and the ``regime`` in force in it, of the closes before it; `closes` : ``session close``, in order.

    The first 50 sessions have none. Raises `DataMissing` with fewer than 50 closes.
    """
    from openbell.quant.regime import UNKNOWN, Regime, regimes

    found = regimes(closes["close"].to_numpy())
    words = [None if each == UNKNOWN else Regime(each).label for each in found.tolist()]
    return pl.DataFrame({"session": closes["session"], "regime": pl.Series(words, dtype=pl.String).shift(1)})
