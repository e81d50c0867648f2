"""The kill switch: a day's loss that is too large stops trading."""

from __future__ import annotations

import math

import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict


@check(desks=("stocks", "options"))
def daily_loss(decision: Decision, book: Book, market: Market, *, max_daily_loss_pct: float = 0.03) -> Verdict:
    """Block where the account lost more than this fraction between its last two daily marks.

    Deposits and withdrawals (column ``flow_usd`` of the book's equity, where there is one) are no gain and no loss, so
    an account's first day is measured against the cash it was opened with. Without two marks, or one and that cash,
    there is no return yet, and nothing to stop.
    """
    name = "daily_loss"
    curve = book.equity.sort("session")
    opened = "flow_usd" in curve.columns and curve.height == 1 and (curve["flow_usd"][0] or 0.0) > 0.0
    if curve.height < 2 and not opened:
        why = f"The account has {curve.height} daily marks: no daily return yet."
        return Verdict(name, Outcome.ALLOW, why, measured={"limit": max_daily_loss_pct})
    before, now = (0.0, curve["equity_usd"][0]) if opened else curve["equity_usd"][-2:].to_list()
    flow = float(curve["flow_usd"][-1] or 0.0) if "flow_usd" in curve.columns else 0.0
    base = (before or 0.0) + flow
    daily = now / base - 1.0 if base > 0 and now is not None else math.nan
    session = curve.select(pl.col("session").last()).item()
    if not math.isfinite(daily):
        why = f"The account's marks of {session} give no return ({before} to {now} USD); trading stops until they do."
        return Verdict(name, Outcome.BLOCK, why, measured={"limit": max_daily_loss_pct})
    measured = {"daily_return": daily, "limit": max_daily_loss_pct}
    if daily < -max_daily_loss_pct:
        why = f"Kill switch: the account lost {-daily:.2%} on {session}; above {max_daily_loss_pct:.2%} trading stops."
        return Verdict(name, Outcome.BLOCK, why, measured=measured)
    why = f"The account returned {daily:+.2%} on {session}; a loss above {max_daily_loss_pct:.2%} would stop trading."
    return Verdict(name, Outcome.ALLOW, why, measured=measured)
