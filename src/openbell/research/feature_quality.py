"""The quality gate of features: what is missing, out of its range, constant, or said twice.

Ask it about the rows that a model is fitted to, and of no later ones: what is kept is a choice like any other that is
fitted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from openbell.core.bars import FRAMES
from openbell.core.declare import Feature
from openbell.core.errors import BadInput, unknown
from openbell.quant.reach import lookback
from openbell.research.sanity import constant_features

#: Two features whose correlation is at least this, in size, say the same.
ALIKE = 0.95
#: Share of values that must be there, finite and within their range.
CLEAN = 0.99
#: Rows that correlations are taken from, evenly spread; near 0.95 they are then known to about 0.001.
MOST_ROWS = 10_000
#: Fewest rows that two features must share to be compared.
FEWEST_ROWS = 30
#: What a value of single precision may lie beyond a bound, as a share of it.
_ROUNDING = 1e-6

_TABLE = {
    "column": pl.String, "feature": pl.String, "frame": pl.String, "rows": pl.Int64, "nulls": pl.Int64,
    "null_share": pl.Float64, "not_finite": pl.Int64, "low": pl.Float64, "high": pl.Float64, "outside": pl.Int64,
    "outside_share": pl.Float64, "smallest": pl.Float64, "largest": pl.Float64, "distinct": pl.Int64,
}  # fmt: skip
_PAIRS = {"column": pl.String, "other": pl.String, "correlation": pl.Float64, "rows": pl.Int64}


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """What the gate found.

    Attributes
    ----------
    table : one row per column, in their order: ``column feature frame``; ``rows`` after the warm-up; of them ``nulls``
        and ``null_share`` (null without such a row), ``not_finite`` (infinite or NaN); the declared range ``low`` to
        ``high`` where the unit states one, values ``outside`` it and their share; ``smallest``, ``largest`` and how
        many ``distinct`` values there are among the finite ones.
    pairs : ``column``, ``other`` (the later declared), ``correlation`` and the ``rows`` they share: the pairs at or
        beyond the limit, never a column with itself.
    dropped : columns that are better left out, each with the reason.
    clean : share of the values after the warm-up, of the columns that are kept, which are there, finite and within
        their range. clean_of_all : the same of all columns.
    """

    table: pl.DataFrame
    pairs: pl.DataFrame
    dropped: Mapping[str, str] = field(default_factory=dict)
    clean: float = 1.0
    clean_of_all: float = 1.0

    @property
    def passed(self) -> bool:
        """Whether at least 99 % of the values of the kept columns are clean."""
        return self.clean >= CLEAN

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, the sum first, then each column that is better left out."""
        head = (
            f"{self.table.height - len(self.dropped)} of {self.table.height} columns are kept; {self.clean:.2%} of "
            f"their values after the warm-up are there, finite and within their range ({CLEAN:.0%} is asked for; "
            f"{self.clean_of_all:.2%} of all columns')."
        )
        return (head, *self.dropped.values())


def declared_range(unit: str) -> tuple[float, float] | None:
    """Bounds that the unit of a feature states, both included; None where it states none.

    ``0 to 100``, ``-1 to 1``, ``0 or 1``, ``share`` (0 to 1), ``share in [-1, 1]``, ``score in (0, 1)``,
    ``correlation`` (-1 to 1) and ``sessions, at most 60`` (0 to 60) are bounds; ``may lie outside`` denies them.
    """
    if "may lie outside" in unit:
        return None
    number = r"(-?\d+(?:\.\d+)?)"
    # A word before says what is counted: "index 0 to 100".
    said = (rf"^(?:\w+ )?{number} (?:to|or) {number}$", rf"^(?:share|score) in [\[(]{number}, {number}[\])]$")
    for pattern in said:
        if found := re.match(pattern, unit):
            return float(found[1]), float(found[2])
    if found := re.search(rf"at most {number}$", unit):
        return 0.0, float(found[1])
    return {"share": (0.0, 1.0), "correlation": (-1.0, 1.0)}.get(unit)


def feature_of(column: str, declared: Mapping[str, Feature], base: str = "1d") -> tuple[Feature, str]:
    """The feature that a column holds, and its frame: ``rsi_14_5m`` is that of ``rsi_14`` on bars of 5 minutes.

    Raises
    ------
    BadInput : for a column that is no declared feature.
    """
    name, _, frame = column.rpartition("_")
    if frame in FRAMES and name in declared:
        return declared[name], frame
    if column in declared:
        return declared[column], base
    raise unknown("feature", column, declared)


def quality(
    frame: pl.DataFrame,
    columns: Sequence[str],
    declared: Mapping[str, Feature],
    *,
    base: str = "1d",
    alike: float = ALIKE,
) -> Quality:
    """Judge `columns` of `frame`, the rows that a model is fitted to.

    The warm-up of a column ends, for each symbol, at its first value, or at its look-back where it has none by then;
    what is null later counts as missing. Correlations are those of at most 10,000 rows, evenly spread, pair by pair
    over the rows that both have. Of two that say the same the later in `columns` is better left out; so is a column
    without any value, with one single value for over 30 sessions, or with one that is infinite, NaN or outside the
    range its unit states.

    Parameters
    ----------
    frame : ``symbol``, ``session`` and the columns, in the order of time for each symbol.
    declared : features by name. base : frame of time of the rows. alike : size of a correlation from which on two
        columns say the same.

    Raises
    ------
    BadInput : for a column that lacks or is no declared feature, for a frame of time that is none, or for no row.
    """
    _check(frame, columns, base, alike)
    of = {column: feature_of(column, declared, base) for column in columns}
    counted = _counts(frame, columns, {column: _warm_up(*of[column], base) for column in columns})
    table = _table(frame, columns, of, counted)
    dropped = _faults(frame, table)
    found = _correlations(frame, [column for column in columns if column not in dropped])
    pairs = _alike(found, alike)
    dropped |= _repeated(found, alike)
    ordered = {column: dropped[column] for column in columns if column in dropped}
    kept = table.filter(~pl.col("column").is_in(list(dropped)))
    return Quality(table, pairs, ordered, _clean(kept), _clean(table))


def pruned(columns: Sequence[str], found: Quality) -> tuple[str, ...]:
    """`columns` without those that are better left out, in their order."""
    return tuple(column for column in columns if column not in found.dropped)


def _check(frame: pl.DataFrame, columns: Sequence[str], base: str, alike: float) -> None:
    if base not in FRAMES:
        raise unknown("frame of bars", base, FRAMES)
    for name in ("symbol", "session", *columns):
        if name not in frame.columns:
            raise unknown("column of the features", name, frame.columns)
    if len(set(columns)) != len(columns):
        raise BadInput("A column is named twice; it would be found to say the same as itself.")
    if not 0.0 < alike <= 1.0:
        raise BadInput(f"`alike` must lie above 0 and be at most 1; was {alike}.")
    if frame.is_empty():
        raise BadInput("There is no row to judge the features by.")


def _warm_up(feature: Feature, own: str, base: str) -> tuple[int, bool]:
    """Rows within which a feature has its first value, or sessions (True)."""
    rows, minutes, step = lookback(feature), FRAMES[own], FRAMES[base]
    if own == base or step is None:
        return rows, False
    return (rows, True) if minutes is None else (rows * minutes // step, False)


def _counts(
    frame: pl.DataFrame, columns: Sequence[str], warm_up: Mapping[str, tuple[int, bool]]
) -> dict[str, tuple[int, int]]:
    """Rows after the warm-up and nulls among them, of each column: all rows before it are null by its definition."""
    session = pl.col("session").rank("dense")
    # The row at which a look-back is full is the last of it, and has a value.
    ends = [
        ((session <= count).sum() if of_sessions else pl.len().clip(upper_bound=count - 1))
        .cast(pl.Int64)
        .alias(f"{count} {of_sessions}")
        for count, of_sessions in sorted(set(warm_up.values()))
    ]
    first = [pl.col(name).is_not_null().arg_true().first().cast(pl.Int64).alias(f"first {name}") for name in columns]
    nulls = [pl.col(name).null_count().cast(pl.Int64).alias(f"nulls {name}") for name in columns]
    by_symbol = frame.group_by("symbol").agg(pl.len().cast(pl.Int64).alias("rows"), *ends, *first, *nulls)
    found = {}
    for name in columns:
        count, of_sessions = warm_up[name]
        start = pl.min_horizontal(pl.col(f"first {name}").fill_null(pl.col("rows")), f"{count} {of_sessions}")
        counted = by_symbol.select(
            (pl.col("rows") - start).sum().alias("rows"), (pl.col(f"nulls {name}") - start).sum().alias("nulls")
        )
        found[name] = counted.row(0)
    return found


def _table(
    frame: pl.DataFrame,
    columns: Sequence[str],
    of: Mapping[str, tuple[Feature, str]],
    counted: Mapping[str, tuple[int, int]],
) -> pl.DataFrame:
    rows = []
    for name in columns:
        feature, own = of[name]
        low, high = declared_range(feature.unit) or (None, None)
        total, nulls = counted[name]
        values = frame[name].drop_nulls().cast(pl.Float64)
        held = values.filter(values.is_finite())
        outside = _outside(held, low, high)
        rows.append(
            {
                "column": name, "feature": feature.name, "frame": own, "rows": total, "nulls": nulls,
                "null_share": nulls / total if total else None, "not_finite": len(values) - len(held), "low": low,
                "high": high, "outside": outside, "outside_share": outside / len(held) if len(held) else None,
                "smallest": held.min(), "largest": held.max(), "distinct": held.n_unique(),
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema=_TABLE)


def _outside(held: pl.Series, low: float | None, high: float | None) -> int:
    if low is None or high is None:
        return 0
    slack = _ROUNDING * max(abs(low), abs(high))
    return int(((held < low - slack) | (held > high + slack)).sum())


def _faults(frame: pl.DataFrame, table: pl.DataFrame) -> dict[str, str]:
    """Columns that no other one is needed to condemn."""
    single = table.filter(pl.col("distinct") == 1)["column"].to_list()
    found = constant_features(frame, single)
    for row in table.iter_rows(named=True):
        name, count = row["column"], row["outside"] + row["not_finite"]
        if row["distinct"] == 0 and not count:
            found[name] = f"`{name}` has no value in any of {frame.height:,} rows."
        elif row["not_finite"]:
            found[name] = f"`{name}` is infinite or not a number in {row['not_finite']:,} rows."
        elif row["outside"]:
            found[name] = (
                f"`{name}` leaves its range of {row['low']:g} to {row['high']:g} in {row['outside']:,} rows: it goes "
                f"from {row['smallest']:g} to {row['largest']:g}."
            )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Correlations:
    """Correlations (k, k) of `columns`, 0 on the diagonal and where two share too few rows; and how many they share."""

    columns: tuple[str, ...]
    values: np.ndarray[Any, np.dtype[np.float64]]
    rows: np.ndarray[Any, np.dtype[np.float64]]


def _correlations(frame: pl.DataFrame, columns: Sequence[str]) -> _Correlations:
    """Pearson's correlations, each over the rows that both columns have."""
    some = frame.select(pl.col(name).cast(pl.Float64) for name in columns)
    x = some.gather_every(max(-(-some.height // MOST_ROWS), 1)).fill_null(float("nan")).to_numpy()
    there = np.isfinite(x)
    count = np.maximum(there.sum(axis=0), 1)
    # In units of their own: the sums of squares below then lose nothing.
    x = np.where(there, x, 0.0)
    x = np.where(there, x - x.sum(axis=0) / count, 0.0)
    width = np.sqrt((x * x).sum(axis=0) / count)
    x = x / np.where(width > 0, width, 1.0)
    here = there.astype(np.float64)
    shared = here.T @ here
    n = np.maximum(shared, 1.0)
    sums, squares = x.T @ here, (x * x).T @ here
    covariance = x.T @ x - sums * sums.T / n
    variance = squares - sums * sums / n
    scale = np.sqrt(np.clip(variance, 0.0, None) * np.clip(variance.T, 0.0, None))
    told = (shared >= FEWEST_ROWS) & (scale > 1e-9 * n)
    values = np.where(told, covariance / np.where(told, scale, 1.0), 0.0)
    np.fill_diagonal(values, 0.0)
    return _Correlations(tuple(columns), np.clip(values, -1.0, 1.0), shared)


def _alike(found: _Correlations, limit: float) -> pl.DataFrame:
    first, second = np.nonzero(np.triu(np.abs(found.values) >= limit, 1))
    names = np.array(found.columns, dtype=object)
    columns = {
        "column": names[first].tolist(),
        "other": names[second].tolist(),
        "correlation": found.values[first, second],
        "rows": found.rows[first, second].astype(np.int64),
    }
    pairs = pl.DataFrame(columns, schema=_PAIRS)
    return pairs.sort(pl.col("correlation").abs(), descending=True, maintain_order=True)


def _repeated(found: _Correlations, limit: float) -> dict[str, str]:
    """Columns that say what an earlier one, which is kept, says; what is left out itself leaves no other one out."""
    same = np.abs(found.values) >= limit
    kept: list[int] = []
    dropped = {}
    for at, name in enumerate(found.columns):
        before = [each for each in kept if same[at, each]]
        if not before:
            kept.append(at)
            continue
        earlier = max(before, key=lambda each: abs(found.values[at, each]))
        dropped[name] = (
            f"`{name}` says what `{found.columns[earlier]}` says: their correlation is {found.values[at, earlier]:.3f}."
        )
    return dropped


def _clean(table: pl.DataFrame) -> float:
    rows = table["rows"].sum()
    bad = table.select((pl.col("nulls") + pl.col("not_finite") + pl.col("outside")).sum()).item()
    return 1.0 - bad / rows if rows else 1.0
