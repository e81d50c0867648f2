"""Other markets as of the cut-off: volatility, the dollar, the ten-year yield and crude oil.

``now`` is the last level known at the cut-off and ``before`` the daily level known before that one. Where a market has
daily values alone, both were known before the open; the lineage of the feature says so. Null where the level is old.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.core.session import MARKETS
from openbell.quant.expressions import ratio

#: Markets quoted in percent, whose change is in points.
_YIELDS = ("ten_year",)


def _now(market: str) -> pl.Expr:
    return pl.col(f"{market}_now")


def _change(market: str) -> pl.Expr:
    return _now(market) - pl.col(f"{market}_before")


@feature(
    reads="session",
    unit="%",
    name="{market}_early_change_pct",
    over={"market": tuple(each for each in MARKETS if each not in _YIELDS)},
)
def early_change_pct(market: str) -> pl.Expr:
    """Change of the market from the daily level before to the last one known at the cut-off.

    References
    ----------
    Ito and Lin (1994), Price volatility and volume spillovers, Economics Letters; Whaley (2000), The investor fear
    gauge, Journal of Portfolio Management 26, 12-17.
    """
    return 100.0 * ratio(_change(market), pl.col(f"{market}_before"))


@feature(reads="session", unit="percentage points", name="{market}_early_change_points", over={"market": _YIELDS})
def early_change_points(market: str) -> pl.Expr:
    """Change of the yield from the daily level before to the last one known at the cut-off, in points.

    References
    ----------
    Fleming and Remolona (1999), Price formation and liquidity in the U.S. Treasury market, Journal of Finance 54.
    """
    return _change(market)


@feature(reads="session", unit="-1, 0 or 1", name="{market}_early_direction", over={"market": MARKETS})
def early_direction(market: str) -> pl.Expr:
    """Sign of that change: 1 up, -1 down, 0 unchanged.

    References
    ----------
    Whaley (2000), The investor fear gauge, Journal of Portfolio Management 26, 12-17.
    """
    return _change(market).sign()


@feature(reads="session", unit="index")
def vix_early_level() -> pl.Expr:
    """The volatility index at the cut-off, in its own points.

    References
    ----------
    Whaley (2000), The investor fear gauge, Journal of Portfolio Management 26, 12-17.
    """
    return _now("vix") + 0.0
