"""Values, Greeks and implied volatilities of options beside fast-vollib, py_vollib, QuantLib and plain NumPy.

The peers live in the environment of ``requirements/bench-peers.txt`` (see `benchmarks.backtests`). Every engine runs in
a process of its own, on one core and where it can on two, and gets the same contracts; loops in Python get fewer. The
first call, which compiles, is not timed.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.measuring import Measured, peak_gb, timed, told

MANY, FEW, CHAIN = 1_000_000, 20_000, 2_000
RUNS = 7
#: Prices whose vega, per unit of spot and 1.00 of volatility, is lower say too little of a volatility to compare it.
TELLING_VEGA = 1e-3


@dataclass(frozen=True)
class Contracts:
    """Calls and puts, one day to three years, volatility 6 % to 150 %, strikes to four deviations; arrays (n,)."""

    right: np.ndarray
    spot: np.ndarray
    strike: np.ndarray
    years: np.ndarray
    volatility: np.ndarray
    rate: np.ndarray
    dividend_yield: np.ndarray

    def part(self, at: slice) -> Contracts:
        return Contracts(**{name: getattr(self, name)[at] for name in self.__dataclass_fields__})


def contracts(count: int) -> Contracts:
    """The same first contracts however many are asked for."""
    rng = np.random.default_rng(0)
    spot, years = 100 * np.exp(rng.normal(0, 0.2, MANY)), rng.uniform(1 / 365, 3, MANY)
    volatility, rate = rng.uniform(0.06, 1.5, MANY), rng.uniform(0.0, 0.1, MANY)
    strike = spot * np.exp(np.clip(rng.normal(0, 1.5, MANY), -4, 4) * volatility * np.sqrt(years))
    right, paid = rng.choice([1.0, -1.0], MANY), rng.uniform(0, 0.05, MANY)
    return Contracts(right, spot, strike, years, volatility, rate, paid).part(slice(count))


def black_scholes(one: Contracts) -> dict[str, np.ndarray]:
    """Value and five Greeks as they stand in the books: plain NumPy and SciPy; theta per day, vega and rho per 1.00."""
    from scipy.special import ndtr

    root = np.sqrt(one.years)
    s = one.volatility * root
    d1 = (np.log(one.spot / one.strike) + (one.rate - one.dividend_yield) * one.years) / s + 0.5 * s
    asset = one.spot * np.exp(-one.dividend_yield * one.years)
    cash = one.strike * np.exp(-one.rate * one.years)
    first, second = ndtr(one.right * d1), ndtr(one.right * (d1 - s))
    density = np.exp(-0.5 * d1 * d1) / np.sqrt(2 * np.pi)
    carry = one.right * (one.dividend_yield * asset * first - one.rate * cash * second)
    return {
        "price": one.right * (asset * first - cash * second),
        "delta": one.right * asset / one.spot * first,
        "gamma": asset * density / (one.spot**2 * s),
        "theta": (carry - 0.5 * asset * density * one.volatility / root) / 365,
        "vega": asset * density * root,
        "rho": one.right * cash * one.years * second,
    }


def halves(work: Callable[[Contracts], Any], one: Contracts, cores: int) -> Any:
    """`work` on equal parts at the same time, for code that lets go of the interpreter."""
    if cores == 1:
        return work(one)
    count = len(one.spot)
    parts = [one.part(slice(count * at // cores, count * (at + 1) // cores)) for at in range(cores)]
    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(work, parts))


def openbell(one: Contracts, price: np.ndarray, cores: int) -> dict[str, Callable[[], Any]]:
    from openbell.quant.american import american_implied_volatilities, american_prices
    from openbell.quant.black import greeks
    from openbell.quant.implied_volatility import implied_volatilities

    forward = one.spot * np.exp((one.rate - one.dividend_yield) * one.years)
    discount = np.exp(-one.rate * one.years)
    carry = (one.rate, one.dividend_yield)
    few = one.part(slice(FEW))
    terms, paid = (few.right, few.spot, few.strike, few.years), (few.rate, few.dividend_yield)
    worth = american_prices(*terms, few.volatility, *paid)
    sigma = one.volatility

    def implied() -> np.ndarray:
        return implied_volatilities(
            price, one.right, forward, one.strike, one.years, discount, threads=cores
        ).volatility

    return {
        "greeks": lambda: greeks(one.right, one.spot, one.strike, one.years, sigma, *carry, threads=cores),
        "implied": implied,
        "american": lambda: american_prices(*terms, few.volatility, *paid, threads=cores),
        "american implied": lambda: american_implied_volatilities(worth, *terms, *paid, threads=cores),
    }


def plain_numpy(one: Contracts, price: np.ndarray, cores: int) -> dict[str, Callable[[], Any]]:
    """The formula, and thirty of Newton's steps with a floor under vega, as most scripts have it."""

    def implied() -> np.ndarray:
        sigma = np.full(len(price), 0.5)
        for _ in range(30):
            now = black_scholes(
                Contracts(one.right, one.spot, one.strike, one.years, sigma, one.rate, one.dividend_yield)
            )
            sigma = np.clip(sigma - (now["price"] - price) / np.maximum(now["vega"], 1e-8), 1e-4, 5.0)
        return sigma

    return {"greeks": lambda: halves(black_scholes, one, cores)} | ({"implied": implied} if cores == 1 else {})


def fast_vollib(one: Contracts, price: np.ndarray, cores: int) -> dict[str, Callable[[], Any]]:
    import fast_vollib as library

    library.set_backend("numba")
    flag = np.where(one.right > 0, "c", "p")
    terms = (flag, one.spot, one.strike, one.years, one.rate, one.volatility, one.dividend_yield)
    model = {"model": "black_scholes_merton"}

    def all_greeks() -> None:
        library.fast_black_scholes_merton(*terms, return_as="numpy")
        library.get_all_greeks(*terms, return_as="dict", **model)

    def implied() -> np.ndarray:
        return library.fast_implied_volatility(
            price, *terms[1:5], flag, one.dividend_yield, return_as="numpy", on_error="ignore", **model
        )

    return {"greeks": all_greeks, "implied": implied}


def py_vollib(one: Contracts, price: np.ndarray, cores: int) -> dict[str, Callable[[], Any]]:
    from py_vollib.black_scholes_merton import black_scholes_merton as value
    from py_vollib.black_scholes_merton.greeks import analytical
    from py_vollib.black_scholes_merton.implied_volatility import implied_volatility

    flags = ["c" if right > 0 else "p" for right in one.right]
    columns = (one.spot, one.strike, one.years, one.rate, one.volatility, one.dividend_yield)
    rows = list(zip(flags, *(each.tolist() for each in columns), strict=True))
    names = [getattr(analytical, name) for name in ("delta", "gamma", "theta", "vega", "rho")]
    return {
        "greeks": lambda: [(value(*row), *(each(*row) for each in names)) for row in rows],
        "implied": lambda: np.array(
            [
                implied_volatility(p, s, k, t, r, q, flag)
                for p, (flag, s, k, t, r, _, q) in zip(price.tolist(), rows, strict=True)
            ]
        ),
    }


def quantlib(one: Contracts, price: np.ndarray, cores: int) -> dict[str, Callable[[], Any]]:
    """Its calculators without instruments, the shortest way; its fixed-point engine with quotes changed in place."""
    import QuantLib as ql  # noqa: N813

    call, put = ql.Option.Call, ql.Option.Put
    forward = (one.spot * np.exp((one.rate - one.dividend_yield) * one.years)).tolist()
    discount, root = np.exp(-one.rate * one.years).tolist(), np.sqrt(one.years).tolist()
    rows = list(zip(one.right, one.spot.tolist(), one.strike.tolist(), one.years.tolist(), one.volatility, strict=True))

    def all_greeks() -> None:
        for at, (right, spot, strike, years, sigma) in enumerate(rows):
            payoff = ql.PlainVanillaPayoff(call if right > 0 else put, strike)
            each = ql.BlackCalculator(payoff, forward[at], sigma * root[at], discount[at])
            each.value(), each.delta(spot), each.gamma(spot)
            each.theta(spot, years), each.vega(years), each.rho(years)

    def implied() -> np.ndarray:
        sought, rest = ql.blackFormulaImpliedStdDevLiRS, (0.0, ql.nullDouble(), 1.0, 1e-14, 100)
        return np.array(
            [
                _or_none(sought, call if right > 0 else put, strike, forward[at], price[at], discount[at], *rest)
                / root[at]
                for at, (right, _, strike, _, _) in enumerate(rows)
            ]
        )

    return {"greeks": all_greeks, "implied": implied, "american": lambda: _quantlib_american(one.part(slice(CHAIN)))}


def _or_none(sought: Callable[..., float], *terms: Any) -> float:
    """What `sought` finds, NaN where it gives up."""
    try:
        return sought(*terms)
    except RuntimeError:
        return float("nan")


def _quantlib_american(one: Contracts) -> None:
    """Values by the fixed point at its fast setting; days in place of years, which changes nothing in the work."""
    import QuantLib as ql  # noqa: N813

    today, days = ql.Date(2, 1, 2020), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today
    quotes = [ql.SimpleQuote(each) for each in (100.0, 0.02, 0.01, 0.2)]
    spot, rate, paid, sigma = (ql.QuoteHandle(each) for each in quotes)
    curves = [ql.YieldTermStructureHandle(ql.FlatForward(today, each, days)) for each in (paid, rate)]
    smile = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), sigma, days))
    process = ql.BlackScholesMertonProcess(spot, *curves, smile)
    engine = ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.fastScheme())
    columns = (one.right, one.strike, one.years, one.spot, one.rate, one.dividend_yield, one.volatility)
    for right, strike, years, *levels in zip(*(each.tolist() for each in columns), strict=True):
        for quote, level in zip(quotes, levels, strict=True):
            quote.setValue(level)
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if right > 0 else ql.Option.Put, strike)
        each = ql.VanillaOption(payoff, ql.AmericanExercise(today, today + max(1, round(365 * years))))
        each.setPricingEngine(engine)
        each.NPV()


#: Engine, contracts it is given, cores it can use.
ENGINES: dict[str, tuple[Callable[..., dict[str, Callable[[], Any]]], int, tuple[int, ...]]] = {
    "openbell": (openbell, MANY, (1, 2)),
    "plain_numpy": (plain_numpy, MANY, (1, 2)),
    "fast_vollib": (fast_vollib, MANY, (1, 2)),
    "QuantLib": (quantlib, FEW, (1,)),
    "py_vollib": (py_vollib, FEW, (1,)),
}
TASKS = {"greeks": MANY, "implied": MANY, "american": FEW, "american implied": FEW}


def measured(name: str, cores: int) -> Measured:
    """Options per second of each task: the median of `RUNS` after one that is not counted; CPU seconds on one core."""
    library = "numpy" if name == "plain_numpy" else name
    if importlib.util.find_spec(library) is None:
        return Measured(name, 0.0, 0.0, peak_gb(), {"absent": True, "cores": cores})
    engine, count, _ = ENGINES[name]
    one = contracts(count)
    books = black_scholes(one)
    counts: dict[str, Any] = {"cores": cores}
    spent = 0.0
    for task, work in engine(one, books["price"], cores).items():
        found = work()
        walls = [timed(work)[1 if cores > 1 else 2] for _ in range(RUNS if count == MANY else 3)]
        done = min(count, CHAIN if name == "QuantLib" and task == "american" else TASKS[task])
        counts[task], spent = done / statistics.median(walls), spent + sum(walls)
        if task == "implied":
            telling = books["vega"] / one.spot > TELLING_VEGA
            error = np.abs(np.asarray(found) - one.volatility)[telling]
            counts["missed"], counts["error"] = (
                float(np.mean(~(error < 1e-8))),
                float(np.max(error[error >= 0], initial=0)),
            )
    return Measured(name, spent, spent, peak_gb(), counts)


def figures(ours: Measured, each: Measured) -> list[str]:
    """One line of the table: rates, and how many times as fast Openbell is on as many cores."""
    if each.counts.get("absent"):
        return [f"{each.name}: absent", *["–"] * 9]
    cells = [each.name, str(each.counts["cores"])]
    for task in ("greeks", "implied", "american"):
        rate = each.counts.get(task)
        cells += ["–", "–"] if rate is None else [f"{rate / 1e6:.3g} M", f"{ours.counts[task] / rate:.3g}"]
    missed = each.counts.get("missed")
    return [*cells, *(["–", "–"] if missed is None else [f"{missed:.2%}", f"{each.counts['error']:.0e}"])]


if __name__ == "__main__":
    os.environ["NUMBA_NUM_THREADS"] = sys.argv[2]
    told(measured(sys.argv[1], int(sys.argv[2])))
