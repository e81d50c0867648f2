"""The gate in an account: the trades it takes out of sample, one unit each, held to their close, day by day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.performance import Performance, performance

#: Columns of forecasts that an account is made of; see `gate_walk.walk`.
NEEDED = ("session", "known_at", "profit_usd", "risk_usd", "take")


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """What became of an account.

    Attributes
    ----------
    days : one row per day on which anything was proposed: ``session``, ``equity_usd`` after it, ``profit_usd``,
        ``risk_usd`` (maximum losses taken on), ``proposed``, ``wanted``, ``trades``.
    performance : of the daily marks; None under two days.
    over_budget : trades that were wanted and left, for the day's budget of risk was spent.
    """

    days: pl.DataFrame
    performance: Performance | None
    over_budget: int


def account(
    rows: pl.DataFrame,
    *,
    capital_usd: float,
    trade_risk: float = 0.02,
    day_risk: float = 0.20,
    seed: int = 0,
) -> Account:
    """Walk an account through forecasts of one model, out of sample.

    Parameters
    ----------
    rows : the columns `NEEDED`; `profit_usd` of one unit after costs, `risk_usd` its maximum loss, both in USD.
    capital_usd : what it begins with. trade_risk, day_risk : fractions of the equity before the day that one trade, and
        all trades of the day together, may lose at most.
    seed : of the bootstrap behind the intervals.

    Notes
    -----
    Trades of a day come in the order in which they were proposed; one that the rest of the day's budget does not hold
    is left and counted, and a later one may still fit. Everything closes on its day, so equity is marked once a day.
    An account that lost all its equity stops trading.

    Raises
    ------
    BadInput
        On a fraction outside (0, 1], or where a profit or a risk is missing: a missing profit is no loss.
    """
    for name, value in {"trade_risk": trade_risk, "day_risk": day_risk}.items():
        if not 0.0 < value <= 1.0:
            raise BadInput(f"`{name}` must lie in (0, 1]; was {value}.")
    missing = sum(rows[name].null_count() for name in NEEDED)
    if missing:
        raise BadInput(f"{missing} values of {rows.height} trades are missing; leave those trades out and count them.")
    table = rows.select(NEEDED).sort("session", "known_at", maintain_order=True)
    equity, over_budget, told = capital_usd, 0, []
    for day in table.partition_by("session", maintain_order=True):
        wanted = day["take"].to_numpy()
        risk, profit = day["risk_usd"].to_numpy(), day["profit_usd"].to_numpy()
        taken = _within(np.where(wanted, risk, np.inf), trade_risk * equity, day_risk * equity)
        over_budget += int(wanted.sum() - taken.sum())
        made = float(profit[taken].sum())
        equity += made
        told.append(
            (day["session"][0], equity, made, float(risk[taken].sum()), day.height, int(wanted.sum()), int(taken.sum()))
        )
    names = ["session", "equity_usd", "profit_usd", "risk_usd", "proposed", "wanted", "trades"]
    days = pl.DataFrame(told, schema=names, orient="row")
    return Account(days, _performance(days, capital_usd, seed), over_budget)


def _within(risk: np.ndarray, each: float, together: float) -> np.ndarray:
    """(n,) which trades are taken, first come first served, where one risks `each` and all risk `together` at most."""
    taken = np.zeros(len(risk), dtype=bool)
    left = together
    for at in np.flatnonzero(risk <= each):
        if risk[at] <= left:
            taken[at] = True
            left -= risk[at]
    return taken


def _performance(days: pl.DataFrame, capital_usd: float, seed: int) -> Performance | None:
    """Measures of the daily marks; the first one is the capital on the eve of the first day."""
    equity = np.concatenate([[capital_usd], days["equity_usd"].to_numpy()])
    if len(days) < 2 or not (equity > 0).all():
        return None
    first = days["session"].dt.offset_by("-1d")[0]
    return performance([first, *days["session"].to_list()], equity, horizon_sessions=1, seed=seed)
