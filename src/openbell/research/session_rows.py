"""Rows of the session desk: what was known of each session at its cut-off, and what came of it afterwards.

One function for training and for the live decision: a session that is not over has a row whose outcome is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.declare import Feature, Label
from openbell.core.errors import unknown
from openbell.core.session import DECISIONS, MARKETS, OF_MARKETS
from openbell.quant.expressions import SHARED
from openbell.quant.indicators import atr_14
from openbell.quant.reach import feature_reach
from openbell.quant.session_expressions import EARLY_READS, EARLY_SHARED, price
from openbell.research.compute import evaluated, roots
from openbell.research.session_early import Early, Placed, aggregated, placed
from openbell.research.session_lineage import BARS, DAYS, check_moments, lineage, sources
from openbell.research.session_outcomes import labelled, outcomes
from openbell.research.session_rows_days import PRICES, DaysBefore, days_before
from openbell.research.session_rows_markets import levels

_KEYS = tuple(DECISIONS)


@dataclass(frozen=True, slots=True, eq=False)
class SessionRows:
    """Sessions with what was known at their cut-off.

    Attributes
    ----------
    rows : columns of `core.session.DECISIONS`, then one Float64 column per feature, null where a look-back is not full
        or an input is missing; by session. features : their names, in the order handed in.
    lineage : of each feature in the newest row: ``feature``, ``reads``, ``source``, ``as_of``, ``lookback``.
    notes : what was left out, in sentences. moments : per row, when the newest of each source that entered was known.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]
    lineage: pl.DataFrame
    notes: tuple[str, ...]
    moments: pl.DataFrame


def session_rows(
    bars: pl.DataFrame,
    hours: pl.DataFrame,
    daily: pl.DataFrame | None,
    cutoff: str,
    zone: str,
    features: Sequence[Feature],
    label: Label | None,
    markets: Mapping[str, pl.DataFrame],
) -> SessionRows:
    """One row per session of one product, with `features` as of its cut-off and `label` from its outcome.

    Parameters
    ----------
    bars : columns of `core.bars.MINUTES`, one product and one frame; `at` is the END of a bar. A bar counts where its
        end and its `known_at` are at or before the cut-off.
    hours : ``session``, ``regular_open_at``, ``regular_close_at`` (UTC): the product's calendar. The session before is
        the row before; days of `daily` before the first are not looked at.
    daily : regular-hours daily bars at raw prices, ``session``, ``open`` to ``volume``, ``known_at``; they may reach
        back further than `bars`. None, and sessions without one: made from the bars. Where a close of theirs lies more
        than 2 % from the bars' own they are refused from the next session on.
    cutoff, zone : such as ``10:15`` on the clock of ``America/New_York``. It is the end of a bar.
    features : that read ``early`` or ``session``. label : of `core.session.CLASSES`; None leaves ``label`` null.
    markets : by the names of `core.session.MARKETS`: ``at``, ``level``, ``known_at``, ``daily``.

    Returns
    -------
    SessionRows
        Rows of every session with a complete early window. A feature whose source is nowhere is left out and noted.

    Raises
    ------
    LeakFound : for a feature that looks forward, and where anything entered that was known after a cut-off.
    BadInput, DataMissing, DeclarationError : for what cannot be used, and says why.
    """
    for market in markets:
        if market not in MARKETS:
            raise unknown("market beside a session", market, MARKETS)
    for each in features:
        feature_reach(each)
    found = placed(bars, hours, cutoff, zone)
    early = _early(found, features)
    before = days_before(found, daily)
    beside = {name: levels(name, frame, found.sessions) for name, frame in markets.items() if frame.height}
    grid = _grid(found, early, beside)
    kept, why = _kept(features, grid, early)
    values, moments = _values(found, grid, before, kept)
    moments = moments.join(early.values.select("session"), on="session", how="semi")
    names = [each.name for each in features if each.reads == EARLY_READS]
    used: dict[str, list[str]] = {}
    for each in kept:
        for source in sources(each, names):
            used.setdefault(source, []).append(each.name)
    check_moments(moments, used)
    rows = values.join(early.values.select("session"), on="session", how="semi")
    rows = rows.join(labelled(outcomes(found), label), on="session", how="left")
    rows = rows.select(*_KEYS, *(each.name for each in kept)).sort("session")
    told = lineage(kept, names, moments, _words(found, before, beside, moments))
    notes = (*found.notes, *_counted(found.symbol, early), *before.notes, *_breaks(beside, moments), *why)
    return SessionRows(rows, tuple(each.name for each in kept), told, notes, moments)


def _early(found: Placed, features: Sequence[Feature]) -> Early:
    """Declared and shared aggregations of the early bars; a value that is not finite is null."""
    declared = {each.name: each.expression for each in features if each.reads == EARLY_READS}
    named = {name for each in features for name in roots(each.expression, SHARED)}
    shared = {name: each for name, each in EARLY_SHARED.items() if name in named or name in price.meta.root_names()}
    both = {**shared, **declared}
    found_early = aggregated(found, [each.cast(pl.Float64).alias(name) for name, each in both.items()])
    finite = [pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in both]
    return Early(found_early.values.with_columns(finite), found_early.counts)


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


def _values(
    found: Placed, grid: pl.DataFrame, before: DaysBefore, features: Sequence[Feature]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Features of every session, and when what they stand on was known; daily bars where they are trusted."""
    parts = []
    for frame, wanted in ((before.trusted, before.is_trusted), (before.own, ~before.is_trusted)):
        if wanted.any():
            parts.append(_evaluated(grid, frame, features).filter(wanted))
    both = pl.concat(parts).sort("session")
    keys = ["symbol", "session", "as_of", "price", "atr"]
    known = [name for name in both.columns if name in (BARS, DAYS, *MARKETS)]
    daily = [name for name in both.columns if name.endswith(" daily")]
    return both.select(*keys, *(each.name for each in features)), both.select("session", "as_of", *known, *daily)


def _evaluated(grid: pl.DataFrame, before: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    rows = grid.join(before, on="session", how="left", maintain_order="left")
    rows = rows.with_columns(pl.col(f"prev_{name}").alias(name) for name in PRICES)
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
    return [f"{n:,} sessions of {symbol} are left out: {cause}." for cause, n in early.counts.items()]


def _breaks(beside: Mapping[str, pl.DataFrame], moments: pl.DataFrame) -> list[str]:
    """A sentence for each market that is told by days first and within the session later."""
    found = []
    for name in beside:
        shown = moments.filter(pl.col(name).is_not_null())
        if shown[f"{name} daily"].any() and not shown[f"{name} daily"].all():
            first = shown.filter(~pl.col(f"{name} daily"))["session"][0]
            found.append(f"The level of `{name}` is that of the day before until {first}, of the session itself then.")
    return found


def _words(
    found: Placed, before: DaysBefore, beside: Mapping[str, pl.DataFrame], moments: pl.DataFrame
) -> dict[str, str]:
    trusted = moments.height > 0 and bool(
        before.is_trusted.filter(found.sessions["session"] == moments["session"][-1])[0]
    )
    made = "daily bars" if trusted else f"days made of bars of {found.freq}"
    words = {
        BARS: f"bars of {found.freq} of {found.symbol} that had ended by the cut-off",
        DAYS: f"{made} of {found.symbol}, up to the session before",
    }
    for name in beside:
        is_daily = moments.height > 0 and moments[f"{name} daily"][-1]
        words[name] = f"{name}: " + ("daily, known before the open" if is_daily else "the last level by the cut-off")
    return words
