"""Surfaces on a made path, and a chain quoted from one of them, for the tests of the options simulator."""

import datetime as dt
import math

import numpy as np
from scipy.special import ndtr

from openbell.quant.snapping import Chain
from openbell.quant.surfaces import Surfaces

#: Half-spreads of a plain shape: a small share of the root of the value, never under 0.025 and 0.05 points.
SPREAD = np.array([math.log(0.0012), 0.5, 0.0, 0.0, math.log(1e-4), 1.0, 0.025, 0.05, 3.0])


def weekdays(count: int, first: str = "2023-01-02") -> np.ndarray:
    """So many days of which none is a Saturday or a Sunday, from `first` on."""
    days = np.arange(np.datetime64(first, "D"), np.datetime64(first, "D") + 2 * count + 10)
    return days[np.is_busday(days)][:count]


def surfaces(
    n: int, *, seed: int = 1, spot: float | np.ndarray = 4000.0, first: str = "2023-01-02", **changed
) -> Surfaces:
    """A lognormal path with a surface that moves."""
    random = np.random.default_rng(seed)
    volatility = 0.15 + 0.1 * np.abs(np.sin(np.arange(n) / 40))
    path = (
        spot
        if isinstance(spot, np.ndarray)
        else spot * np.exp(np.cumsum(random.normal(0.0, 1.0, n) * volatility / math.sqrt(252)))
    )
    short = volatility**2 * random.uniform(0.8, 1.2, n)
    parameters = np.column_stack([short, *(np.full(n, each) for each in (0.04, 3.0, -0.6, 1.0, 0.45))])
    made = {
        "sessions": weekdays(n, first),
        "spot": path,
        "settle": path * np.exp(random.normal(0.0, 0.002, n)),
        "rate": np.full(n, 0.03),
        "dividend_yield": np.full(n, 0.015),
        "parameters": parameters,
        "spread": SPREAD,
        "increment": np.full(n, 5.0),
        "modelled": np.ones(n, dtype=bool),
    }
    return Surfaces(**{**made, **changed})


def value(of: Surfaces, t: int, right, strike, years, spot=None) -> np.ndarray:
    """European options by the surface of row `t`: Black's formula and the surface written down a second time."""
    at = of.spot[t] if spot is None else spot
    short, long, reversion, rho, eta, gamma = of.parameters[t]
    forward = at * np.exp((of.rate[t] - of.dividend_yield[t]) * years)
    k = np.log(strike / forward)
    theta = long * years + (short - long) * (1 - np.exp(-reversion * years)) / reversion
    phi = eta / (theta**gamma * (1 + theta) ** (1 - gamma))
    total = theta / 2 * (1 + rho * phi * k + np.sqrt((phi * k + rho) ** 2 + 1 - rho**2))
    d1 = -k / np.sqrt(total) + np.sqrt(total) / 2
    d2 = d1 - np.sqrt(total)
    undiscounted = right * (forward * ndtr(right * d1) - strike * ndtr(right * d2))
    return np.exp(-of.rate[t] * years) * np.maximum(undiscounted, np.maximum(right * (forward - strike), 0.0))


def half_spread(of: Surfaces, t: int, option, strike, years) -> np.ndarray:
    """Their half-spreads at the close of row `t`, by the formula of the docstring."""
    short, long, reversion = of.parameters[t, :3]
    theta = long * years + (short - long) * (1 - np.exp(-reversion * years)) / reversion
    volatility, spot, c = np.sqrt(theta / years), of.spot[t], of.spread
    time, relative = np.maximum(years, 1 / 365), np.maximum(option, 1e-300) / spot
    near = np.exp(c[0]) * relative ** c[1] * time ** c[2] * volatility ** c[3]
    depth = (relative / (volatility * np.sqrt(time)) / c[5]) ** 4
    wide = np.minimum(spot * (near + np.exp(c[4]) * depth / (1 + depth)), np.maximum(spot, strike) - option)
    least = np.where(option < c[8], c[6], c[7])
    return np.where(option > 0, np.maximum(wide, least), least)


def chain(of: Surfaces, t: int, dates: np.ndarray, reach: float = 0.16) -> Chain:
    """Bids and asks of calls and puts at `dates`, every strike within `reach` of the spot, at the close of row `t`."""
    step, spot = of.increment[t], of.spot[t]
    strikes = np.arange(math.ceil(spot * (1 - reach) / step), math.floor(spot * (1 + reach) / step) + 1) * step
    dates = np.asarray(dates, dtype="datetime64[D]")
    date, right, strike = (each.ravel() for each in np.meshgrid(dates, np.array([1, -1]), strikes, indexing="ij"))
    years = (date - of.sessions[t]).astype(int) / 365
    worth = value(of, t, right, strike, years)
    half = half_spread(of, t, worth, strike, years)
    return Chain(
        session=of.sessions[t],
        spot=float(spot),
        strike=strike,
        expiry=date,
        right=right,
        bid=np.maximum(worth - half, 0.0),
        ask=worth + half,
        am=np.zeros(len(strike), dtype=bool),
    )


def date(day: str) -> dt.date:
    return dt.date.fromisoformat(day)
