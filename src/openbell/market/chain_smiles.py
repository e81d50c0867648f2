"""Smiles and the surface of one underlying and moment, fitted to quotes that `chain_pricing` has priced."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.quant import ssvi, svi
from openbell.quant.carry import carry, implied_spot

#: What has one smile.
SLICE = ("expiry", "root", "settlement")
#: Shorter expiries are all gamma and no smile; the surface leaves them out.
SHORTEST_YEARS = 1.5 / 365
#: A smile is not asked to lie closer to a mid than this, in volatility.
CLOSEST = 0.0005
_SMILES = {
    "underlying": pl.String, "quote_at": pl.Datetime("us", "UTC"), "expiry": pl.Date, "root": pl.String,
    "settlement": pl.String, "years": pl.Float64, "forward": pl.Float64, "a": pl.Float64, "b": pl.Float64,
    "rho": pl.Float64, "m": pl.Float64, "sigma": pl.Float64, "strikes": pl.Int64, "error": pl.Float64,
    "inside": pl.Float64, "least_butterfly": pl.Float64, "calendar_gap": pl.Float64, "constrained": pl.Boolean,
    "modelled": pl.Boolean, "reason": pl.String,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class FittedSurface:
    """One moment as the numbers of a row of `quant.surfaces.Surfaces`, and how well they fit.

    Attributes
    ----------
    spot : that the forwards run back to, in points (not the source's, which may be of another moment).
    rate, dividend_yield : per year, of the expiries up to half a year. parameters : (6,) of `quant.surface_kernel`.
    error : root mean square error in volatility, every expiry counting the same. expiry_years, expiry_error : (m,).
    quotes : how many were fitted. modelled : whether any of them was generated.
    """

    underlying: str
    session: dt.date
    quote_at: dt.datetime
    spot: float
    rate: float
    dividend_yield: float
    parameters: np.ndarray
    error: float
    expiry_years: np.ndarray
    expiry_error: np.ndarray
    quotes: int
    modelled: bool


def fitted_surface(priced: pl.DataFrame) -> FittedSurface:
    """The surface of the quotes of one underlying and moment.

    Parameters
    ----------
    priced : from `chain_pricing.priced`; out-of-the-money quotes with a volatility are fitted.

    Raises
    ------
    BadInput
        Several underlyings or moments.
    DataMissing
        Too few quotes with a volatility.
    """
    _one_moment(priced)
    rows = out_of_the_money(priced).filter(pl.col("years") >= SHORTEST_YEARS)
    if rows.is_empty():
        raise DataMissing(
            f"No quote of {priced['underlying'][0]} at {priced['quote_at'][0]:%Y-%m-%d %H:%M} UTC that lasts more than "
            "a day has a volatility; there is no surface."
        )
    fit = ssvi.fit_surface(*(rows[name].to_numpy() for name in ("k", "years", "iv", "half_width")))
    each = rows.group_by(SLICE).agg(pl.col("years", "forward", "discount").first()).sort("years", *SLICE)
    years, forward, discount = (each[name].to_numpy() for name in ("years", "forward", "discount"))
    spot = implied_spot(years, forward, discount, 1e-4 * forward)
    carried = carry(spot, years, forward, discount)
    return FittedSurface(
        underlying=priced["underlying"][0],
        session=priced["session"][0],
        quote_at=priced["quote_at"][0],
        spot=spot,
        rate=carried.rate,
        dividend_yield=carried.dividend_yield,
        parameters=fit.parameters,
        error=fit.error,
        expiry_years=fit.years,
        expiry_error=fit.expiry_error,
        quotes=fit.quotes,
        modelled=bool(rows["modelled"].any()),
    )


def smiles(priced: pl.DataFrame) -> pl.DataFrame:
    """One SVI slice per expiry of one underlying and moment, in order of maturity.

    Returns
    -------
    polars.DataFrame
        ``expiry``, ``root``, ``settlement``, ``years``, ``forward``; ``a``, ``b``, ``rho``, ``m``, ``sigma``; ``error``
        (root mean square, in volatility), ``inside`` (share of the fitted quotes whose bid and ask hold the slice, to
        first order in volatility), ``least_butterfly`` (of g), ``calendar_gap`` (how far, in volatility, the slice lies
        below the one before it at worst over the strikes quoted in both; 0 where nowhere), ``constrained`` (an
        arbitrage was fitted away), ``modelled``, and ``reason``, why there is no slice (then the numbers are null).
    """
    if priced.is_empty():
        return pl.DataFrame(schema=_SMILES)
    _one_moment(priced)
    rows = out_of_the_money(priced)
    out: list[dict[str, object]] = []
    before: tuple[svi.Svi, np.ndarray] | None = None
    terms = priced.select("underlying", "quote_at", *SLICE, "years", "forward").unique().sort("years", *SLICE)
    by_slice = rows.partition_by(SLICE, as_dict=True)
    for term in terms.iter_rows(named=True):
        chain = by_slice.get(tuple(term[name] for name in SLICE), rows.clear())
        try:
            numbers, before = _smile(chain, term["years"], before)
        except DataMissing as why:
            numbers = {"reason": _reason(term, str(why))}
        out.append({**term, **numbers})
    return pl.DataFrame(out, schema=_SMILES)


def out_of_the_money(priced: pl.DataFrame) -> pl.DataFrame:
    """Quotes with a volatility on the side of the forward that has no intrinsic value.

    Adds ``k``, ln(strike / forward), and ``half_width``, half the distance of bid and ask over vega: in volatility.
    """
    call = pl.col("right") == "CALL"
    return (
        priced.filter(pl.col("iv").is_not_null(), pl.col("vega") > 0, call == (pl.col("strike") >= pl.col("forward")))
        .with_columns(
            (pl.col("strike") / pl.col("forward")).log().alias("k"),
            ((pl.col("ask") - pl.col("bid")) / 2 / pl.col("vega")).alias("half_width"),
        )
        .sort("years", *SLICE, "strike")
    )


def _one_moment(priced: pl.DataFrame) -> None:
    moments = priced.select("underlying", "quote_at").unique()
    if moments.height != 1:
        raise BadInput(
            f"A surface is of one underlying at one moment; the quotes were of {moments.height}. Filter them first."
        )


def _smile(
    chain: pl.DataFrame, years: float, before: tuple[svi.Svi, np.ndarray] | None
) -> tuple[dict[str, object], tuple[svi.Svi, np.ndarray]]:
    """One row of `smiles`, and what the next slice must not cross, with the log-moneynesses it is quoted at."""
    k, sigma, half = (chain[name].to_numpy() for name in ("k", "iv", "half_width"))
    # Half-widths in total variance: w = sigma^2 T.
    width = 2.0 * sigma * years * np.maximum(half, CLOSEST)
    floor, between = (before[0], (float(before[1].min()), float(before[1].max()))) if before else (None, (0.0, 0.0))
    fit = svi.fit(k, sigma**2 * years, width**-2.0, years=years, floor=floor, floor_between=between)
    found = fit.slice
    missed = np.abs(np.sqrt(found.total_variance(k) / years) - sigma)
    row: dict[str, object] = {
        "a": found.a, "b": found.b, "rho": found.rho, "m": found.m, "sigma": found.sigma, "strikes": fit.strikes,
        "error": fit.error, "inside": float(np.mean(missed <= half)), "least_butterfly": found.least_butterfly,
        "calendar_gap": _calendar_gap(found, k, years, before), "constrained": fit.constrained,
        "modelled": bool(chain["modelled"].any()),
    }  # fmt: skip
    return row, (found, k)


def _calendar_gap(found: svi.Svi, k: np.ndarray, years: float, before: tuple[svi.Svi, np.ndarray] | None) -> float:
    if before is None:
        return 0.0
    low, high = max(k.min(), before[1].min()), min(k.max(), before[1].max())
    grid = np.linspace(low, high, 201)
    gap = np.sqrt(before[0].total_variance(grid) / years) - np.sqrt(found.total_variance(grid) / years)
    return max(float(gap.max()), 0.0)


def _reason(term: dict[str, object], why: str) -> str:
    if not float(str(term["years"])) > 0:
        return "The expiry was over at the moment of the quotes."
    return "Parity gives this expiry no forward." if term["forward"] is None else why
