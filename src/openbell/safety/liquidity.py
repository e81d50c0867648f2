"""No trade is too large for the market."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict


@check()
def liquidity(decision: Decision, book: Book, market: Market, *, max_volume_pct: float = 0.05) -> Verdict:
    """Each trade is at most this fraction of the mean daily volume over 20 sessions; a larger one is shrunk.

    A traded name without a volume waits. Unavailable where the data hold no volumes at all.
    """
    name = "liquidity"
    volumes = market.names.select("symbol", "volume_shares")
    if volumes["volume_shares"].is_null().all():
        why = "The data hold no volumes: the size of a trade against its market cannot be checked."
        return Verdict(name, Outcome.ALLOW, why, available=False)
    fraction = pl.when(pl.col("volume_shares") > 0).then(pl.col("shares") / pl.col("volume_shares"))
    trades = decision.trades.join(volumes, on="symbol", how="left").with_columns(fraction.alias("fraction"))
    largest = float(trades["fraction"].max() or 0.0)  # type: ignore[arg-type]
    measured = {"largest": largest, "limit": max_volume_pct}
    over = trades.filter((pl.col("fraction") > max_volume_pct + 1e-9) | pl.col("fraction").is_null())
    if not over.height:
        why = f"The largest trade is {largest:.2%} of its mean daily volume; the limit is {max_volume_pct:.2%}."
        return Verdict(name, Outcome.ALLOW, why, measured=measured)
    fitting = (max_volume_pct * pl.col("volume_shares")).floor() / pl.col("shares")
    scales = over.select("symbol", pl.when(pl.col("fraction").is_null()).then(0.0).otherwise(fitting))
    by_symbol = dict(scales.rows())
    why = f"Shrunk to {max_volume_pct:.2%} of the mean daily volume each: {', '.join(by_symbol)}."
    return Verdict(name, Outcome.SHRINK, why, by_symbol=by_symbol, measured=measured)
