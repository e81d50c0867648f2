"""Forward returns from the next open, and their rank within the day."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import label
from openbell.quant.expressions import fill_price, ratio

HORIZONS = (1, 5, 10, 20)


def _forward_return(horizon: int) -> pl.Expr:
    return ratio(fill_price.shift(-(1 + horizon)), fill_price.shift(-1)) - 1.0


@label(unit="fraction", name="forward_return_{horizon}d", over={"horizon": HORIZONS})
def forward_return(horizon: int) -> pl.Expr:
    """Return over `horizon` sessions from the next open: ``fill_{s+1+h} / fill_{s+1} - 1`` at the bar of session s.

    `fill_price` is the adjusted open (total return), or the adjusted close where the data set has no opens at all.
    Null where a bar of the two is missing, as for a name that stops trading within the horizon, and where it is not
    resolved yet. Known when the bar of the furthest session is.
    """
    return _forward_return(horizon)


@label(unit="rank", name="forward_rank_{horizon}d", over={"horizon": HORIZONS}, cross_section="rank")
def forward_rank(horizon: int) -> pl.Expr:
    """Centred rank, in (-0.5, 0.5), of the forward return among the members of the universe on the same day."""
    return _forward_return(horizon)
