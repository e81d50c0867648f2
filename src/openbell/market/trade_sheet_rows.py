"""The rows of each kind of sheet as typed values; what is no trade is set aside with the rule that says why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from openbell.core.time import MOMENT, Sessions
from openbell.core.trade_rows import SHEET, SHEET_STRATEGIES
from openbell.market.trade_sheet_cleaning import EXCHANGE_ZONE, cleaned, moments, number
from openbell.market.trade_sheet_headers import NAMES

#: On whose clock each sheet is written.
ZONES: Mapping[str, str] = MappingProxyType({"profit": EXCHANGE_ZONE, "trades": "UTC", "delta": "UTC"})
#: Rows that sum others up carry one of these where a symbol or a time should stand.
SUMMARY = ("total", "totals", "expired", "failed")
#: What one row is: the minute it was proposed in, for what.
KEY = ("symbol", "strategy", "minute")

#: Why a row is set aside, in the order in which it is asked.
RULES: Mapping[str, str] = MappingProxyType(
    {
        "blank": "The row is blank.",
        "header": "The row repeats the header.",
        "summary": "It sums rows up: Total, Expired, Failed, a strategy or nothing stands for its symbol and time.",
        "too_many_cells": "The row has more cells than the header, so that nobody knows which is which.",
        "no_symbol": "The row names no symbol.",
        "unknown_strategy": "The row's Name is none of Butterfly, Iron Condor, Vertical, Sonar.",
        "bad_time": "The row's date and time are blank or certain in no form.",
        "no_session": "The row's day is no session of the exchange.",
        "duplicate": "The same symbol, strategy and minute stood in an earlier row, and this one contradicts nothing.",
        "duplicate_differs": "The same symbol, strategy and minute stood in an earlier row with other values.",
    }
)

_LEGS = range(1, 5)
_NUMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "profit": (
            *("price", "premium", "actual_premium", "expected_premium", "predicted", "closed", "closing", "expired"),
            *("risk", "reward", "ratio", "low", "high", "profit", "raw", "managed"),
        ),
        "trades": (
            *("premium", "risk", "reward", "ratio", "expected_move", "low", "high", "target1", "target2"),
            *("predicted_trades", "closing"),
            *(f"{name}{leg}" for leg in _LEGS for name in ("strike", "bid", "ask", "mid")),
        ),
        "delta": (
            *("price", "call_delta", "put_delta", "predicted_delta", "short_term", "long_term", "closing_delta"),
        ),
    }
)
_TEXTS = (
    *("when", "day", "hour", "symbol", "name", "trade", "source"),
    *(f"{name}{leg}" for leg in _LEGS for name in ("direction", "type")),
)
_BUY = ("buy", "bot", "bought", "long", "b", "l", "bto", "btc", "+")
_SELL = ("sell", "sold", "short", "s", "sto", "stc", "-")
_TYPES = {"call": "CALL", "calls": "CALL", "c": "CALL", "put": "PUT", "puts": "PUT", "p": "PUT"}


def judged(source: str, raw: pl.DataFrame, sessions: Sessions) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of a `source` that are trades (or deltas), typed, and those set aside.

    Returns
    -------
    Rows with ``symbol``, ``strategy`` (not of deltas), ``minute`` and ``exact_at`` (UTC), ``session``, the values of
    the sheet, ``file``, ``line`` and ``shown``; and rows set aside: ``file``, ``line``, ``rule``, ``shown``,
    ``symbol``, ``strategy``, ``minute``.
    """
    raw = raw.with_columns(cleaned(raw[name]) for name in _TEXTS if name in raw.columns)
    clocked = moments(raw.with_columns(pl.col("symbol").str.to_uppercase()), ZONES[source])
    named = clocked.with_columns(_strategy(source), pl.col("exact_at").dt.truncate("1m").alias("minute"))
    day = pl.col("minute").dt.convert_time_zone(EXCHANGE_ZONE).dt.date().alias("session")
    named = named.with_columns(_sums(named), pl.all_horizontal(pl.col(list(NAMES[source])).is_null()).alias("blank"))
    ruled = named.with_columns(day).with_columns(_rule(source, sessions).alias("rule"))
    aside = ruled.filter(pl.col("rule").is_not_null())
    return _typed(source, ruled.filter(pl.col("rule").is_null())), set_aside(source, aside)


def set_aside(source: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that are not taken in, as reports and the quarantine show them."""
    return rows.select(
        pl.lit(source).alias("source"),
        "file",
        "line",
        "rule",
        pl.col("shown").str.strip_chars(" \r,"),
        "symbol",
        pl.col("strategy") if "strategy" in rows.columns else pl.lit(None, pl.String).alias("strategy"),
        pl.col("minute").cast(MOMENT),
    )


def _strategy(source: str) -> pl.Expr:
    if source == "delta":
        return pl.lit(None, pl.String).alias("strategy")
    words = {name.lower().replace(" ", ""): name for name in SHEET_STRATEGIES}
    plain = pl.col("name").str.to_lowercase().str.replace_all(r"[\s_-]", "")
    return plain.replace_strict(words, default=None, return_dtype=pl.String).alias("strategy")


def _sums(rows: pl.DataFrame) -> pl.Series:
    """Whether a row sums others up; each distinct label is judged once."""
    summing = "|".join(name.lower() for name in SHEET_STRATEGIES)
    found, labels = pl.repeat(False, rows.height, eager=True), ("symbol", "when", "day", "hour")
    for name in labels:
        told = rows[name].unique().drop_nulls()
        plain = told.str.to_lowercase().str.strip_chars(": ")
        words = told.filter(plain.is_in(list(SUMMARY)) | plain.str.contains(summing))
        if words.len():
            found |= rows[name].is_in(words.implode()).fill_null(False)
    nothing = rows.select(pl.all_horizontal(pl.col(labels).is_null())).to_series()
    return (found | nothing).alias("sums")


def _rule(source: str, sessions: Sessions) -> pl.Expr:
    """The first rule that a row breaks; null for a good one."""
    symbol = pl.col("symbol")
    first = pl.coalesce("symbol", "when", "day", "hour").str.to_lowercase()
    no_session = ~pl.col("session").is_in(pl.Series(sessions.dates, dtype=pl.Date).implode()).fill_null(True)
    return (
        pl.when("blank")
        .then(pl.lit("blank"))
        .when((symbol == "SYMBOL") | first.is_in(["when", "day", "date"]).fill_null(False))
        .then(pl.lit("header"))
        .when("sums")
        .then(pl.lit("summary"))
        .when(pl.col("broken"))
        .then(pl.lit("too_many_cells"))
        .when(symbol.is_null())
        .then(pl.lit("no_symbol"))
        .when(pl.lit(source != "delta") & pl.col("strategy").is_null())
        .then(pl.lit("unknown_strategy"))
        .when(pl.col("minute").is_null())
        .then(pl.lit("bad_time"))
        .when(no_session)
        .then(pl.lit("no_session"))
    )


def _typed(source: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Every value of the sheet in its type; ``unread`` counts the cells of a row that say neither a value nor none."""
    masks = []
    for name in _NUMBERS[source]:
        value, wrong = number(rows[name])
        masks.append(wrong.cast(pl.Int64).alias(f"unread_{name}"))
        rows = rows.with_columns(value)
    unread = pl.DataFrame(masks).sum_horizontal().alias("unread") if masks else pl.Series("unread", [], pl.Int64)
    rows = rows.with_columns(unread.cast(pl.Int64).fill_null(0))
    return {"profit": _profit, "trades": _trades, "delta": _delta}[source](rows)


_PLACE = ("file", "line", "shown", "generation", "session", "exact_at", "unread")


def _profit(rows: pl.DataFrame) -> pl.DataFrame:
    """The premium is the actual one before the expected; the profit without a column of its own is the raw one.

    ``Managed`` is the result of another trade, one that was closed early: it is never put in the place of a profit.
    """
    return rows.select(
        *KEY,
        *("price", "predicted", "closed", "closing", "expired", "risk", "reward", "ratio", "low", "high"),
        pl.coalesce("premium", "actual_premium", "expected_premium").alias("premium"),
        pl.coalesce("profit", "raw").alias("profit"),
        (pl.col("profit").is_null() & pl.col("raw").is_not_null()).alias("from_raw"),
        (pl.coalesce("profit", "raw").is_null() & pl.col("managed").is_not_null()).alias("managed_only"),
        pl.col("trade").alias("trade_description"),
        *_PLACE,
    )


def _trades(rows: pl.DataFrame) -> pl.DataFrame:
    """Legs with a signed number of units; a strike of 0 is how sheets write that there is no such leg."""
    legs = []
    for leg in _LEGS:
        there = (pl.col(f"strike{leg}") > 0).fill_null(False)
        numbers = (f"{name}{leg}" for name in ("strike", "bid", "ask", "mid"))
        legs += [pl.when(there).then(pl.col(name)).alias(name) for name in numbers]
        legs.append(pl.when(there).then(_direction(f"direction{leg}")).alias(f"direction{leg}"))
        kind = pl.col(f"type{leg}").str.to_lowercase().replace_strict(_TYPES, default=None, return_dtype=pl.String)
        legs.append(pl.when(there).then(kind).alias(f"type{leg}"))
    rows = rows.with_columns(legs)
    return _bodies(rows).select(
        *KEY,
        *("premium", "risk", "reward", "ratio", "expected_move", "low", "high", "target1", "target2"),
        *("predicted_trades", "closing"),
        "source",
        *(name for name in SHEET if name[-1:] in "1234" and name[:-1] in _OF_LEG),
        "body_doubled",
        pl.col("trade").alias("trade_description"),
        *_PLACE,
    )


_OF_LEG = ("strike", "direction", "type", "bid", "ask", "mid")


def _direction(name: str) -> pl.Expr:
    plain = pl.col(name).str.to_lowercase().str.replace_all(" ", "", literal=True)
    units = plain.cast(pl.Float64, strict=False)
    whole = pl.when((units == units.round()) & (units != 0) & units.is_finite()).then(units).cast(pl.Int64)
    words = {**dict.fromkeys(_BUY, 1), **dict.fromkeys(_SELL, -1)}
    return pl.coalesce(whole, plain.replace_strict(words, default=None, return_dtype=pl.Int64))


def _bodies(rows: pl.DataFrame) -> pl.DataFrame:
    """A butterfly of three legs written as one, one, one has two units in its middle: words tell sides, not numbers."""
    strikes = [pl.col(f"strike{leg}") for leg in (1, 2, 3)]
    middle = pl.sum_horizontal(strikes) - pl.min_horizontal(strikes) - pl.max_horizontal(strikes)
    single = pl.all_horizontal(pl.col(f"direction{leg}").abs() == 1 for leg in (1, 2, 3))
    # Of three signs, two wings alike and one body: they add up to the sign of a wing.
    total = pl.sum_horizontal(f"direction{leg}" for leg in (1, 2, 3))
    fly = (pl.col("strategy") == "Butterfly") & single & (total.abs() == 1) & pl.col("strike4").is_null()
    body = [(pl.col(f"strike{leg}") == middle) & (pl.col(f"direction{leg}") == -total) for leg in (1, 2, 3)]
    doubled = (fly & pl.any_horizontal(body)).fill_null(False)
    return rows.with_columns(
        *(
            pl.when(doubled & there)
            .then(pl.col(f"direction{leg}") * 2)
            .otherwise(f"direction{leg}")
            .alias(f"direction{leg}")
            for leg, there in zip((1, 2, 3), body, strict=True)
        ),
        doubled.alias("body_doubled"),
    )


def _delta(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("symbol", "minute", *_NUMBERS["delta"], *_PLACE)
