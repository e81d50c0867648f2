"""What is known of each proposed trade before any model is asked: risk, reward, breakevens, and the odds of its price.

One function for a million stored rows and for the one row of a request. All of it is arithmetic on the trade's own row
and the exchange's calendar; nothing is fitted and no other row is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, nearest
from openbell.core.time import MOMENT, Sessions
from openbell.quant.payoffs import owing, profiles
from openbell.quant.price_odds import BASES, PriceOdds, price_odds
from openbell.research.trade_clock import EXCHANGE_ZONE, SESSION, Clock, clock

#: `logit_price` is held within these odds (9,999 to 1): the log odds of a price that leaves no chance have no end, and
#: one such row would outweigh all others. `fact_counts` says how many are held.
MOST_ODDS = 9_999.0
#: Column, if it is there, of the market's volatility of the symbol: per year, a fraction, known at the session's open.
MARKET_VOLATILITY = "market_volatility"

_LEGS = range(1, 5)
_BASES = np.array(BASES, dtype=object)
#: Strikes whose squared distance from their mean, in implied moves, is under this are one strike.
_SAME = 1e-12


def _place(column: str, words: tuple[str, str], values: tuple[float, float]) -> pl.Expr:
    first = pl.when(pl.col(column) == words[0]).then(values[0])
    return first.when(pl.col(column) == words[1]).then(values[1]).otherwise(float("nan"))


#: Words as numbers, all in one query: on the row of a request a query costs more than the arithmetic.
_WORDS = (
    _place("unit", ("points", "usd"), (0.0, 1.0)).alias("unit"),
    *(_place(f"type{i}", ("CALL", "PUT"), (1.0, -1.0)).alias(f"right{i}") for i in _LEGS),
)
#: Up to so many rows words and days are read one by one, without a query.
FEW_ROWS = 16


def _few_words(trades: pl.DataFrame) -> pl.DataFrame:
    """What the query of `_WORDS` and `SESSION` gives, for a few rows."""
    zone = ZoneInfo(EXCHANGE_ZONE)
    days = [each and each.astimezone(zone).date() for each in trades["known_at"].to_list()]
    columns = {"unit": ("unit", ("points", "usd"), (0.0, 1.0))}
    columns |= {f"right{i}": (f"type{i}", ("CALL", "PUT"), (1.0, -1.0)) for i in _LEGS}
    said = {
        name: [_number(word, words, values) for word in trades[column].to_list()]
        for name, (column, words, values) in columns.items()
    }
    return pl.DataFrame(
        {"session": days, **said}, schema={"session": pl.Date, **dict.fromkeys(said, pl.Float64)}, orient="col"
    )


def _number(word: str | None, words: tuple[str, str], values: tuple[float, float]) -> float:
    return values[words.index(word)] if word in words else float("nan")


#: Columns that `facts` adds, with their types.
FACTS: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {
        "session": pl.Date, "open_at": MOMENT, "close_at": MOMENT, "expires_at": MOMENT, "years": pl.Float64,
        "paid": pl.Float64, "cost_points": pl.Float64, "max_profit": pl.Float64, "max_loss": pl.Float64,
        "width": pl.Float64, "breakeven_low": pl.Float64, "breakeven_high": pl.Float64, "wins_between": pl.Boolean,
        "deviation": pl.Float64, "implied_move": pl.Float64, "price_basis": pl.String, "price_ambiguous": pl.Boolean,
        **{f"iv{i}": pl.Float64 for i in _LEGS}, "atm_iv": pl.Float64,
        "fair_probability": pl.Float64, "price_probability": pl.Float64, "logit_price": pl.Float64,
        "profit_usd": pl.Float64, "risk_usd": pl.Float64, "reward_usd": pl.Float64, "win": pl.Boolean,
        "win_usd": pl.Float64, "loss_usd": pl.Float64, "ratio": pl.Float64, "smile_slope": pl.Float64,
    }
)  # fmt: skip
#: Those of them that tell the outcome.
OUTCOME_FACTS = frozenset({"profit_usd", "win"})
_NEEDED = (
    "known_at", "expiry", "price", "premium", "profit", "expected_move", "unit", "multiplier",
    *(f"{name}{i}" for i in _LEGS for name in ("strike", "direction", "type", "bid", "ask", "mid")),
)  # fmt: skip


def facts(trades: pl.DataFrame, *, commission_usd: float, sessions: Sessions | None = None) -> pl.DataFrame:
    """`trades` with the columns of `FACTS`; the rows and their order are kept, nothing is dropped or filled.

    Parameters
    ----------
    trades : rows of `core.trade_rows.TRADES`, premium above 0 paid and below 0 received. A column ``market_volatility``
        is read where it is there.
    commission_usd : per contract and side. Opening pays it on every contract; legs that expire pay no closing one.
    sessions : calendar of the exchange, half days included. Without it every weekday has a session from 09:30 to 16:00
        New York.

    Returns
    -------
    polars.DataFrame
        Points per unit of the structure unless the name says USD; null where it cannot be known.

        session, open_at, close_at, expires_at, years : as `trade_clock.clock`.
        paid : the premium in points. cost_points : all commissions.
        max_profit, max_loss : at expiry before costs, max_loss positive; null where there is no bound.
        width : their sum, the range of the payoff: the (wider) wing of a vertical, condor or butterfly.
        breakeven_low, breakeven_high, wins_between : before costs, as `quant.price_odds.PriceOdds`.
        deviation, price_probability, price_basis, price_ambiguous : as `quant.price_odds`; the basis is the source of
        the width that spoke. implied_move : deviation times price, one standard deviation to the expiry.
        iv1 … iv4 : of the legs, from their mids, per year of trading time; atm_iv : the deviation likewise.
        fair_probability : of a win at which a bet of max_loss and costs against max_profit less costs is fair,
        ``(max_loss + cost) / (max_loss + max_profit)``; null where that is no probability.
        logit_price : log odds of price_probability, held within `MOST_ODDS`. ratio : max_profit over max_loss, null
        where nothing can be lost. smile_slope : of the legs' volatilities in their strikes, by least squares, per
        implied move; null with fewer than two strikes.
        risk_usd, reward_usd : max_loss and costs, max_profit less costs, of one unit. profit_usd : of one unit, after
        the opening commissions. win_usd, loss_usd : of one unit after costs, the mean of a win and of a loss under the
        density of the price. win : profit_usd above 0. A missing profit is null in both, never a loss.

    Raises
    ------
    BadInput
        On missing columns, a unit that is neither ``points`` nor ``usd``, or a commission below 0.
    """
    if not commission_usd >= 0:
        raise BadInput(f"A commission is 0 USD or more per contract; was {commission_usd}.")
    there = set(trades.columns)
    lacking = [name for name in _NEEDED if name not in there]
    if lacking:
        raise BadInput(f"The trades have no column `{lacking[0]}`. {nearest(lacking[0], there)}")
    words = _few_words(trades) if trades.height <= FEW_ROWS else trades.select(SESSION, *_WORDS)
    times = clock(trades["known_at"], trades["expiry"], words["session"], sessions)
    numbers, basis, ambiguous = worked_out(_read(trades, words), times, commission_usd)
    made = {
        **_series(numbers),
        "session": words["session"],
        "price_basis": pl.Series("", basis.tolist(), dtype=pl.String),
        "price_ambiguous": pl.Series("", ambiguous),
    }
    return _replaced(trades, [_typed(made[name], kind).alias(name) for name, kind in FACTS.items()])


def worked_out(
    rows: TradeNumbers, times: Clock, commission_usd: float
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """The numbers of `FACTS` by name, each (n,) floats, NaN where unknown; the words of `price_basis`; `ambiguous`.

    Moments are microseconds since 1970, truths 0 or 1.
    """
    cost = commission_usd * rows.contracts / rows.multiplier
    found = price_odds(
        rows.right, rows.strike, rows.ratio, rows.paid, cost, rows.price, mid=rows.mid,
        expected_move=rows.expected_move, years=times.years, market_volatility=rows.market_volatility,
    )  # fmt: skip
    numbers = {**times.moments(), **_numbers(rows, cost, found), **_odds(found, times.years, rows)}
    return numbers, _BASES[found.basis], found.ambiguous


def _typed(column: pl.Series, kind: pl.DataType | type[pl.DataType]) -> pl.Series:
    """`column` in its type; moments come as microseconds in floats, which hold them exactly."""
    if column.dtype == kind:
        return column
    return column.cast(pl.Int64).cast(kind) if kind == MOMENT else column.cast(kind)


def _replaced(trades: pl.DataFrame, columns: list[pl.Series]) -> pl.DataFrame:
    """`trades` with `columns` at the end, in place of those of their names."""
    kept, there = trades.clone(), set(trades.columns)
    for each in columns:
        if each.name in there:
            kept.drop_in_place(each.name)
    return kept.hstack(columns)


def fact_counts(rows: pl.DataFrame) -> dict[str, int]:
    """How many rows of `facts` have each basis of their price's odds, and how many lack or bend what.

    ``rows``, ``basis: <name>`` (``basis: none`` without any), ``ambiguous``, ``logit held``, ``unlimited or unknown
    risk``, ``certain losses`` (no price of the underlying gives a profit), ``without profit``.
    """
    basis = rows["price_basis"].fill_null("none").value_counts().sort("price_basis")
    held = rows["logit_price"].abs() >= np.log(MOST_ODDS)
    return {
        "rows": rows.height,
        **{f"basis: {name}": int(count) for name, count in basis.iter_rows()},
        "ambiguous": int(rows["price_ambiguous"].sum()),
        "logit held": int(held.sum()),
        "unlimited or unknown risk": rows["max_loss"].null_count(),
        "certain losses": int((rows["max_profit"] <= 0).sum()),
        "without profit": rows["profit_usd"].null_count(),
    }


@dataclass(frozen=True, slots=True, eq=False)
class TradeNumbers:
    """The numbers of n trades, NaN where missing. right, strike, ratio, mid : (n, 4), the others (n,).

    Points per unit; `paid` is above 0 for a debit. An entry with `ratio` 0 is no leg.
    """

    right: np.ndarray
    strike: np.ndarray
    ratio: np.ndarray
    mid: np.ndarray
    paid: np.ndarray
    profit: np.ndarray
    price: np.ndarray
    multiplier: np.ndarray
    expected_move: np.ndarray
    market_volatility: np.ndarray | None

    @classmethod
    def of(cls, legs: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray], scale: np.ndarray) -> TradeNumbers:
        """From columns as they are stored: `legs` (n, 4), `rows` (n,), and what brings money to points, (n,)."""
        strike, direction, bid, ask = (legs[name] for name in ("strike", "direction", "bid", "ask"))
        with np.errstate(invalid="ignore"):
            quoted = (bid >= 0) & (ask >= bid)
        # A leg without direction and strike is none; with one of the two it is a leg that nobody can price.
        ratio = np.where(np.isnan(direction) & np.isnan(strike), 0.0, direction)
        premium = rows["premium"] * scale
        return cls(
            right=legs["right"],
            strike=strike,
            ratio=ratio,
            mid=np.where(quoted, 0.5 * (bid + ask), legs["mid"]),
            # Sheets write what a structure that is sold brings as they write what one that is bought costs.
            paid=np.where(owing(legs["right"], strike, ratio), -premium, premium),
            profit=rows["profit"] * scale,
            price=rows["price"],
            multiplier=rows["multiplier"],
            expected_move=rows["expected_move"],
            market_volatility=rows.get(MARKET_VOLATILITY),
        )

    @property
    def contracts(self) -> np.ndarray:
        """Contracts of one unit; NaN without legs."""
        total = np.abs(self.ratio).sum(axis=1)
        return np.where(total > 0, total, np.nan)


#: Columns of money and market, and those of each leg, that `TradeNumbers.of` takes.
NUMBERS = ("premium", "profit", "price", "multiplier", "expected_move")
LEG_NUMBERS = ("strike", "direction", "bid", "ask", "mid")


def _read(trades: pl.DataFrame, words: pl.DataFrame) -> TradeNumbers:
    named = (*NUMBERS, MARKET_VOLATILITY) if MARKET_VOLATILITY in trades.columns else NUMBERS
    rows = {name: _floats(trades[name]) for name in named}
    legs = {name: _legs(trades, name) for name in LEG_NUMBERS}
    legs["right"] = np.stack([words[f"right{i}"].to_numpy() for i in _LEGS], axis=1)
    return TradeNumbers.of(legs, rows, _points(trades, words["unit"].to_numpy(), rows["multiplier"]))


def _points(trades: pl.DataFrame, unit: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    """What brings the money of each row to points."""
    if np.isnan(unit).any():
        raise wrong_unit(trades["unit"].filter(np.isnan(unit)).to_list())
    return np.where(unit == 0, 1.0, 1.0 / multiplier)


def wrong_unit(said: Sequence[str | None]) -> BadInput:
    """The sentence about rows whose unit is none."""
    return BadInput(
        f"The money of a trade is in points or usd; {len(said)} rows said `{said[0]}`. Import them with their unit."
    )


def _floats(column: pl.Series) -> np.ndarray:
    return (column if column.dtype == pl.Float64 else column.cast(pl.Float64)).to_numpy()


def _legs(trades: pl.DataFrame, name: str) -> np.ndarray:
    return np.stack([_floats(trades[f"{name}{i}"]) for i in _LEGS], axis=1)


def _numbers(rows: TradeNumbers, cost: np.ndarray, found: PriceOdds) -> dict[str, np.ndarray]:
    """What expiry can bring, and what it brought."""
    bound = profiles(rows.right, rows.strike, rows.ratio, rows.paid)
    legs = ~np.isnan(rows.contracts)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain, loss = (np.where(legs & np.isfinite(each), each, np.nan) for each in (bound.max_profit, bound.max_loss))
        fair = (loss + cost) / (loss + gain)
        profit = (rows.profit - cost) * rows.multiplier
        return {
            "paid": rows.paid,
            "cost_points": cost,
            "max_profit": gain,
            "max_loss": loss,
            "width": gain + loss,
            "breakeven_low": found.breakeven_low,
            "breakeven_high": found.breakeven_high,
            "wins_between": found.wins_between,
            "fair_probability": np.where((fair > 0) & (fair < 1), fair, np.nan),
            "profit_usd": profit,
            "ratio": np.where(loss > 0, gain / loss, np.nan),
            "risk_usd": (loss + cost) * rows.multiplier,
            "reward_usd": (gain - cost) * rows.multiplier,
            "win": np.where(np.isnan(profit), np.nan, profit > 0),
        }


def _odds(found: PriceOdds, years: np.ndarray, rows: TradeNumbers) -> dict[str, np.ndarray]:
    """What the price implies."""
    with np.errstate(invalid="ignore", divide="ignore"):
        root, most = np.sqrt(years), np.log(MOST_ODDS)
        move, iv = found.deviation * rows.price, found.leg_deviation / root[:, None]
        return {
            "years": years,
            "deviation": found.deviation,
            "implied_move": move,
            "smile_slope": _slope(rows.strike / move[:, None], iv),
            **{f"iv{i}": iv[:, i - 1] for i in _LEGS},
            "atm_iv": found.deviation / root,
            "price_probability": found.probability,
            "win_usd": found.mean_win * rows.multiplier,
            "loss_usd": found.mean_loss * rows.multiplier,
            "logit_price": np.clip(np.log(found.probability / (1.0 - found.probability)), -most, most),
        }


def _slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least-squares slope of `y` in `x` over the columns where both are numbers (n,); NaN where `x` does not vary."""
    there = np.isfinite(x) & np.isfinite(y)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    x, y = np.where(there, x, 0.0), np.where(there, y, 0.0)
    from_mean = np.where(there, x - x.sum(axis=1, keepdims=True) / count, 0.0)
    squares = (from_mean**2).sum(axis=1)
    return np.asarray(
        np.where(squares > _SAME, (from_mean * y).sum(axis=1) / np.where(squares > 0, squares, 1.0), np.nan)
    )


def _series(numbers: Mapping[str, np.ndarray]) -> dict[str, pl.Series]:
    """One series cut into its columns: a request has one row, and making thirty series takes longer than they do."""
    n = len(next(iter(numbers.values())))
    whole = pl.Series("", np.concatenate(list(numbers.values())), nan_to_null=True)
    return {name: whole.slice(place * n, n) for place, name in enumerate(numbers)}
