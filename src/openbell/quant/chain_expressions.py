"""The vocabulary of chain expressions: what a feature of option quotes, or of their history, is written in.

A feature reads one of three tables of one chain (the quotes of one underlying at one session), each in a fixed order,
and is an aggregate over it: ``contracts``, one row each; ``expiries``, one row per expiry, class and settlement, with
what was read off its smile; ``strikes``, one row per strike, with the open interest of both rights. An aggregate over
one chain cannot see another session. What comes of it is a column of the *days* of the underlying, the bars of the
session grid with the benchmark's close and the volatility index beside them.

A day without a chain has no value of its own but ends no window: `history` is computed on the days that have an
implied volatility alone, and says null where they lie too far apart.
"""

from __future__ import annotations

import math

import polars as pl

from openbell.core.errors import DeclarationError
from openbell.quant.expressions import MISSING_SHARE, SHARED, ratio

#: Tables of one chain, and the days of an underlying: what a feature of options may read.
CHAIN_READS = ("contracts", "expiries", "strikes")
DAYS = "days"

#: Columns that the engine computes on the days with an implied volatility, in the order of their need.
HISTORY: dict[str, pl.Expr] = {}
#: How many such days each of them needs.
HISTORY_DAYS: dict[str, int] = {}

#: Columns of the days beside the bars and the features of chains. `number` counts sessions.
BENCHMARK, INDEX, NUMBER = "benchmark_close", "volatility_index", "number"
benchmark_close = pl.col(BENCHMARK)
volatility_index = pl.col(INDEX)

#: Columns of the three tables.
EXPIRIES = (
    "days", "forward", "atm_iv", "put_iv_25", "call_iv_25", "delta_call", "delta_put", "gamma", "theta", "vega",
)  # fmt: skip
STRIKES = ("strike", "call_interest", "put_interest")

#: Nearest distance to a target of days, as a share of it, at which one expiry alone stands for it.
ALONE = 0.25
#: An expiry farther than so many times the target is no neighbour of it.
FARTHEST = 3.0

is_call = pl.col("right") == "CALL"
is_put = pl.col("right") == "PUT"


def slack(days: int) -> int:
    """Sessions that may lack an implied volatility among `days` that have one: 5 %, at least one."""
    return max(1, math.floor(MISSING_SHARE * days))


def history(name: str, definition: pl.Expr, days: int) -> pl.Expr:
    """Have the engine compute `definition` on the days with an implied volatility; the expression that reads it.

    `days` are the newest ones it needs, its own included. Null where they span more than ``days + slack(days)``
    sessions, so that an old value never counts as a recent one.
    """
    column = f"_{name}"
    span = pl.col(NUMBER) - pl.col(NUMBER).shift(days - 1)
    recent = pl.when(span <= days - 1 + slack(days)).then(definition)
    if column in SHARED or (column in HISTORY and not HISTORY[column].meta.eq(recent)):
        raise DeclarationError(f"The column `{column}` of the history is defined twice. Rename one.")
    HISTORY[column], HISTORY_DAYS[column] = recent, days
    return pl.col(column)


def recent_mean(x: pl.Expr, window: int) -> pl.Expr:
    """Mean of the newest `window` values of `x`, one of whose sessions may be missing."""
    rows = window + 1
    full = x.is_not_null().cast(pl.Float64).rolling_sum(rows, min_samples=window) == rows
    oldest = pl.when(full).then(x.shift(window)).otherwise(0.0)
    return (x.rolling_sum(rows, min_samples=window) - oldest) / float(window)


def at_days(volatility: pl.Expr, target: float) -> pl.Expr:
    """Volatility at `target` calendar days, from the expiries of one chain, in the order of their days.

    Total variance ``sigma^2 T`` is linear between the last expiry up to the target and the first one from it on, which
    lies at most three times as far. With a neighbour on one side alone its own volatility, where it lies within a
    quarter of the target; else null.
    """
    days = pl.col("days")
    before = volatility.is_not_null() & (days <= target)
    behind = volatility.is_not_null() & (days >= target) & (days <= FARTHEST * target)
    day_1, day_2 = days.filter(before).last(), days.filter(behind).first()
    iv_1, iv_2 = volatility.filter(before).last(), volatility.filter(behind).first()
    share = pl.when(day_2 > day_1).then((target - day_1) / (day_2 - day_1)).otherwise(0.0)
    variance = (1.0 - share) * iv_1 * iv_1 * day_1 + share * iv_2 * iv_2 * day_2
    # Polars divides one row and many by a number in two ways, a bit apart; it multiplies them alike.
    per_day = 1.0 / target
    near_1 = pl.when((target - day_1) <= ALONE * target).then(iv_1)
    near_2 = pl.when((day_2 - target) <= ALONE * target).then(iv_2)
    return (
        pl.when(day_1.is_not_null() & day_2.is_not_null())
        .then((variance * per_day).sqrt())
        .otherwise(pl.coalesce(near_1, near_2))
    )


def nearest_expiry(x: pl.Expr, target: float, farthest: float) -> pl.Expr:
    """`x` of the expiry whose days lie nearest to `target`, the earlier of two, at most `farthest` days away."""
    distance = (pl.col("days") - target).abs()
    usable = pl.col("atm_iv").is_not_null() & x.is_not_null() & (distance <= farthest)
    return x.filter(usable).get(distance.filter(usable).arg_min(), null_on_oob=True)


def sum_of(x: pl.Expr, rows: pl.Expr | None = None) -> pl.Expr:
    """Sum over the chain, or over its `rows`; null where none of them has a value, not 0."""
    chosen = x if rows is None else x.filter(rows)
    return pl.when(chosen.count() > 0).then(chosen.sum())


def put_call_ratio(x: pl.Expr) -> pl.Expr:
    """Sum of the puts over the sum of the calls; null where the calls have none."""
    return ratio(sum_of(x, is_put), sum_of(x, is_call))
