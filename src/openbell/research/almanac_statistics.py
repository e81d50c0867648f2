"""What the hours, minutes, weekdays, weeks and months of one product did, and which of it is more than chance."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.multiple_testing import holm
from openbell.quant.value_statistics import MEASURES, SUFFICIENT, grouped_value_statistics
from openbell.research.almanac_bars import PatternBars, pattern_bars
from openbell.research.almanac_days import Almanac

#: What is measured of every bar: open to close in percent, high less low in points, and that in percent of the open.
SERIES = ("change", "range", "range_pct")
#: Measures of each series; those of whether the mean is 0 are asked of the change alone.
SHOWN = tuple(name for name in MEASURES if name not in ("error", "p"))


@dataclass(frozen=True, slots=True, eq=False)
class PatternStatistics:
    """A table of one pattern of the calendar.

    Attributes
    ----------
    by : the key. rows : one row per value of it, in the order of the clock or the calendar: the column `by`, ``label``,
        ``n``, ``sufficient`` (n >= 30), then ``change_*`` in percent, ``range_*`` in points and ``range_pct_*`` in
        percent with each measure of `quant.value_statistics` (variances in their squares), ``change_error`` (standard
        error of the mean), ``p`` of a mean change of 0, ``p_adjusted`` for the whole table, and ``significant``.
    alpha : chance of even one false ``significant`` in the table. tests : means that were tested together.
    notes : sentences on what was left out and on what the table says.
    """

    by: str
    rows: pl.DataFrame
    alpha: float
    tests: int
    notes: tuple[str, ...]


def statistics(
    almanac: Almanac,
    by: str,
    *,
    sessions: pl.Series | None = None,
    tests: int | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
) -> PatternStatistics:
    """Statistics of every value of the key `by`; see `almanac_bars.pattern_bars` for the bars they are of.

    Parameters
    ----------
    by : hour, minute, part, weekday, week_of_month, week or month.
    sessions : those to look at; all whole ones where not given.
    tests : means that were tested in all where this table is one of several; the rows of this one where not given.
    alpha : chance of one false finding. level : coverage of the intervals of the medians.

    Returns
    -------
    PatternStatistics
        ``p`` is by Student's t with the standard error of Newey and West, ``p_adjusted`` by Holm over all rows of the
        table whatever their dependence; ``significant`` where that is below `alpha` and n is sufficient.

    Raises
    ------
    BadInput
        An unknown key, or fewer `tests` than the table has. DataMissing : nothing is left.
    """
    return table(pattern_bars(almanac, by, sessions=sessions), tests=tests, alpha=alpha, level=level)


def table(
    bars: PatternBars, *, tests: int | None = None, alpha: float = 0.05, level: float = 0.95
) -> PatternStatistics:
    """`statistics` of bars that were put together before."""
    if not 0.0 < alpha < 1.0:
        raise BadInput(f"`alpha` must lie in (0, 1); was {alpha}.")
    present = set(bars.rows[bars.by].unique().to_list())
    keys = [key for key in bars.labels if key in present]
    codes = bars.rows[bars.by].replace_strict(keys, range(len(keys)), return_dtype=pl.Int64).to_numpy()
    rows = pl.DataFrame({bars.by: keys, "label": [bars.labels[key] for key in keys]})
    for series in SERIES:
        values = bars.rows[series].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        found = grouped_value_statistics(values, codes, len(keys), level=level)
        shown = SHOWN if series != "change" else (*SHOWN, "error")
        if series == "change":
            rows = rows.with_columns(found["n"], (found["n"] >= SUFFICIENT).alias("sufficient"))
            p = found["p"]
        rows = rows.hstack(found.select(pl.col(name).alias(f"{series}_{name}") for name in shown))
    adjusted = holm(p.cast(pl.Float64).fill_null(float("nan")).to_numpy(), tests=tests)
    rows = rows.with_columns(p.alias("p"), pl.Series("p_adjusted", adjusted).fill_nan(None)).with_columns(
        ((pl.col("p_adjusted") < alpha) & pl.col("sufficient")).fill_null(False).alias("significant")
    )
    made = int(p.count()) if tests is None else tests
    return PatternStatistics(bars.by, rows, alpha, made, (*bars.notes, *_said(bars, rows, made, alpha)))


def _said(bars: PatternBars, rows: pl.DataFrame, tests: int, alpha: float) -> list[str]:
    """What the table says, in sentences."""
    said = []
    missing = int(bars.rows["change"].null_count())
    if missing:
        said.append(f"{missing:,} of {bars.rows.height:,} bars open at or below 0 and have no change in percent.")
    few = int((~rows["sufficient"]).sum())
    if few:
        said.append(
            f"{few:,} of {rows.height:,} rows have fewer than {SUFFICIENT} observations: not enough to conclude."
        )
    if not tests:
        return [*said, "No row has enough spread to test its mean change."]
    found = rows.filter("significant")["label"].to_list()
    kept = f"{len(found):,} of {tests:,} mean changes differ from 0 once adjusted for having looked at all of them"
    named = f": {', '.join(found[:8])}{', …' if len(found) > 8 else ''}" if found else ""
    said.append(f"{kept} (Holm, chance of one false finding {alpha:.0%}){named}.")
    return said


def year_lines(days: pl.DataFrame) -> pl.DataFrame:
    """Each year's way from the last close before it, or from its own first open where there is none before.

    `days` has ``session``, ``open`` and ``close``. Gives ``year``, ``day`` (session of the year from 1, of those that
    are there), ``session`` and ``change_pct``, percent; null where the base is not above 0.
    """
    rows = days.select("session", "open", "close").drop_nulls().sort("session")
    rows = rows.with_columns(pl.col("session").dt.year().alias("year"), pl.col("close").shift(1).alias("before"))
    base = pl.coalesce(pl.col("before"), pl.col("open")).first().over("year")
    return rows.select(
        "year",
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("year").alias("day"),
        "session",
        pl.when(base > 0).then(100.0 * (pl.col("close") / base - 1.0)).alias("change_pct"),
    )
