"""One curve against its benchmark on one self-contained page: what it earned, when it hurt, and how sure that is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from openbell.app.reports import selection_charts as charts
from openbell.app.reports.figures import OUT_OF_SAMPLE, Figure, TooFew, figure, measure_rows, refuse_in_sample
from openbell.core.errors import BadInput, Refused
from openbell.quant import performance as measured

#: Sessions of a rolling measure: half a year.
ROLLING_SESSIONS = 126
WORST = 10
OURS, BENCHMARK = "ours", "benchmark"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TILES = (
    ("annual_return", "Annual return", "percent"),
    ("sharpe", "Sharpe ratio", "number"),
    ("max_drawdown", "Deepest drawdown", "percent"),
    ("volatility", "Volatility, annual", "percent"),
)


def period_returns(sessions: Sequence[dt.date], equity: np.ndarray, every: str) -> pl.DataFrame:
    """Simple return of each calendar period: from the last mark of the period before to its own last mark.

    Parameters
    ----------
    sessions, equity : marks, oldest first, shape (n + 1,); the first one only opens the first period.
    every : ``1mo`` or ``1y``.

    Returns
    -------
    polars.DataFrame
        ``period`` (its first day), ``value`` (fraction), ``sessions`` (returns in it); the first and last may be part
        of a period only.
    """
    marks = pl.DataFrame({"session": list(sessions)[1:], "mark": np.asarray(equity, dtype=np.float64)[1:]})
    by_period = marks.group_by(pl.col("session").dt.truncate(every).alias("period"), maintain_order=True).agg(
        pl.col("mark").last(), pl.len().alias("sessions")
    )
    ends = np.concatenate([[float(equity[0])], by_period["mark"].to_numpy()])
    return by_period.select("period", pl.Series("value", measured.returns(ends)), "sessions")


def worst_drawdowns(sessions: Sequence[dt.date], equity: np.ndarray, most: int = WORST) -> list[dict[str, Any]]:
    """The deepest falls: from the high (``start``) over the ``trough`` to the first mark at a high again (``end``).

    ``end`` is None while it lasts; ``depth`` is negative; ``length`` counts sessions from the high to the end, or to
    the last mark.
    """
    fall = measured.drawdowns(equity)
    under = fall < 0.0
    begins = np.flatnonzero(under & ~np.concatenate([[False], under[:-1]]))
    if not begins.size:
        return []
    depths = np.minimum.reduceat(fall, begins)
    deepest = begins[np.argsort(depths, kind="stable")[:most]]
    return [_episode(sessions, fall, int(begin)) for begin in deepest]


def _episode(sessions: Sequence[dt.date], fall: np.ndarray, begin: int) -> dict[str, Any]:
    back = np.flatnonzero(fall[begin:] >= 0.0)
    end = begin + int(back[0]) if back.size else None
    trough = begin + int(np.argmin(fall[begin:end]))
    return {
        "start": sessions[begin - 1],
        "trough": sessions[trough],
        "end": None if end is None else sessions[end],
        "depth": float(fall[trough]),
        "length": (len(fall) - 1 if end is None else end) - (begin - 1),
    }


def calendar(monthly: pl.DataFrame, yearly: pl.DataFrame) -> dict[str, Any]:
    """The grid of monthly returns: a row per year with twelve cells (None where there is none) and the year."""
    cells = {(row["period"].year, row["period"].month): row["value"] for row in monthly.iter_rows(named=True)}
    rows = [
        (row["period"].year, [cells.get((row["period"].year, month)) for month in range(1, 13)], row["value"])
        for row in yearly.iter_rows(named=True)
    ]
    return {"rows": rows, "widest": max((abs(value) for value in cells.values()), default=0.0) or 1.0}


def rolling(sessions: Sequence[dt.date], curves: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Rolling Sharpe ratio and volatility of half a year, by measure and curve; each window ends on its date."""
    per_year = measured.marks_per_year(sessions)
    found: dict[str, dict[str, np.ndarray]] = {"Sharpe ratio": {}, "volatility": {}}
    for name, equity in curves.items():
        windows = np.lib.stride_tricks.sliding_window_view(measured.returns(equity), ROLLING_SESSIONS)
        found["Sharpe ratio"][name] = measured.sharpe_rows(windows, per_year=per_year)
        found["volatility"][name] = np.array([measured.volatility(row, per_year=per_year) for row in windows])
    return found


def tear_sheet(
    title: str,
    sessions: Sequence[dt.date],
    equity: np.ndarray,
    benchmark: np.ndarray,
    *,
    benchmark_name: str = "benchmark",
    others: Mapping[str, np.ndarray] | None = None,
    turnovers: np.ndarray | None = None,
    logarithmic: bool = True,
    split: str = OUT_OF_SAMPLE,
    tries: int = 1,
    horizon_sessions: int = 5,
    replications: int = 1000,
    notes: Sequence[str] = (),
) -> str:
    """The page of one curve.

    Parameters
    ----------
    title : its name. sessions : dates of the marks, oldest first, shape (n + 1,).
    equity, benchmark : values at each mark, positive, shape (n + 1,); the first is the common base.
    others : more curves for the table of measures, by label. turnovers : one-sided, per rebalance, of `equity`.
    logarithmic : the axis of growth. split : how it was measured; only ``out_of_sample`` is shown (check 5).
    tries : configurations among which this curve was chosen.
    horizon_sessions, replications : of the stationary bootstrap behind every interval.

    Raises
    ------
    Refused
        On anything not measured out of sample, or without its tries.
    BadInput
        On curves of different lengths, dates out of order, or marks that are not positive.
    """
    from openbell.app.reports.page import render

    refuse_in_sample(f"`{title}`", split)
    if tries < 1:
        raise Refused(f"The tear sheet of `{title}` does not say how many configurations were tried (was {tries}).")
    days = list(sessions)
    curves = {
        OURS: np.asarray(equity, dtype=np.float64),
        BENCHMARK: np.asarray(benchmark, dtype=np.float64),
        **{name: np.asarray(each, dtype=np.float64) for name, each in (others or {}).items()},
    }
    for name, curve in curves.items():
        if len(curve) != len(days):
            raise BadInput(f"Each mark needs its date; `{name}` had {len(curve)} marks for {len(days)} dates.")
    how: dict[str, Any] = {"horizon_sessions": horizon_sessions, "replications": replications}
    found = {
        name: measured.performance(days, curve, turnovers=turnovers if name == OURS else None, **how)
        for name, curve in curves.items()
    }
    labels = {OURS: title, BENCHMARK: benchmark_name, **{name: name for name in others or {}}}
    values = _context(days, curves, found, labels, logarithmic, tries)
    return render("tear_sheet.html.jinja", {**values, "title": title, "notes": list(notes)})


def _context(
    days: list[dt.date],
    curves: Mapping[str, np.ndarray],
    found: Mapping[str, measured.Performance],
    labels: Mapping[str, str],
    logarithmic: bool,
    tries: int,
) -> dict[str, Any]:
    yearly = {name: period_returns(days, curves[name], "1y") for name in (OURS, BENCHMARK)}
    ours = found[OURS]
    return {
        "benchmark_name": labels[BENCHMARK],
        "first": days[0],
        "last": days[-1],
        "n": ours.n,
        "tries": tries,
        "tiles": _tiles(found, labels[BENCHMARK], tries),
        "total_return": ours.total_return,
        "benchmark_return": found[BENCHMARK].total_return,
        "curves": labels,
        "measures": [
            row
            for row in measure_rows(found, labels)
            if any(each and each["value"] is not None for each in row["cells"])
        ],
        "calendar": calendar(period_returns(days, curves[OURS], "1mo"), yearly[OURS]),
        "months": MONTHS,
        "worst": worst_drawdowns(days, curves[OURS]),
        "window": ROLLING_SESSIONS,
        "logarithmic": logarithmic,
        "value_at_risk": ours.value_at_risk_95,
        "expected_shortfall": ours.expected_shortfall_95,
        "charts": _charts(days, curves, yearly, ours, logarithmic),
    }


def _tiles(found: Mapping[str, measured.Performance], benchmark_name: str, tries: int) -> list[Figure | TooFew]:
    return [
        figure(
            label,
            found[OURS].intervals[name],
            baseline=found[BENCHMARK].intervals[name].value,
            baseline_name=benchmark_name,
            split=OUT_OF_SAMPLE,
            tries=tries,
            unit=unit,
        )
        for name, label, unit in _TILES
    ]


def _charts(
    days: list[dt.date],
    curves: Mapping[str, np.ndarray],
    yearly: Mapping[str, pl.DataFrame],
    ours: measured.Performance,
    logarithmic: bool,
) -> dict[str, str]:
    frame = pl.DataFrame({"session": days, **{name: curves[name] for name in (OURS, BENCHMARK)}})
    made = {
        "growth": charts.growth_chart(frame, [OURS, BENCHMARK], key="sheet", logarithmic=logarithmic),
        "underwater": charts.underwater_chart(frame, OURS, [BENCHMARK], key="sheet"),
        "years": charts.yearly_chart(
            [day.year for day in yearly[OURS]["period"]],
            yearly[OURS]["value"].to_list(),
            yearly[BENCHMARK]["value"].to_list(),
        ),
        "distribution": charts.distribution_chart(
            measured.returns(curves[OURS]),
            value_at_risk=ours.value_at_risk_95,
            expected_shortfall=ours.expected_shortfall_95,
        ),
    }
    if ours.n >= 2 * ROLLING_SESSIONS:
        ends = frame["session"].to_numpy()[ROLLING_SESSIONS:]
        for name, both in rolling(days, {each: curves[each] for each in (OURS, BENCHMARK)}).items():
            percent = name == "volatility"
            made[name] = charts.rolling_chart(ends, both[OURS], both[BENCHMARK], name=name, percent=percent)
    return made
