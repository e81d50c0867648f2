"""Nothing is traded on an old or impossible price."""

from __future__ import annotations

import numpy as np
import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict


@check()
def fresh_prices(
    decision: Decision,
    book: Book,
    market: Market,
    *,
    max_stale_sessions: int = 0,
    max_stale_share: float = 0.5,
    max_gap_weekdays: int = 3,
) -> Verdict:
    """A traded name has a valid price of the last session; one that has not waits, and a data gap blocks.

    Single names wait (their trade shrinks to nothing): a halted stock must not stop the others. It blocks where more
    than `max_stale_share` of the universe has no fresh price, or where the last session lies more than
    `max_gap_weekdays` Mondays to Fridays before the one to be traded: that is a gap in the data, not a halt. Sessions
    are counted as weekdays, which never counts too few.
    """
    name = "fresh_prices"
    gap = int(np.busday_count(market.last_session, market.session))
    if gap > max_gap_weekdays or market.last_session >= market.session:
        why = (
            f"The last bars are of {market.last_session} and the session to be traded is {market.session}: "
            f"{gap} weekdays apart, at most {max_gap_weekdays} are allowed. Update the data."
        )
        return Verdict(name, Outcome.BLOCK, why, measured={"gap_weekdays": float(gap)})
    names = _with_age(market)
    stale = (pl.col("age") > max_stale_sessions).fill_null(True) | ~pl.col("valid")
    members = names.filter(pl.col("member"))
    share = float(members.select(stale.mean()).item() or 0.0)
    measured = {"stale_share": share, "limit": max_stale_share, "gap_weekdays": float(gap)}
    if share > max_stale_share:
        why = (
            f"{share:.0%} of the universe has no fresh price of {market.last_session}; at most {max_stale_share:.0%} "
            "may lack one. That is a gap in the data: update them before trading."
        )
        return Verdict(name, Outcome.BLOCK, why, measured=measured)
    traded = decision.trades.join(names, on="symbol", how="left")
    waiting = sorted(traded.filter(stale.fill_null(True))["symbol"].to_list())
    if not waiting:
        why = f"Every traded name has a valid price of {market.last_session}, or as old as allowed."
        return Verdict(name, Outcome.ALLOW, why, measured=measured)
    why = f"No fresh and valid price, so these are not traded today: {', '.join(waiting)}."
    return Verdict(name, Outcome.SHRINK, why, by_symbol=dict.fromkeys(waiting, 0.0), measured=measured)


def _with_age(market: Market) -> pl.DataFrame:
    price = pl.col("price_usd")
    return market.names.select(
        "symbol",
        "member",
        pl.business_day_count("price_session", pl.lit(market.last_session)).alias("age"),
        (price.is_finite() & (price > 0)).fill_null(False).alias("valid"),
    )
