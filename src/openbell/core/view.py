"""Everything known at one moment; later rows are physically absent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from openbell.core.errors import DataMissing
from openbell.core.time import Sessions, utc

PRICES = ("open", "high", "low", "close")


class Tables(Protocol):
    """Where rows lie. `scan` gives all of a table's rows, whatever their `known_at`."""

    def scan(self, name: str) -> pl.LazyFrame:
        """All rows of the table `name`."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is a table `name`."""
        ...


@dataclass(frozen=True)
class View:
    """What could be known at `as_of`. There is no option to see more.

    Parameters
    ----------
    tables : the store to read. as_of : aware moment. sessions : the exchange's calendar.
    """

    tables: Tables
    as_of: dt.datetime
    sessions: Sessions

    def __post_init__(self) -> None:
        object.__setattr__(self, "as_of", utc(self.as_of))

    def facts(self, name: str) -> pl.LazyFrame:
        """Rows of the table `name` with ``known_at <= as_of``; restatements are rows of their own."""
        if not self.tables.exists(name):
            raise DataMissing(f"There is no table `{name}` yet. Import it with `openbell data import`.")
        return self.tables.scan(name).filter(pl.col("known_at") <= self.as_of)

    def bars(
        self,
        freq: str = "1d",
        *,
        first: dt.date | None = None,
        last: dt.date | None = None,
        symbols: Sequence[str] | None = None,
    ) -> pl.LazyFrame:
        """Bars, one row per (``symbol``, ``session``), sorted, the latest restatement known.

        ``open high low close`` are adjusted forward for splits and distributions (factor 1 at the first row, so a
        value never changes when a later action arrives: a total-return series); ``volume`` for splits alone.
        ``raw_*`` hold what was received. ``known_at`` is the close of the bar plus the provider's delay.

        `first`, `last` and `symbols` (None: all) spare the other rows from being read and sorted.
        """
        rows = self.facts("bars").filter(pl.col("freq") == freq)
        if first is not None:
            rows = rows.filter(pl.col("session") >= first)
        if last is not None:
            rows = rows.filter(pl.col("session") <= last)
        if symbols is not None:
            rows = rows.filter(_is_one_of(symbols))
        rows = rows.sort("symbol", "session", "known_at").unique(
            ["symbol", "session"], keep="last", maintain_order=True
        )
        return rows.join_asof(
            self._factors(symbols).lazy(), on="session", by="symbol", strategy="backward", check_sortedness=False
        ).select(
            "symbol",
            "session",
            *((pl.col(price) * pl.col("price_factor").fill_null(1.0)).alias(price) for price in PRICES),
            (pl.col("volume") / pl.col("share_factor").fill_null(1.0)).alias("volume"),
            *(pl.col(column).alias(f"raw_{column}") for column in (*PRICES, "volume")),
            "known_at",
        )

    def minutes(
        self,
        freq: str,
        *,
        first: dt.date | None = None,
        last: dt.date | None = None,
        symbols: Sequence[str] | None = None,
    ) -> pl.LazyFrame:
        """Bars within the session as received, one row per (``symbol``, ``at``), sorted, the latest restatement known.

        Columns of `core.bars.MINUTES`; `first` and `last` are sessions, both included. Hours outside the session's own
        are in it where the source had them.
        """
        rows = self.facts("minutes").filter(pl.col("freq") == freq)
        if first is not None:
            rows = rows.filter(pl.col("session") >= first)
        if last is not None:
            rows = rows.filter(pl.col("session") <= last)
        if symbols is not None:
            rows = rows.filter(_is_one_of(symbols))
        return rows.sort("symbol", "at", "known_at").unique(["symbol", "at"], keep="last", maintain_order=True)

    def _factors(self, symbols: Sequence[str] | None) -> pl.DataFrame:
        """Cumulated forward factors of each symbol from each ex-session on."""
        schema = {"symbol": pl.String, "session": pl.Date, "price_factor": pl.Float64, "share_factor": pl.Float64}
        if not self.tables.exists("actions"):
            return pl.DataFrame(schema=schema)
        split = pl.when(pl.col("kind") == "split").then(pl.col("factor")).otherwise(1.0)
        actions = self.facts("actions")
        return (
            (actions if symbols is None else actions.filter(_is_one_of(symbols)))
            .sort("symbol", "session", "kind", "known_at")
            .unique(["symbol", "session", "kind"], keep="last", maintain_order=True)
            .with_columns(split.alias("split"))
            .select(
                "symbol",
                "session",
                pl.col("factor").cum_prod().over("symbol").alias("price_factor"),
                pl.col("split").cum_prod().over("symbol").alias("share_factor"),
            )
            .unique(["symbol", "session"], keep="last", maintain_order=True)
            .collect()
        )

    def chain(self, underlying: str, *, session: dt.date | None = None) -> pl.LazyFrame:
        """Option quotes on `underlying`: the newest known per contract of each session, or of `session` alone.

        Columns of `core.quotes.QUOTES`, sorted by session, root, expiry, strike and right. A received quote goes before
        a modelled one, a later moment before an earlier one, a restatement before what it restates.
        """
        rows = self.facts("quotes").filter(pl.col("underlying") == underlying)
        if session is not None:
            rows = rows.filter(pl.col("session") == session)
        contract = ["session", "root", "expiry", "strike", "right"]
        newest = [pl.col("modelled").not_(), pl.col("quote_at"), pl.col("known_at"), pl.col("source")]
        return rows.sort(*contract, *newest).unique(contract, keep="last", maintain_order=True)

    def membership(self, name: str) -> pl.LazyFrame:
        """Events of the universe `name`: ``symbol``, ``session`` (from when on), ``member``, ``known_at``."""
        return (
            self.facts("membership")
            .filter(pl.col("universe") == name)
            .select("symbol", "session", "member", "known_at")
        )

    def universe(self, name: str, session: dt.date) -> pl.DataFrame:
        """Symbols of the universe `name` on `session`, sorted; column ``symbol``."""
        return (
            self.membership(name)
            .filter(pl.col("session") <= session)
            .sort("symbol", "session", "known_at")
            .group_by("symbol", maintain_order=True)
            .agg(pl.col("member").last())
            .filter(pl.col("member"))
            .select("symbol")
            .sort("symbol")
            .collect()
        )


def _is_one_of(symbols: Sequence[str]) -> pl.Expr:
    return pl.col("symbol").is_in(pl.Series(sorted(symbols), dtype=pl.String).implode())
