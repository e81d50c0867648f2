"""Rows of the session desk: what was known of each session at its cut-off, and what came of it afterwards.

One function for training and for the live decision: a session that is not over has a row whose outcome is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.declare import Feature, Label
from openbell.core.session import DECISIONS
from openbell.quant.reach import feature_reach
from openbell.quant.session_expressions import EARLY_READS
from openbell.research.session_early import Placed, placed
from openbell.research.session_lineage import BARS, DAYS, check_moments, lineage, sources
from openbell.research.session_outcomes import labelled, outcomes
from openbell.research.session_rows_values import SessionValues, session_values


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
    daily : regular-hours daily bars at raw prices, ``session``, ``open`` to ``volume``, ``known_at``, for sessions of
        which `bars` have no whole day: before their first above all. Where a close of theirs lies more than 2 % from
        the bars' own they are refused from the next session on. None: the bars alone.
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
    for each in features:
        feature_reach(each)
    found = placed(bars, hours, cutoff, zone)
    known = session_values(found, daily, features, markets)
    early = [each.name for each in features if each.reads == EARLY_READS]
    used: dict[str, list[str]] = {}
    for each in known.features:
        for source in sources(each, early):
            used.setdefault(source, []).append(each.name)
    check_moments(known.moments, used)
    names = tuple(each.name for each in known.features)
    rows = known.rows.join(labelled(outcomes(found), label), on="session", how="left", maintain_order="left")
    told = lineage(known.features, early, known.moments, _words(found, known))
    return SessionRows(rows.select(*DECISIONS, *names), names, told, known.notes, known.moments)


def _words(found: Placed, known: SessionValues) -> dict[str, str]:
    """Each source in words, as it stands behind the newest row."""
    made = f"days made of bars of {found.freq}" + (", before these daily bars," if known.days_are_daily else "")
    words = {
        BARS: f"bars of {found.freq} of {found.symbol} that had ended by the cut-off",
        DAYS: f"{made} of {found.symbol}, up to the session before",
    }
    for name in known.markets:
        is_daily = known.moments.height > 0 and known.moments[f"{name} daily"][-1]
        words[name] = f"{name}: " + ("daily, known before the open" if is_daily else "its last level by the cut-off")
    return words
