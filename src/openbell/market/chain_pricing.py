"""What we derive from the quotes of one moment ourselves: years, forward and discount by parity, volatility, Greeks.

Nothing a vendor says of volatility is used. A contract without an answer has nulls, and its expiry a sentence.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.quotes import DERIVED, RECEIVED
from openbell.core.time import Sessions
from openbell.market.calendars import sessions
from openbell.market.chain_smiles import FittedSurface, fitted_surface, smiles
from openbell.market.contracts import with_expiry_moment
from openbell.quant.american_parity import Pairs, RateSource, american_together, spot_of
from openbell.quant.parity import Parity, intervals, together

__all__ = ["EXPIRY", "FittedSurface", "Priced", "fitted_surface", "price", "priced", "smiles"]

#: What contracts share a forward: one class at one moment and expiry.
EXPIRY = ("underlying", "quote_at", "root", "exercise", "settlement", "expiry")
_YEAR_SECONDS = 365 * 86_400
_DOUBLED = "doubled"
#: Step of the differences in maturity and volatility, as a share, and ten times that in the rate.
_SMALL = 1e-3
_GREEKS = ("delta", "gamma", "theta", "vega", "rho")


class Priced(NamedTuple):
    """`quotes` with what is derived, in the order they came; `expiries` one row per class, moment and expiry.

    Columns of `expiries`: those of ``EXPIRY``, ``years``, ``doubled`` (contracts that stand there more than once and
    say nothing), ``forward``, ``discount``, ``rate``, ``forward_low``, ``forward_high``, ``moved``, ``residual_bound``
    (as `quant.parity.Parity` has them), ``implied_spot``, ``rate_source`` (of `american_parity.RateSource`),
    ``strikes`` (used), ``rejected``, ``mids``, ``volatilities`` (contracts that have one) and ``reason`` (null where
    there is a forward).
    """

    quotes: pl.DataFrame
    expiries: pl.DataFrame


def priced(quotes: pl.DataFrame, calendar: Sessions | None = None, *, rate: float | None = None) -> pl.DataFrame:
    """`quotes` (columns of ``RECEIVED``, others are kept) with the columns of ``DERIVED``; see `price`."""
    return price(quotes, calendar, rate=rate).quotes


def price(quotes: pl.DataFrame, calendar: Sessions | None = None, *, rate: float | None = None) -> Priced:
    """Our own numbers for every quote.

    Forward and discount come from parity across the strikes of each expiry, the rates of all expiries of one underlying
    and moment smoothed together; American quotes are made European first. The volatility is that of the mid; the Greeks
    are per point of the spot that the forwards run back to, whatever spot the source names.

    Parameters
    ----------
    quotes : columns of ``RECEIVED``, any number of underlyings and moments.
    rate : known rate per year for American quotes, continuously compounded. Without it they take those of the European
        classes quoted at the same moment, else the one that their own quotes give (see `quant.american_parity`).
    calendar : whose closes and opens are the moments of expiry; New York's where not given.

    Raises
    ------
    BadInput
        A column is missing.
    """
    missing = [name for name in RECEIVED if name not in quotes.columns]
    if missing:
        raise BadInput(f"Quotes need the column `{missing[0]}` to be priced; they had {', '.join(quotes.columns)}.")
    rows = _timed(quotes.drop([name for name in DERIVED if name in quotes.columns]), calendar or sessions())
    table = _expiries(rows, rate)
    joined = rows.join(table.select(*EXPIRY, "forward", "discount", "implied_spot"), on=EXPIRY, how="left",
                       maintain_order="left", nulls_equal=True)  # fmt: skip
    derived = joined.with_columns(_derived(joined))
    counts = derived.group_by(EXPIRY).agg(
        pl.col("mid").count().alias("mids"), pl.col("iv").count().alias("volatilities")
    )
    table = table.join(counts, on=EXPIRY, how="left", nulls_equal=True)
    return Priced(derived.select(*quotes.drop(list(DERIVED), strict=False).columns, *DERIVED), table.sort(EXPIRY))


def _timed(quotes: pl.DataFrame, calendar: Sessions) -> pl.DataFrame:
    """Years to the moment of expiry, and the mid where there is a market."""
    seconds = (pl.col("expires_at") - pl.col("quote_at")).dt.total_microseconds() / 1e6
    market = (pl.col("bid") > 0) & (pl.col("ask") >= pl.col("bid")) & pl.col("ask").is_finite()
    return with_expiry_moment(quotes, calendar).with_columns(
        (seconds / _YEAR_SECONDS).alias("years"),
        pl.when(market).then((pl.col("bid") + pl.col("ask")) / 2).alias("mid"),
        pl.struct(*EXPIRY, "strike", "right").is_duplicated().alias(_DOUBLED),
    )


def _expiries(rows: pl.DataFrame, rate: float | None) -> pl.DataFrame:
    """One row per class, moment and expiry with its parity."""
    table = rows.group_by(EXPIRY, maintain_order=True).agg(
        pl.col("years").first(), pl.col(_DOUBLED).sum().cast(pl.Int64)
    )
    # European classes first: they know the rates of the moment.
    table = table.sort(
        "quote_at", "exercise", "underlying", "years", *EXPIRY, descending=[False, True, *[False] * (2 + len(EXPIRY))]
    ).with_row_index("at")
    single = rows.filter(~pl.col(_DOUBLED)).join(table.select(*EXPIRY, "at"), on=EXPIRY, nulls_equal=True)
    sides = [single.filter(pl.col("right") == right).select("at", "strike", "bid", "ask") for right in ("CALL", "PUT")]
    pairs = sides[0].join(sides[1], on=["at", "strike"], suffix="_put").sort("at", "strike")
    by_expiry = _split(pairs, table.height)
    found, spots, sources = _fits(table, by_expiry, rate)
    names = ("forward", "discount", "rate", "forward_low", "forward_high", "moved", "residual_bound")
    parity = {name: pl.Series([getattr(each, name) for each in found], dtype=pl.Float64) for name in names}
    return table.drop("at").with_columns(
        *(values.fill_nan(None).alias(name) for name, values in parity.items()),
        pl.Series("implied_spot", spots, dtype=pl.Float64).fill_nan(None),
        pl.Series("strikes", [each.strikes for each in found], dtype=pl.Int64),
        pl.Series("rejected", [each.rejected for each in found], dtype=pl.Int64),
        pl.Series("rate_source", sources, dtype=pl.String),
        pl.Series("reason", [each.why_not for each in found], dtype=pl.String),
    )


def _fits(
    table: pl.DataFrame, by_expiry: list[np.ndarray], rate: float | None
) -> tuple[list[Parity], list[float], list[str]]:
    """Parity, implied spot and source of the rate of each row of `table`, which has European classes first."""
    found: list[Parity] = []
    spots: list[float] = []
    sources: list[str] = []
    curves: dict[dt.datetime, tuple[np.ndarray, np.ndarray]] = {}
    for group in table.partition_by("quote_at", "exercise", "underlying", maintain_order=True):
        years = group["years"].fill_null(float("nan")).to_numpy()
        chains = [by_expiry[at] for at in group["at"]]
        moment = group["quote_at"][0]
        if group["exercise"][0] == "AMERICAN":
            fits, source, spot = american_together(
                [_pairs(each) for each in chains], years, _known(years, rate, curves.get(moment))
            )
        else:
            fits, source = together([intervals(*each) for each in chains], years), RateSource.PARITY
            spot = spot_of(years, fits)
            good = np.array([each.why_not is None for each in fits])
            if good.sum() > len(curves.get(moment, ((), ()))[0]):
                curves[moment] = years[good], np.array([each.rate for each in fits])[good]
        found += fits
        spots += [spot] * len(fits)
        sources += [source.value] * len(fits)
    return found, spots, sources


def _known(years: np.ndarray, rate: float | None, curve: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray | None:
    """Rates from outside for American classes: the caller's, or of the European class with the most expiries."""
    if rate is not None:
        return np.full(len(years), rate)
    if curve is None or len(curve[0]) == 0:
        return None
    order = np.argsort(curve[0])
    return np.interp(years, curve[0][order], curve[1][order])


def _split(pairs: pl.DataFrame, count: int) -> list[np.ndarray]:
    """Strike, call bid and ask, put bid and ask of each expiry, (5, n), NaN for null."""
    names = ("strike", "bid", "ask", "bid_put", "ask_put")
    columns = [np.asarray(pairs[name].fill_null(float("nan")).to_numpy(), dtype=np.float64) for name in names]
    cuts = np.searchsorted(pairs["at"].to_numpy(), np.arange(1, count))
    return np.split(np.stack(columns), cuts, axis=1)


def _pairs(chain: np.ndarray) -> Pairs:
    """Mids of the strikes that parity can use."""
    rows = intervals(*chain)
    strike, call_bid, call_ask, put_bid, put_ask = chain[:, np.searchsorted(chain[0], rows.strike)]
    return Pairs(strike, 0.5 * (call_bid + call_ask), 0.5 * (put_bid + put_ask), rows.half_width)


def _derived(rows: pl.DataFrame) -> list[pl.Series]:
    """Volatility and Greeks; null where there is none."""
    right = np.where(rows["right"].to_numpy() == "CALL", 1, -1).astype(np.int8)
    number = {
        name: np.array(rows[name].fill_null(float("nan")).to_numpy(), dtype=np.float64)
        for name in ("mid", "strike", "years", "forward", "discount", "implied_spot")
    }
    out = {name: np.full(rows.height, np.nan) for name in ("iv", *_GREEKS)}
    asked = np.isfinite(np.sum(list(number.values()), axis=0)) & (number["years"] > 0)
    style = rows["exercise"].to_numpy() == "AMERICAN"
    for mine, derive in ((asked & ~style, _european_row), (asked & style, _american_row)):
        if mine.any():
            for name, values in derive(right[mine], **{n: v[mine] for n, v in number.items()}).items():
                out[name][mine] = values
    return [pl.Series(name, values).fill_nan(None) for name, values in out.items()]


def _european_row(right: np.ndarray, **n: np.ndarray) -> dict[str, np.ndarray]:
    from openbell.quant import black, implied_volatility

    terms = (right, n["forward"], n["strike"], n["years"])
    iv = implied_volatility.implied_volatilities(n["mid"], *terms, n["discount"]).volatility
    found = black.forward_greeks(*terms, iv, n["discount"], n["implied_spot"])
    return {"iv": iv, **{name: np.where(np.isnan(iv), np.nan, getattr(found, name)) for name in _GREEKS}}


def _american_row(right: np.ndarray, **n: np.ndarray) -> dict[str, np.ndarray]:
    """As for European quotes, the Greeks by differences of the American value, which is smooth: mids are the value."""
    from openbell.quant import american

    strike, years, spot = n["strike"], n["years"], n["implied_spot"]
    rate = -np.log(n["discount"]) / years
    paid = rate - np.log(n["forward"] / spot) / years
    iv = american.american_implied_volatilities(n["mid"], right, spot, strike, years, rate, paid).volatility
    out = {name: np.full(len(iv), np.nan) for name in _GREEKS}
    had = np.isfinite(iv)
    base = {"spot": spot, "years": years, "volatility": iv, "rate": rate, "dividend_yield": paid}
    base = {name: values[had] for name, values in base.items()}

    def value(**moved: np.ndarray) -> np.ndarray:
        return np.asarray(american.american_prices(right[had], strike=strike[had], **{**base, **moved}))

    here = n["mid"][had]

    def slope(name: str, step: np.ndarray) -> np.ndarray:
        return (value(**{name: base[name] + step}) - here) / step

    step = base["spot"] * np.clip(0.1 * base["volatility"] * np.sqrt(base["years"]), 1e-4, 0.01)
    up, down = value(spot=base["spot"] + step), value(spot=base["spot"] - step)
    out["delta"][had] = (up - down) / (2.0 * step)
    out["gamma"][had] = (up - 2.0 * here + down) / step**2
    out["theta"][had] = -slope("years", -_SMALL * base["years"]) / 365.0
    out["vega"][had] = slope("volatility", _SMALL * base["volatility"])
    out["rho"][had] = slope("rate", np.full(len(here), _SMALL / 10.0))
    return {"iv": iv, **out}
