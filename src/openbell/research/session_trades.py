"""Trades of the session desk: entered after the cut-off, left at the stop or the close, none where nothing was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, unknown
from openbell.core.session import CLASSES, NO_CALL, SIDES, probability

#: Columns of forecasts that a trade is made of.
NEEDED = ("symbol", "session", "as_of", "atr", "entry_at", "entry", "exit_at", "exit", "model", "call", "confidence")
#: What the counts of `Followed` mean, in sentences.
COUNTED: Mapping[str, str] = {
    "no_call": "sessions had no call, so nothing was traded in them",
    "sideless": "calls were of a class that is not traded (RANGE, REVERSAL)",
    "unfinished": "sessions have no entry or no exit price, so they are left out altogether",
    "without_atr": "calls had no average true range and so no stop; they were not entered",
    "stopped": "positions were left at their stop",
}
_SAME_PRICE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """What became of the forecasts of one model.

    Attributes
    ----------
    days : a row per forecast session that has an entry and an exit price, in order: the forecasts' columns and
        ``side`` (1, -1 or 0).
    trades : those of `days` with a side, with ``stop``, ``entry_price``, ``exit_price``, ``left_at``, ``reason``
        (``close`` or ``stop``), ``gross_return`` (of the value at entry), ``traded`` (value bought and sold over it).
    counts : see `COUNTED`.
    """

    days: pl.DataFrame
    trades: pl.DataFrame
    counts: Mapping[str, int]


def one_model(forecasts: pl.DataFrame) -> str:
    """The model of `forecasts`; refused where they are of several models or products, or name a session twice."""
    missing = [name for name in NEEDED if name not in forecasts.columns]
    if missing:
        raise BadInput(f"Forecasts of the session desk have the columns {', '.join(NEEDED)}; these lack {missing[0]}.")
    for name, what in (("model", "model"), ("symbol", "product")):
        found = forecasts[name].unique().sort().to_list()
        if len(found) != 1:
            listed = f": {', '.join(map(str, found))}" if found else ""
            raise BadInput(f"A back-test follows the forecasts of one {what}; these are of {len(found)}{listed}.")
    if forecasts["session"].is_duplicated().any():
        twice = forecasts.filter(pl.col("session").is_duplicated())["session"][0]
        raise BadInput(f"A session has one forecast of a model; {twice} has several.")
    return str(forecasts["model"][0])


def entry_checked(forecasts: pl.DataFrame, bars: pl.DataFrame | None = None) -> pl.DataFrame:
    """`forecasts`, refused where one would be entered at a price from before its own decision.

    A forecast made at 10:15 knows the move from the open to 10:15: entered at the open it earns what it has already
    seen. With `bars` the price is looked up too: it is the open of the bar that begins at the entry.

    Raises
    ------
    BadInput
        Where an entry lies before the decision, an exit before its entry, or a price is not the one of that bar.
    """
    for early, late, words in (
        ("entry_at", "as_of", "are entered before the decision that they follow"),
        ("exit_at", "entry_at", "are left before they are entered"),
    ):
        wrong = forecasts.filter(pl.col(early) < pl.col(late))
        if wrong.height:
            first = wrong.row(0, named=True)
            raise BadInput(
                f"{wrong.height} of {forecasts.height} positions {words}, the first in session {first['session']}: "
                f"`{early}` {first[early]:%H:%M} UTC, `{late}` {first[late]:%H:%M} UTC. What happened before the "
                "cut-off is known to the forecast and earns nothing: enter at the open of the next bar."
            )
    if bars is not None:
        _prices_checked(forecasts, bars)
    return forecasts


def _prices_checked(forecasts: pl.DataFrame, bars: pl.DataFrame) -> None:
    """Refuse an entry whose price is not the open of the first bar that ends after `entry_at`, or that has no bar."""
    asked = forecasts.filter(pl.col("entry").is_not_null() & pl.col("exit").is_not_null())
    firsts = _held(asked, bars).group_by("session", maintain_order=True).agg(pl.col("open").first().alias("_open"))
    beside = asked.join(firsts, on="session", how="left", maintain_order="left")
    bare = beside.filter(pl.col("_open").is_null())
    if bare.height:
        raise BadInput(
            f"{bare.height} of {asked.height} sessions have no bar between entry and exit, the first "
            f"{bare['session'][0]}. Hand in the bars that the forecasts were made on."
        )
    wrong = beside.filter((pl.col("entry") / pl.col("_open") - 1).abs() > _SAME_PRICE)
    if wrong.height:
        first = wrong.row(0, named=True)
        raise BadInput(
            f"{wrong.height} of {asked.height} entries are not at the open of the first bar after the cut-off, the "
            f"first in session {first['session']}: {first['entry']:.6g}, the bar opened at {first['_open']:.6g}. An "
            "entry at the open of the day is a price from before the decision."
        )


def _held(positions: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """The bars within each position, the entry's own among them, in order of time, beside its columns."""
    own = positions.select("symbol", "session", "entry_at", "exit_at", pl.col("^(side|stop)$"))
    within = bars.select("symbol", "session", "at", "open", "high", "low").join(own, on=["symbol", "session"])
    return within.filter((pl.col("at") > pl.col("entry_at")) & (pl.col("at") <= pl.col("exit_at"))).sort("at")


def sides_of(calls: pl.Series, sides: Mapping[str, int] = SIDES) -> pl.Series:
    """1, -1 or 0 for each call; null, and the word for no call, are 0, and so is nothing else that is no class.

    Raises
    ------
    BadInput
        On calls that are numbers: a -1 that means "no prediction" would be a short position, a 0 that means DOWN none.
    """
    if calls.dtype not in (pl.String, pl.Null):
        raise BadInput(
            f"A call is the name of a class, or null where there is none; these are {calls.dtype}. Numbers are not "
            "taken: -1 for `no prediction` would be traded as a short position."
        )
    named = calls.cast(pl.String)
    strange = sorted(set(named.drop_nulls().unique()) - {*sides, NO_CALL})
    if strange:
        raise unknown("class of a call", strange[0], sides)
    return named.replace_strict({**sides, NO_CALL: 0}, default=0, return_dtype=pl.Int8).alias("side")


def followed(
    forecasts: pl.DataFrame, bars: pl.DataFrame | None, *, stop_atr: float = 0.0, sides: Mapping[str, int] = SIDES
) -> Followed:
    """One position for each session whose call has a side, from its entry to its stop or its exit.

    Parameters
    ----------
    forecasts : of one model and product; see `one_model`. bars : ``symbol session at open high low`` of the sessions,
        `at` the END of a bar. None is taken without a stop alone; entries are then not held against the bars.
    stop_atr : distance of the stop from the entry in average true ranges; 0 is no stop. It is looked at bar by bar, the
        entry's own among them; a bar that opens beyond it fills at its open, else at the stop.

    Raises
    ------
    BadInput
        See `one_model`, `entry_checked` and `sides_of`; on a `stop_atr` below 0, or one above 0 without bars.
    """
    one_model(forecasts)
    if not stop_atr >= 0:
        raise BadInput(f"`stop_atr` must be 0 (no stop) or above; was {stop_atr}.")
    if bars is not None and "freq" in bars.columns and bars["freq"].n_unique() > 1:
        raise BadInput(f"The bars are of several frames ({', '.join(bars['freq'].unique().sort())}); hand in one.")
    if bars is None and stop_atr:
        raise BadInput(
            f"A stop at {stop_atr:g} average true ranges needs the bars it is looked for in; there are none."
        )
    ordered = forecasts.sort("session").with_columns(sides_of(forecasts.sort("session")["call"], sides))
    whole = ordered.filter(pl.col("entry").is_not_null() & pl.col("exit").is_not_null())
    entry_checked(whole, bars)
    silent = pl.col("call").is_null() | (pl.col("call") == NO_CALL)
    counts = {
        "no_call": whole.filter(silent).height,
        "sideless": whole.filter(~silent & (pl.col("side") == 0)).height,
        "unfinished": ordered.height - whole.height,
        "without_atr": 0,
    }
    if stop_atr:
        bare = (pl.col("side") != 0) & ~(pl.col("atr").is_finite() & (pl.col("atr") > 0)).fill_null(False)
        counts["without_atr"] = whole.filter(bare).height
        whole = whole.with_columns(pl.when(bare).then(0).otherwise("side").cast(pl.Int8).alias("side"))
    trades = _left(whole.filter(pl.col("side") != 0), bars, stop_atr)
    counts["stopped"] = trades.filter(pl.col("reason") == "stop").height
    return Followed(whole, trades, counts)


def _left(entered: pl.DataFrame, bars: pl.DataFrame | None, stop_atr: float) -> pl.DataFrame:
    """The positions with how, when and at what they were left, and what that returned before costs."""
    stop = pl.col("entry") - pl.col("side") * stop_atr * pl.col("atr") if stop_atr else pl.lit(None, dtype=pl.Float64)
    asked = entered.with_columns(stop.alias("stop"))
    hits = pl.DataFrame(schema={"session": pl.Date, "_at": asked["exit_at"].dtype, "_price": pl.Float64})
    if bars is not None and stop_atr:
        long = pl.col("side") > 0
        reached = pl.when(long).then(pl.col("low") <= pl.col("stop")).otherwise(pl.col("high") >= pl.col("stop"))
        worse = pl.when(long).then(pl.min_horizontal("open", "stop")).otherwise(pl.max_horizontal("open", "stop"))
        first = _held(asked, bars).filter(reached).group_by("session", maintain_order=True)
        hits = first.agg(pl.col("at").first().alias("_at"), worse.first().alias("_price"))
    left, stopped = pl.coalesce("_price", "exit"), pl.col("_price").is_not_null()
    ratio = pl.col("exit_price") / pl.col("entry")
    return (
        asked.join(hits, on="session", how="left", maintain_order="left")
        .with_columns(
            pl.col("entry").alias("entry_price"), left.alias("exit_price"),
            pl.coalesce("_at", "exit_at").alias("left_at"),
            pl.when(stopped).then(pl.lit("stop")).otherwise(pl.lit("close")).alias("reason"),
        )
        .with_columns((pl.col("side") * (ratio - 1.0)).alias("gross_return"), (1.0 + ratio).alias("traded"))
        .drop("_at", "_price")
    )  # fmt: skip


def commonest_calls(days: pl.DataFrame) -> pl.Series:
    """For each forecast the class that was commonest among the labels known by then; null before the first.

    Parameters
    ----------
    days : ``as_of``, ``label``, ``label_known_at`` and a probability for each class, in order of time. Of classes that
        came equally often the first is taken.
    """
    classes = classes_of(days)
    known = days.filter(pl.col("label").is_not_null() & pl.col("label_known_at").is_not_null()).sort("label_known_at")
    counts = known.select(
        pl.col("label_known_at").alias("as_of"),
        *((pl.col("label") == code).cast(pl.Int64).cum_sum().alias(word) for code, word in enumerate(classes)),
    )
    beside = days.select("as_of").join_asof(counts, on="as_of", strategy="backward").select(classes).to_numpy()
    numbers = np.nan_to_num(beside.astype(np.float64), nan=0.0)
    words = [
        classes[at] if some else None for at, some in zip(numbers.argmax(axis=1), numbers.any(axis=1), strict=True)
    ]
    return pl.Series("call", words, dtype=pl.String)


def classes_of(forecasts: pl.DataFrame) -> tuple[str, ...]:
    """The classes that `forecasts` have probabilities of, in the order of their codes."""
    there = {name for name in forecasts.columns if name.startswith("p_")}
    for classes in CLASSES.values():
        if {probability(each) for each in classes} == there:
            return classes
    raise BadInput(f"The forecasts have the probabilities {', '.join(sorted(there)) or 'of nothing'}: of no label.")
