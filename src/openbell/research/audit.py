"""Proofs that features cannot see the future, and that their look-backs are what they say (DESIGN §4.7)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import DataMissing, OpenbellError
from openbell.core.time import Sessions
from openbell.core.view import Tables, View
from openbell.quant.reach import feature_reach, lookback
from openbell.research import filings
from openbell.research.compute import Plan, evaluated, possible_features, rows_needed
from openbell.research.grid import Grid, lacking_fields, session_grid

#: Largest error on the declared look-back, in standard deviations of the feature: finite windows, and recursions.
FINITE_TOLERANCE, RECURSIVE_TOLERANCE = 1e-9, 1e-6
STATIC, CAUSALITY, LOOKBACK, OFF = "static", "causality", "look-back", "switched off"


@dataclass(frozen=True, slots=True)
class AuditResult:
    """One proof of one feature.

    Attributes
    ----------
    proof : ``static`` (the tree of the expression), ``causality`` (the future removed), ``look-back``, or
        ``switched off`` for a feature whose columns the data lack, of which nothing can be proven.
    compared : values compared. worst : the largest difference found, in standard deviations of the feature.
    where : symbol and session of the first failure. detail : a sentence.
    """

    feature: str
    proof: str
    passed: bool
    detail: str
    compared: int = 0
    worst: float = 0.0
    where: str = ""


@dataclass(frozen=True)
class Replaced:
    """Tables in which some are replaced and, where `until` is given, every row known later is gone."""

    tables: Tables
    until: dt.datetime | None = None
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)

    def scan(self, name: str) -> pl.LazyFrame:
        """The rows of `name` that are left."""
        rows = self.frames[name].lazy() if name in self.frames else self.tables.scan(name)
        return rows if self.until is None else rows.filter(pl.col("known_at") <= self.until)

    def exists(self, name: str) -> bool:
        """Whether there is a table `name`."""
        return name in self.frames or self.tables.exists(name)


def static_results(features: Sequence[Feature]) -> list[AuditResult]:
    """What the tree of each expression says: no construct that could look ahead."""
    results = []
    for each in features:
        try:
            found = feature_reach(each)
        except OpenbellError as refusal:
            results.append(AuditResult(each.name, STATIC, False, str(refusal)))
            continue
        kind = "recursive" if found.recursive else "finite"
        results.append(AuditResult(each.name, STATIC, True, f"Looks back {lookback(each)} rows ({kind}), never ahead."))
    return results


def audit_features(
    tables: Tables,
    sessions: Sessions,
    features: Sequence[Feature],
    *,
    as_of: dt.datetime | None = None,
    symbols: Sequence[str] | None = None,
    names: int = 10,
    cuts: int = 20,
    seed: int = 0,
    lead_minutes: int = 30,
) -> list[AuditResult]:
    """Prove `features` causal, and their look-backs sufficient, on the data themselves.

    *Causality*: at `cuts` random decisions all rows of all tables known later are removed and everything is computed
    again; every earlier value must be equal bit by bit, with no tolerance. *Look-back*: each value at those decisions
    is computed again from its look-back alone, and must agree within 1e-9 (finite windows) or 1e-6 (recursions) of the
    feature's own standard deviation, with the same nulls. *Static*: the expression's tree holds nothing that could
    look ahead. A feature that the static check refuses still goes through the causality proof.

    Parameters
    ----------
    as_of : the data are what was known then; None: all there are. symbols : None draws `names` of them.
    cuts : decisions drawn. seed : of the cuts and the names.

    Returns
    -------
    list of AuditResult
        For each feature the static result, then causality and look-back where the data have its columns.
    """
    rng = np.random.default_rng(seed)
    view = View(tables, as_of or sessions.closes[-1], sessions)
    lacking, columns = lacking_fields(view), filings.filing_columns(view)
    results = static_results(features)
    refused = {each.feature for each in results if not each.passed}
    sound, switched_off = possible_features([each for each in features if each.name not in refused], lacking, columns)
    results += [
        AuditResult(name, OFF, True, f"Not proven, because it is switched off: {why}")
        for name, why in switched_off.items()
    ]
    grid = session_grid(view, symbols=_drawn(view, symbols, names, rng))
    chosen = _cuts(grid, view, cuts, rng, lead_minutes)
    tested = [each for each in features if each.name not in switched_off]
    plan = Plan(view, tested, rows_needed(sound), lead_minutes=lead_minutes)
    full = _rows(plan, grid)
    results += _causality(tables, view, tested, grid, full, chosen, lead_minutes)
    return results + _lookbacks(tables, view, sound, grid, full, chosen, lead_minutes)


def _drawn(view: View, symbols: Sequence[str] | None, names: int, rng: np.random.Generator) -> list[str]:
    if symbols is not None:
        return sorted(symbols)
    known = view.facts("bars").select(pl.col("symbol").unique().sort()).collect()["symbol"].to_list()
    return sorted(rng.choice(known, size=min(names, len(known)), replace=False).tolist())


def _cuts(
    grid: Grid, view: View, cuts: int, rng: np.random.Generator, lead_minutes: int
) -> list[tuple[int, dt.datetime]]:
    """Sessions of bars (their number) and the decisions made after them."""
    times = filings.decision_times(view, lead_minutes).filter(pl.col("as_of") <= view.as_of)
    found = grid.frame.filter("is_bar").select("number").unique().join(times, on="number").sort("number")
    if found.is_empty():
        raise DataMissing(f"There is no bar before a decision known at {view.as_of}; there is nothing to audit.")
    drawn = rng.choice(found.height, size=min(cuts, found.height), replace=False)
    return [(number, moment) for number, moment in found[np.sort(drawn).tolist()].rows()]


def _rows(plan: Plan, grid: Grid) -> pl.DataFrame:
    names = [each.name for each in plan.features]
    rows = plan.computed(grid.frame)
    return rows.filter("is_bar").with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in names
    )


def _causality(
    tables: Tables,
    view: View,
    features: Sequence[Feature],
    grid: Grid,
    full: pl.DataFrame,
    chosen: Sequence[tuple[int, dt.datetime]],
    lead_minutes: int,
) -> list[AuditResult]:
    symbols = grid.frame["symbol"].unique().to_list()
    names = [each.name for each in features]
    compared, failed = dict.fromkeys(names, 0), {}
    for number, moment in chosen:
        past = View(Replaced(tables, until=moment), view.as_of, view.sessions)
        plan = Plan(past, features, lead_minutes=lead_minutes)
        again = _rows(plan, session_grid(past, symbols=symbols))
        before = full.filter((pl.col("session") <= view.sessions.dates[number]) & (pl.col("known_at") <= moment))
        pairs = before.join(again, on=["symbol", "session"], how="left", suffix=" again").sort("symbol", "session")
        for name in names:
            compared[name] += pairs.height
            if name not in failed:
                differing = pairs.filter(pl.col(name).ne_missing(pl.col(f"{name} again")))
                if differing.height:
                    failed[name] = (moment, differing.height, differing.row(-1, named=True))
    return [_causality_result(name, compared[name], failed.get(name)) for name in names]


def _causality_result(
    name: str, compared: int, failure: tuple[dt.datetime, int, dict[str, object]] | None
) -> AuditResult:
    if failure is None:
        return AuditResult(name, CAUSALITY, True, f"{compared:,} values are bit-equal without the future.", compared)
    moment, count, row = failure
    return AuditResult(
        name,
        CAUSALITY,
        False,
        f"`{name}` sees the future: without the rows known after {moment:%Y-%m-%d %H:%M} UTC {count:,} earlier values "
        f"differ, such as {row[name]} against {row[f'{name} again']} for {row['symbol']} on {row['session']}.",
        compared,
        where=f"{row['symbol']} {row['session']}",
    )


def _lookbacks(
    tables: Tables,
    view: View,
    features: Sequence[Feature],
    grid: Grid,
    full: pl.DataFrame,
    chosen: Sequence[tuple[int, dt.datetime]],
    lead_minutes: int,
) -> list[AuditResult]:
    by_rows: dict[tuple[str, int], list[Feature]] = {}
    for each in features:
        by_rows.setdefault((each.reads, lookback(each)), []).append(each)
    results = []
    for (reads, rows), group in by_rows.items():
        parts = []
        for number, _ in chosen:
            if reads == "bars":
                parts.append(_on_last_bars(grid, group, number, rows))
            else:
                parts.append(_on_last_filings(tables, view, grid, group, number, rows, lead_minutes))
        again = pl.concat(parts)
        results += [_lookback_result(each, rows, full, again) for each in group]
    return results


def _on_last_bars(grid: Grid, features: Sequence[Feature], number: int, rows: int) -> pl.DataFrame:
    """Values at the session `number` from the last `rows` sessions alone."""
    last = grid.frame.filter(pl.col("number").is_between(number - rows + 1, number))
    values = evaluated(
        last, [each.expression.cast(pl.Float64).alias(each.name) for each in features],
        ["session", "symbol", "is_bar", "number"],
    )  # fmt: skip
    return values.filter(pl.col("is_bar") & (pl.col("number") == number)).drop("is_bar", "number")


def _on_last_filings(
    tables: Tables,
    view: View,
    grid: Grid,
    features: Sequence[Feature],
    number: int,
    rows: int,
    lead_minutes: int,
) -> pl.DataFrame:
    """Values at the session `number` from the last `rows` filings and the day's own bar alone."""
    day = grid.frame.filter(pl.col("number") == number)
    times = filings.decision_times(view, lead_minutes).filter(pl.col("number") == number)
    moment = times["as_of"].item()
    known = filings.filings(View(tables, moment, view.sessions), day["symbol"].to_list())
    few = known.group_by("symbol", maintain_order=True).tail(rows)
    short = View(Replaced(tables, frames={filings.TABLE: few}), view.as_of, view.sessions)
    values = Plan(short, features, lead_minutes=lead_minutes).computed(day)
    return values.filter("is_bar").select("session", "symbol", *(each.name for each in features))


def _lookback_result(feature: Feature, rows: int, full: pl.DataFrame, again: pl.DataFrame) -> AuditResult:
    name, recursive = feature.name, feature_reach(feature).recursive
    tolerance = RECURSIVE_TOLERANCE if recursive else FINITE_TOLERANCE
    scale = full[name].std()
    scale = float(scale) if isinstance(scale, float) and scale > 0 else 1.0
    again = again.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(f"{name} again"))
    pairs = again.select("symbol", "session", f"{name} again").join(
        full.select("symbol", "session", name), on=["symbol", "session"]
    )
    error = (pl.col(name) - pl.col(f"{name} again")).abs() / scale
    nulls = pl.col(name).is_null() != pl.col(f"{name} again").is_null()
    pairs = pairs.with_columns(error.alias("error"), nulls.alias("nulls"))
    worst = pairs["error"].max()
    worst = float(worst) if isinstance(worst, float) else 0.0
    bad = pairs.filter(pl.col("nulls") | (pl.col("error") > tolerance)).sort("session", "symbol")
    if bad.is_empty():
        detail = f"{pairs.height:,} values follow from {rows} rows within {tolerance:g} of their standard deviation."
        return AuditResult(name, LOOKBACK, True, detail, pairs.height, worst)
    row = bad.row(0, named=True)
    return AuditResult(
        name,
        LOOKBACK,
        False,
        f"`{name}` needs more than its {rows} rows: {bad.height:,} of {pairs.height:,} values differ, such as "
        f"{row[name]} against {row[f'{name} again']} for {row['symbol']} on {row['session']}.",
        pairs.height,
        worst,
        f"{row['symbol']} {row['session']}",
    )
