"""The values of features at every session's cut-off, before anything is asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import unknown
from openbell.core.session import MARKETS, OF_MARKETS
from openbell.quant.expressions import SHARED
from openbell.quant.indicators import atr_14
from openbell.quant.session_expressions import EARLY_READS, EARLY_SHARED, price
from openbell.research.compute import evaluated, roots
from openbell.research.session_early import RAGGED_MINUTES, Early, Placed, aggregated
from openbell.research.session_lineage import BARS, DAYS, sources
from openbell.research.session_rows_days import PRICES, DaysBefore, days_before
from openbell.research.session_rows_markets import levels


@dataclass(frozen=True, slots=True, eq=False)
class SessionValues:
    """Features of every session with a complete early window.

    Attributes
    ----------
    rows : ``symbol``, ``session``, ``as_of``, ``price``, ``atr`` and one Float64 column per feature kept.
    features : those. moments : per row, when the newest of each source that entered was known, and ``<market> daily``.
    days_are_daily : whether the newest row's days before are daily bars. markets : those with levels.
    notes : what was left out.
    """

    rows: pl.DataFrame
    features: tuple[Feature, ...]
    moments: pl.DataFrame
    days_are_daily: bool
    markets: tuple[str, ...]
    notes: tuple[str, ...]


def session_values(
    found: Placed, daily: pl.DataFrame | None, features: Sequence[Feature], markets: Mapping[str, pl.DataFrame]
) -> SessionValues:
    """`features` at the cut-off of each session of `found`; the arguments are those of `session_rows`.

    Only what had ended and was known at a cut-off enters its row; whether an expression itself looks ahead is not
    asked here, so that the proof of causality can be put to one that does.
    """
    for market in markets:
        if market not in MARKETS:
            raise unknown("market beside a session", market, MARKETS)
    for each in features:
        sources(each, [other.name for other in features if other.reads == EARLY_READS])
    early = _early(found, features)
    before = days_before(found, daily)
    beside = {name: levels(name, frame, found.sessions) for name, frame in markets.items() if frame.height}
    grid = _grid(found, early, beside)
    kept, why = _kept(features, grid, early)
    rows, moments = _values(grid, before, kept)
    whole = early.values.select("session")
    rows, moments = (each.join(whole, on="session", how="semi").sort("session") for each in (rows, moments))
    trusted = found.sessions.filter(before.is_trusted).join(moments.tail(1), on="session", how="semi").height > 0
    notes = (*found.notes, *_counted(found.symbol, early), *before.notes, *_breaks(beside, moments), *why)
    return SessionValues(rows, tuple(kept), moments, trusted, tuple(beside), notes)


def _early(found: Placed, features: Sequence[Feature]) -> Early:
    """Declared and shared aggregations of the early bars; a value that is not finite is null."""
    declared = {each.name: each.expression for each in features if each.reads == EARLY_READS}
    named = {name for each in features for name in roots(each.expression, SHARED)}
    shared = {name: each for name, each in EARLY_SHARED.items() if name in named or name in price.meta.root_names()}
    both = {**shared, **declared}
    found_early = aggregated(found, [each.cast(pl.Float64).alias(name) for name, each in both.items()])
    finite = [pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in both]
    return Early(found_early.values.with_columns(finite), found_early.counts, found_early.late)


def _grid(found: Placed, early: Early, beside: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """All sessions of the calendar with their early aggregations and the other markets."""
    grid = found.sessions.select("session", "as_of", pl.lit(found.symbol).alias("symbol"))
    grid = grid.join(early.values.rename({"known_at": BARS}), on="session", how="left", maintain_order="left")
    for frame in beside.values():
        grid = grid.join(frame, on="session", how="left", maintain_order="left")
    lacking = [name for name in OF_MARKETS if name not in grid.columns]
    return grid.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in lacking)


def _kept(features: Sequence[Feature], grid: pl.DataFrame, early: Early) -> tuple[list[Feature], list[str]]:
    """The features whose sources are there, and a sentence for each source that is not."""
    shown = grid.filter(pl.col(BARS).is_not_null())
    inputs_there = [*early.values.drop("session", "known_at").columns, *OF_MARKETS]
    counts = shown.select(pl.col(inputs_there).is_not_null().any()).row(0, named=True) if shown.height else {}
    empty = {name for name, there in counts.items() if not there}
    empty |= {name for name in OF_MARKETS if name.rpartition("_")[0] not in grid.columns}
    names = [each.name for each in features if each.reads == EARLY_READS]
    kept, missing = [], dict[str, list[str]]()
    for each in features:
        stands_on = sources(each, names)
        inputs = [each.name] if each.reads == EARLY_READS else roots(each.expression, SHARED)
        lacking = sorted(empty & set(inputs))
        if lacking:
            market = next((source for source in stands_on if f"{source}_now" in lacking), None)
            why = (
                f"there is no level of `{market}` known at a cut-off" if market else "no session has bars it stands on"
            )
            missing.setdefault(why, []).append(each.name)
        else:
            kept.append(each)
    return kept, [f"Left out, because {why}: {', '.join(left)}." for why, left in missing.items()]


def _values(grid: pl.DataFrame, before: DaysBefore, features: Sequence[Feature]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Features of every session, and when what they stand on was known; daily bars where they are trusted."""
    parts = []
    for frame, wanted in ((before.trusted, before.is_trusted), (before.own, ~before.is_trusted)):
        if wanted.any():
            of_these = before.trusted.filter(wanted).select("session")
            parts.append(_evaluated(grid, frame, features).join(of_these, on="session", how="semi"))
    both = pl.concat(parts).sort("session")
    keys = ["symbol", "session", "as_of", "price", "atr"]
    known = [name for name in both.columns if name in (BARS, DAYS, *MARKETS)]
    daily = [name for name in both.columns if name.endswith(" daily")]
    return both.select(*keys, *(each.name for each in features)), both.select("session", "as_of", *known, *daily)


def _evaluated(grid: pl.DataFrame, before: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    rows = grid.join(before, on="session", how="left", maintain_order="left")
    # Sessions of the calendar before the first data are not gaps in them.
    there = (pl.col(BARS).is_not_null() | pl.col("prev_close").is_not_null()).cum_max()
    rows = rows.filter(there).with_columns(pl.col(f"prev_{name}").alias(name) for name in PRICES)
    expressions = [price.alias("price"), atr_14.alias("atr")]
    expressions += [
        (pl.col(each.name) if each.reads == EARLY_READS else each.expression).cast(pl.Float64).alias(each.name)
        for each in features
    ]
    kept = [name for name in rows.columns if name in (BARS, DAYS, *MARKETS) or name.endswith(" daily")]
    values = evaluated(rows, expressions, ["symbol", "session", "as_of", *kept])
    named = ["atr", *(each.name for each in features)]
    return values.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in named)


def _counted(symbol: str, early: Early) -> list[str]:
    said = [f"{n:,} sessions of {symbol} are left out: {cause}." for cause, n in early.counts.items()]
    if early.late:
        said.append(
            f"In {early.late:,} sessions of {symbol} the first regular bar begins more than {RAGGED_MINUTES} minutes "
            "after the regular open; its price stands for the open, and the time before it is not seen."
        )
    return said


def _breaks(beside: Mapping[str, pl.DataFrame], moments: pl.DataFrame) -> list[str]:
    """A sentence for each market that is told by days first and within the session later."""
    found = []
    for name in beside:
        shown = moments.filter(pl.col(name).is_not_null())
        if shown[f"{name} daily"].any() and not shown[f"{name} daily"].all():
            first = shown.filter(~pl.col(f"{name} daily"))["session"][0]
            found.append(f"The level of `{name}` is that of the day before until {first}, of the session itself then.")
    return found
