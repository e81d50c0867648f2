"""Fundamentals as of each day: the latest filing known before the decision, and what was computed on the filings."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import BadInput, DeclarationError
from openbell.core.time import MOMENT
from openbell.core.view import View
from openbell.quant.reach import reach
from openbell.quant.statements import FILED
from openbell.research.grid import BAR_COLUMNS

TABLE = "fundamentals"
#: Calendar days from a filing on in which the figures are still being digested, and are null.
BLACKOUT_DAYS = 2
#: A statement whose period ended longer ago than this no longer describes the company.
STALE_DAYS = 460
_KEYS = ("symbol", "period_end", "filed", "known_at", "source")


def filing_columns(view: View) -> tuple[str, ...]:
    """Columns of the filings that an expression may read; none where there is no such table."""
    if not view.tables.exists(TABLE):
        return ()
    columns = view.facts(TABLE).collect_schema().names()
    clash = sorted(set(columns) & set(BAR_COLUMNS))
    if clash:
        raise BadInput(f"The filings have columns named as the bars' are: {', '.join(clash)}. Rename them at import.")
    return tuple(name for name in columns if name == "period_end" or name not in _KEYS)


def filings(view: View, symbols: Sequence[str]) -> pl.DataFrame:
    """Filings of `symbols` in the order in which they became known.

    A repetition of figures already filed for the same period is left out, and so is a late restatement of an older
    period than the latest one: neither says anything new about the company today.
    """
    rows = (
        view.facts(TABLE)
        .filter(pl.col("symbol").is_in(pl.Series(sorted(symbols), dtype=pl.String).implode()))
        .collect()
        .sort("symbol", "known_at", "period_end")
    )
    content = [name for name in rows.columns if name not in ("filed", "known_at", "source")]
    return rows.unique(content, keep="first", maintain_order=True).filter(
        pl.col("period_end") >= pl.col("period_end").cum_max().over("symbol")
    )


def reads_filings_only(feature: Feature, columns: Sequence[str]) -> bool:
    """Whether `feature` is computed on the filings alone; else it is computed on the days they are joined to."""
    return all(root in columns or root in FILED for root in feature.expression.meta.root_names())


def check_daily(feature: Feature) -> None:
    """Refuse a feature of prices and filings that looks back over days, each of which repeats one filing."""
    named = feature.expression.meta.root_names()
    computed = max((reach(FILED[root]).back for root in named if root in FILED), default=1)
    if reach(feature.expression).back > computed:
        raise DeclarationError(
            f"The feature `{feature.name}` mixes prices and filings and looks back over daily rows, which repeat one "
            "filing many times. Compute changes on the filings: `quant.statements.filed`."
        )


def with_filing_features(
    rows: pl.DataFrame, features: Sequence[Feature], stages: Sequence[Sequence[pl.Expr]]
) -> pl.DataFrame:
    """Filings with the columns that `features` and `stages` compute on them, symbol by symbol."""
    for stage in stages:
        rows = rows.with_columns(each.over("symbol") for each in stage)
    return rows.with_columns(each.expression.over("symbol").alias(each.name) for each in features)


def decision_times(view: View, lead_minutes: int) -> pl.DataFrame:
    """Columns ``number`` (of the bar's session) and ``as_of``, when the decision after that bar is made."""
    return view.sessions.frame.select(
        (pl.col("number").cast(pl.Int64) - 1).alias("number"),
        (pl.col("open_at") - pl.duration(minutes=lead_minutes)).cast(MOMENT).alias("as_of"),
    )


def joined(days: pl.DataFrame, rows: pl.DataFrame, blackout_days: int = BLACKOUT_DAYS) -> pl.DataFrame:
    """`days` (with ``symbol``, ``as_of``) with the latest filing known at ``as_of``.

    Its figures are null in the black-out, the `blackout_days` days after the day of the filing, and once the period it
    describes ended more than `STALE_DAYS` ago. ``filing_known_at`` says when the figures became known.
    """
    figures = [name for name in rows.columns if name not in _KEYS]
    latest = days.join_asof(
        rows.with_columns(pl.col("known_at").alias("filing_known_at")).drop("source", strict=False).sort("known_at"),
        left_on="as_of",
        right_on="known_at",
        by="symbol",
        strategy="backward",
        check_sortedness=False,
        suffix="_of_filing",
    )
    day = pl.col("as_of").dt.date()
    published = pl.coalesce(pl.col("filed").cast(pl.Date), pl.col("filing_known_at").dt.date() - pl.duration(days=1))
    settled = (day - published).dt.total_days() > blackout_days
    fresh = (day - pl.col("period_end")).dt.total_days() <= STALE_DAYS
    return latest.with_columns(pl.when(settled & fresh).then(pl.col(name)).alias(name) for name in figures)
