"""Which sessions a scenario is about: those that pass its filters, and how many each filter passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from openbell.core.errors import Refused
from openbell.research.almanac_days import Almanac
from openbell.research.almanac_filters import joined, refuse_late
from openbell.research.almanac_metrics import Study
from openbell.research.almanac_scenario import Scenario

#: A pattern of fewer sessions is no evidence.
SUFFICIENT = 30


@dataclass(frozen=True, eq=False)
class Kept:
    """The sessions that a scenario is about.

    Attributes
    ----------
    sessions : those kept, and `others` those of the span that are not and whose answer is known; sorted dates.
    of : sessions in the span. unknown : those left out because a filter could not say.
    trimmed : those cut off as extremes. counts : one row per filter: ``filter``, ``known`` (pre-open, pre-cut-off,
        full-day), ``passes``, ``fails``, ``not_known``, each of the sessions in the span and by itself.
    notes : sentences about what was left out.
    """

    sessions: pl.Series
    others: pl.Series
    of: int
    unknown: int
    trimmed: int
    counts: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def n(self) -> int:
        """How many sessions are kept."""
        return self.sessions.len()

    @property
    def sufficient(self) -> bool:
        """Whether there are at least 30."""
        return self.n >= SUFFICIENT


def study(
    scenario: Scenario,
    almanac: Almanac,
    *,
    events: pl.DataFrame | None = None,
    others: Mapping[str, Almanac] | None = None,
) -> Study:
    """The study of `scenario` on the almanac of its product."""
    return Study(
        almanac, scenario.clock, scenario.trades_at, scenario.first, scenario.last, events=events, others=others or {}
    )


def kept(asked: Study, scenario: Scenario) -> Kept:
    """Which sessions of the span pass the filters of `scenario`.

    Raises
    ------
    Refused
        The study trades, and a filter or the trimming is known only later (check 64).
    """
    refuse_late(scenario.filters, asked)
    if scenario.trim and scenario.trades_at != "none":
        raise Refused(
            f"Cutting off the outer {scenario.trim:g} % of change and range is full-day: it needs the close of the "
            "day, and of every other day of the span. A study that trades knows neither; only one that describes may."
        )
    days = asked.almanac.days.select("session", "day_return_pct", "range_pct")
    answer = joined(scenario.filters, asked)
    rows = days.with_columns(answer.alias("answer")).filter(asked.within)
    passing = rows.filter(pl.col("answer"))
    left = _untrimmed(passing, scenario.trim)
    unknown = int(rows["answer"].null_count())
    notes = [sentence for each in scenario.filters.filters() if (sentence := each.note(asked))]
    if unknown:
        notes.append(f"Of {unknown:,} of {rows.height:,} sessions the filters cannot say; they are left out.")
    if left.height < passing.height:
        notes.append(f"{passing.height - left.height:,} sessions with extreme change or range are cut off.")
    if left.height < SUFFICIENT:
        notes.append(
            f"{left.height} sessions are fewer than {SUFFICIENT}: what they show is no evidence. Ask with fewer "
            "filters or of a longer span."
        )
    return Kept(
        sessions=left["session"],
        others=rows.filter(~pl.col("answer"))["session"],
        of=rows.height,
        unknown=unknown,
        trimmed=passing.height - left.height,
        counts=_counts(scenario, asked),
        notes=tuple(dict.fromkeys(notes)),
    )


def _untrimmed(rows: pl.DataFrame, percent: float) -> pl.DataFrame:
    """`rows` within the quantiles of both change and range, of these rows."""
    if not percent or rows.is_empty():
        return rows
    inside = [
        pl.col(name).is_between(
            pl.col(name).quantile(percent / 100, "linear"), pl.col(name).quantile(1 - percent / 100, "linear")
        )
        for name in ("day_return_pct", "range_pct")
    ]
    return rows.filter(pl.all_horizontal(inside))


def _counts(scenario: Scenario, asked: Study) -> pl.DataFrame:
    rows = []
    for each in scenario.filters.filters():
        answer = each.mask(asked).filter(asked.within)
        yes, gone = int(answer.sum()), int(answer.null_count())
        rows.append((each.words(), each.known(asked), yes, answer.len() - yes - gone, gone))
    schema = {"filter": pl.String, "known": pl.String, "passes": pl.Int64, "fails": pl.Int64, "not_known": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def restricted(almanac: Almanac, sessions: pl.Series) -> Almanac:
    """`almanac` with the bars and days of `sessions` alone; the columns of a day stay what they were."""
    wanted = sessions.implode()
    return dataclasses.replace(
        almanac,
        bars=almanac.bars.filter(pl.col("session").is_in(wanted)),
        days=almanac.days.filter(pl.col("session").is_in(wanted)),
    )
