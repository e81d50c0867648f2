"""What stage 1 of the options desk says of one decision: a row for each structure, and whether it was ever worth it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.time import utc

#: Quantiles of the result per unit of maximum loss that an outlook tells.
LEVELS = (0.05, 0.25, 0.50, 0.75, 0.95)


def quantile_columns() -> list[str]:
    """``q05`` … ``q95``, one for each of `LEVELS`."""
    return [f"q{round(100 * level):02d}" for level in LEVELS]


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """The forecast of the options desk for one underlying.

    Attributes
    ----------
    as_of : the moment of the decision, aware. session : the session it is made for. underlying : its symbol.
    rows : one per structure, in the order of S0.05: ``structure``, ``expected_utility`` (growth of the account per unit
        of risk, after costs), ``q05`` … ``q95`` (result per unit of maximum loss), ``probability`` (calibrated, of
        being the best in hindsight; the ten sum to 1).
    model : registered version. proven : whether the walk-forward of that version earned more than no trade, adjusted
        for the number of tries. modelled : whether it rests on modelled quotes. why : sentences.
    """

    as_of: dt.datetime
    session: dt.date
    underlying: str
    rows: pl.DataFrame
    model: str
    proven: bool
    modelled: bool
    why: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        utc(self.as_of)
        wanted = ["structure", "expected_utility", *quantile_columns(), "probability"]
        if self.rows.columns != wanted:
            raise BadInput(f"The rows of an outlook have the columns {wanted}; these have {self.rows.columns}.")

    @property
    def ranked(self) -> tuple[str, ...]:
        """Structures by expected utility, the largest first; equals in the order of S0.05."""
        return tuple(
            self.rows.with_row_index("place").sort("expected_utility", "place", descending=[True, False])["structure"]
        )

    @property
    def likeliest(self) -> tuple[tuple[str, float], ...]:
        """The three structures that are most probably the best in hindsight, with their probabilities."""
        top = self.rows.with_row_index("place").sort("probability", "place", descending=[True, False]).head(3)
        return tuple(top.select("structure", "probability").iter_rows())

    def of(self, structure: str) -> dict[str, float]:
        """The row of `structure`."""
        return self.rows.filter(pl.col("structure") == structure).drop("structure").row(0, named=True)
