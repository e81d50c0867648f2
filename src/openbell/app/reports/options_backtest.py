"""The options desk in its account, beside its baselines: what it earned, risked and was refused, on one page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from openbell.app.outputs import plain_rows
from openbell.app.reports import options_charts, selection_charts
from openbell.app.reports.figures import OUT_OF_SAMPLE, Figure, TooFew, figure, measure_rows
from openbell.app.reports.tear_sheet import MONTHS, calendar, period_returns, worst_drawdowns
from openbell.core.errors import BadInput, Refused
from openbell.quant.intervals import wilson
from openbell.quant.option_account import OPEN
from openbell.quant.performance import Performance, performance
from openbell.research.option_backtest import OptionBacktest
from openbell.research.option_scores import HORIZON

BENCHMARK = "benchmark"
#: Positions that the page shows before the reader asks for all.
NEWEST = 15
#: Exposures that are drawn: the column, its name, and what one unit of it means.
EXPOSURES = (
    ("delta_usd", "Delta", "USD of the underlying that moves alike"),
    ("gamma_usd", "Gamma", "USD of delta for 1 % of the underlying"),
    ("theta_usd", "Theta", "USD per calendar day"),
    ("vega_usd", "Vega", "USD for 0.01 of volatility"),
    ("margin_usd", "Margin", "USD, Reg T"),
    ("positions", "Open positions", "structures held"),
)


def backtest_report(
    results: Mapping[str, OptionBacktest],
    first: dt.date,
    last: dt.date,
    underlying: str,
    benchmark_curve: np.ndarray | None = None,
    *,
    performances: Mapping[str, Performance] | None = None,
    tries: int = 1,
    notes: Sequence[str] = (),
) -> str:
    """One self-contained page of the desk's account and those of its baselines; the same results give the same bytes.

    Parameters
    ----------
    results : by strategy, over the same sessions; the first is the desk. first, last : sessions of decisions.
    benchmark_curve : value of the underlying at every mark of the desk, shape (n + 1,); its tiles are then compared
        with it, else with the last strategy.
    performances : of each strategy where they are there already. tries : candidates among which the desk was chosen.
    notes : sentences that a reader must know.

    Raises
    ------
    BadInput
        Without a result, or with a benchmark of another length. Refused: without the number of tries.
    """
    from openbell.app.reports.page import render

    if not results:
        raise BadInput("A report of a back-test needs at least one strategy; there was none.")
    if tries < 1:
        raise Refused(f"The back-test does not say how many candidates were tried (was {tries}).")
    values = _context(results, benchmark_curve, performances, tries)
    return render(
        "options_backtest.html.jinja",
        {**values, "first": first, "last": last, "underlying": underlying, "tries": tries, "notes": list(notes)},
    )


def _context(
    results: Mapping[str, OptionBacktest],
    benchmark_curve: np.ndarray | None,
    performances: Mapping[str, Performance] | None,
    tries: int,
) -> dict[str, Any]:
    desk = next(iter(results))
    found = dict(performances or {name: each.performance(horizon_sessions=HORIZON) for name, each in results.items()})
    curves = _curves(results, benchmark_curve)
    if benchmark_curve is not None:
        marks = curves["session"].to_list()
        found[BENCHMARK] = performance(marks, curves[BENCHMARK].to_numpy(), horizon_sessions=HORIZON)
    names = list(found)
    beside = names[-1] if len(names) > 1 else None
    return {
        "desk": desk,
        "sessions": curves.height - 1,
        "modelled": {name: each.modelled for name, each in results.items()} | {BENCHMARK: False},
        "any_modelled": any(each.modelled for each in results.values()),
        "tiles": _tiles(found, desk, beside, tries),
        "beside": beside,
        "earned_usd": float(results[desk].curve_usd[-1] - results[desk].curve_usd[0]),
        "capital_usd": float(results[desk].curve_usd[0]),
        "names": names,
        "measures": [
            row for row in measure_rows(found, {name: name for name in names})
            if any(each and each["value"] is not None for each in row["cells"])
        ],
        "strategies": [_strategy_row(name, each) for name, each in results.items()],
        "structures": _structure_rows(results[desk].positions),
        "positions": plain_rows(results[desk].positions.sort("entry_session", "position", descending=True)),
        "newest": NEWEST,
        "refusals": {name: list(each.notes) for name, each in results.items()},
        "worst": worst_drawdowns(curves["session"].to_list(), curves[desk].to_numpy(), 5),
        "calendar": _months(curves, desk),
        "months": MONTHS,
        "legend_entries": _legend(names),
        "charts": _charts(results[desk], curves, names, desk),
    }  # fmt: skip


def _curves(results: Mapping[str, OptionBacktest], benchmark_curve: np.ndarray | None) -> pl.DataFrame:
    """``session`` and the value of every account at each mark; a strategy of other sessions is refused."""
    desk = next(iter(results.values()))
    columns: dict[str, Any] = {"session": desk.sessions}
    for name, each in results.items():
        if each.sessions != desk.sessions:
            raise BadInput(f"Every strategy is walked through the same sessions; `{name}` has others than the first.")
        columns[name] = each.curve_usd
    if benchmark_curve is not None:
        if len(benchmark_curve) != len(desk.sessions):
            raise BadInput(
                f"The benchmark needs a value for each of the {len(desk.sessions)} marks; had {len(benchmark_curve)}."
            )
        columns[BENCHMARK] = np.asarray(benchmark_curve, dtype=np.float64)
    return pl.DataFrame(columns)


def _tiles(found: Mapping[str, Performance], desk: str, beside: str | None, tries: int) -> list[Figure | TooFew]:
    """Return, Sharpe ratio, drawdown and volatility of the desk, each beside what it has to beat."""
    wanted = (
        ("annual_return", "Annual return", "percent"),
        ("sharpe", "Sharpe ratio", "number"),
        ("max_drawdown", "Deepest drawdown", "percent"),
        ("volatility", "Volatility, annual", "percent"),
    )
    return [
        figure(
            label,
            found[desk].intervals[name],
            baseline=0.0 if beside is None else found[beside].intervals[name].value,
            baseline_name="nothing" if beside is None else beside,
            split=OUT_OF_SAMPLE,
            tries=tries,
            unit=unit,
        )
        for name, label, unit in wanted
    ]


def _strategy_row(name: str, each: OptionBacktest) -> dict[str, Any]:
    """Positions of a strategy: how many, how many won, what they made of what they risked."""
    return {"strategy": name, "modelled": each.modelled, **_positions(each.positions)}


def _positions(frame: pl.DataFrame) -> dict[str, Any]:
    closed = frame.filter(pl.col("reason") != OPEN)
    wins, n = int((closed["pnl_usd"] > 0).sum()), closed.height
    low, high = wilson(wins, n) if n else (None, None)
    return {
        "entered": frame.height,
        "open": frame.height - n,
        "closed": n,
        "win_rate": wins / n if n else None,
        "win_low": low,
        "win_high": high,
        "pnl_usd": float(frame["pnl_usd"].sum()),
        "fees_usd": float(frame["fees_usd"].sum()),
        "mean_return": closed["pnl_per_max_loss"].mean() if n else None,
        "held": closed["held_sessions"].mean() if n else None,
    }


def _structure_rows(positions: pl.DataFrame) -> list[dict[str, Any]]:
    parts = positions.partition_by("structure", as_dict=True, maintain_order=True)
    rows = [{"structure": key[0], **_positions(part)} for key, part in parts.items()]
    return sorted(rows, key=lambda row: (-row["entered"], row["structure"]))


def _months(curves: pl.DataFrame, desk: str) -> dict[str, Any]:
    days, equity = curves["session"].to_list(), curves[desk].to_numpy()
    return calendar(period_returns(days, equity, "1mo"), period_returns(days, equity, "1y"))


def _legend(names: Sequence[str]) -> list[dict[str, str]]:
    """The key of the curves, in the colours of `selection_charts.growth_chart`."""
    own = [name for name in names if name != BENCHMARK]
    found = [
        {"label": name, "colour": selection_charts.series_property(at), "style": ""} for at, name in enumerate(own)
    ]
    rest = [{"label": BENCHMARK, "colour": "var(--bench)", "style": "dotted"}] if BENCHMARK in names else []
    return found + rest


def _charts(desk: OptionBacktest, curves: pl.DataFrame, names: Sequence[str], name: str) -> dict[str, Any]:
    others = [BENCHMARK] if BENCHMARK in names else []
    exposures = [
        (label, unit, options_charts.exposure_chart(desk.daily, column, label))
        for column, label, unit in EXPOSURES
        if desk.daily[column].drop_nulls().len() > 1
    ]
    return {
        "growth": selection_charts.growth_chart(curves, names, key="options", logarithmic=False),
        "underwater": selection_charts.underwater_chart(curves, name, others, key="options"),
        "exposures": exposures,
    }
