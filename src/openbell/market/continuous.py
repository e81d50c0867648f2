"""One series of a future out of its contracts: rolled by what was known, adjusted forward, raw prices beside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.core.time import MOMENT
from openbell.market import products
from openbell.market.contract_months import last_trading_day, of_contract
from openbell.market.products import Product
from openbell.quant.rolls import contracts_in_force, forward_adjustment, roll_steps

PRICES = ("open", "high", "low", "close", "bid", "ask")
#: The table ``rolls``. In `session` the series `symbol` goes on with `contract`: ``price * factor + offset``. `old` and
#: `new` are the prices of the contracts left and entered at `priced_at`; null at the start and where they never traded
#: together (`joined` is then false and the jump stays in the series). `known_at` is the close of the session before.
ROLLS: dict[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String,
    "freq": pl.String,
    "rule": pl.String,
    "adjust": pl.String,
    "session": pl.Date,
    "contract": pl.String,
    "left": pl.String,
    "priced_at": MOMENT,
    "old": pl.Float64,
    "new": pl.Float64,
    "joined": pl.Boolean,
    "factor": pl.Float64,
    "offset": pl.Float64,
    "known_at": MOMENT,
}


@dataclass(frozen=True, eq=False)
class Continuous:
    """A series out of contracts.

    Attributes
    ----------
    bars : of the contract in force alone, sorted by time: ``contract``, ``session``, ``at``, adjusted ``open high low
        close bid ask``, ``volume``, and as received ``raw_open`` ... ``raw_close``.
    rolls : columns of `ROLLS`, one row for the first contract and one for each roll.
    left_out : bars of contracts that were not in force.
    notes : sentences for every report on the series.
    """

    bars: pl.DataFrame
    rolls: pl.DataFrame
    left_out: int
    notes: tuple[str, ...]


def continuous(
    bars: pl.DataFrame, product: Product, freq: str, *, by: str = "volume", days: int = 5, adjust: str = "ratio"
) -> Continuous:
    """Join bars of the contracts of `product`.

    Parameters
    ----------
    bars : ``symbol`` (of a contract, such as ES_201312), ``session``, ``at`` and the fields of bars, one row per symbol
        and moment; daily bars have their session's close as `at`.
    by : ``volume`` rolls in the session after a later contract traded more; ``days`` rolls so many sessions before
        the contract's last trading day. adjust : ratio, difference or none; see `quant.rolls`.

    Returns
    -------
    Cutting `bars` off after any session leaves all that comes before unchanged.
    """
    contracts = _in_order(bars, product)
    volume, days_of = _volumes(bars, contracts)
    calendar = products.sessions(product)
    number = np.array([calendar.index(day) for day in days_of], dtype=np.int64)
    last = np.array([calendar.index(last_trading_day(product, *_month(each))) for each in contracts], dtype=np.int64)
    in_force = contracts_in_force(volume, number, last, by=by, days=days)
    if in_force[-1] < 0:
        raise DataMissing(
            f"None of the contracts of {product.code}, {contracts[0]} to {contracts[-1]}, traded before its last "
            "trading day in these bars. Are the delivery months right?"
        )
    steps = roll_steps(in_force)
    prices = _roll_prices(bars, contracts, days_of, in_force, steps)
    old, new = (prices[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("old", "new"))
    factor, offset, joined = forward_adjustment(len(days_of), steps, old, new, adjust=adjust)
    chain = pl.DataFrame(
        {
            "session": pl.Series(days_of, dtype=pl.Date),
            "contract": [contracts[each] if each >= 0 else None for each in in_force],
            "factor": factor,
            "offset": offset,
        }
    )
    rule = by if by == "volume" else f"days {days}"
    rolls = _rolls(chain, prices.with_columns(pl.Series("joined", joined)), steps, product, freq, rule, adjust)
    kept = _adjusted(bars, chain)
    left_out = bars.height - kept.height
    return Continuous(kept, rolls, left_out, _notes(product, rolls, left_out, rule, adjust))


def _month(symbol: str) -> tuple[int, int]:
    found = of_contract(symbol)
    assert found is not None
    return found[1]


def _in_order(bars: pl.DataFrame, product: Product) -> list[str]:
    """The contracts of `product` among the symbols, nearest expiry first."""
    if bars.is_empty():
        raise DataMissing(
            f"There are no bars of contracts of {product.code}. Import a file with a column `contract` by `openbell "
            f"data import minutes FILE --product {product.code}`."
        )
    symbols = bars["symbol"].unique().to_list()
    strange = sorted(each for each in symbols if (of_contract(each) or ("",))[0] != product.code)
    if strange:
        raise BadInput(f"`{strange[0]}` is no contract of {product.code}, such as {product.code}_201312.")
    return sorted(symbols, key=_month)


def _volumes(bars: pl.DataFrame, contracts: Sequence[str]) -> tuple[np.ndarray, list[dt.date]]:
    """Volume of each session and contract, shape (n, k), and the sessions. Where none is told a bar counts as one."""
    traded = pl.col("volume").sum() if bars["volume"].null_count() < bars.height else pl.len().cast(pl.Float64)
    told = bars.group_by("session", "symbol").agg(traded.cast(pl.Float64).alias("volume"))
    days = told["session"].unique().sort()
    grid = np.zeros((len(days), len(contracts)))
    places = {name: place for place, name in enumerate(contracts)}
    rows = days.search_sorted(told["session"]).to_numpy()
    columns = told["symbol"].replace_strict(places, return_dtype=pl.Int64).to_numpy()
    grid[rows, columns] = told["volume"].to_numpy()
    return grid, days.to_list()


def _roll_prices(
    bars: pl.DataFrame, contracts: Sequence[str], days: Sequence[dt.date], in_force: np.ndarray, steps: np.ndarray
) -> pl.DataFrame:
    """``left``, ``priced_at``, ``old``, ``new`` of each roll: the last moment of the session before that both have."""
    wanted = pl.DataFrame(
        {
            "roll": pl.Series(range(len(steps)), dtype=pl.Int64),
            "session": pl.Series([days[t - 1] for t in steps], dtype=pl.Date),
            "left": pl.Series([contracts[in_force[t - 1]] for t in steps], dtype=pl.String),
            "entered": pl.Series([contracts[in_force[t]] for t in steps], dtype=pl.String),
        }
    )
    closes = bars.select("session", "symbol", "at", "close")
    both = wanted.join(closes.rename({"close": "old"}), left_on=["session", "left"], right_on=["session", "symbol"])
    both = both.join(
        closes.rename({"close": "new"}), left_on=["session", "entered", "at"], right_on=["session", "symbol", "at"]
    )
    last = both.drop_nulls(["old", "new"]).sort("at").unique("roll", keep="last")
    found = wanted.join(last.select("roll", "at", "old", "new"), on="roll", how="left", maintain_order="left")
    return found.select("left", pl.col("at").cast(MOMENT).alias("priced_at"), "old", "new")


def _rolls(
    chain: pl.DataFrame, prices: pl.DataFrame, steps: np.ndarray, product: Product, freq: str, rule: str, adjust: str
) -> pl.DataFrame:
    start = pl.DataFrame({"left": [None], "priced_at": [None], "old": [None], "new": [None], "joined": [True]})
    beside = pl.concat([start.select(pl.col(name).cast(kind) for name, kind in prices.schema.items()), prices])
    begun = int(chain["contract"].is_not_null().arg_max() or 0)
    places = [begun, *steps.tolist()]
    at = chain[places]
    close = products.sessions(product).frame.select("session", pl.col("close_at").alias("known_at"))
    # The start is known when its session opens; a roll when the session before it, of the data, has closed.
    before = chain.select(pl.when(pl.int_range(pl.len()) > begun).then(pl.col("session").shift(1)))["session"][places]
    known = pl.DataFrame({"session": before}).join(close, on="session", how="left", maintain_order="left")["known_at"]
    opened = products.sessions(product).open(at["session"][0])
    rows: pl.DataFrame = pl.concat([at, beside], how="horizontal").with_columns(
        known.fill_null(opened), symbol=pl.lit(product.code), freq=pl.lit(freq), rule=pl.lit(rule),
        adjust=pl.lit(adjust),
    )  # fmt: skip
    return rows.select(pl.col(name).cast(kind) for name, kind in ROLLS.items())


def _adjusted(bars: pl.DataFrame, chain: pl.DataFrame) -> pl.DataFrame:
    """Bars of the contract in force, adjusted, with the raw prices beside."""
    fields = [name for name in PRICES if name in bars.columns]
    rows = bars.rename({"symbol": "contract"}).join(chain, on=["session", "contract"], how="inner").sort("at")
    raw = [pl.col(name).alias(f"raw_{name}") for name in PRICES[:4]]
    moved = [(pl.col(name) * pl.col("factor") + pl.col("offset")).alias(name) for name in fields]
    return rows.with_columns(*raw, *moved).select(
        "contract", "session", "at", *fields, "volume", *(f"raw_{name}" for name in PRICES[:4])
    )


def _notes(product: Product, rolls: pl.DataFrame, left_out: int, rule: str, adjust: str) -> tuple[str, ...]:
    count, first, last = rolls.height - 1, rolls["contract"][0], rolls["contract"][-1]
    notes = [
        f"{product.code} is a series of contracts, {first} to {last}: {count} rolls by {rule}, adjusted by {adjust} "
        f"forward from the first one. {left_out:,} bars of contracts not in force are not in it."
    ]
    jumps = rolls.filter(~pl.col("joined"))
    if adjust != "none" and jumps.height:
        told = ", ".join(f"{day} into {name}" for day, name in jumps.select("session", "contract").head(3).iter_rows())
        notes.append(
            f"{jumps.height} rolls of {product.code} could not be adjusted, as the two contracts never traded together "
            f"in the session before: {told}. Their jumps are in the series."
        )
    return tuple(notes)


__all__ = ["ROLLS", "Continuous", "continuous"]
