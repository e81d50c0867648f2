"""A market out of a generator: no edge at all, or one of a stated size."""

from __future__ import annotations

import datetime as dt
import inspect
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput
from openbell.market.batch import BARS, INSTRUMENTS, MEMBERSHIP, Batch, filled_fields
from openbell.market.calendars import sessions
from openbell.quant.simulate import SIGNAL_PERSISTENCE, SIGNAL_SESSIONS, Neutral, simulated_market

UNIVERSE = "generated"
FIRST = dt.date(2010, 1, 4)
SESSIONS_PER_YEAR = 252


@provider(name="generated", fields=("open", "high", "low", "close", "volume"))
def declared(
    *,
    names: int = 60,
    years: float = 4.0,
    seed: int = 0,
    edge: float = 0.0,
    first: dt.date = FIRST,
    exchange: str = "XNYS",
    drift_sharpe: float = 0.0,
    neutral: Neutral = "rank",
    persistence: float = SIGNAL_PERSISTENCE,
    signal_sessions: int = SIGNAL_SESSIONS,
) -> Batch:
    """A made-up market: clustered volatility, fat tails, correlations, regimes, sectors, and an edge if asked for."""
    return generated(
        names=names,
        years=years,
        seed=seed,
        edge=edge,
        first=first,
        exchange=exchange,
        drift_sharpe=drift_sharpe,
        neutral=neutral,
        persistence=persistence,
        signal_sessions=signal_sessions,
    )


def generated(
    *,
    names: int = 60,
    years: float = 4.0,
    seed: int = 0,
    edge: float = 0.0,
    first: dt.date = FIRST,
    exchange: str = "XNYS",
    drift_sharpe: float = 0.0,
    neutral: Neutral = "rank",
    persistence: float = SIGNAL_PERSISTENCE,
    signal_sessions: int = SIGNAL_SESSIONS,
) -> Batch:
    """`names` stocks over `years` of 252 sessions from `first` on; `edge` is the planted daily rank IC.

    The signal is `quant.simulate.visible_signal`: log volume less its mean over `signal_sessions`, at the close before
    the decision; the outcome is the return from the next open to the one after it. `drift_sharpe`, `neutral` and
    `persistence` are those of `quant.simulate.simulated_market`.
    """
    calendar = sessions(exchange)
    days = [day for day in calendar.dates if day >= first][: round(years * SESSIONS_PER_YEAR)]
    if len(days) < round(years * SESSIONS_PER_YEAR):
        raise BadInput(
            f"The calendar of {exchange} ends on {calendar.dates[-1]}, before {years} years from {first} on are over. "
            "Begin earlier, or ask for fewer years."
        )
    more: dict[str, Any] = {
        "drift_sharpe": drift_sharpe,
        "neutral": neutral,
        "persistence": persistence,
        "signal_sessions": signal_sessions,
    }
    market = simulated_market(len(days), names, seed=seed, edge=edge, **more)
    symbols = [f"GEN{number:03d}" for number in range(names)]
    # One symbol after the other: that is the order in which bars are stored.
    prices = {name: getattr(market, name).T.ravel() for name in ("open", "high", "low", "close", "volume")}
    bars = pl.DataFrame(
        {
            "symbol": pl.Series(np.repeat(symbols, len(days)), dtype=pl.String),
            "session": pl.Series(days * names, dtype=pl.Date),
            **prices,
        }
    ).with_columns(pl.lit(None, dtype=pl.Float64).alias("adj_close"))
    bars = bars.select(list(BARS))
    sector = [f"Sector {number + 1}" for number in market.sector]
    instruments = pl.DataFrame(
        {"symbol": symbols, "kind": ["STOCK"] * names, "sector": sector}, schema=dict(INSTRUMENTS)
    )
    members = pl.DataFrame(
        {"universe": [UNIVERSE] * names, "symbol": symbols, "session": [days[0]] * names, "member": [True] * names},
        schema=dict(MEMBERSHIP),
    )
    told = f"with a planted daily rank IC of {edge}" if edge else "without any edge"
    told += f", with a drift of Sharpe {drift_sharpe:g} that every name has alike" if drift_sharpe else ""
    usual = inspect.signature(simulated_market).parameters
    unusual = "".join(f", {name} {value}" for name, value in more.items() if value != usual[name].default)
    return Batch(
        f"generated:{names} names, {years:g} years, seed {seed}, edge {edge:g}{unusual}",
        bars,
        instruments=instruments,
        membership=members,
        fields=filled_fields(bars),
        notes=(f"These prices are made up, {told}; they say nothing about any real market.",),
    )
