"""Proposed trades into the tables: what is new in one commit, the same again changes nothing, and what they say now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.errors import DataMissing
from openbell.core.time import MOMENT, utc
from openbell.core.trade_rows import OUTCOME, TRADES
from openbell.market.importing import Appendable
from openbell.market.trade_sheet_headers import SOURCES
from openbell.market.trade_sheet_merging import differs
from openbell.market.trade_sheets import Imported

TABLE, QUARANTINE = "trades", "trade_quarantine"
#: One proposed trade, whichever sheets speak of it.
KEY = ("symbol", "strategy", "timestamp")
#: Rows that were a fault of the sheet, not part of its form: these are kept to be looked at.
KEPT = ("too_many_cells", "no_symbol", "unknown_strategy", "bad_time", "no_session", "duplicate", "duplicate_differs")
_LEGS = tuple(name for name in TRADES if name[-1:] in "1234" and name[:-1].isalpha() and not name.startswith("target"))
#: Told by the profit sheet and by another one: two sheets that differ in these correct nothing.
_SHARED = ("price", "premium", "risk", "reward", "ratio", "low", "high", "closing")
#: What a trade of an import is to the stored ones.
STATES = ("new", "completed", "restated", "known")
_STAMPS = ("known_at", "outcome_known_at")
#: Follow from the rest, or only tell where it was read.
_DERIVED = ("win", "source_file", "format_year", "trade_description", *_STAMPS)
_VALUES = tuple(name for name in TRADES if name not in (*KEY, *_DERIVED, "date", "time", "unit", "multiplier"))


@dataclass(frozen=True, eq=False)
class TradeReport:
    """What became of the trades of some day folders. ``received == new + completed + restated + known`` always holds.

    Attributes
    ----------
    completed : stored trades that gained values they did not have, such as a profit, and lost none.
    restated : stored trades of which a value was corrected; they are known as they are now from the import on.
    quarantined : rows of the sheets that were set aside for the first time, with their rule.
    commit : id of the commit; None where nothing was new.
    """

    received: int
    new: int
    completed: int
    restated: int
    known: int
    quarantined: int
    commit: str | None


def import_trades(tables: Appendable, found: Imported, *, at: dt.datetime, dry_run: bool = False) -> TradeReport:
    """Add what is new in `found` to `tables`, in one commit.

    A trade that is stored already keeps every value it has; what a later import tells besides fills its gaps. That is
    no restatement: such a row is known from the moment of the trade on, and its profit from the close of its expiry
    on, as if all sheets had been imported at once. A value that contradicts a stored one is one: the corrected row is
    known, outcome included, from `at` on.
    """
    rows = _beside(found.trades, _held(tables, found.trades))
    changed = rows.filter(pl.col("state") != "known")
    stamped = _stamped(changed, utc(at)).select(
        *(pl.col(name).cast(kind) for name, kind in TRADES.items()), pl.col("date").alias("session")
    )
    aside = _aside(tables, found.set_aside, utc(at))
    frames = {name: frame for name, frame in {TABLE: stamped, QUARANTINE: aside}.items() if frame.height}
    commit = tables.append_all(frames) if frames and not dry_run else None
    counts = dict(rows.group_by("state").len().iter_rows())
    new, completed, restated, known = (int(counts.get(state, 0)) for state in STATES)
    return TradeReport(found.trades.height, new, completed, restated, known, aside.height, commit)


def current(rows: pl.DataFrame) -> pl.DataFrame:
    """Of all versions of each trade the last one known, and of several of one moment the one that says most."""
    said = pl.sum_horizontal(pl.col(name).is_not_null().cast(pl.Int64) for name in _VALUES)
    ordered = rows.with_columns(said.alias("said")).sort(*KEY, "known_at", "said")
    return ordered.unique(list(KEY), keep="last", maintain_order=True).drop("said")


def stored_trades(
    tables: Appendable,
    *,
    known_by: dt.datetime | None = None,
    first: dt.date | None = None,
    symbols: Sequence[str] | None = None,
) -> pl.DataFrame:
    """The stored trades as they stand: one row each, columns of `TRADES`, sorted by timestamp, symbol, strategy.

    Parameters
    ----------
    known_by : only what was known at this moment; the outcome of a trade that was open then is null.
    first : trades of this session or later. symbols : None takes all.
    """
    if not tables.exists(TABLE):
        raise DataMissing("There are no trades yet. Import some with `openbell data import trades FOLDER`.")
    rows = tables.scan(TABLE)
    if known_by is not None:
        rows = rows.filter(pl.col("known_at") <= utc(known_by))
    if first is not None:
        rows = rows.filter(pl.col("date") >= first)
    if symbols is not None:
        rows = rows.filter(pl.col("symbol").is_in(list(symbols)))
    found = current(rows.select(list(TRADES)).collect())
    if known_by is not None:
        told = (pl.col("outcome_known_at") <= utc(known_by)).fill_null(False)
        found = found.with_columns(pl.when(told).then(pl.col(name)).alias(name) for name in sorted(OUTCOME))
    return found.sort("timestamp", "symbol", "strategy")


def _held(tables: Appendable, trades: pl.DataFrame) -> pl.DataFrame:
    """Stored trades of the days at hand as they stand."""
    if not tables.exists(TABLE):
        return pl.DataFrame(schema=dict(TRADES))
    days = trades["date"].unique()
    return current(tables.scan(TABLE).filter(pl.col("date").is_in(days.implode())).select(list(TRADES)).collect())


def _beside(trades: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Each trade with what is stored of it in the gaps of what it says now, and its ``state``."""
    names = [name for name in TRADES if name not in KEY]
    stored = held.select(*KEY, *(pl.col(name).alias(f"{name}_held") for name in names), pl.lit(True).alias("is_held"))
    rows = trades.join(stored, on=list(KEY), how="left", maintain_order="left")
    rest = [_value(name) for name in names if name not in (*_LEGS, *_STAMPS, "source_file")]
    same_sheet = _of_profit() == _of_profit("_held")
    corrected = pl.any_horizontal(
        differs(pl.col(name), pl.col(f"{name}_held"), trades.schema[name].is_numeric())
        & (same_sheet if name in _SHARED else True)
        for name in _VALUES
        if name not in _LEGS
    )
    rows = rows.with_columns((corrected | _other_legs(trades)).alias("corrected"))
    rows = rows.with_columns(*_legs(), *rest, _sources().alias("source_file"))
    gained = pl.any_horizontal(pl.col(name).is_not_null() & pl.col(f"{name}_held").is_null() for name in _VALUES)
    gained = gained | (pl.col("source_file") != pl.col("source_file_held"))
    state = (
        pl.when(pl.col("is_held").is_null())
        .then(pl.lit("new"))
        .when(pl.col("corrected"))
        .then(pl.lit("restated"))
        .when(gained)
        .then(pl.lit("completed"))
        .otherwise(pl.lit("known"))
    )
    return rows.with_columns(state.alias("state"), (pl.col("profit") > 0).alias("win"))


def _of_profit(suffix: str = "") -> pl.Expr:
    return pl.col(f"source_file{suffix}").str.contains("profit").fill_null(False)


def _value(name: str) -> pl.Expr:
    """What both versions say of `name`: the newer one speaks first, but what several sheets tell the profit sheet."""
    held_first = (_of_profit("_held") & ~_of_profit()) if name in _SHARED else pl.lit(False)
    held = pl.col(f"{name}_held")
    return pl.when(held_first).then(pl.coalesce(held, name)).otherwise(pl.coalesce(name, held)).alias(name)


def _of_sheet(suffix: str = "") -> pl.Expr:
    """Whether the legs come from a trades sheet, which also quotes them, and not out of a text."""
    there = pl.any_horizontal(pl.col(f"strike{leg}{suffix}").is_not_null() for leg in range(1, 5))
    return there & pl.col(f"source_file{suffix}").str.contains("trades").fill_null(False)


def _same_places() -> pl.Expr:
    return pl.all_horizontal(pl.col(f"strike{leg}").eq_missing(pl.col(f"strike{leg}_held")) for leg in range(1, 5))


def _legs() -> list[pl.Expr]:
    """The legs of one version: a strike of one beside the side of another would be a leg that nobody proposed.

    Those of a trades sheet go before those of a text, then new ones before stored ones.
    """
    none = pl.all_horizontal(pl.col(f"strike{leg}").is_null() for leg in range(1, 5))
    held = none | (_of_sheet("_held") & ~_of_sheet())
    return [
        pl.when(_same_places())
        .then(pl.coalesce(name, f"{name}_held"))
        .when(held)
        .then(f"{name}_held")
        .otherwise(name)
        .alias(name)
        for name in _LEGS
    ]


def _signature(suffix: str = "") -> pl.Expr:
    """The legs as one text, whatever their order; null without any."""
    legs = [pl.concat_str(f"strike{n}{suffix}", f"direction{n}{suffix}", f"type{n}{suffix}") for n in range(1, 5)]
    told = pl.concat_list(legs).list.drop_nulls().list.sort().list.join(" ")
    return pl.when(told != "").then(told)


def _other_legs(trades: pl.DataFrame) -> pl.Expr:
    """Whether the legs, or the quotes of the same legs, are not those that are stored."""
    sheets = _of_sheet() | ~_of_sheet("_held")
    quotes = pl.any_horizontal(
        differs(pl.col(name), pl.col(f"{name}_held"), trades.schema[name].is_numeric()) for name in _LEGS
    )
    other = (_signature() != _signature("_held")).fill_null(False)
    return pl.when(_same_places()).then(quotes).otherwise(other & sheets)


def _sources() -> pl.Expr:
    """The sheets that either version is made of, in their order."""
    told = pl.concat_str("source_file", pl.col("source_file_held").fill_null(""), separator=",")
    words = [pl.when(told.str.contains(source, literal=True)).then(pl.lit(source)) for source in SOURCES]
    return pl.concat_str(words, separator=",", ignore_nulls=True)


def _stamped(rows: pl.DataFrame, at: dt.datetime) -> pl.DataFrame:
    """The moments each changed row is known from: its own, and `at` where it corrects a stored one."""
    own = pl.max_horizontal("known_at", "known_at_held")
    late = pl.when(pl.col("state") == "restated").then(pl.max_horizontal(own, pl.lit(at, MOMENT))).otherwise(own)
    told = pl.coalesce("outcome_known_at", "outcome_known_at_held")
    return rows.with_columns(late.alias("known_at")).with_columns(
        pl.when(told.is_not_null()).then(pl.max_horizontal(told, "known_at")).alias("outcome_known_at")
    )


def _aside(tables: Appendable, rows: pl.DataFrame, at: dt.datetime) -> pl.DataFrame:
    """Faulty rows that are not in quarantine yet; one without a certain moment is known from now on."""
    faulty = rows.filter(pl.col("rule").is_in(list(KEPT)))
    columns = ["source", "file", "line", "rule", "shown"]
    if tables.exists(QUARANTINE):
        held = tables.scan(QUARANTINE).select(columns).collect()
        faulty = faulty.join(held, on=columns, how="anti", nulls_equal=True, maintain_order="left")
    known = pl.coalesce("minute", pl.lit(at, MOMENT)).cast(MOMENT)
    return faulty.select(*columns, "symbol", "strategy", pl.col("minute").alias("timestamp"), known.alias("known_at"))
