"""How many trades have a delta row beside them: overall, by month, and where there is none."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from openbell.core.errors import DataMissing

#: Share of trades that should have their delta row (S1.15), where delta sheets exist.
TARGET = 0.95


@dataclass(frozen=True, eq=False)
class DeltaCoverage:
    """Trades with delta data, each count beside the number it is of.

    Attributes
    ----------
    trades, with_delta : all trades, and those with ``delta`` in their ``source_file``.
    first, last : the period in which delta sheets exist: first and last session with a delta row; None without any.
    trades_in_period : trades from `first` to `last`, whatever their symbol: what the target is measured on.
    symbols : those that delta sheets speak of. trades_of_symbols : trades in the period of these.
    months : per ``month`` ``trades``, ``in_period``, ``with_delta``, ``short_term``, ``long_term`` (trades that have
        one) and the shares of the three last among ``trades`` (null where a month has none in the period).
    by_symbol : per ``symbol`` ``trades`` (in the period), ``with_delta`` and the share.
    gaps : runs of sessions with trades in the period and no delta row: ``first``, ``last``, ``sessions``, ``trades``.
    partial : sessions in the period with a share above 0 and below the target among the trades of `symbols`.
    """

    trades: int
    with_delta: int
    first: dt.date | None
    last: dt.date | None
    trades_in_period: int
    symbols: tuple[str, ...]
    trades_of_symbols: int
    months: pl.DataFrame
    by_symbol: pl.DataFrame
    gaps: pl.DataFrame
    partial: pl.DataFrame

    @property
    def share_of_all(self) -> float | None:
        """Of all trades; None without any."""
        return self.with_delta / self.trades if self.trades else None

    @property
    def share_in_period(self) -> float | None:
        """Of the trades in the period in which delta sheets exist; None without a period."""
        return self.with_delta / self.trades_in_period if self.trades_in_period else None

    @property
    def share_of_symbols(self) -> float | None:
        """Of the trades in the period of the symbols that delta sheets speak of; None without any."""
        return self.with_delta / self.trades_of_symbols if self.trades_of_symbols else None

    @property
    def reached(self) -> bool:
        """Whether the share in the period is at least the target."""
        return self.share_in_period is not None and self.share_in_period >= TARGET


def delta_coverage(trades: pl.DataFrame) -> DeltaCoverage:
    """The coverage of `trades`.

    Parameters
    ----------
    trades : ``date``, ``symbol``, ``source_file``, ``short_term``, ``long_term``, one row per trade.

    Raises
    ------
    DataMissing : there is no trade; a share of nothing is no number.
    """
    if trades.is_empty():
        raise DataMissing("There are no trades to measure the coverage of. Import some first.")
    rows = trades.select(
        "date",
        "symbol",
        pl.col("source_file").str.split(",").list.contains("delta").fill_null(False).alias("delta"),
        pl.col("short_term").is_not_null().alias("short_term"),
        pl.col("long_term").is_not_null().alias("long_term"),
    )
    told = rows.filter("delta")
    first, last = told.select(pl.col("date").min(), pl.col("date").max().alias("last")).row(0)
    period = pl.col("date").is_between(pl.lit(first, pl.Date), pl.lit(last, pl.Date)).fill_null(False)
    rows = rows.with_columns(period.alias("in_period"))
    inside, symbols = rows.filter("in_period"), sorted(told["symbol"].unique())
    mine = inside.filter(pl.col("symbol").is_in(symbols))
    return DeltaCoverage(
        trades=rows.height,
        with_delta=told.height,
        first=first,
        last=last,
        trades_in_period=inside.height,
        symbols=tuple(symbols),
        trades_of_symbols=mine.height,
        months=_months(rows),
        by_symbol=_shared(inside.group_by("symbol").agg(*_counted("with_delta")), "with_delta").sort("symbol"),
        gaps=_gaps(inside),
        partial=_partial(mine),
    )


def _counted(*names: str) -> list[pl.Expr]:
    columns = {"with_delta": "delta", "short_term": "short_term", "long_term": "long_term", "in_period": "in_period"}
    return [
        pl.len().cast(pl.Int64).alias("trades"),
        *(pl.col(columns[name]).sum().cast(pl.Int64).alias(name) for name in names),
    ]


def _shared(table: pl.DataFrame, *names: str) -> pl.DataFrame:
    return table.with_columns((pl.col(name) / pl.col("trades")).alias(f"{name}_share") for name in names)


def _months(rows: pl.DataFrame) -> pl.DataFrame:
    month = pl.col("date").dt.strftime("%Y-%m").alias("month")
    table = rows.group_by(month).agg(_counted("in_period", "with_delta", "short_term", "long_term")).sort("month")
    shared = _shared(table, "with_delta", "short_term", "long_term")
    exists = pl.col("in_period") > 0
    return shared.with_columns(pl.when(exists).then(pl.col(name)).alias(name) for name in shared.columns[-3:])


def _days(rows: pl.DataFrame) -> pl.DataFrame:
    return _shared(rows.group_by("date").agg(_counted("with_delta")).sort("date"), "with_delta")


def _gaps(inside: pl.DataFrame) -> pl.DataFrame:
    """Neighbouring sessions with trades and no delta row at all, as one run."""
    days = _days(inside).with_columns((pl.col("with_delta") == 0).alias("empty"))
    run = pl.col("empty").rle_id().alias("run")
    return (
        days.with_columns(run)
        .filter("empty")
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("date").min().alias("first"),
            pl.col("date").max().alias("last"),
            pl.len().cast(pl.Int64).alias("sessions"),
            pl.col("trades").sum(),
        )
        .drop("run")
    )


def _partial(mine: pl.DataFrame) -> pl.DataFrame:
    return _days(mine).filter((pl.col("with_delta") > 0) & (pl.col("with_delta_share") < TARGET))
