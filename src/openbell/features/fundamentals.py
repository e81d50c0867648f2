"""Fundamentals, point in time: ratios of the latest statement known, usable from the day after its filing.

Flows of a year come from the latest annual statement; quarters are never added up, because filings state the cash flow
of a quarter since the start of the year. Around a filing (two days) all of them are null.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import ratio, raw_close
from openbell.quant.statements import annual, filed, growth, quarter_before, year_before

_revenues, _net_income = pl.col("revenues"), pl.col("net_income")
_equity, _assets = pl.col("equity"), pl.col("assets")
_current_liabilities = pl.col("cur_liab")
_annual_eps = filed("annual_eps", annual(pl.col("eps_diluted")))
_annual_net_income = filed("annual_net_income", annual(_net_income))
_annual_revenues = filed("annual_revenues", annual(_revenues))
_annual_operating_cash_flow = filed("annual_operating_cash_flow", annual(pl.col("cash_flow_op")))
#: Diluted shares by the report's own earnings; under 0.10 USD a share the rounding of the figure exceeds 5 %.
_shares = filed("diluted_shares", ratio(_annual_net_income, pl.when(_annual_eps.abs() >= 0.10).then(_annual_eps)))
_market_value = raw_close * _shares


def _positive(x: pl.Expr) -> pl.Expr:
    return pl.when(x > 0).then(x)


@feature(reads="fundamentals", unit="ratio")
def price_to_earnings() -> pl.Expr:
    """Price over the diluted earnings per share of the latest year; null for a loss.

    References
    ----------
    Basu (1977), Journal of Finance 32, 663-682.
    """
    return ratio(raw_close, _positive(_annual_eps))


@feature(reads="fundamentals", unit="fraction")
def earnings_yield() -> pl.Expr:
    """Diluted earnings per share of the latest year over the price; negative for a loss.

    References
    ----------
    Basu (1977), Journal of Finance 32, 663-682.
    """
    return ratio(_annual_eps, raw_close)


@feature(reads="fundamentals", unit="ratio")
def price_to_book() -> pl.Expr:
    """Market value (price times implied diluted shares) over equity; null where equity is not positive.

    References
    ----------
    Fama and French (1992), Journal of Finance 47, 427-465.
    """
    return ratio(_positive(_market_value), _positive(_equity))


@feature(reads="fundamentals", unit="ratio")
def price_to_sales() -> pl.Expr:
    """Market value (price times implied diluted shares) over the revenues of the latest year.

    References
    ----------
    Barbee, Mukherji and Raines (1996), Financial Analysts Journal 52, 56-60.
    """
    return ratio(_positive(_market_value), _positive(_annual_revenues))


@feature(reads="fundamentals", unit="ratio")
def ev_to_ebitda() -> pl.Expr:
    """Market value plus debt less cash over EBITDA; needs the columns `total_debt` and `ebitda`.

    References
    ----------
    Loughran and Wellman (2011), Journal of Financial and Quantitative Analysis 46, 1629-1650.
    """
    value = _positive(_market_value) + pl.col("total_debt") - pl.col("cash")
    return ratio(value, _positive(pl.col("ebitda")))


@feature(reads="fundamentals", unit="fraction")
def return_on_equity() -> pl.Expr:
    """Net income of the latest year over equity; null where equity is not positive.

    References
    ----------
    Haugen and Baker (1996), Journal of Financial Economics 41, 401-439.
    """
    return ratio(_annual_net_income, _positive(_equity))


@feature(reads="fundamentals", unit="fraction")
def return_on_assets() -> pl.Expr:
    """Net income of the latest year over assets.

    References
    ----------
    Piotroski (2000), Journal of Accounting Research 38, 1-41.
    """
    return ratio(_annual_net_income, _positive(_assets))


@feature(reads="fundamentals", unit="ratio")
def liabilities_to_equity() -> pl.Expr:
    """Assets less equity, over equity; null where equity is not positive.

    References
    ----------
    Bhandari (1988), Journal of Finance 43, 507-528.
    """
    return ratio(_assets - _equity, _positive(_equity))


@feature(reads="fundamentals", unit="ratio")
def current_ratio() -> pl.Expr:
    """Current assets over current liabilities.

    References
    ----------
    Piotroski (2000), Journal of Accounting Research 38, 1-41.
    """
    return ratio(pl.col("cur_assets"), _positive(_current_liabilities))


@feature(reads="fundamentals", unit="ratio")
def quick_ratio() -> pl.Expr:
    """Current assets less inventory over current liabilities; needs the column `inventory`.

    References
    ----------
    Ou and Penman (1989), Journal of Accounting and Economics 11, 295-329.
    """
    return ratio(pl.col("cur_assets") - pl.col("inventory"), _positive(_current_liabilities))


@feature(reads="fundamentals", unit="ratio")
def cash_ratio() -> pl.Expr:
    """Cash over current liabilities.

    References
    ----------
    Ou and Penman (1989), Journal of Accounting and Economics 11, 295-329.
    """
    return ratio(pl.col("cash"), _positive(_current_liabilities))


@feature(reads="fundamentals", unit="fraction")
def net_margin() -> pl.Expr:
    """Net income over revenues, both of the latest statement.

    References
    ----------
    Soliman (2008), The Accounting Review 83, 823-853.
    """
    return ratio(_net_income, _positive(_revenues))


@feature(reads="fundamentals", unit="fraction")
def operating_margin() -> pl.Expr:
    """Operating income over revenues, both of the latest statement.

    References
    ----------
    Soliman (2008), The Accounting Review 83, 823-853.
    """
    return ratio(pl.col("op_income"), _positive(_revenues))


@feature(reads="fundamentals", unit="ratio")
def cash_quality() -> pl.Expr:
    """Operating cash flow over net income, both of the latest year; null for a loss.

    References
    ----------
    Sloan (1996), The Accounting Review 71, 289-315.
    """
    return ratio(_annual_operating_cash_flow, _positive(_annual_net_income))


@feature(reads="fundamentals", unit="fraction", name="{item}_growth_yoy", over={"item": ("revenue", "net_income")})
def growth_over_year(item: str) -> pl.Expr:
    """Growth against the statement of the same period a year before; null where that was not positive.

    References
    ----------
    Lakonishok, Shleifer and Vishny (1994), Journal of Finance 49, 1541-1578.
    """
    now = {"revenue": _revenues, "net_income": _net_income}[item]
    return growth(now, year_before(now))


@feature(reads="fundamentals", unit="fraction")
def operating_cash_flow_growth_yoy() -> pl.Expr:
    """Growth of the operating cash flow since the start of the year against the same period a year before.

    References
    ----------
    Lakonishok, Shleifer and Vishny (1994), Journal of Finance 49, 1541-1578.
    """
    return growth(pl.col("cash_flow_op"), year_before(pl.col("cash_flow_op")))


@feature(reads="fundamentals", unit="fraction", name="{item}_growth_qoq", over={"item": ("revenue", "net_income")})
def growth_over_quarter(item: str) -> pl.Expr:
    """Growth against the quarter before, where both statements cover a quarter; null where that was not positive.

    References
    ----------
    Jegadeesh and Livnat (2006), Journal of Accounting and Economics 41, 147-171.
    """
    now = {"revenue": _revenues, "net_income": _net_income}[item]
    return growth(now, quarter_before(now))
