"""One file of bars within the session into the tables: every bar passes the gate, and all is one commit."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from openbell.core.bars import MINUTES
from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, Sessions, utc
from openbell.market import products
from openbell.market.importing import SAME, Appendable
from openbell.market.minute_times import FREQUENCIES
from openbell.market.providers.minutes import RECEIVED, MinuteBatch
from openbell.market.quality.checking import counts
from openbell.market.quality.judging import Judgement
from openbell.market.quality.minute_judging import MINUTE_RULES, minute_gate
from openbell.quant.bar_frames import FIELDS, SessionTimes

TABLE, QUARANTINE = "minutes", "minute_quarantine"
_KEY = ["symbol", "at"]


@dataclass(frozen=True, eq=False)
class MinutesReport:
    """What became of the bars of one file. ``received == stored + quarantined + known`` always holds.

    Attributes
    ----------
    received, stored, quarantined, known : bars; `known` ones were there already, stored or in quarantine.
    restated, late : of the stored ones, those that replace a bar or fill a hole: they are known from the import on.
    outside : of the stored ones, those outside the session's regular hours.
    symbols, first, last : how many symbols the stored ones have, and the span of their ends; None without any.
    counts : per rule of the gate, over the bars that were new: see `quality.checking.counts`.
    commit : id of the commit; None where nothing was new. notes : sentences for every report on these data.
    product : code of the product whose sessions the bars lie in; empty for the exchange's own.
    """

    name: str
    freq: str
    received: int
    stored: int
    quarantined: int
    known: int
    restated: int
    late: int
    outside: int
    symbols: int
    first: dt.datetime | None
    last: dt.datetime | None
    counts: pl.DataFrame
    commit: str | None
    notes: tuple[str, ...]
    product: str = ""


def import_minutes(
    tables: Appendable,
    batch: MinuteBatch,
    sessions: Sessions,
    zone: str,
    *,
    at: dt.datetime,
    delay_minutes: int = 0,
    dry_run: bool = False,
) -> MinutesReport:
    """Judge the bars of `batch`, and add what is new to `tables` in one commit.

    Parameters
    ----------
    sessions, zone : of the exchange, and the time zone that it keeps its days in; a batch of a product has its own.
    at : the moment of the import, aware. Bars that restate a stored one or fill a hole in a stored history are known
        from then on; all others from their end plus `delay_minutes`.
    dry_run : judge and report, and write nothing.
    """
    at = utc(at)
    if batch.bars.is_empty():
        raise BadInput(f"`{batch.name}` gave no bars at all; there is nothing to import.")
    if delay_minutes < 0:
        raise BadInput(f"`delay_minutes` must be 0 or more; was {delay_minutes}. No bar is known before its end.")
    held, aside = _held(tables, TABLE, batch), _held(tables, QUARANTINE, batch)
    new = _news(batch.bars, held, aside)
    judgement = _judged(batch, new, sessions, zone, _levels(held, new))
    good = judgement.rows.filter(pl.col("rule").is_null()).drop("rule", "reason")
    stored = _stamped(_with_earliest(good, batch), held, aside, at, delay_minutes)
    frames = {
        TABLE: _table(stored, batch),
        QUARANTINE: _aside(judgement.quarantined, batch, delay_minutes),
    }
    frames = {name: frame for name, frame in frames.items() if not frame.is_empty()}
    commit = tables.append_all(frames) if frames and not dry_run else None
    regular = sessions if batch.product is None else products.sessions(batch.product, regular=True)
    _, inside = SessionTimes.of(regular).places(stored["at"].to_physical().to_numpy())
    return MinutesReport(
        name=batch.name,
        freq=batch.freq,
        received=batch.bars.height,
        stored=stored.height,
        quarantined=new.height - stored.height,
        known=batch.bars.height - new.height,
        restated=int(stored["restated"].sum()),
        late=int(stored["late"].sum()),
        outside=int((~inside).sum()),
        symbols=stored["symbol"].n_unique(),
        first=stored["at"].min(),  # type: ignore[arg-type]
        last=stored["at"].max(),  # type: ignore[arg-type]
        counts=counts(judgement.findings, MINUTE_RULES),
        commit=commit,
        notes=batch.notes,
        product="" if batch.product is None else batch.product.code,
    )


def _judged(batch: MinuteBatch, new: pl.DataFrame, sessions: Sessions, zone: str, levels: pl.DataFrame) -> Judgement:
    """The judgement of new bars in the sessions of the exchange, or of the product that they are of."""
    minutes, product = FREQUENCIES[batch.freq], batch.product
    if product is None:
        return minute_gate(new, minutes, sessions, zone, levels)
    # Bars of a stock count from the bell: its hours end at 10:30, 11:30 …, not on those of the hours before it.
    own = products.sessions(product, regular=product.kind == "STOCK")
    shift = product.day_shift_minutes
    return minute_gate(new, minutes, own, product.time_zone, levels, day_shift_minutes=shift)


def _held(tables: Appendable, name: str, batch: MinuteBatch) -> pl.DataFrame:
    """Rows of the batch's symbols and frequency as they stand, all versions."""
    columns = [*RECEIVED, "known_at"]
    if not tables.exists(name):
        return pl.DataFrame(schema={**RECEIVED, "known_at": MOMENT})
    mine = pl.col("symbol").is_in(batch.bars["symbol"].unique().sort().implode()) & (pl.col("freq") == batch.freq)
    return tables.scan(name).filter(mine).select(columns).collect()


def _latest(held: pl.DataFrame) -> pl.DataFrame:
    return held.sort(*_KEY, "known_at").unique(_KEY, keep="last", maintain_order=True)


def _same(name: str) -> pl.Expr:
    left, right = pl.col(name), pl.col(f"{name}_held")
    return left.eq_missing(right) | ((left - right).abs() <= SAME * right.abs()).fill_null(False)


def _news(bars: pl.DataFrame, held: pl.DataFrame, aside: pl.DataFrame) -> pl.DataFrame:
    """The rows of `bars` that are neither stored as the latest version nor in quarantine with the same numbers."""
    rows = bars.with_row_index("row")
    known = []
    for frame in (_latest(held), aside.unique([*_KEY, *FIELDS])):
        both = rows.join(frame.select(*_KEY, *FIELDS), on=_KEY, how="inner", suffix="_held")
        known.append(both.filter(pl.all_horizontal(_same(name) for name in FIELDS)).select("row"))
    return rows.join(pl.concat(known).unique(), on="row", how="anti", maintain_order="left").drop("row")


def _levels(held: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """The last stored close of each symbol before its first new bar."""
    first = new.group_by("symbol").agg(pl.col("at").min().alias("first"))
    before = _latest(held).join(first, on="symbol").filter(pl.col("at") < pl.col("first"))
    return before.sort(*_KEY).group_by("symbol", maintain_order=True).agg(pl.col("close").last())


def _with_earliest(good: pl.DataFrame, batch: MinuteBatch) -> pl.DataFrame:
    """`good` with ``earliest``: the first moment at which what the bar was made of was known; null without."""
    if batch.known is None:
        return good.with_columns(pl.lit(None, dtype=MOMENT).alias("earliest"))
    told = batch.known.select(*_KEY, pl.col("known_at").alias("earliest"))
    return good.join(told, on=_KEY, how="left", maintain_order="left")


def _stamped(
    good: pl.DataFrame, held: pl.DataFrame, aside: pl.DataFrame, at: dt.datetime, delay_minutes: int
) -> pl.DataFrame:
    """`good` rows with ``known_at`` and whether they are ``restated`` or ``late``.

    A bar is known at its end, unless it restates a bar, or comes late into a history that had gone on without it: then
    nobody could have acted on it before now.
    """
    spans = pl.concat([held.select(_KEY), aside.select(_KEY)]).group_by("symbol")
    ends = spans.agg(pl.col("at").min().alias("begun"), pl.col("at").max().alias("ended"))
    there = held.select(_KEY).unique().with_columns(pl.lit(True).alias("restated"))
    rows = good.join(ends, on="symbol", how="left", maintain_order="left")
    rows = rows.join(there, on=_KEY, how="left", maintain_order="left")
    within = pl.col("at").is_between("begun", "ended").fill_null(False)
    rows = rows.with_columns(pl.col("restated").fill_null(False)).with_columns(
        (within & ~pl.col("restated")).alias("late")
    )
    own = pl.max_horizontal(pl.col("at") + pl.duration(minutes=delay_minutes), "earliest")
    known = pl.when(pl.col("restated") | pl.col("late")).then(pl.max_horizontal(own, pl.lit(at, dtype=MOMENT)))
    return rows.with_columns(known.otherwise(own).cast(MOMENT).alias("known_at")).sort(*_KEY)


def _table(stored: pl.DataFrame, batch: MinuteBatch) -> pl.DataFrame:
    marked = stored.with_columns(pl.lit(batch.freq).alias("freq"), pl.lit(batch.name).alias("source"))
    return marked.select(pl.col(name).cast(kind) for name, kind in MINUTES.items())


def _aside(rows: pl.DataFrame, batch: MinuteBatch, delay_minutes: int) -> pl.DataFrame:
    known = (pl.col("at") + pl.duration(minutes=delay_minutes)).cast(MOMENT)
    return rows.select(
        "symbol",
        pl.lit(batch.freq).alias("freq"),
        "session",
        "at",
        *FIELDS,
        "rule",
        "reason",
        known.alias("known_at"),
        pl.lit(batch.name).alias("source"),
    )
