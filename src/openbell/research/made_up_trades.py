"""0DTE option trades on real index levels and volatilities, made up so that no structure has an edge before costs.

Each day begins at the level at which the index really opened; its volatility is that of the volatility index at the
close before, times a number of the day that the pricer knows. From there the price follows a lognormal martingale to
the close, and every leg is priced by the exact law of what is left of it (Black's formula on the remaining deviation).
So the mean profit of every trade is 0 before costs and minus its half-spreads after them, whatever a model says. Trades
of one day share its close, and the columns that a model may look at (volatility index, day, symbol) name the day: what
a random split of these rows claims is the fault that the gate must not have.

With `Skill` the short-term and long-term levels of some cells know a share of the variance of the remaining move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, unknown
from openbell.core.trade_rows import SHEET_STRATEGIES, SHEET_SYMBOLS, TRADES
from openbell.quant.black import prices
from openbell.quant.payoffs import owing, profiles, settlement_values

#: Steps of five minutes from 09:30 to 16:00; a trade is proposed at the end of one of the steps 1 to 77.
STEPS = 78
SESSIONS_PER_YEAR = 252
#: Half of a quote is so many steps of the strikes wide, and so much of the mid; never more than half of the mid.
_HALF_SPREAD_STEPS, _HALF_SPREAD_SHARE, _HALF_SPREAD_MOST = 0.002, 0.005, 0.5
#: Standard deviation of the logarithm of a day's volatility around the volatility index.
_DAY_DEVIATION = 0.15


@dataclass(frozen=True, slots=True)
class MadeUpSymbol:
    """What a symbol's made-up prices stand on.

    base : index whose real bars give the level. scale : of the level. volatility : times the volatility index.
    correlation : with the base of all, the first index. shock : symbols with the same word share their own shock.
    increment : between strikes, points.
    """

    base: str
    scale: float
    volatility: float
    correlation: float
    shock: str
    increment: float


#: The eight symbols of the trade sheets. The sample has no Russell and no stocks: their levels are those of an index
#: times a number that brings them where they stood at the end of 2018, so that strikes have their real increments.
MADE_UP_SYMBOLS: Mapping[str, MadeUpSymbol] = MappingProxyType(
    {
        "SPX": MadeUpSymbol("SPX", 1.0, 1.0, 1.0, "SPX", 5.0),
        "SPY": MadeUpSymbol("SPX", 0.0998, 1.0, 1.0, "SPX", 1.0),
        "RUT": MadeUpSymbol("SPX", 0.54, 1.2, 0.88, "RUT", 5.0),
        "QQQ": MadeUpSymbol("COMP", 0.0233, 1.25, 0.92, "COMP", 1.0),
        "XSP": MadeUpSymbol("SPX", 0.1, 1.0, 1.0, "SPX", 1.0),
        "NDX": MadeUpSymbol("COMP", 0.955, 1.25, 0.92, "COMP", 10.0),
        "AAPL": MadeUpSymbol("COMP", 0.024, 1.7, 0.7, "AAPL", 2.5),
        "TSLA": MadeUpSymbol("COMP", 0.05, 2.8, 0.5, "TSLA", 2.5),
    }
)


@dataclass(frozen=True, slots=True)
class Skill:
    """Cells (symbol, strategy) whose short-term and long-term levels know `explained` of the remaining variance."""

    cells: frozenset[tuple[str, str]]
    explained: float = 0.03

    def __post_init__(self) -> None:
        if not 0.0 <= self.explained <= 1.0:
            raise BadInput(f"The share of the variance that is explained lies in [0, 1]; was {self.explained}.")
        for symbol, strategy in sorted(self.cells):
            if symbol not in SHEET_SYMBOLS:
                raise unknown("symbol", symbol, SHEET_SYMBOLS)
            if strategy not in SHEET_STRATEGIES:
                raise unknown("strategy", strategy, SHEET_STRATEGIES)


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Every proposal moment of one symbol, arrays (n,): n days times the times of a day."""

    session: np.ndarray
    minute: np.ndarray
    price: np.ndarray
    deviation: np.ndarray
    close: np.ndarray
    shock: np.ndarray
    with_delta: np.ndarray
    increment: float

    @property
    def move(self) -> np.ndarray:
        """One standard deviation of the remaining move, points."""
        return self.price * self.deviation


@dataclass(frozen=True, slots=True, eq=False)
class _Legs:
    """Legs of each trade, arrays (n, 4); a leg that is none has ratio 0 and a NaN strike. right : +1 call, -1 put."""

    right: np.ndarray
    strike: np.ndarray
    ratio: np.ndarray


def made_up_trades(
    bars: pl.DataFrame,
    volatility_index: pl.DataFrame,
    *,
    seed: int = 0,
    days: int = 120,
    times: int = 10,
    symbols: Sequence[str] = SHEET_SYMBOLS,
    skill: Skill | None = None,
    without_delta: float = 0.1,
) -> pl.DataFrame:
    """Generated 0DTE trades of `core.trade_rows.TRADES`: `days` x symbols x four strategies x `times` rows.

    Parameters
    ----------
    bars : ``symbol``, ``session``, ``open`` of the indices that `MADE_UP_SYMBOLS` stand on (SPX and COMP).
    volatility_index : ``session``, ``close`` in points per year (VIX).
    seed : the same seed gives the same bytes. days : the last so many whole sessions that both have.
    times : proposals of a day, spread evenly over the 5-minute grid from 09:35 to 15:55, at most 77.
    skill : cells whose delta columns know something; None: pure noise everywhere. The prices are those without it.
    without_delta : share of the days whose delta columns are missing.

    Returns
    -------
    polars.DataFrame
        By moment, symbol and strategy. `premium` is what bids and asks make it, `profit` is ``payoff - paid``:
        both points per unit (`multiplier` 100), before commission. `expected_move` is one standard deviation of what
        is left to the close, points.

    Raises
    ------
    BadInput
        On fewer days than asked for, more times than the grid has, or an index that `bars` lack.
    """
    if not 1 <= times < STEPS:
        raise BadInput(f"A day has 1 to {STEPS - 1} moments at which a trade is proposed; was {times}.")
    opened = _days(bars, volatility_index, days)
    steps = np.unique(np.linspace(1, STEPS - 1, times).round().astype(np.int64))
    paths = _paths(seed, days)
    missing = np.random.default_rng((seed, 1)).random(days) < without_delta
    parts = []
    for symbol in symbols:
        if symbol not in MADE_UP_SYMBOLS:
            raise unknown("made-up symbol", symbol, MADE_UP_SYMBOLS)
        moments = _moments(symbol, opened, paths, steps, missing)
        for strategy in SHEET_STRATEGIES:
            place = (SHEET_SYMBOLS.index(symbol), tuple(SHEET_STRATEGIES).index(strategy))
            rng = np.random.default_rng((seed, 2, *place))
            explained = skill.explained if skill is not None and (symbol, strategy) in skill.cells else 0.0
            parts.append(_rows(symbol, strategy, moments, explained, rng))
    rows = pl.concat(parts)
    return _finished(rows).sort("timestamp", "symbol", "strategy")


def made_up_bars(bars: pl.DataFrame) -> pl.DataFrame:
    """Daily bars of the made-up symbols: those of the index each stands on, times its scale; volume as it was."""
    parts = [
        bars.filter(pl.col("symbol") == each.base).with_columns(
            pl.lit(symbol).alias("symbol"), *(pl.col(name) * each.scale for name in ("open", "high", "low", "close"))
        )
        for symbol, each in MADE_UP_SYMBOLS.items()
    ]
    return pl.concat(parts).select("symbol", "session", "open", "high", "low", "close", "volume")


def _days(bars: pl.DataFrame, volatility_index: pl.DataFrame, days: int) -> pl.DataFrame:
    """The last `days` whole sessions: the open of each index, and ``volatility`` per year at the close before."""
    wide = bars.select("symbol", "session", "open").pivot("symbol", index="session", values="open").sort("session")
    needed = sorted({each.base for each in MADE_UP_SYMBOLS.values()})
    for base in needed:
        if base not in wide.columns:
            raise BadInput(f"The made-up trades stand on bars of {' and '.join(needed)}; `{base}` has none.")
    index = (
        volatility_index.select("session", (pl.col("close") / 100.0).alias("volatility")).drop_nulls().sort("session")
    )
    known = wide.join_asof(
        index, on="session", strategy="backward", allow_exact_matches=False, tolerance="7d", check_sortedness=False
    )
    whole = known.drop_nulls([*needed, "volatility"]).filter(~_half_day())
    if whole.height < days:
        raise BadInput(
            f"There are {whole.height} whole sessions with bars and a volatility index; {days} days were asked for."
        )
    return whole.tail(days)


def _half_day() -> pl.Expr:
    """Sessions that end at 13:00 in New York: before Independence Day, after Thanksgiving, Christmas Eve."""
    day, month = pl.col("session").dt.day(), pl.col("session").dt.month()
    after_thanksgiving = (month == 11) & (pl.col("session").dt.weekday() == 5) & day.is_between(23, 29)
    return after_thanksgiving | ((month == 7) & (day == 3)) | ((month == 12) & (day == 24))


def _paths(seed: int, days: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each shock: Brownian motion over the day (days, STEPS + 1), which has variance 1, and the day's volatility."""
    words = list(dict.fromkeys(each.shock for each in MADE_UP_SYMBOLS.values()))
    rng = np.random.default_rng((seed, 0))
    steps = rng.standard_normal((len(words), days, STEPS)) / np.sqrt(STEPS)
    own = np.concatenate([np.zeros((len(words), days, 1)), np.cumsum(steps, axis=2)], axis=2)
    factor = np.exp(_DAY_DEVIATION * rng.standard_normal((len(words), days)) - 0.5 * _DAY_DEVIATION**2)
    found = {}
    for place, word in enumerate(words):
        of_all = next(each.correlation for each in MADE_UP_SYMBOLS.values() if each.shock == word)
        found[word] = (of_all * own[0] + np.sqrt(1.0 - of_all**2) * own[place], factor[place])
    return found


def _moments(
    symbol: str,
    opened: pl.DataFrame,
    paths: Mapping[str, tuple[np.ndarray, np.ndarray]],
    steps: np.ndarray,
    missing: np.ndarray,
) -> _Moments:
    terms = MADE_UP_SYMBOLS[symbol]
    motion, factor = paths[terms.shock]
    daily = opened["volatility"].to_numpy() * terms.volatility * factor / np.sqrt(SESSIONS_PER_YEAR)
    gone = np.arange(STEPS + 1) / STEPS
    level = opened[terms.base].to_numpy()[:, None] * terms.scale
    path = level * np.exp(daily[:, None] * motion - 0.5 * daily[:, None] ** 2 * gone)
    left = 1.0 - gone[steps]
    n, many = len(opened), len(steps)
    return _Moments(
        session=np.repeat(opened["session"].to_numpy(), many),
        minute=np.tile(570 + 5 * steps, n),
        price=path[:, steps].ravel(),
        deviation=(daily[:, None] * np.sqrt(left)).ravel(),
        close=np.repeat(path[:, -1], many),
        shock=((motion[:, -1:] - motion[:, steps]) / np.sqrt(left)).ravel(),
        with_delta=np.repeat(~missing, many),
        increment=terms.increment,
    )


def _legs(strategy: str, at: _Moments, rng: np.random.Generator) -> _Legs:
    """Strikes as such strategies have them: a butterfly near the price, credits about one deviation away from it."""
    n, step, price, move = len(at.price), at.increment, at.price, at.move
    far = {"Iron Condor": 1.25, "Sonar": 0.95, "Vertical": 0.95, "Butterfly": 0.0}[strategy]
    away = (far + 0.15 * rng.standard_normal(n)) * move
    wing = 2.0 * step if strategy == "Iron Condor" else step
    short_call = np.maximum(np.round((price + away) / step), np.floor(price / step) + 1.0) * step
    short_put = np.minimum(np.round((price - away) / step), np.ceil(price / step) - 1.0) * step
    if strategy == "Butterfly":
        centre = np.round((price + 0.4 * move * rng.standard_normal(n)) / step) * step
        width = np.maximum(np.round(1.2 * move / step), 1.0) * step
        strike = np.stack([centre + width, centre, centre - width, np.full(n, np.nan)], axis=1)
        return _Legs(np.tile([1.0, 1.0, 1.0, 0.0], (n, 1)), strike, np.tile([1.0, -2.0, 1.0, 0.0], (n, 1)))
    if strategy == "Vertical":
        right = np.where(rng.random(n) < 0.5, 1.0, -1.0)
        short = np.where(right > 0, short_call, short_put)
        strike = np.stack([short, short + right * wing, *np.full((2, n), np.nan)], axis=1)
        return _Legs(
            np.stack([right, right, 0.0 * right, 0.0 * right], axis=1), strike, np.tile([-1.0, 1.0, 0.0, 0.0], (n, 1))
        )
    strike = np.stack([short_call, short_call + wing, short_put, short_put - wing], axis=1)
    return _Legs(np.tile([1.0, 1.0, -1.0, -1.0], (n, 1)), strike, np.tile([-1.0, 1.0, -1.0, 1.0], (n, 1)))


def _half_spread(mid: np.ndarray, increment: float) -> np.ndarray:
    return np.minimum(_HALF_SPREAD_STEPS * increment + _HALF_SPREAD_SHARE * mid, _HALF_SPREAD_MOST * mid)


def _levels(at: _Moments, explained: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What the sheets say beside a trade: noise, but for the share of the remaining shock that is explained."""
    noise = rng.standard_normal((8, len(at.price)))
    signal = np.sqrt(explained) * at.shock + np.sqrt(1.0 - explained) * noise[0]
    known = np.where(at.with_delta, 1.0, np.nan)
    return {
        "predicted": at.price + 0.5 * at.move * noise[1],
        "target1": at.price + at.move * (0.6 + 0.1 * noise[2]),
        "target2": at.price - at.move * (0.6 + 0.1 * noise[2]),
        "low": at.price - at.move * (1.0 + 0.1 * noise[6]),
        "high": at.price + at.move * (1.0 + 0.1 * noise[7]),
        "short_term": known * (at.price + at.move * signal),
        "long_term": known * (at.price + at.move * (0.6 * signal + 0.8 * noise[3])),
        "call_delta": known * (0.5 + 0.1 * np.tanh(noise[4])),
        "put_delta": known * (-0.5 + 0.1 * np.tanh(noise[5])),
        "predicted_delta": known * (at.price + 0.5 * at.move * noise[1]),
        "closing_delta": known * at.close,
    }


def _rows(symbol: str, strategy: str, at: _Moments, explained: float, rng: np.random.Generator) -> pl.DataFrame:
    legs = _legs(strategy, at, rng)
    there = legs.ratio != 0
    strike = np.where(there, legs.strike, at.price[:, None])
    mid = prices(np.where(there, legs.right, 1.0), at.price[:, None], strike, 1.0, at.deviation[:, None])
    half = _half_spread(mid, at.increment)
    mid, bid, ask = (np.where(there, each, np.nan) for each in (mid, mid - half, mid + half))
    premium = np.nansum(legs.ratio * np.where(legs.ratio > 0, ask, bid), axis=1)
    worth = settlement_values(legs.right, strike, legs.ratio, at.close)
    bound = profiles(legs.right, strike, legs.ratio, premium)
    quoted = np.where(owing(legs.right, strike, legs.ratio), -premium, premium)
    columns = {
        "date": at.session, "minute": at.minute, "price": at.price, "premium": quoted, "expired": worth,
        "risk": bound.max_loss, "reward": bound.max_profit, "profit": worth - premium, "closing": at.close,
        "expected_move": at.move, **_levels(at, explained, rng),
    }  # fmt: skip
    for leg in range(4):
        columns |= {
            f"strike{leg + 1}": np.where(there[:, leg], legs.strike[:, leg], np.nan),
            f"direction{leg + 1}": np.where(there[:, leg], legs.ratio[:, leg], np.nan),
            f"right{leg + 1}": legs.right[:, leg],
            f"bid{leg + 1}": bid[:, leg],
            f"ask{leg + 1}": ask[:, leg],
            f"mid{leg + 1}": mid[:, leg],
        }
    return pl.DataFrame(columns).with_columns(pl.lit(symbol).alias("symbol"), pl.lit(strategy).alias("strategy"))


def _finished(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of `TRADES` out of numbers: NaN is null, minutes are moments, rights are words."""
    clock = pl.col("date").cast(pl.Datetime("us")) + pl.duration(minutes=pl.col("minute"))
    moment = clock.dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC")
    close = pl.col("date").cast(pl.Datetime("us")) + pl.duration(hours=16)
    right = {
        f"type{i}": pl.when(pl.col(f"right{i}") > 0)
        .then(pl.lit("CALL"))
        .when(pl.col(f"right{i}") < 0)
        .then(pl.lit("PUT"))
        for i in range(1, 5)
    }
    rows = rows.with_columns(pl.col(pl.Float64).fill_nan(None))
    rows = rows.with_columns(
        moment.alias("timestamp"), moment.alias("known_at"), clock.dt.strftime("%H:%M").alias("time"),
        close.dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC").alias("outcome_known_at"),
        pl.col("date").alias("expiry"), pl.lit("points").alias("unit"), pl.lit(100.0).alias("multiplier"),
        (pl.col("reward") / pl.col("risk")).alias("ratio"), (pl.col("profit") > 0).alias("win"),
        pl.lit("made up").alias("source"), pl.col("predicted").alias("predicted_trades"),
        pl.when(pl.col("short_term").is_null()).then(pl.lit("profit,trades"))
        .otherwise(pl.lit("profit,trades,delta")).alias("source_file"),
        pl.lit(2025).alias("format_year"), *(each.alias(name) for name, each in right.items()),
    ).with_columns(_description().alias("trade_description"))  # fmt: skip
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(kind).alias(name) for name, kind in TRADES.items()
    )


def _description() -> pl.Expr:
    """The order as a sheet writes it; a Sonar is written as the iron condor it is."""
    debit = pl.col("strategy") == "Butterfly"
    verb = pl.when(debit).then(pl.lit("BUY +1")).otherwise(pl.lit("SELL -1"))
    word = pl.col("strategy").replace({"Sonar": "Iron Condor"})
    strikes = pl.concat_str(
        [pl.col(f"strike{i}").cast(pl.String).str.strip_suffix(".0") for i in range(1, 5)],
        separator="/", ignore_nulls=True,
    )  # fmt: skip
    right = pl.when(pl.col("type3") == "PUT").then(pl.lit("CALL/PUT")).otherwise(pl.col("type1"))
    day = pl.col("date").dt.strftime("%-d %b %y")
    return pl.format(
        "{} {} {} 100 {} {} {} @{} LMT", verb, word, pl.col("symbol"), day, strikes, right,
        pl.col("premium").abs().round(2),
    )  # fmt: skip
