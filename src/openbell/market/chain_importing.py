"""One file of option quotes into the tables: every quote passes the gate, is priced by us, and all is one commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from openbell.core.quotes import DERIVED, QUOTES, RECEIVED
from openbell.core.time import MOMENT, Sessions, utc
from openbell.market.chain_batch import ChainBatch
from openbell.market.importing import Appendable
from openbell.market.quality.chain_history import EARLIER
from openbell.market.quality.chain_judging import ChainJudgement, chain_counts, chain_gate

TABLE, QUARANTINE = "quotes", "quote_quarantine"
#: One contract at one moment, whoever says so.
KEY = ["underlying", "session", "quote_at", "root", "expiry", "strike", "right"]
#: What makes two rows of a key the same quote. What the gate may set aside is not among them.
SAME = ["bid", "ask", "last", "volume", "open_interest"]
#: Stored chains so many days before the first new one are handed to the gate.
EARLIER_DAYS = 7
#: Quotes whose volatility can be compared: traded on their session, with a spread of at most a tenth of the mid.
LIQUID_SPREAD = 0.10


@dataclass(frozen=True, eq=False)
class ChainReport:
    """What became of the quotes of one file. ``received == stored + quarantined + known`` always holds.

    Attributes
    ----------
    received, stored, quarantined, known : quotes; `known` ones were there already, stored or in quarantine.
    restated : of the stored ones, those that replace a quote of the same moment: known from the import on.
    counts : per rule of the chain gate, over the quotes that were new: see `chain_counts`.
    chains : ``underlying``, ``session``, ``quote_at``, ``received``, ``stored``, ``with_mid``, ``with_iv`` (new ones).
    refused : sentences, one per chain that was refused as a whole.
    iv_difference : median of abs(our volatility less the vendor's) on liquid quotes, per year; None without any.
    iv_quotes : the liquid quotes that it is the median of.
    commit : id of the commit; None where nothing was new. notes : sentences for every report on these data.
    """

    name: str
    received: int
    stored: int
    quarantined: int
    known: int
    restated: int
    counts: pl.DataFrame
    chains: pl.DataFrame
    refused: tuple[str, ...]
    iv_difference: float | None
    iv_quotes: int
    commit: str | None
    notes: tuple[str, ...]


def import_chain(
    tables: Appendable,
    batch: ChainBatch,
    sessions: Sessions,
    *,
    at: dt.datetime,
    delay_minutes: int = 0,
    dry_run: bool = False,
) -> ChainReport:
    """Judge the quotes of `batch`, price the good ones, and add what is new to `tables` in one commit.

    Parameters
    ----------
    at : the moment of the import, aware. Quotes that restate a stored one are known from then on, all others from
        their own moment plus `delay_minutes`.
    dry_run : judge and report, and write nothing.
    """
    at = utc(at)
    rows = batch.quotes.with_row_index("row")
    new = _new(tables, rows)
    if new.is_empty():
        return _report(batch, new, _nothing(batch), pl.DataFrame(schema=dict(QUOTES)), 0, None)
    judgement = chain_gate(batch.quotes, sessions, earlier=_earlier(tables, batch))
    judged = judgement.rows.with_row_index("row")
    good = judged.filter(pl.col("rule").is_null()).drop("rule", "reason")
    quotes = _priced(good, sessions).join(new.select("row"), on="row", how="semi", maintain_order="left")
    aside = judged.filter(pl.col("rule").is_not_null()).join(
        new.select("row"), on="row", how="semi", maintain_order="left"
    )
    stored, restated = _stamped(tables, quotes.drop("row"), at, delay_minutes)
    frames = {TABLE: stored, QUARANTINE: _quarantined(aside.drop("row"), at, delay_minutes)}
    frames = {name: frame for name, frame in frames.items() if not frame.is_empty()}
    commit = tables.append_all(frames) if not dry_run else None
    return _report(batch, new, judgement, stored, restated, commit)


def _nothing(batch: ChainBatch) -> ChainJudgement:
    findings = {"row": pl.UInt32, "underlying": pl.String, "session": pl.Date, "contract": pl.String}
    told = dict.fromkeys(("rule", "action", "reason"), pl.String)
    rows = pl.DataFrame(schema={**RECEIVED, "rule": pl.String, "reason": pl.String})
    return ChainJudgement(rows, pl.DataFrame(schema={**findings, **told}))


def _of(tables: Appendable, name: str, batch_rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Stored rows of the underlyings and sessions of `batch_rows`."""
    if not tables.exists(name):
        return pl.DataFrame(schema={column: QUOTES[column] for column in columns})
    mine = pl.col("underlying").is_in(batch_rows["underlying"].unique().implode())
    days = batch_rows["session"].unique()
    then = pl.col("session").is_in(days.implode()) | (pl.col("session").is_null() if days.null_count() else False)
    return tables.scan(name).filter(mine & then).select(columns).collect()


def _new(tables: Appendable, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that are neither stored nor in quarantine with the same numbers."""
    there = pl.concat([_of(tables, name, rows, [*KEY, *SAME]) for name in (TABLE, QUARANTINE)])
    if there.is_empty():
        return rows
    return rows.join(there.unique(), on=[*KEY, *SAME], how="anti", nulls_equal=True, maintain_order="left")


def _earlier(tables: Appendable, batch: ChainBatch) -> pl.DataFrame | None:
    """Stored quotes of the days before each new chain, for the rules that look back."""
    days = batch.quotes["session"].drop_nulls()
    if not tables.exists(TABLE) or days.is_empty():
        return None
    first, last = days.min(), days.max()
    since = first - dt.timedelta(days=EARLIER_DAYS)  # type: ignore[operator]
    mine = pl.col("underlying").is_in(batch.quotes["underlying"].unique().implode())
    rows = tables.scan(TABLE).filter(mine & (pl.col("session") >= since) & (pl.col("session") < last))
    new = batch.quotes.select("underlying", "session", "quote_at").unique().lazy()
    rows = rows.filter(~pl.col("modelled")).join(new, on=["underlying", "session", "quote_at"], how="anti")
    return rows.select(EARLIER).collect()


def _priced(good: pl.DataFrame, sessions: Sessions) -> pl.DataFrame:
    """`good` with our own forward, discount, volatility and Greeks; any of them needs the whole chain."""
    from openbell.market.chain_pricing import priced

    if good.is_empty():
        return good.with_columns(pl.lit(None).cast(kind).alias(name) for name, kind in DERIVED.items())
    return priced(good, sessions)


def _stamped(tables: Appendable, quotes: pl.DataFrame, at: dt.datetime, delay_minutes: int) -> tuple[pl.DataFrame, int]:
    """`quotes` as rows of the table, and how many restate one."""
    held = _of(tables, TABLE, quotes, KEY).unique()
    rows = quotes.join(held.with_columns(pl.lit(True).alias("held")), on=KEY, how="left", maintain_order="left")
    own = pl.col("quote_at") + pl.duration(minutes=delay_minutes)
    moment = pl.when(pl.col("held")).then(pl.max_horizontal(own, pl.lit(at, dtype=MOMENT))).otherwise(own)
    stamped = rows.with_columns(moment.cast(MOMENT).alias("known_at"))
    restated = int(stamped["held"].is_not_null().sum())
    return stamped.select(pl.col(name).cast(kind) for name, kind in QUOTES.items()), restated


def _quarantined(rows: pl.DataFrame, at: dt.datetime, delay_minutes: int) -> pl.DataFrame:
    own = pl.col("quote_at") + pl.duration(minutes=delay_minutes)
    moment = pl.coalesce(own, pl.lit(at, dtype=MOMENT)).cast(MOMENT)
    return rows.select(*RECEIVED, "rule", "reason", moment.alias("known_at"))


def _report(
    batch: ChainBatch,
    new: pl.DataFrame,
    judgement: ChainJudgement,
    stored: pl.DataFrame,
    restated: int,
    commit: str | None,
) -> ChainReport:
    findings = judgement.findings.join(new.select("row"), on="row", how="semi")
    difference, liquid = _iv_difference(stored)
    return ChainReport(
        name=batch.name,
        received=batch.quotes.height,
        stored=stored.height,
        quarantined=new.height - stored.height,
        known=batch.quotes.height - new.height,
        restated=restated,
        counts=chain_counts(findings),
        chains=_chains(batch, stored),
        refused=_refused(findings),
        iv_difference=difference,
        iv_quotes=liquid,
        commit=commit,
        notes=batch.notes,
    )


def _refused(findings: pl.DataFrame) -> tuple[str, ...]:
    """A sentence per chain that was refused as a whole."""
    chains = findings.filter(pl.col("action") == "refuse").group_by("underlying", "session", maintain_order=True)
    table = chains.agg(pl.col("row").n_unique().alias("quotes"), pl.col("reason").first())
    return tuple(
        f"The chain of {row['underlying']} of {row['session']} ({row['quotes']:,} quotes) was refused: {row['reason']}."
        for row in table.iter_rows(named=True)
    )


def _chains(batch: ChainBatch, stored: pl.DataFrame) -> pl.DataFrame:
    key = ["underlying", "session", "quote_at"]
    received = batch.quotes.group_by(key).agg(pl.len().cast(pl.Int64).alias("received"))
    kept = stored.group_by(key).agg(
        pl.len().cast(pl.Int64).alias("stored"),
        pl.col("mid").count().cast(pl.Int64).alias("with_mid"),
        pl.col("iv").count().cast(pl.Int64).alias("with_iv"),
    )
    beside = received.join(kept, on=key, how="left", nulls_equal=True)
    return beside.with_columns(pl.col("stored", "with_mid", "with_iv").fill_null(0)).sort(key)


def _iv_difference(stored: pl.DataFrame) -> tuple[float | None, int]:
    """Our volatility against the vendor's on liquid quotes: the median absolute difference, and of how many."""
    tight = (pl.col("ask") - pl.col("bid")) <= LIQUID_SPREAD * pl.col("mid")
    liquid = stored.filter(tight & (pl.col("volume") > 0)).select((pl.col("iv") - pl.col("vendor_iv")).abs().alias("d"))
    known = liquid["d"].drop_nulls().drop_nans()
    median = known.median()
    return (float(median) if isinstance(median, float) else None), len(known)


def counted(report: ChainReport) -> Mapping[str, int]:
    """Rows per rule that found something."""
    return dict(report.counts.filter(pl.col("rows") > 0).select("rule", "rows").iter_rows())
