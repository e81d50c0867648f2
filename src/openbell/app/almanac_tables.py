"""Every statistic of the almanac as tables with names, and sentences: for the command line, exports and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.research.almanac_days import Almanac
from openbell.research.almanac_kept import Kept, restricted
from openbell.research.almanac_metrics import METRICS, OF_CUTOFF
from openbell.research.almanac_scenario import STATISTICS, Scenario

#: Statistics that are a pattern of the calendar, and the key of each.
PATTERNS: Mapping[str, str] = {
    "hourly": "hour",
    "minute": "minute",
    "session": "part",
    "weekday": "weekday",
    "week_of_month": "week_of_month",
    "week": "week",
    "month": "month",
}
#: Bars that a statistic needs at most, in minutes.
FINEST: Mapping[str, int] = {
    "hourly": 60,
    "minute": 15,
    "extremes": 30,
    "survival": 30,
    "heatmap": 30,
    "rolling": 30,
    "trend": 30,
}
#: Sessions of a rolling median.
WINDOW = 63
EXTREMES = ("high", "low")


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Tables by name, the first the main one, sentences on what they say, and what they were made of, for figures."""

    tables: Mapping[str, pl.DataFrame]
    sentences: tuple[str, ...]
    made: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What a statistic is made of: the almanac of the span, of the sessions kept, and the scenario."""

    span: Almanac
    own: Almanac
    found: Kept
    scenario: Scenario
    looks: int
    against: Almanac | None

    @property
    def everything(self) -> bool:
        """Whether all sessions of the span are kept."""
        return self.found.n == self.found.of

    @property
    def days(self) -> pl.DataFrame:
        """Days of the sessions kept, with the metric asked for as ``value``."""
        from openbell.research.almanac_kept import study

        values = study(self.scenario, self.own).values(self.scenario.metric)
        return self.own.days.with_columns(values.alias("value"))


def told(own: Almanac, found: Kept, scenario: Scenario, *, looks: int = 1, against: Almanac | None = None) -> Told:
    """The statistic of `scenario` of the sessions kept; every p is adjusted for `looks` looks.

    Raises
    ------
    BadInput
        The statistic needs finer bars than there are.
    """
    most = FINEST.get(scenario.statistic)
    if most is not None and own.freq_minutes > most:
        raise BadInput(
            f"The statistic {scenario.statistic} needs bars of at most {most} minutes; those of {own.product} are of "
            f"{own.freq}. Import finer ones, or ask for weekday, month or years."
        )
    span = _spanned(own, scenario)
    made = _TABLES[scenario.statistic](_Asked(span, restricted(span, found.sessions), found, scenario, looks, against))
    return replace(made, sentences=(*made.sentences, *_unearned(scenario)))


def _unearned(scenario: Scenario) -> tuple[str, ...]:
    """What a study that trades must not take for its own: sessions chosen by their morning rose or fell by then."""
    if scenario.trades_at == "none":
        return ()
    if scenario.trades_at == "cut-off" and scenario.metric == "rest_return_pct" and scenario.statistic in _OF_METRIC:
        return ()
    when = "before the open" if scenario.trades_at == "pre-open" else f"at {scenario.cutoff}"
    return (
        f"This study trades {when}. Figures of the whole day here (returns, ranges, hours, extremes) hold what "
        "happened before: the filters may have chosen the sessions by it, and nobody earns it any more."
        + (" What is left to earn is the metric rest_return_pct." if scenario.trades_at == "cut-off" else ""),
    )


def _spanned(own: Almanac, scenario: Scenario) -> Almanac:
    """The almanac from the first to the last session of the scenario."""
    if scenario.first is None and scenario.last is None:
        return own
    inside = pl.lit(True)
    if scenario.first is not None:
        inside = inside & (pl.col("session") >= scenario.first)
    if scenario.last is not None:
        inside = inside & (pl.col("session") <= scenario.last)
    return replace(own, bars=own.bars.filter(inside), days=own.days.filter(inside), hours=own.hours.filter(inside))


def _pattern(asked: _Asked) -> Told:
    from openbell.research.almanac_bars import pattern_bars
    from openbell.research.almanac_statistics import table

    sessions = None if asked.everything else asked.found.sessions
    bars = pattern_bars(asked.span, PATTERNS[asked.scenario.statistic], sessions=sessions)
    made = bars.rows[bars.by].n_unique()
    found = table(bars, tests=made * asked.looks)
    return Told({bars.by: found.rows}, found.notes, {"statistics": found, "bars": bars})


def _years(asked: _Asked) -> Told:
    from openbell.research.almanac_statistics import year_lines

    lines = year_lines(asked.span.days).filter(pl.col("session").is_in(asked.found.sessions.implode()))
    year = lines.group_by("year", maintain_order=True)
    table = year.agg(pl.len().alias("sessions"), pl.col("change_pct").last().alias("change_pct"))
    said = "A line is the way of the product itself, drawn at the sessions kept; the days between them are in it."
    return Told({"years": table, "lines": lines}, () if asked.everything else (said,))


def _extremes(asked: _Asked) -> Any:
    """Highs and lows of the whole trading session where the product trades by night, else of regular hours."""
    from openbell.market.products import product
    from openbell.research.almanac_extremes import extremes

    regular = not product(asked.span.product).overnight
    return extremes(asked.span, regular=regular, sessions=asked.found.sessions)


def _all_extremes(asked: _Asked) -> Told:
    found = _extremes(asked)
    return Told({"extremes": found.rows}, found.notes, {"extremes": found})


def _survival(asked: _Asked) -> Told:
    from openbell.research.almanac_extremes import survival

    found = _extremes(asked)
    step = max(asked.scenario.bin, found.freq_minutes)
    return Told({"survival": survival(found, step_minutes=step)}, found.notes)


def _heatmap(asked: _Asked) -> Told:
    from openbell.research.almanac_extremes import heatmap

    found = _extremes(asked)
    step = max(asked.scenario.bin, found.freq_minutes)
    tables = {
        f"{extreme}_by_{by}": heatmap(found, extreme, by=by, step_minutes=step)  # type: ignore[arg-type]
        for by in ("weekday", "month")
        for extreme in EXTREMES
    }
    return Told(tables, found.notes)


def _rolling(asked: _Asked) -> Told:
    from openbell.research.almanac_extremes import rolling

    found = _extremes(asked)
    return Told({each: rolling(found, each, window=WINDOW) for each in EXTREMES}, found.notes)  # type: ignore[arg-type]


def _trend(asked: _Asked) -> Told:
    from openbell.research.almanac_extremes import trend, trend_sentence

    found = _extremes(asked)
    rows, said, lines = [], [], {}
    for each in EXTREMES:
        lines[each] = tested = trend(found, each)  # type: ignore[arg-type]
        p = min(1.0, tested.test.p * asked.looks * len(EXTREMES))
        line = tested.line
        rows.append((each, tested.test.n, 252 * line.slope, 252 * line.low, 252 * line.high, tested.test.p, p))
        said.append(trend_sentence(tested, each))  # type: ignore[arg-type]
    columns = ("extreme", "n", "minutes_per_year", "low", "high", "p", "p_adjusted")
    return Told(
        {"trend": pl.DataFrame(rows, schema=columns, orient="row")}, (*said, *found.notes), {"extremes": found, **lines}
    )


def _distribution(asked: _Asked) -> Told:
    from openbell.research.almanac_studies import mean_study, normality

    values = asked.days.select("session", "weekday", "value").drop_nulls("value")
    mean, normal = mean_study(values["value"].to_numpy()), normality(values["value"].to_numpy())
    measures = {name: value for name, value in _plain(mean.measures).items() if isinstance(value, int | float)}
    summary = pl.DataFrame({"measure": list(measures), "value": [float(each) for each in measures.values()]})
    unit = METRICS[asked.scenario.metric]
    said = f"{asked.scenario.metric}: {unit.about}, {unit.unit}."
    return Told({"measures": summary, "values": values}, (said, *mean.sentences, *normal.sentences))


def _correlation(asked: _Asked) -> Told:
    from openbell.research.almanac_studies import correlation_study, lead_lag_study

    if asked.against is None:
        raise BadInput("Correlation needs another product: name it with `against`, such as --against SPY.")
    other = asked.against.days.select("session", pl.col(_of_day(asked.scenario.metric)).alias("other"))
    both = asked.days.select("session", "value").join(other, on="session").drop_nulls()
    if both.height < 5:
        raise DataMissing(
            f"{asked.own.product} and {asked.against.product} share {both.height} of these sessions; at least 5 are "
            "needed."
        )
    a, b = both["value"].to_numpy(), both["other"].to_numpy()
    together = correlation_study(a, b)
    tables, said, made = {"pairs": both}, list(together.sentences), {}
    if both.height > 20:
        lags = lead_lag_study(a, b, names=(asked.own.product, asked.against.product))
        tables, made = {"lags": lags.rows, **tables}, {"lags": lags}
        said += lags.sentences
        if not asked.everything:
            said.append("Lags count kept sessions, not days: with filters, the session before is the one kept before.")
    return Told(tables, tuple(said), made)


def _of_day(metric: str) -> str:
    if metric in OF_CUTOFF:
        raise BadInput(f"`{metric}` depends on the cut-off; correlate a metric of the day, such as change_pct.")
    return metric


def _changes(asked: _Asked) -> tuple[pl.Series, pl.Series]:
    days = asked.own.days.drop_nulls("change_pct")
    return days["session"], days["change_pct"]


def _volatility(asked: _Asked) -> Told:
    from openbell.research.almanac_studies_risk import garch

    found = garch(*_changes(asked))
    names = ("n", "mean", "omega", "alpha", "beta", "persistence", "half_life_sessions", "long_run_pct")
    fitted = pl.DataFrame({"parameter": names, "value": [getattr(found, name) for name in names]}, strict=False)
    return Told(
        {"garch": fitted, "volatility": found.rows, "forecast": found.forecast}, found.sentences, {"garch": found}
    )


def _clusters(asked: _Asked) -> Told:
    from openbell.research.almanac_studies_days import clusters

    found = clusters(asked.own.days)
    return Told(
        {"clusters": found.centres, "days": found.rows, "scores": found.scores}, found.sentences, {"clusters": found}
    )


def _regimes(asked: _Asked) -> Told:
    from openbell.research.almanac_studies_days import regimes

    found = regimes(asked.own.days)
    return Told({"regimes": found.table, "days": found.rows}, found.sentences)


def _anomalies(asked: _Asked) -> Told:
    from openbell.research.almanac_studies_days import anomalies

    found = anomalies(asked.own.days)
    return Told({"anomalies": found.rows}, found.sentences, {"anomalies": found})


def _levels(asked: _Asked) -> Told:
    from openbell.research.almanac_studies_days import levels

    found = levels(asked.own.days, symbol=asked.own.product)
    return Told({"levels": found.rows}, found.sentences)


def _risk(asked: _Asked) -> Told:
    from openbell.research.almanac_studies_risk import risk

    found = risk(*_changes(asked))
    names = (
        "n", "level", "value_at_risk", "expected_shortfall", "modified_value_at_risk", "modified_expected_shortfall",
        "max_drawdown",
    )  # fmt: skip
    table = pl.DataFrame({"measure": names, "value": [float(getattr(found, name)) for name in names]})
    return Told({"risk": table, "equity": found.rows}, found.sentences, {"risk": found})


def _plain(value: Any) -> dict[str, Any]:
    return asdict(value)


#: Statistics of the metric alone, with nothing of the day beside it.
_OF_METRIC = frozenset({"distribution"})
_TABLES: Mapping[str, Callable[[_Asked], Told]] = {
    **dict.fromkeys(PATTERNS, _pattern),
    "years": _years,
    "extremes": _all_extremes,
    "survival": _survival,
    "heatmap": _heatmap,
    "rolling": _rolling,
    "trend": _trend,
    "distribution": _distribution,
    "correlation": _correlation,
    "volatility": _volatility,
    "clusters": _clusters,
    "regimes": _regimes,
    "anomalies": _anomalies,
    "levels": _levels,
    "risk": _risk,
}
assert set(_TABLES) == set(STATISTICS)
