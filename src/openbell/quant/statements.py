"""The vocabulary of filing expressions: figures of the statements, over the filings of one symbol.

Rows are filings in the order in which they became known. What is *filed* is computed on the filings, never on filled
daily rows, and joined to the days afterwards; growth is therefore growth between two statements.
"""

from __future__ import annotations

import polars as pl

from openbell.core.errors import DeclarationError
from openbell.quant.expressions import ratio

#: Columns that the engine computes on the filings before the features, in the order of their need.
FILED: dict[str, pl.Expr] = {}
#: Filings to search back for the statement of a year or a quarter before.
FILINGS_BACK = 6


def filed(name: str, definition: pl.Expr) -> pl.Expr:
    """Have the engine compute `definition` on the filings, as the column ``_name``; the expression that reads it."""
    column = f"_{name}"
    if column in FILED and not FILED[column].meta.eq(definition):
        raise DeclarationError(f"The filed column `{column}` is defined twice. Rename one.")
    FILED[column] = definition
    return pl.col(column)


period_end = pl.col("period_end")
is_annual = pl.col("period_focus") == "FY"


def _days_to(filings: int) -> pl.Expr:
    return (period_end - period_end.shift(filings)).dt.total_days()


def year_before(x: pl.Expr) -> pl.Expr:
    """`x` of the statement whose period ended a year (350 to 380 days) before: the same quarter, or the year."""
    return pl.coalesce(
        *(pl.when(_days_to(back).is_between(350, 380)).then(x.shift(back)) for back in range(1, FILINGS_BACK + 1))
    )


def quarter_before(x: pl.Expr) -> pl.Expr:
    """`x` of the statement of the quarter before (80 to 100 days), null where either of the two covers a year."""
    return pl.coalesce(
        *(
            pl.when(_days_to(back).is_between(80, 100) & ~is_annual & ~is_annual.shift(back)).then(x.shift(back))
            for back in range(1, FILINGS_BACK + 1)
        )
    )


def growth(now: pl.Expr, before: pl.Expr) -> pl.Expr:
    """``now / before - 1``; null where the base is not positive, for a growth from a loss means nothing."""
    return ratio(now, pl.when(before > 0).then(before)) - 1.0


def annual(x: pl.Expr) -> pl.Expr:
    """`x` of the latest annual statement among the last six filings."""
    return pl.when(is_annual).then(x).forward_fill(limit=FILINGS_BACK - 1)
