"""Everything that was fitted for modelled chains: 49 scalars, where they come from, and how wrong they are.

Fitted on 2026-11-21 from CBOE's quote tables of SPX (2022-02-04, 2022-06-10, 2022-09-13, 2023-02-07, 2023-09-14), with
SPY of 2023-09-14 only for its spread; Yahoo's chains of ten stocks on 2025-11-25, 12-01, 12-03 and
12-05; the VIX, VIX3M and VIX6M of 2006 to 2023; SPX 2005 to 2023; S&P 500 stocks 2000 to 2021. All over again:
``python -m benchmarks calibrate_surface``. The quotes are those after the close, when CBOE's are somewhat wider.

Out of sample, each SPX chain left out in turn (order as above), model less market:

- volatility at the money, 30 days: +1.0, -1.4, +0.5, -0.3, -0.1 points; SPY, never fitted: -0.2. 93 days: +1.8, -0.9,
  -0.9, -0.3, -0.1; SPY +0.1. Least squares of relative errors on VIX and VIX3M.
- put less call volatility at about 25 delta, 5 to 130 days: -3.5 (of 8.3), +0.6 (of 6.4), +0.1 (of 6.2), +0.6 (of
  4.0), +0.9 (of 2.7) points; SPY +0.8 (of 2.3). Root mean square over strikes within 2 deviations, given the level at
  the money: 2.0, 1.1, 0.8, 0.8, 0.7 points. Six numbers cannot do better than 0.4 to 1.0: eta stands at its bound.
- VIX6M by VIX, VIX3M and the reversion: median 0.4 points on 4,027 sessions. VIX3M where there is none: 6.6 %, the
  second half of 2006-2023 by the first.
- level without an index of its own: 37 % (log, root mean square) against realised volatility of the next 21 sessions,
  the second half of the stocks' years by the first; the own last 21 sessions alone: 41 %. Against quoted volatility it
  could not be measured: no stock has both a chain and a history here.
- half-spread, median |ln(model / quoted)|: SPX 0.27 (out of the money 0.19), a chain left out 0.24 to 0.51; SPY 0.42;
  stocks 0.72, for one line stands for names as far apart as NVDA and LLY.
- volume, correlation of logs over contracts 0.59 to 0.67; a day's total within 30 %. Open interest likewise around
  where the spot has stood of late, which explains more than where it stands.

Five days of 2022 and 2023 say nothing of how levels of volume and spread were before; both are held constant there. One
chain in five (2022-02-04) had a skew that its VIX does not tell: such days are modelled with an error of that size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class SurfaceScalars:
    """Everything that was fitted for modelled chains.

    Attributes
    ----------
    level_30, level_93 : constant and slope of the volatility at the money on VIX and VIX3M, all per year as fractions.
    reversion : per year. term : constant and pull of ln(VIX3M / VIX), half-life of the VIX's own mean in sessions.
    index_skew : atanh of rho at a volatility of 20 % and its slope on ln(level / 20 %); gamma likewise.
    index_dividend_yield : per year. short_weight : of the faster realised variance. premium_share : of the market's.
    stock_skew : rho, eta as a share of the largest without arbitrage, gamma.
    spread_shape : exponents of years and of volatility, and where hedging in the money sets in, of every kind.
    spread_index, spread_stock : log scale, exponent of value, log scale in the money. spread_fund : what is added to
        both scales of the index for its fund.
    volume, open_interest : see `chain_activity`. anchor : half-life of where open interest stands, sessions.
    stock_activity : log of the level of a stock's contracts to an index's.
    """

    level_30: tuple[float, float]
    level_93: tuple[float, float]
    reversion: float
    term: tuple[float, float, float]
    index_skew: tuple[float, float, float, float]
    index_dividend_yield: float
    short_weight: float
    premium_share: float
    stock_skew: tuple[float, float, float]
    spread_shape: tuple[float, float, float]
    spread_index: tuple[float, float, float]
    spread_fund: float
    spread_stock: tuple[float, float, float]
    volume: tuple[float, ...]
    open_interest: tuple[float, ...]
    anchor: float
    stock_activity: float

    def spread(self, kind: str) -> np.ndarray:
        """Coefficients of `spread_kernel` for the listing programme `kind` (SPX, ETF, STOCK), with its least ticks."""
        years, volatility, middle = self.spread_shape
        scale, value, inside = self.spread_stock if kind == "STOCK" else self.spread_index
        scale += self.spread_fund if kind == "ETF" else 0.0
        inside += self.spread_fund if kind == "ETF" else 0.0
        ticks = (0.025, 0.05, 3.0) if kind == "SPX" else (0.005, 0.005, 3.0)
        return np.array([scale, value, years, volatility, inside, middle, *ticks])


#: What `python -m benchmarks calibrate_surface` printed.
FITTED = SurfaceScalars(
    level_30=(-0.0192, 0.9552),
    level_93=(-0.0167, 0.8933),
    reversion=4.0,
    term=(0.1001, 0.3025, 63.0),
    index_skew=(-0.7292, -0.2796, 0.3771, -0.1088),
    index_dividend_yield=0.0097,
    short_weight=0.2755,
    premium_share=0.7615,
    stock_skew=(-0.1829, 0.4318, 0.4766),
    spread_shape=(0.0801, 0.7101, 0.8656),
    spread_index=(-6.2699, 0.3548, -7.5094),
    spread_fund=-0.1764,
    spread_stock=(-5.2882, 0.471, -6.2464),
    volume=(7.293, 0.0792, -0.5883, -0.2245, -1.8719, -1.0889, 0.6238, 0.6008, 1.3429, 0.9597, 8.7349, 3.6686),
    open_interest=(6.4251, -0.2689, -0.0238, -0.6696, -0.5336, 1.4001, 0.9972),
    anchor=10.0,
    stock_activity=0.8235,
)
