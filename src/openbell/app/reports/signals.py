"""The report of the signals desk on one page: what it may call, whether it knows anything, and what that was worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from openbell.app.files import write_whole
from openbell.app.outputs import plain_rows
from openbell.app.reports import selection_charts, signals_charts
from openbell.app.reports import signals_tables as tables
from openbell.app.reports.figures import OUT_OF_SAMPLE, measure_rows, refuse_in_sample
from openbell.app.reports.tear_sheet import worst_drawdowns
from openbell.research.signal_backtest import RISK_FREE_ANNUAL, SIGNALS, SignalBacktest
from openbell.research.signal_scores import SignalScores
from openbell.research.signal_search import SignalSearch

PAGE = "report.html"


def write_report(folder: Path, scores: SignalScores, **given: Any) -> Path:
    """`signals_page` into `folder`; the same records give the same bytes."""
    path = folder / PAGE
    write_whole(path, signals_page(scores, **given))
    return path


def signals_page(
    scores: SignalScores,
    *,
    when: str,
    label: str = "",
    base: str = "",
    shown: str | None = None,
    found: SignalBacktest | None = None,
    searched: SignalSearch | None = None,
    half_life_seconds: float | None = None,
    tries: int | None = None,
    split: str = OUT_OF_SAMPLE,
    notes: Sequence[str] = (),
    made_of: Mapping[str, str] | None = None,
) -> str:
    """The report as one HTML page that opens offline; the same records give the same bytes.

    Parameters
    ----------
    scores : of the walk-forward. when : as of when, in words. label, base : what is learnt, on which bars.
    shown : model whose figures are shown in full; None takes the best candidate. found, searched : the back-test of
        its signals and the search, where they were asked for. half_life_seconds : of its signals, None where unknown.
    tries : trials of the desk in the ledger; None counts the candidates. notes : sentences on what was left out.

    Raises
    ------
    Refused
        On anything that was not measured out of sample.
    """
    from openbell.app.reports.page import render

    refuse_in_sample("the report of the signals desk", split)
    model = shown or scores.best
    rows = plain_rows(scores.models)
    counted = max(tries or sum(row["kind"] == "candidate" for row in rows), 1)
    values = {
        "scores": scores, "when": when, "label": label, "base": base, "shown": model, "notes": list(notes),
        "verdict": verdict(scores, model), "tries": counted, "half_life": _lasting(half_life_seconds),
        "models": sorted(rows, key=lambda row: (row["kind"] == "baseline", -row["skill_nats"], row["model"])),
        "tiles": [] if model is None else tables.knowledge_tiles(tables.row_of(scores, model), counted),
        "classes": _of(scores.classes, model), "bands": _of(scores.bands, model), "symbols": _of(scores.symbols, model),
        "pictures": _pictures(scores, model), "least_drawn": signals_charts.LEAST_DRAWN,
        "hopes": [] if model is None else tables.hopes(scores, model, found),
        "found": found, "account": None if found is None else _account(found),
        "searched": searched, "trials": None if searched is None else tables.trial_rows(searched.trials),
        "made_of": dict(sorted((made_of or {}).items())),
    }  # fmt: skip
    return render("signals.html.jinja", values)


def verdict(scores: SignalScores, shown: str | None) -> list[str]:
    """The answer in plain words to whether the desk knows more than the base rates."""
    if shown is None:
        return ["There is no answer: no candidate was walked forward."]
    row = tables.row_of(scores, shown)
    listed = ", ".join(f"`{name}`" for name in scores.proven)
    head = (
        f"Yes. {listed} knew more of what came than how often each of the three comes."
        if scores.proven
        else "No. No candidate has been shown to know more than how often BUY, HOLD and SELL come true."
    )
    if row["skill_nats_low"] is None:
        return [head, f"{row['days']:,} days of decisions are too few for an interval, so nothing can be shown at all."]
    gain = math.expm1(row["skill_nats"])
    return [
        head,
        f"`{shown}` gave what happened odds that were {abs(gain):.2%} {'higher' if gain >= 0 else 'lower'} than the "
        f"base rates known at the time, over {row['n']:,} decisions of {row['days']:,} days: a skill of "
        f"{row['skill_nats']:+.5f} nats a decision, 95 % interval {row['skill_nats_low']:+.5f} to "
        f"{row['skill_nats_high']:+.5f}. It named the class that came {row['accuracy']:.1%} of the time; always naming "
        f"the commonest is right {row['commonest']:.1%} of the time.",
    ]


def _lasting(seconds: float | None) -> str:
    if seconds is None:
        return "no half-life could be measured, so a signal lives for 24 hours"
    days = seconds / 86_400
    return (
        f"half of what a call knows is gone after {f'{days:.1f} days' if days >= 1 else f'{seconds / 60:.0f} minutes'}"
    )


def _of(frame: pl.DataFrame, model: str | None) -> list[dict[str, Any]]:
    return [] if model is None or frame.is_empty() else plain_rows(frame.filter(pl.col("model") == model))


def _pictures(scores: SignalScores, model: str | None) -> dict[str, str] | None:
    if model is None:
        return None
    commonest = tables.row_of(scores, model)["commonest"]
    own, likeliest = pl.col("model") == model, pl.col("rule") == "likeliest"
    return {
        "reliability": signals_charts.reliability_chart(scores.reliability.filter(own), commonest),
        "bands": signals_charts.bands_chart(scores.bands.filter(own & likeliest), commonest),
    }


def _account(found: SignalBacktest) -> dict[str, Any]:
    """Everything about the account that was walked."""
    names = [name for name in found.equity.columns[1:] if name in found.metrics or name == SIGNALS]
    equity = found.equity.select("session", *names)
    measured = {name: found.metrics[name] for name in names if name in found.metrics}
    traded = found.performance is not None
    return {
        "names": [tables.curve_name(name) for name in measured],
        "tiles": tables.account_tiles(found),
        "measures": [
            row for row in measure_rows(measured, {name: name for name in measured}, risk_free_annual=RISK_FREE_ANNUAL)
            if any(each and each["value"] is not None for each in row["cells"])
        ],
        "excess": [(tables.curve_name(name), each) for name, each in found.excess.items()],
        "groups": tables.group_tables(found),
        "trades": tables.newest_trades(found), "newest": tables.NEWEST, "all_trades": found.trades.height,
        "worst": worst_drawdowns(found.sessions, equity[SIGNALS].to_numpy(), 5) if traded else [],
        "legend": [
            {"label": tables.curve_name(name), "colour": _colour(name, names),
             "style": "dashed" if name == "equal_weight" else ""} for name in names
        ],
        "charts": {
            "growth": selection_charts.growth_chart(equity, names, key="signals", logarithmic=False),
            "underwater": selection_charts.underwater_chart(
                equity, SIGNALS, [name for name in names if name == "equal_weight"], key="signals"
            ),
        } if traded else None,
    }  # fmt: skip


def _colour(name: str, names: Sequence[str]) -> str:
    own = [each for each in names if each != "equal_weight"]
    return "var(--equal)" if name == "equal_weight" else selection_charts.series_property(own.index(name))
