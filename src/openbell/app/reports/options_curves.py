"""The numbers behind the pictures of an option decision: profit over prices, the smile, the map of market states."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.core.proposal import Proposal
from openbell.quant.legs import Legs
from openbell.quant.payoffs import Profile, profile, profile_by_valuation
from openbell.quant.similar import STATE
from openbell.quant.valuation import far_value, far_value_on_surface, value, value_on_surface, years_left

if TYPE_CHECKING:
    from openbell.app.options_simulate import Today

#: Points of a curve; the strikes and breakevens come on top, so that its corners are sharp.
POINTS = 241
#: The widest look at prices, in standard deviations to the near expiry.
DEVIATIONS = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class ProfitCurves:
    """Profit of the whole position over prices of the underlying, before commissions.

    Attributes
    ----------
    prices : (m,) points, rising. today_usd, expiry_usd : (m,) USD at the chain's moment and at the near expiry.
    breakevens : points, at the near expiry. spot : points. low, high : one standard deviation to the near expiry.
    days : calendar days to it. volatility : per year, at the money of that expiry. valued : how the options that are
        still alive are valued, in words.
    """

    prices: np.ndarray
    today_usd: np.ndarray
    expiry_usd: np.ndarray
    breakevens: tuple[float, ...]
    spot: float
    low: float
    high: float
    days: int
    volatility: float
    valued: str


@dataclass(frozen=True, slots=True, eq=False)
class StateMap:
    """All past days with a known state on two axes, today and the similar ones among them.

    Attributes
    ----------
    past (n, 2), similar (k, 2), today (2,) : places. made : (k,) what the chosen parameters made, NaN where nothing.
    share : of the variance of the standardised states that each axis carries. axes : what the axes are made of.
    """

    past: np.ndarray
    similar: np.ndarray
    today: np.ndarray
    made: np.ndarray
    share: tuple[float, float]
    axes: tuple[str, str]


def profit_curves(now: Today, proposal: Proposal, contracts: int) -> ProfitCurves | None:
    """The curves of `contracts` units of what stage 2 chose; None where it chose nothing or no volatility is known."""
    if proposal.structure_legs is None:
        return None
    legs = Legs.of(proposal.structure_legs)
    day = np.datetime64(now.known_on, "D")
    years = years_left(legs, day)
    near = float(years.min())
    sigma = at_the_money(now, proposal)
    if sigma is None:
        return None
    usd = proposal.structure_legs.legs[0].instrument.multiplier * contracts
    width = sigma * math.sqrt(max(near, 1.0 / 365.0))
    low, high = now.spot * math.exp(-width), now.spot * math.exp(width)
    at_expiry, alive, valued = _valuations(now, proposal, legs, years)
    prices = _prices(now.spot, width, legs.strike, at_expiry.breakevens)
    return ProfitCurves(
        prices=prices,
        today_usd=(alive(prices) - proposal.premium) * usd,
        expiry_usd=at_expiry.profit(prices) * usd,
        breakevens=at_expiry.breakevens,
        spot=now.spot,
        low=low,
        high=high,
        days=round(near * 365),
        volatility=sigma,
        valued=valued,
    )


def at_the_money(now: Today, proposal: Proposal) -> float | None:
    """Volatility per year at the strike nearest the spot, of the near expiry; None where no quote has one."""
    rows = smile(now, proposal)
    if rows.is_empty():
        return None
    near = rows.filter(pl.col("expiry") == rows["expiry"].min())
    nearest = near.sort((pl.col("strike") - now.spot).abs(), "strike")["strike"][0]
    return float(near.filter(pl.col("strike") == nearest)["iv"].mean())  # type: ignore[arg-type]


def _valuations(now: Today, proposal: Proposal, legs: Legs, years: np.ndarray) -> tuple[Profile, Any, str]:
    """The profile at the near expiry, the value today as a function of prices, and how both were valued.

    A modelled chain is valued on its own surface, which moves with the price. Of a quoted chain each leg keeps the
    volatility of its own quote.
    """
    surfaces = now.data.surfaces
    rate, paid = (float(np.nan_to_num(each[now.row])) for each in (surfaces.rate, surfaces.dividend_yield))
    terms = {"rate": rate, "dividend_yield": paid}
    quoted = proposal.quotes["iv"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    surface = surfaces.parameters[now.row]
    if np.isfinite(quoted).all() and not (now.modelled and np.isfinite(surface).all()):
        of_leg = dict(zip(zip(legs.right.tolist(), legs.strike.tolist(), strict=True), quoted, strict=True))
        far = far_value(lambda spots, strike, left: _of_strike(of_leg, strike, legs, years), **terms)

        def alive(prices: np.ndarray) -> np.ndarray:
            return value(legs, prices, years, quoted, **terms).total()

        how = "each leg at the volatility of its own quote"
    else:
        far = far_value_on_surface(surface, **terms)

        def alive(prices: np.ndarray) -> np.ndarray:
            return value_on_surface(legs, prices, years, surface, **terms).total()

        how = "on the modelled surface, which moves with the price"
    single = len(np.unique(legs.expiry)) == 1
    found = profile(legs, proposal.premium) if single else profile_by_valuation(legs, proposal.premium, far)
    return found, alive, how


def _of_strike(of_leg: dict[tuple[int, float], float], strike: float, legs: Legs, years: np.ndarray) -> float:
    """The volatility of the far leg at `strike`."""
    far = [
        (int(right), float(each))
        for right, each, left in zip(legs.right, legs.strike, years, strict=True)
        if left > years.min() and each == strike
    ]
    return of_leg[far[0]]


def _prices(spot: float, width: float, strikes: np.ndarray, breakevens: tuple[float, ...]) -> np.ndarray:
    """Prices wide enough for the legs and the likely moves, with every corner among them."""
    corners = np.array([*strikes, *breakevens, spot])
    near = corners[(corners > 0.5 * spot) & (corners < 2.0 * spot)]
    low = min(spot * math.exp(-DEVIATIONS * width), near.min() - 0.25 * width * spot)
    high = max(spot * math.exp(DEVIATIONS * width), near.max() + 0.25 * width * spot)
    grid = np.linspace(max(low, 0.0), high, POINTS)
    return np.unique(np.concatenate([grid, near]))


def smile(now: Today, proposal: Proposal) -> pl.DataFrame:
    """Quotes of the expiries of the structure that have a volatility: ``expiry``, ``strike``, ``right``, ``iv``.

    Of each strike the option that is out of the money, the more liquid one; at the forward both.
    """
    assert proposal.structure_legs is not None
    wanted = pl.DataFrame(
        sorted({(leg.instrument.expiry, str(leg.instrument.settlement)) for leg in proposal.structure_legs.legs}),
        schema={"expiry": pl.Date, "settlement": pl.String},
        orient="row",
    )
    rows = now.quotes.join(wanted, on=["expiry", "settlement"], how="semi").drop_nulls("iv")
    forward = pl.coalesce("forward", pl.lit(now.spot))
    out = ((pl.col("right") == "CALL") & (pl.col("strike") >= forward)) | (
        (pl.col("right") == "PUT") & (pl.col("strike") <= forward)
    )
    return rows.filter(out).select("expiry", "strike", "right", "iv").sort("expiry", "strike", "right")


def state_map(now: Today, made: np.ndarray | None) -> StateMap | None:
    """The two directions in which past states differ most, and where every day lies on them.

    The states are standardised over the past with complete states, as the distance between days is; None where fewer
    than three days or features tell anything apart.
    """
    table = now.data.table.select(pl.col(STATE).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    past = table[: now.row]
    past = past[np.isfinite(past).all(axis=1)]
    if len(past) < 3 or not np.isfinite(table[now.row]).all():
        return None
    mean, deviation = past.mean(axis=0), past.std(axis=0)
    used = deviation > 0
    if used.sum() < 2:
        return None
    scaled = (past[:, used] - mean[used]) / deviation[used]
    values, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    first = directions[:, ::-1][:, :2]
    # A direction and its opposite are one: the largest part points up, so the same days give the same picture.
    first = first * np.sign(first[np.abs(first).argmax(axis=0), [0, 1]])

    def placed(rows: np.ndarray) -> np.ndarray:
        return np.asarray(((rows[:, used] - mean[used]) / deviation[used]) @ first)

    names = [name for name, each in zip(STATE, used, strict=True) if each]
    shares = values[::-1][:2] / values.sum()
    nothing = np.full(len(now.similar.rows), np.nan)
    return StateMap(
        past=placed(past),
        similar=placed(table[now.similar.rows]),
        today=placed(table[now.row][None, :])[0],
        made=nothing if made is None else made,
        share=(float(shares[0]), float(shares[1])),
        axes=(_made_of(names, first[:, 0]), _made_of(names, first[:, 1])),
    )


def _made_of(names: list[str], weights: np.ndarray) -> str:
    """The two largest parts of a direction, with their signs."""
    largest = np.argsort(-np.abs(weights), kind="stable")[:2]
    return ", ".join(f"{'+' if weights[at] > 0 else '−'}{names[at]}" for at in largest)
