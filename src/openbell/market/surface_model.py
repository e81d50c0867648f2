"""Volatility surfaces of sessions that no chain was kept of: six numbers a day, driven by the underlying and the VIX.

Index (SPX, SPY, XSP). The VIX is the rate of a 30-day variance swap, which stands above the volatility at the money by
what the skew is worth: ``a30 = level_30 . (1, VIX)``, ``a93 = level_93 . (1, VIX3M)``. Without a VIX3M of that day the
log ratio of VIX3M to VIX is a constant and a pull to the VIX's own past mean. The two variances at the money fix SHORT
and LONG for the fitted REVERSION; rho and gamma follow the level; eta is the largest that is free of arbitrage.

Any other underlying. No chain with a history of its underlying was at hand, so its level rests on an argument: the
volatility at the money is the underlying's own realised one, raised by the share ``premium_share`` of what the market's
implied volatility stands above the market's realised one, the share at which it best foretells realised volatility of
stocks. Its skew is that of ten stocks, its slope over time the market's.

Everything of a session is made of rows up to that session; rates are those published before it. How the scalars were
fitted, and the errors out of sample, stand in `surface_scalars`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from openbell.core.errors import BadInput, DataMissing
from openbell.market.surface_scalars import FITTED, SurfaceScalars
from openbell.quant.listing import programme, strike_increment
from openbell.quant.surfaces import Surfaces

Floats = NDArray[np.float64]

#: Underlyings whose own volatility index the VIX is.
OF_THE_VIX = frozenset({"SPX", "SPY", "XSP"})
NEAR_YEARS, FAR_YEARS = 30 / 365, 93 / 365
#: Half-lives of the two realised variances that are mixed, sessions, and the returns needed before there is one.
HALF_LIVES = (21.0, 126.0)
FEWEST_RETURNS = 126
SESSIONS_PER_YEAR = 252
#: A surface's short variance is at least this share of the 30-day one, its long variance of the 93-day one.
LEAST_SHORT, LEAST_LONG = 0.1, 0.25
STEEPEST_REVERSION, FLATTEST_REVERSION = 400.0, 0.01
#: A return that no stock makes without a split, in logs.
JUMP = 0.65


@dataclass(frozen=True, slots=True, eq=False)
class Modelled:
    """`surfaces` of every session of the bars; `notes` says of each one that has no surface why (session, reason).

    `remarks` are sentences on all of them: what stood in for something that was not given, and on how many sessions.
    """

    surfaces: Surfaces
    notes: pl.DataFrame
    remarks: tuple[str, ...]


def modelled_surfaces(
    underlying: str,
    bars: pl.DataFrame,
    vix: pl.DataFrame,
    vix3m: pl.DataFrame | None = None,
    rates: pl.DataFrame | None = None,
    *,
    market: pl.DataFrame | None = None,
    scalars: SurfaceScalars = FITTED,
) -> Surfaces:
    """The surfaces alone; see `modelled`."""
    return modelled(underlying, bars, vix, vix3m, rates, market=market, scalars=scalars).surfaces


def modelled(
    underlying: str,
    bars: pl.DataFrame,
    vix: pl.DataFrame,
    vix3m: pl.DataFrame | None = None,
    rates: pl.DataFrame | None = None,
    *,
    market: pl.DataFrame | None = None,
    scalars: SurfaceScalars = FITTED,
) -> Modelled:
    """One modelled surface per session of `bars`, causal: row i uses what was known at the close of session i.

    Parameters
    ----------
    bars : ``session``, ``open``, ``close`` as traded; ``adjusted`` (for splits), where there is one, is what realised
        volatility is measured on.
    vix, vix3m : ``session``, ``close``, in points (20 is 20 %). A session without a VIX gets no surface; one without a
        VIX3M the fitted term structure.
    rates : ``session``, ``rate`` per year, continuously compounded; the newest from before the session is taken.
        Without rates the forward is the spot.
    market : bars of the index that the VIX is of, for every underlying but SPX, SPY and XSP.

    Returns
    -------
    Modelled
        Rows of NaN where there is no surface, each with its sentence.

    Raises
    ------
    BadInput
        On a column that is missing, sessions that do not rise, or a price that is not above 0.
    DataMissing
        Where `market` is needed and was not given.
    """
    rows = _bars(bars, underlying)
    index = _volatility_index(vix, vix3m, scalars)
    days = rows.select("session").join(index, on="session", how="left", maintain_order="left")
    near, far = _at_the_money(days, scalars)
    reasons = _reasons(days, near, rows["close"].is_null().to_numpy())
    remarks = _remarks(days, vix3m)
    name = underlying.upper()
    if name not in OF_THE_VIX:
        if market is None:
            raise DataMissing(
                f"{name} has no volatility index of its own here: its surfaces need the bars of the `market` that the "
                f"VIX is of. Valid without are: {', '.join(sorted(OF_THE_VIX))}."
            )
        near, far, reasons = _of_its_own(rows, _bars(market, "the market"), near, far, reasons, scalars)
        remarks += (f"The level of {name} is its own realised volatility, scaled by the market's premium.",)
        remarks += _jumps(rows, name)
    parameters = np.column_stack([*reverting(near**2, far**2, scalars.reversion), *_skew(name, near, scalars)])
    broken = np.isnan(parameters).any(axis=1) & (reasons == "")
    reasons[broken] = "The volatilities of 30 and 93 days have no variance between them that is above 0."
    parameters[reasons != ""] = np.nan
    rate, paid, told = _carry(rows["session"], rates, name, scalars)
    notes = pl.DataFrame({"session": rows["session"], "reason": reasons}).filter(pl.col("reason") != "")
    return Modelled(_surfaces(rows, name, rate, paid, parameters, scalars), notes, (*remarks, *told))


def reverting(near: Floats, far: Floats, reversion: float) -> tuple[Floats, Floats, Floats]:
    """SHORT, LONG and REVERSION of a surface whose variances per year at 30 and 93 days are `near` and `far`.

    ``v(T) = long + (short - long) w(T)`` with ``w = (1 - exp(-kT)) / (kT)``. The reversion k is the one given, faster
    where `long` would fall under a quarter of `far`, slower where `short` would fall under a tenth of `near`. NaN where
    no reversion does it.

    Parameters
    ----------
    near, far : (n,) above 0. reversion : per year.

    Returns
    -------
    Three arrays (n,).
    """
    pull = np.full(np.shape(near), float(reversion))
    short, long = _ends(near, far, pull)
    low, high = pull.copy(), np.full_like(pull, STEEPEST_REVERSION)
    for _ in range(60):
        middle = np.sqrt(low * high)
        enough = _ends(near, far, middle)[1] >= LEAST_LONG * far
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    pull = np.where(long < LEAST_LONG * far, high, pull)
    low, high = np.full_like(pull, FLATTEST_REVERSION), np.full_like(pull, float(reversion))
    for _ in range(60):
        middle = np.sqrt(low * high)
        enough = _ends(near, far, middle)[0] >= LEAST_SHORT * near
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    pull = np.where(short < LEAST_SHORT * near, low, pull)
    short, long = _ends(near, far, pull)
    # Half a bit of the search may be missing at the bound itself.
    good = (short >= 0.99 * LEAST_SHORT * near) & (long >= 0.99 * LEAST_LONG * far)
    return np.where(good, short, np.nan), np.where(good, long, np.nan), np.where(good, pull, np.nan)


def _ends(near: Floats, far: Floats, pull: Floats) -> tuple[Floats, Floats]:
    soon, late = (-np.expm1(-pull * years) / (pull * years) for years in (NEAR_YEARS, FAR_YEARS))
    slope = (near - far) / (soon - late)
    long = near - slope * soon
    return long + slope, long


def realised_volatility(closes: Floats, weight: float) -> Floats:
    """Annualised realised volatility: a log mix of two exponentially weighted variances, (n,), NaN while too young.

    `weight` is that of the shorter one. A missing close is no return; the returns beside it are left out.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        returns = np.diff(np.log(closes), prepend=np.nan)
    squares = pl.Series(returns**2).fill_nan(None)
    young = squares.is_not_null().cum_sum().to_numpy() < FEWEST_RETURNS
    mixed = np.zeros(len(closes))
    for share, half_life in zip((weight, 1.0 - weight), HALF_LIVES, strict=True):
        variance = squares.ewm_mean(half_life=half_life, adjust=True, ignore_nulls=True).to_numpy() * SESSIONS_PER_YEAR
        with np.errstate(divide="ignore", invalid="ignore"):
            mixed += share * 0.5 * np.log(variance)
    found = np.where(young | ~np.isfinite(mixed) | ~np.isfinite(closes), np.nan, np.exp(mixed))
    return np.asarray(found, dtype=np.float64)


def _bars(bars: pl.DataFrame, whose: str) -> pl.DataFrame:
    rows = _columns(bars, ("session", "open", "close"), f"bars of {whose}")
    rows = rows if "adjusted" in rows.columns else rows.with_columns(pl.col("close").alias("adjusted"))
    rows = rows.select(
        pl.col("session").cast(pl.Date), *(pl.col(c).cast(pl.Float64) for c in ("open", "close", "adjusted"))
    )
    if (
        rows.height == 0
        or rows["session"].null_count()
        or not bool((rows["session"].diff().drop_nulls() > dt.timedelta(0)).all())
    ):
        raise BadInput(f"The sessions of the bars of {whose} must rise strictly, and there must be some.")
    bad = rows.filter((pl.col("close") <= 0) | (pl.col("open") <= 0) | (pl.col("adjusted") <= 0))
    if bad.height:
        raise BadInput(f"A price of {whose} must be above 0; that of {bad['session'][0]} was not.")
    return rows


def _columns(frame: pl.DataFrame, names: tuple[str, ...], what: str) -> pl.DataFrame:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise BadInput(f"The {what} need the column `{missing[0]}`; they had {', '.join(frame.columns)}.")
    return frame


def _series(frame: pl.DataFrame | None, name: str, what: str) -> pl.DataFrame:
    """``session`` and `name`, rising, nulls and NaN left out (they are no value of that day)."""
    if frame is None:
        return pl.DataFrame(schema={"session": pl.Date, name: pl.Float64})
    column = "rate" if name == "rate" else "close"
    rows = _columns(frame, ("session", column), what).select(
        pl.col("session").cast(pl.Date), pl.col(column).cast(pl.Float64).fill_nan(None).alias(name)
    )
    if rows["session"].is_duplicated().any():
        raise BadInput(f"The {what} have two values of {rows.filter(pl.col('session').is_duplicated())['session'][0]}.")
    return rows.drop_nulls().sort("session")


def _volatility_index(vix: pl.DataFrame, vix3m: pl.DataFrame | None, scalars: SurfaceScalars) -> pl.DataFrame:
    """``session``, ``near``, ``far`` (both per year) and whether `far` is ``fitted``."""
    near = _series(vix, "near", "values of the VIX")
    bad = near.filter(pl.col("near") <= 0)
    if bad.height:
        raise BadInput(
            f"The VIX must be above 0; that of {bad['session'][0]} was {bad['near'][0]}. Leave such a day out."
        )
    constant, pull, half_life = scalars.term
    mean = pl.col("near").log().ewm_mean(half_life=half_life, adjust=True)
    fitted = pl.col("near") * (constant + pull * (mean - pl.col("near").log())).exp()
    joined = near.with_columns(fitted.alias("reverting")).join(
        _series(vix3m, "quoted", "values of the VIX3M"), on="session", how="left", maintain_order="left"
    )
    return joined.select(
        "session",
        pl.col("near") / 100,
        (pl.coalesce("quoted", "reverting") / 100).alias("far"),
        pl.col("quoted").is_null().alias("fitted"),
    )


def _at_the_money(days: pl.DataFrame, scalars: SurfaceScalars) -> tuple[Floats, Floats]:
    levels = []
    for column, (constant, slope) in (("near", scalars.level_30), ("far", scalars.level_93)):
        index = np.asarray(days[column].fill_null(float("nan")).to_numpy(), dtype=np.float64)
        level = constant + slope * index
        levels.append(np.where(level > 0, level, np.nan))
    return levels[0], levels[1]


def _reasons(days: pl.DataFrame, near: Floats, unpriced: np.ndarray) -> np.ndarray:
    missing = days["near"].is_null().to_numpy()
    reasons = np.where(np.isnan(near), "The VIX is too low for the fitted level.", "").astype(object)
    reasons[missing] = "There is no VIX of that session; it is never carried over from another day."
    reasons[unpriced] = "There is no close of that session."
    return reasons


def _remarks(days: pl.DataFrame, vix3m: pl.DataFrame | None) -> tuple[str, ...]:
    fitted = int(days["fitted"].sum())
    if not fitted:
        return ()
    why = "there is no VIX3M" if vix3m is None else "the VIX3M has no value of that day"
    return (f"The term structure of {fitted} of {days.height} sessions is the fitted one, because {why}.",)


def _jumps(rows: pl.DataFrame, name: str) -> tuple[str, ...]:
    jumped = rows.filter(pl.col("adjusted").log().diff().abs() > JUMP)
    if jumped.height == 0:
        return ()
    return (
        f"The close of {name} jumps by more than {np.expm1(JUMP):.0%} on {jumped.height} sessions, first on "
        f"{jumped['session'][0]}: hand in `adjusted` closes if that is a split.",
    )


def _of_its_own(
    rows: pl.DataFrame, market: pl.DataFrame, near: Floats, far: Floats, reasons: np.ndarray, scalars: SurfaceScalars
) -> tuple[Floats, Floats, np.ndarray]:
    """Volatilities at the money of an underlying without an index: its realised one and the market's premium."""
    own = realised_volatility(rows["adjusted"].fill_null(float("nan")).to_numpy(), scalars.short_weight)
    theirs = pl.DataFrame(
        {
            "session": market["session"],
            "realised": realised_volatility(
                market["adjusted"].fill_null(float("nan")).to_numpy(), scalars.short_weight
            ),
        }
    )
    beside = rows.select("session").join(theirs, on="session", how="left", maintain_order="left")["realised"]
    realised = np.asarray(beside.fill_null(float("nan")).to_numpy(), dtype=np.float64)
    level = own * (near / realised) ** scalars.premium_share
    told = reasons.copy()
    told[(told == "") & np.isnan(own)] = f"Its realised volatility needs {FEWEST_RETURNS} returns up to that session."
    told[(told == "") & np.isnan(realised)] = (
        f"The market's realised volatility needs a close of that session and {FEWEST_RETURNS} returns up to it."
    )
    return level, level * far / near, told


def _skew(name: str, near: Floats, scalars: SurfaceScalars) -> tuple[Floats, Floats, Floats]:
    """RHO, ETA and GAMMA of each session; always ``eta (1 + |rho|) <= 2`` and ``gamma <= 1/2``."""
    if name in OF_THE_VIX:
        tilt, tilt_slope, decay, decay_slope = scalars.index_skew
        depth = np.log(near / 0.2)
        rho = np.tanh(tilt + tilt_slope * depth)
        share, gamma = 1.0, np.clip(decay + decay_slope * depth, 0.05, 0.5)
    else:
        fixed, share, decay = scalars.stock_skew
        rho, gamma = np.where(np.isnan(near), np.nan, fixed), np.where(np.isnan(near), np.nan, decay)
    return rho, 2.0 * share / (1.0 + np.abs(rho)), gamma


def _carry(
    sessions: pl.Series, rates: pl.DataFrame | None, name: str, scalars: SurfaceScalars
) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Rate and dividend yield of each session, and what to say of them."""
    if rates is None:
        none = np.zeros(len(sessions))
        return none, none.copy(), ("No rates were given: every forward is the spot and nothing is discounted.",)
    known = _series(rates, "rate", "rates")
    asked = pl.DataFrame({"session": sessions})
    found = asked.join_asof(known, on="session", strategy="backward", allow_exact_matches=False)["rate"]
    early = int(found.null_count())
    told = (f"{early} sessions lie before the first rate; theirs is 0.",) if early else ()
    rate = np.asarray(found.fill_null(0.0).to_numpy(), dtype=np.float64)
    indexed = name in OF_THE_VIX
    paid = np.where(found.is_null().to_numpy() | (not indexed), 0.0, scalars.index_dividend_yield)
    return rate, paid, told if indexed else (*told, f"The dividend yield of {name} is taken as 0.")


def _surfaces(
    rows: pl.DataFrame, name: str, rate: Floats, paid: Floats, parameters: Floats, scalars: SurfaceScalars
) -> Surfaces:
    spot = rows["close"].fill_null(float("nan")).to_numpy().astype(np.float64)
    parameters[np.isnan(spot)] = np.nan
    listed = programme(name)
    return Surfaces(
        sessions=rows["session"].to_numpy().astype("datetime64[D]"),
        spot=spot,
        settle=rows["open"].fill_null(float("nan")).to_numpy().astype(np.float64),
        rate=rate,
        dividend_yield=paid,
        parameters=parameters,
        spread=scalars.spread(listed.name),
        increment=strike_increment(spot, 30.0, listed),
        modelled=np.ones(rows.height, dtype=bool),
    )
