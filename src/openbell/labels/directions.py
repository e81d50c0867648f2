"""Where the price goes from the next open, in three classes: -1 down, 0 neither, 1 up, by the volatility of then."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import label
from openbell.quant import barriers

HORIZONS = (1, 5, 10, 20)


@label(unit="class", name="direction_{horizon}", over={"horizon": HORIZONS})
def direction(horizon: int) -> pl.Expr:
    """Sign of the return over `horizon` bars from the next open, 0 within half a volatility of the horizon.

    ``r = fill_{t+1+h} / fill_{t+1} - 1``; -1, 0, 1 where r lies below, within or above ``0.5 sigma_t sqrt(h)`` of 0,
    the edge being within; ``sigma`` is the standard deviation of 20 log returns up to the decision. Null where a price
    is missing or ``sigma`` is missing or 0. It is an outcome and no rule: nothing known at t tells it.
    """
    return barriers.direction(horizon)


@label(unit="class", name="barrier_{horizon}", over={"horizon": HORIZONS})
def barrier(horizon: int) -> pl.Expr:
    """Which barrier is touched first within `horizon` bars of the next open: 1 above, -1 below, 0 none by the end.

    The barriers lie one volatility of the horizon, ``sigma_t sqrt(h)``, from the entry. Both within one bar is 0, for
    it cannot be told which came first, unless the bar opened beyond one. Null where a bar before the touch is missing.

    References
    ----------
    Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 3.
    """
    return barriers.triple_barrier(horizon)
