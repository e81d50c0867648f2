"""The real chains as plain arrays: quotes with forward, discount and volatility, for fitting only."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measuring import ROOT

DATA = ROOT.parent / "shared" / "data"
CHAINS, MACRO = DATA / "chains", DATA / "macro"
HORIZON_DAYS = 130
STOCK_SESSIONS = ("2025-11-25", "2025-12-01", "2025-12-03", "2025-12-05")


@dataclass(frozen=True, eq=False)
class Chain:
    """One underlying at one moment; `quotes` holds a row per contract that has a forward.

    Columns: ``expiry``, ``days``, ``years``, ``strike``, ``right`` (+1, -1), ``bid``, ``ask``, ``mid``, ``volume``,
    ``open_interest``, ``forward``, ``discount``, ``iv``, ``x`` = ln(K/F) / (at-the-money deviation), ``atm``.
    `curve` is (m, 2): years and volatility at the money of each expiry.
    """

    name: str
    session: dt.date
    spot: float
    quotes: pl.DataFrame
    curve: np.ndarray

    def at_the_money(self, days: float) -> float:
        """Volatility at the money, interpolated in total variance."""
        years, volatility = self.curve.T
        return float(np.sqrt(np.interp(days / 365, years, volatility**2 * years) / (days / 365)))


def index_chains() -> list[Chain]:
    """The five SPX chains and, last, the SPY chain, as CBOE's quote tables say."""
    from openbell.market.providers.cboe_chain import cboe_chain

    places = sorted((CHAINS / "cboe").glob("*.csv.gz"), key=lambda place: (place.name.startswith("spy"), place.name))
    spots = pl.read_csv(MACRO / "SPX_daily.csv").select(pl.col("Date").str.to_date(), "Close")
    known = dict(spots.iter_rows())
    found = []
    for place in places:
        rows = cboe_chain(place).quotes
        session = rows["session"][0]
        spot = rows["spot"][0] or known[session]
        found.append(_chain(place.name.split(".")[0], rows, session, spot))
    return [chain for chain in found if chain is not None]


def stock_chains() -> list[Chain]:
    """The chains of ten stocks on four sessions; neither the holiday's copy of the day before nor the half-day."""
    from openbell.market.providers.yahoo_chain import yahoo_chain

    rows = yahoo_chain(next(CHAINS.glob("yahoo_*.parquet"))).quotes
    rows = rows.filter(pl.col("session").cast(pl.String).is_in(STOCK_SESSIONS))
    found = []
    for (name, session), group in rows.group_by("underlying", "session", maintain_order=True):
        latest = group.filter(pl.col("quote_at") == pl.col("quote_at").min())
        found.append(_chain(f"{name} {session}", latest, session, latest["spot"][0]))
    return [chain for chain in found if chain is not None]


def _chain(name: str, rows: pl.DataFrame, session: dt.date, spot: float) -> Chain | None:
    rows = rows.with_columns(
        (pl.col("expiry") - pl.col("session")).dt.total_days().alias("days"),
        pl.when(pl.col("right") == "CALL").then(1).otherwise(-1).alias("right"),
        pl.col("volume", "open_interest").fill_null(0.0),
    ).filter(pl.col("days").is_between(1, 400))
    # The open is 6.5 hours before the close that all these quotes are of, or nearly.
    rows = rows.with_columns(
        (pl.col("days") - pl.when(pl.col("settlement") == "AM").then(6.5 / 24).otherwise(0.0)).alias("T")
    )
    rows = rows.with_columns((pl.col("T") / 365).alias("years"), ((pl.col("bid") + pl.col("ask")) / 2).alias("mid"))
    rows = rows.unique(["root", "expiry", "strike", "right"], keep="first", maintain_order=True)
    parts = [_priced(part) for part in rows.partition_by("root", "expiry", maintain_order=True)]
    parts = [part for part in parts if part is not None]
    if not parts:
        return None
    quotes = pl.concat(parts)
    curve = _curve(quotes)
    if len(curve) < 5:
        return None
    years = quotes["years"].to_numpy()
    variance = np.interp(years, curve[:, 0], curve[:, 1] ** 2 * curve[:, 0])
    first = curve[0, 1] ** 2 * years
    deviation = np.sqrt(np.where(years < curve[0, 0], first, variance))
    quotes = quotes.with_columns(
        pl.Series("atm", deviation / np.sqrt(years)),
        pl.Series("x", np.log(quotes["strike"].to_numpy() / quotes["forward"].to_numpy()) / deviation),
    )
    return Chain(name, session, float(spot), quotes, curve)


def _priced(part: pl.DataFrame) -> pl.DataFrame | None:
    """The contracts of one expiry with forward, discount (parity near the money) and the volatility of the mid."""
    live = part.filter((pl.col("bid") > 0) & (pl.col("ask") > pl.col("bid")))
    calls, puts = (live.filter(pl.col("right") == right) for right in (1, -1))
    pairs = calls.join(puts, on="strike", suffix="_put").sort("strike")
    if pairs.height < 5:
        return None
    strike, gap = pairs["strike"].to_numpy(), (pairs["mid"] - pairs["mid_put"]).to_numpy()
    width = (pairs["ask"] - pairs["bid"] + pairs["ask_put"] - pairs["bid_put"]).to_numpy() + 0.02
    near = np.abs(strike / strike[np.argmin(np.abs(gap))] - 1) < 0.12
    if near.sum() < 5:
        return None
    strike, gap, weight = strike[near], gap[near], 1 / width[near]
    robust = weight
    for _ in range(6):
        slope, start = np.polyfit(strike, gap, 1, w=robust)
        missed = np.abs(gap - start - slope * strike)
        robust = weight * np.minimum(1, 2 * (np.median(missed) + 1e-3) / np.maximum(missed, 1e-9))
    forward, discount = start / -slope, -slope
    if not (0.5 < discount < 1.2):
        return None
    volatility = _volatility(part, forward, discount)
    return part.with_columns(
        pl.lit(forward).alias("forward"), pl.lit(discount).alias("discount"), pl.Series("iv", volatility)
    )


def _volatility(part: pl.DataFrame, forward: float, discount: float) -> np.ndarray:
    """Volatility of each mid by halving; NaN without a bid or a solution."""
    from scipy.special import ndtr

    right, strike = part["right"].to_numpy().astype(float), part["strike"].to_numpy()
    price = part["mid"].to_numpy() / discount
    low, high = np.full(len(price), 1e-4), np.full(len(price), 8.0)
    root = np.sqrt(part["years"].to_numpy())
    for _ in range(50):
        middle = 0.5 * (low + high)
        d1 = np.log(forward / strike) / (middle * root) + 0.5 * middle * root
        value = right * (forward * ndtr(right * d1) - strike * ndtr(right * (d1 - middle * root)))
        under = value < price
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    solved = (price > np.maximum(right * (forward - strike), 0.0)) & (part["bid"].to_numpy() > 0)
    return np.where(solved, 0.5 * (low + high), np.nan)


def out_of_the_money(quotes: pl.DataFrame) -> pl.DataFrame:
    """Quotes with a volatility on the side that has no intrinsic value."""
    outside = (pl.col("right") == 1) == (pl.col("strike") >= pl.col("forward"))
    return quotes.filter(outside & pl.col("iv").is_finite() & (pl.col("ask") > pl.col("bid")))


def _curve(quotes: pl.DataFrame) -> np.ndarray:
    """Years and volatility at the money of each expiry, from a parabola through the quotes near the forward."""
    found = []
    for part in out_of_the_money(quotes).partition_by("root", "expiry", maintain_order=True):
        years = part["years"][0]
        k, iv = np.log(part["strike"].to_numpy() / part["forward"].to_numpy()), part["iv"].to_numpy()
        near = np.abs(k) < 0.6 * iv[np.argmin(np.abs(k))] * np.sqrt(years)
        if near.sum() >= 4:
            found.append((years, np.polyfit(k[near], iv[near], 2)[2]))
    return np.array(sorted(found)).reshape(-1, 2)


def series(place: Path, date: str, value: str) -> pl.DataFrame:
    """``session`` and ``value`` out of one of the files of daily values; a day without one is left out."""
    frame = pl.read_csv(place, infer_schema_length=None)
    return frame.select(
        pl.col(date).str.to_date().alias("session"), pl.col(value).cast(pl.Float64, strict=False).alias("value")
    ).drop_nulls()
