"""What is stored of the symbols at hand, and the stamps that new rows get: when they were known, and from where."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from openbell.core.time import MOMENT, Sessions
from openbell.market.batch import ACTIONS, BARS, INSTRUMENTS, MEMBERSHIP, RATES, Batch, Schema

KEY = ["symbol", "session"]
DAILY = "1d"


class Readable(Protocol):
    """The verbs of the tables that are needed to look."""

    def scan(self, name: str) -> pl.LazyFrame:
        """All rows of a table."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is such a table."""
        ...


def _latest(tables: Readable, name: str, key: list[str], schema: Schema, keep: pl.Expr) -> pl.DataFrame:
    """The latest version of each row of the table `name`, or no rows where there is no table."""
    if not tables.exists(name):
        return pl.DataFrame(schema=dict(schema))
    rows = tables.scan(name).filter(keep).sort(*key, "known_at").unique(key, keep="last", maintain_order=True)
    return rows.select(list(schema)).collect()


@dataclass(frozen=True, eq=False)
class Stored:
    """Rows of the symbols of a batch as they stand: the latest version of bars and actions, and the quarantine."""

    bars: pl.DataFrame
    actions: pl.DataFrame
    quarantine: pl.DataFrame

    def context(self, rows: pl.DataFrame, sessions: Sessions, count: int) -> pl.DataFrame:
        """Stored rows, quarantined ones included, from `count` sessions before the first of the new `rows` on.

        Where a new row stands at a stored row's session it stands in its place.
        """
        number = sessions.frame.select("session", "number")
        first = (
            rows.select(KEY)
            .join(number, on="session")
            .group_by("symbol")
            .agg(pl.col("number").cast(pl.Int64).min().alias("first"))
        )
        held = pl.concat([self.bars, self.quarantine.select(list(BARS))])
        return (
            held.join(number, on="session")
            .join(first, on="symbol")
            .filter(pl.col("number").cast(pl.Int64) >= pl.col("first") - count)
            .join(rows.select(KEY).unique(), on=KEY, how="anti")
            .select(list(BARS))
            .sort("symbol", "session")
        )

    def traded_before(self, context: pl.DataFrame) -> list[str]:
        """Symbols that have a stored bar with volume."""
        return self.bars.filter(pl.col("volume") > 0)["symbol"].unique().to_list()


def stored_rows(tables: Readable, symbols: list[str]) -> Stored:
    """What the tables hold of `symbols`."""
    mine = pl.col("symbol").is_in(pl.Series(symbols, dtype=pl.String).implode())
    quarantine = pl.DataFrame(schema=dict(BARS))
    if symbols and tables.exists("quarantine"):
        quarantine = tables.scan("quarantine").filter(mine).select(list(BARS)).unique().collect()
    return Stored(
        _latest(tables, "bars", KEY, BARS, mine & (pl.col("freq") == DAILY)),
        _latest(tables, "actions", [*KEY, "kind"], ACTIONS, mine),
        quarantine,
    )


@dataclass(frozen=True)
class Stamp:
    """How new rows are marked: `at` is the moment of the import, `source` the name of the batch."""

    sessions: Sessions
    at: dt.datetime
    delay_minutes: int
    source: str

    def _closes(self) -> pl.DataFrame:
        known = pl.col("close_at") + pl.duration(minutes=self.delay_minutes)
        return self.sessions.frame.select("session", known.cast(MOMENT).alias("known_at"))

    def bars(self, good: pl.DataFrame, stored: Stored) -> pl.DataFrame:
        """`good` rows with ``freq``, ``known_at`` and ``source``.

        A row is known at its close, unless it restates a row, or comes late into a history that had gone on without
        it: then nobody could have acted on it before now.
        """
        spans = pl.concat([stored.bars.select(KEY), stored.quarantine.select(KEY)])
        ends = spans.group_by("symbol").agg(
            pl.col("session").min().alias("begun"), pl.col("session").max().alias("last")
        )
        rows = good.join(self._closes(), on="session", how="left", maintain_order="left")
        rows = rows.join(ends, on="symbol", how="left", maintain_order="left")
        late = pl.col("session").is_between("begun", "last").fill_null(False)
        moment = pl.when(late).then(pl.max_horizontal("known_at", pl.lit(self.at, dtype=MOMENT))).otherwise("known_at")
        return rows.select(
            "symbol",
            pl.lit(DAILY).alias("freq"),
            *(name for name in BARS if name != "symbol"),
            moment.cast(MOMENT).alias("known_at"),
            pl.lit(self.source).alias("source"),
        )

    def quarantine(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Quarantined rows as received, with the rules they broke; on a day without a session known at its end."""
        closes = rows.join(self._closes(), on="session", how="left", maintain_order="left")
        midnight = pl.col("session").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(days=1)
        known = pl.coalesce("known_at", midnight).cast(MOMENT)
        return closes.select(
            "symbol",
            pl.lit(DAILY).alias("freq"),
            *(name for name in BARS if name != "symbol"),
            "rule",
            "reason",
            known.alias("known_at"),
            pl.lit(self.source).alias("source"),
        )

    def actions(self, news: pl.DataFrame, bars: pl.DataFrame, stored: Stored) -> pl.DataFrame:
        """Actions, known with the bar of their session; for a bar that was stored before, from now on."""
        moments = bars.select(*KEY, "known_at")
        old = stored.bars.select(KEY).join(moments, on=KEY, how="anti")
        moments = pl.concat([moments, old.with_columns(pl.lit(self.at, dtype=MOMENT).alias("known_at"))])
        rows = news.join(moments, on=KEY, how="left", maintain_order="left")
        closes = self._closes().rename({"known_at": "closed"})
        rows = rows.join(closes, on="session", how="left", maintain_order="left")
        known = pl.coalesce("known_at", "closed", pl.lit(self.at, dtype=MOMENT))
        return rows.select(*ACTIONS, known.cast(MOMENT).alias("known_at"), pl.lit(self.source).alias("source"))

    def instruments(self, batch: Batch, tables: Readable, bars: pl.DataFrame) -> pl.DataFrame:
        """Instruments that are new or different; a new one is known from the start of its first bar's day on."""
        held = _latest(tables, "instruments", ["symbol"], INSTRUMENTS, pl.lit(True))
        news = batch.instruments.join(held, on=list(INSTRUMENTS), how="anti", nulls_equal=True, maintain_order="left")
        # A source that does not know the sector does not take it back.
        told = held.filter(pl.col("sector").is_not_null()).select("symbol", "kind")
        silent = news.filter(pl.col("sector").is_null()).join(told, on=["symbol", "kind"], how="semi")
        news = news.join(silent, on=list(INSTRUMENTS), how="anti", nulls_equal=True, maintain_order="left")
        first = bars.group_by("symbol").agg(pl.col("session").min())
        rows = news.join(first, on="symbol", how="left", maintain_order="left")
        rows = rows.join(
            held.select("symbol", pl.lit(True).alias("held")), on="symbol", how="left", maintain_order="left"
        )
        start = pl.when(pl.col("held").is_null()).then(_midnight("session"))
        known = pl.coalesce(start, pl.lit(self.at, dtype=MOMENT)).cast(MOMENT)
        return rows.select(*INSTRUMENTS, known.alias("known_at"), pl.lit(self.source).alias("source"))

    def membership(self, batch: Batch, tables: Readable) -> pl.DataFrame:
        """New membership events, known from the start of their day on, so that a decision before its open sees them."""
        held = _latest(tables, "membership", ["universe", *KEY], MEMBERSHIP, pl.lit(True))
        news = batch.membership.join(held, on=list(MEMBERSHIP), how="anti", maintain_order="left")
        changed = news.join(
            held.select("universe", *KEY, pl.lit(True).alias("held")), on=["universe", *KEY], how="left"
        )
        known = pl.when(pl.col("held").is_null()).then(_midnight("session")).otherwise(pl.lit(self.at, dtype=MOMENT))
        return changed.select(*MEMBERSHIP, known.cast(MOMENT).alias("known_at"), pl.lit(self.source).alias("source"))

    def rates(self, batch: Batch, tables: Readable) -> pl.DataFrame:
        """New rates. A day's rate is published after it, so it is known from the close of the next session on."""
        held = _latest(tables, "rates", ["name", "session"], RATES, pl.lit(True))
        news = batch.rates.join(held, on=list(RATES), how="anti", maintain_order="left")
        news = news.join(held.select("name", "session", pl.lit(True).alias("held")), on=["name", "session"], how="left")
        closes = self.sessions.frame.select(pl.col("session").alias("next"), "close_at").sort("next")
        after = news.with_columns((pl.col("session") + pl.duration(days=1)).alias("from")).sort("from")
        after = after.join_asof(closes, left_on="from", right_on="next", strategy="forward")
        known = pl.when(pl.col("held").is_null()).then("close_at").otherwise(pl.lit(self.at, dtype=MOMENT))
        known = pl.coalesce(known, pl.lit(self.at, dtype=MOMENT)).cast(MOMENT)
        return after.select(*RATES, known.alias("known_at"), pl.lit(self.source).alias("source")).sort(
            "name", "session"
        )


def _midnight(name: str) -> pl.Expr:
    """Start of the day `name`, UTC."""
    return pl.col(name).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
