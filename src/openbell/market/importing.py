"""One batch into the tables: every bar passes the quality gate, and everything is written in one commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, Sessions, utc
from openbell.market import recording
from openbell.market.actions import derived_actions, factors
from openbell.market.batch import ACTIONS, BARS, NUMBERS, Batch
from openbell.market.quality.checking import counts
from openbell.market.quality.judging import Judgement, gate

#: Sessions of stored rows before the first new one that the gate sees again: all its look-backs fit into them.
CONTEXT_SESSIONS = 150
#: Numbers of one row that differ by less, relatively, are the same number received twice: a source that keeps single
#: precision tells a price by 1e-7 otherwise after a split.
SAME = 2e-6
KEY = ["symbol", "session"]


class Appendable(Protocol):
    """The verbs of the tables that an import needs."""

    def scan(self, name: str) -> pl.LazyFrame:
        """All rows of a table."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is such a table."""
        ...

    def append_all(self, frames: Mapping[str, pl.DataFrame]) -> str:
        """Add rows to several tables in one commit, and return its id."""
        ...


@dataclass(frozen=True, eq=False)
class ImportReport:
    """What became of a batch. ``received == stored + quarantined + known`` always holds.

    Attributes
    ----------
    received, stored, quarantined, known : bars; `known` ones were there already, in the bars or in quarantine.
    restated, late : of the stored ones, those that replace a row or fill a hole: they are known from the import on.
    added : rows written by table.
    counts : per rule of the quality gate, over the rows that were new: see `quality.checking.counts`.
    commit : id of the commit; None where nothing was new.
    notes : sentences for every report on these data.
    failed : symbol -> why the source gave nothing for it.
    """

    name: str
    received: int
    stored: int
    quarantined: int
    known: int
    restated: int
    late: int
    added: Mapping[str, int]
    counts: pl.DataFrame
    commit: str | None
    notes: tuple[str, ...]
    failed: Mapping[str, str]


def import_batch(
    tables: Appendable,
    batch: Batch,
    sessions: Sessions,
    *,
    at: dt.datetime,
    delay_minutes: int = 0,
    dry_run: bool = False,
) -> ImportReport:
    """Judge the rows of `batch`, and add what is new to `tables` in one commit.

    Parameters
    ----------
    at : the moment of the import, aware. Rows that restate a stored one or fill a hole in a stored history are
        known from then on; all others from the close of their session plus `delay_minutes`.
    dry_run : judge and report, and write nothing.

    Raises
    ------
    BadInput : the batch is empty, or none of its bars lies within the calendar; nothing was written.
    """
    at = utc(at)
    _refuse_unusable(batch, sessions)
    stored = recording.stored_rows(tables, batch.bars["symbol"].unique().to_list())
    rows, known = _news(batch.bars, stored)
    judgement, new = _judged(rows, batch, stored, sessions)
    good = new.filter(pl.col("rule").is_null()).drop("rule", "reason")
    held_back = new.filter(pl.col("rule").is_not_null())
    stamp = recording.Stamp(sessions, at, delay_minutes, batch.name)
    bars = stamp.bars(good, stored)
    frames = {
        "bars": bars,
        "quarantine": stamp.quarantine(held_back),
        "actions": _actions(batch, bars, stored, stamp),
        "instruments": stamp.instruments(batch, tables, bars),
        "membership": stamp.membership(batch, tables),
        "rates": stamp.rates(batch, tables),
    }
    frames = {name: frame for name, frame in frames.items() if not frame.is_empty()}
    commit = tables.append_all(frames) if frames and not dry_run else None
    restated = bars.join(stored.bars, on=KEY, how="semi").height
    late = bars.filter(pl.col("known_at") >= at).height - restated
    return ImportReport(
        name=batch.name,
        received=batch.bars.height,
        stored=good.height,
        quarantined=held_back.height,
        known=known,
        restated=restated,
        late=max(late, 0),
        added={name: frame.height for name, frame in frames.items()},
        counts=counts(judgement.findings),
        commit=commit,
        notes=batch.notes,
        failed=batch.failed,
    )


def _refuse_unusable(batch: Batch, sessions: Sessions) -> None:
    if not batch.rows:
        raise BadInput(f"`{batch.name}` gave no rows at all; there is nothing to import.")
    if batch.bars.is_empty():
        return
    if batch.bars["session"].null_count() or batch.bars["symbol"].null_count():
        raise BadInput(f"`{batch.name}` has bars without a symbol or a session; fill or remove them.")
    inside = batch.bars["session"].is_in(pl.Series(sessions.dates, dtype=pl.Date).implode()).any()
    if not inside:
        first, last = batch.bars["session"].min(), batch.bars["session"].max()
        raise BadInput(
            f"None of the {batch.bars.height} bars of `{batch.name}` ({first!s} to {last!s}) lies on a session of "
            f"{sessions.exchange} between {sessions.dates[0]} and {sessions.dates[-1]}. Name the exchange of the data."
        )


def _same(name: str) -> pl.Expr:
    left, right = pl.col(name), pl.col(f"{name}_stored")
    return left.eq_missing(right) | ((left - right).abs() <= SAME * right.abs()).fill_null(False)


def _news(bars: pl.DataFrame, stored: recording.Stored) -> tuple[pl.DataFrame, int]:
    """The rows of `bars` that are neither stored nor quarantined with the same numbers, and how many are.

    Adjusted closes are relative to the day of the download; a row that differs in nothing else is known.
    """
    rows = bars.with_row_index("row")
    if stored.bars.is_empty() and stored.quarantine.is_empty():
        return rows, 0
    numbers = [name for name in NUMBERS if name != "adj_close"]
    known = []
    for frame in (stored.bars, stored.quarantine):
        both = rows.join(frame.select(*KEY, *numbers), on=KEY, how="inner", suffix="_stored")
        known.append(both.filter(pl.all_horizontal(_same(name) for name in numbers)).select("row"))
    there = pl.concat(known).unique()
    return rows.join(there, on="row", how="anti", maintain_order="left"), there.height


def _judged(
    rows: pl.DataFrame, batch: Batch, stored: recording.Stored, sessions: Sessions
) -> tuple[Judgement, pl.DataFrame]:
    """The judgement of new rows beside the stored ones before them, and the new rows with their rules."""
    context = stored.context(rows, sessions, CONTEXT_SESSIONS)
    together = pl.concat([context.select(list(BARS)), rows.select(list(BARS))])
    judgement = gate(
        together,
        sessions,
        factors=_explaining(batch, context, stored),
        traded=stored.traded_before(context),
        indices=batch.instruments.filter(pl.col("kind") == "INDEX")["symbol"].to_list(),
    )
    new = judgement.rows[context.height :]
    fresh = judgement.findings.join(rows.select(KEY).unique(), on=KEY, how="semi")
    return Judgement(new, fresh), new


def _believable(bars: pl.DataFrame) -> pl.DataFrame:
    """Rows that factors can be taken from: positive closes, one per symbol and session."""
    prices = pl.all_horizontal((pl.col(name) > 0) & pl.col(name).is_finite() for name in ("close", "adj_close"))
    return bars.filter(prices.fill_null(False)).unique(KEY, keep="first", maintain_order=True)


def _explaining(batch: Batch, context: pl.DataFrame, stored: recording.Stored) -> pl.DataFrame:
    """What explains a jump: stored actions of the context, and what the batch states or implies."""
    columns = ["symbol", "session", "factor"]
    earlier = stored.actions.join(context.select("symbol").unique(), on="symbol", how="semi")
    stated = batch.actions if not batch.derive_actions else derived_actions(_believable(batch.bars))
    own = pl.concat([stated, batch.actions]) if batch.derive_actions else stated
    earlier = earlier.join(own.select(KEY), on=KEY, how="anti")
    return pl.concat([earlier.select(columns), own.select(columns)])


def _actions(batch: Batch, bars: pl.DataFrame, stored: recording.Stored, stamp: recording.Stamp) -> pl.DataFrame:
    """Actions to add: those the batch states, and those its good rows imply; known with the bar of their session."""
    found = batch.actions
    if batch.derive_actions:
        found = pl.concat([found, _implied(batch, bars, stored, stamp.sessions)])
    if found.is_empty():
        return pl.DataFrame(schema={**ACTIONS, "known_at": MOMENT, "source": pl.String})
    beside = found.join(stored.actions.select(*KEY, "kind", "factor"), on=[*KEY, "kind"], how="left", suffix="_stored")
    news = beside.filter(~_same("factor").fill_null(False) | pl.col("factor_stored").is_null()).drop("factor_stored")
    return stamp.actions(news, bars, stored)


def _implied(batch: Batch, bars: pl.DataFrame, stored: recording.Stored, sessions: Sessions) -> pl.DataFrame:
    """Actions that the good rows of the batch imply, for new rows and, where it corrects them, for stored ones."""
    believed = pl.concat([bars.select(KEY), stored.bars.select(KEY)]).unique()
    rows = _believable(batch.bars).join(believed, on=KEY, how="semi")
    if rows.is_empty():
        return pl.DataFrame(schema=dict(ACTIONS))
    new = derived_actions(rows).join(bars.select(KEY), on=KEY, how="semi")
    return pl.concat([new, _corrected(rows, bars, stored, sessions)])


def _corrected(rows: pl.DataFrame, bars: pl.DataFrame, stored: recording.Stored, sessions: Sessions) -> pl.DataFrame:
    """Stored distributions whose factor the batch now tells otherwise, between two neighbouring sessions."""
    if stored.bars.is_empty():
        return pl.DataFrame(schema=dict(ACTIONS))
    number = sessions.frame.select("session", "number")
    told = factors(rows).join(bars.select(KEY), on=KEY, how="anti")
    told = told.join(number, on="session").join(number, left_on="previous", right_on="session", suffix="_previous")
    told = told.filter(pl.col("number").cast(pl.Int64) - pl.col("number_previous").cast(pl.Int64) == 1)
    held = stored.actions.filter(pl.col("kind") == "distribution").select(*KEY, pl.col("factor").alias("held"))
    split = stored.actions.filter(pl.col("kind") == "split").select(*KEY, pl.col("factor").alias("split"))
    told = (
        told.join(held, on=KEY, how="left").join(split, on=KEY, how="left").with_columns(pl.col("held").fill_null(1.0))
    )
    # Stated splits stay; what is left of the factor is the distribution.
    left = pl.col("factor") / pl.col("split").fill_null(1.0)
    changed = told.with_columns(left.alias("left")).filter(
        (pl.col("left") / pl.col("held") - 1).abs() > 4 * pl.col("noise")
    )
    silent = (changed["left"] - 1).abs() <= changed["noise"]
    return changed.with_columns(pl.when(silent).then(1.0).otherwise(pl.col("left")).alias("factor")).select(
        "symbol", "session", pl.lit("distribution").alias("kind"), "factor"
    )
