"""All families of rules over one frame of bars, in their order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from openbell.core.time import Sessions
from openbell.market.batch import BARS, bars_frame
from openbell.market.quality.levels import level_findings
from openbell.market.quality.rows import row_findings
from openbell.market.quality.rules import RULES
from openbell.market.quality.runs import hole_findings, range_findings, stale_findings

QUARANTINING = tuple(rule.name for rule in RULES if rule.action == "quarantine")
_PLACE = {rule.name: place for place, rule in enumerate(RULES)}


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the gate says of a frame of bars.

    Attributes
    ----------
    rows : the bars in the order received, with ``rule`` (names joined by a comma; null for a good row) and ``reason``.
    findings : one row per broken rule, notes included: the bar columns, ``rule``, ``action`` and ``reason``.
    """

    rows: pl.DataFrame
    findings: pl.DataFrame

    @property
    def good(self) -> pl.DataFrame:
        """The bars without a "quarantine" finding."""
        return self.rows.filter(pl.col("rule").is_null()).drop("rule", "reason")

    @property
    def quarantined(self) -> pl.DataFrame:
        """The other bars, with the rules they broke and why."""
        return self.rows.filter(pl.col("rule").is_not_null())


def gate(
    bars: pl.DataFrame,
    sessions: Sessions,
    *,
    factors: pl.DataFrame | None = None,
    traded: Collection[str] = (),
    indices: Collection[str] = (),
) -> Judgement:
    """Judge every row of `bars`.

    Parameters
    ----------
    bars : the bar columns, in any order of symbols and sessions.
    sessions : the exchange's calendar.
    factors : ``symbol``, ``session``, ``factor``: actions that explain a jump.
    traded : symbols that have traded before the first row at hand, so that an idle first row is no placeholder.
    indices : symbols that nobody trades: a volume of zero says nothing there, and nothing is split.
    """
    numbered = sessions.frame.select("session", "number")
    rows = bars_frame(bars).with_row_index("row").join(numbered, on="session", how="left", maintain_order="left")
    unmeasured = pl.col("symbol").is_in(sorted(indices)) & (pl.col("volume") == 0)
    judged = rows.with_columns(pl.when(~unmeasured).then(pl.col("volume")).alias("volume"))
    judged = judged.sort("symbol", "session", "row")
    explained = _explained(factors)
    parts = [row_findings(judged)]
    judged = _without(judged, parts[-1])
    parts.append(hole_findings(judged))
    parts.append(stale_findings(judged, frozenset(traded)))
    judged = _without(judged, parts[-1])
    parts.append(level_findings(judged, explained, frozenset(indices)))
    judged = _without(judged, parts[-1])
    parts.append(range_findings(judged))
    return _judgement(rows, pl.concat(parts))


def _explained(factors: pl.DataFrame | None) -> pl.DataFrame:
    if factors is None:
        return pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date, "factor": pl.Float64})
    return factors.select("symbol", "session", "factor")


def _without(rows: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:
    """`rows` that no "quarantine" finding names: only they are the measure of later rows."""
    bad = findings.filter(pl.col("rule").is_in(QUARANTINING))
    return (
        rows if bad.is_empty() else rows.join(bad.select("row").unique(), on="row", how="anti", maintain_order="left")
    )


def _judgement(rows: pl.DataFrame, findings: pl.DataFrame) -> Judgement:
    place = pl.col("rule").replace_strict(_PLACE, return_dtype=pl.Int32)
    findings = findings.with_columns(place.alias("place")).sort("row", "place")
    quarantining = pl.col("rule").is_in(QUARANTINING)
    bad = (
        findings.filter(quarantining)
        .group_by("row", maintain_order=True)
        .agg(
            pl.col("rule").unique(maintain_order=True).str.join(","),
            pl.col("reason").unique(maintain_order=True).str.join("; "),
        )
    )
    columns = list(BARS)
    action = pl.when(quarantining).then(pl.lit("quarantine")).otherwise(pl.lit("note"))
    return Judgement(
        rows.join(bad, on="row", how="left", maintain_order="left").select(*columns, "rule", "reason"),
        findings.join(rows, on="row", how="left", maintain_order="left").select(
            *columns, "rule", action.alias("action"), "reason"
        ),
    )
