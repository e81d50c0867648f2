"""The report of the session desk on one page: is there evidence, what does it call and on what, what did that earn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from openbell.app.files import write_whole
from openbell.app.outputs import plain_rows
from openbell.app.reports import selection_charts, session_charts
from openbell.app.reports import session_tables as tables
from openbell.app.reports.figures import OUT_OF_SAMPLE, measure_rows, refuse_in_sample
from openbell.app.reports.tear_sheet import worst_drawdowns
from openbell.core.session import NO_CALL
from openbell.research.session_backtest import OURS, RISK_FREE_ANNUAL, SHORT, SessionBacktest
from openbell.research.session_drift import DriftWatch
from openbell.research.session_scores import SessionScores

PAGE = "report.html"


def write_report(folder: Path, scores: SessionScores, **given: Any) -> Path:
    """`session_page` into `folder`; the same records give the same bytes."""
    path = folder / PAGE
    write_whole(path, session_page(scores, **given))
    return path


def session_page(
    scores: SessionScores,
    *,
    when: str,
    product: str = "",
    label: str = "",
    cutoff: str = "",
    shown: str | None = None,
    found: SessionBacktest | None = None,
    watch: DriftWatch | None = None,
    rolling: pl.DataFrame | None = None,
    no_watch: str = "",
    importance: pl.DataFrame | None = None,
    contributions: pl.DataFrame | None = None,
    unit: str = "",
    lineage: pl.DataFrame | None = None,
    families: Mapping[str, str] | None = None,
    tries: int | None = None,
    split: str = OUT_OF_SAMPLE,
    notes: Sequence[str] = (),
    made_of: Mapping[str, str] | None = None,
) -> str:
    """The report as one HTML page that opens offline; the same records give the same bytes.

    Parameters
    ----------
    scores : of the walk-forward. when : as of when, in words. product, label, cutoff : what is decided on, and when.
    shown : model whose figures are shown in full; None takes the best candidate. found : the back-test of its calls,
        where it was asked for. watch, rolling : the drift watch and the rolling scores of the walk; `no_watch` says why
        there is none. importance, contributions, unit : of `research.session_reasons`, of the model that was fitted on
        everything. lineage : ``feature reads source as_of lookback``. families : of the features.
    tries : trials of the desk in the ledger; None counts the candidates. notes : sentences on what was left out.

    Raises
    ------
    Refused
        On anything that was not measured out of sample.
    """
    from openbell.app.reports.page import render

    refuse_in_sample("the report of the session desk", split)
    model = shown or scores.best
    rows = plain_rows(scores.models)
    counted = max(tries or sum(row["kind"] == "candidate" for row in rows), 1)
    evidence = scores.evidence if model is None else tables.row_of(scores, model)["evidence"]
    values = {
        "scores": scores, "when": when, "product": product, "label": label, "cutoff": cutoff, "shown": model,
        "notes": list(notes), "evidence": tables.headline(evidence), "tries": counted, "no_call": NO_CALL,
        "models": sorted(rows, key=lambda row: (row["kind"] == "baseline", -row["skill_nats"], row["model"])),
        "tiles": [] if model is None else tables.knowledge_tiles(tables.row_of(scores, model), counted),
        "needed": plain_rows(scores.needed), "known": None if model is None else _known(scores, model),
        "found": found, "account": None if found is None else _account(found),
        "drift": None if watch is None or rolling is None else _drift(watch, rolling), "no_watch": no_watch,
        "features": tables.features(lineage, importance, families or {}), "unit": unit,
        "widest": 0.0 if importance is None else float(importance["importance"].max() or 0.0),  # type: ignore[arg-type]
        "contributions": _contributions(contributions, importance, unit),
        "made_of": dict(sorted((made_of or {}).items())),
    }  # fmt: skip
    return render("session.html.jinja", values)


def _known(scores: SessionScores, model: str) -> dict[str, Any]:
    """Everything about what one model said and what came."""
    row, last = tables.row_of(scores, model), scores.label_classes[-1]
    two = len(scores.label_classes) == 2
    view, words = (last, last) if two else ("likeliest", "the likeliest class")
    base = row[f"share_{last.lower()}"] if two else row["commonest"]
    curve = scores.reliability.filter((pl.col("model") == model) & (pl.col("of") == view))
    return {
        "row": row,
        "classes": tables.of_model(scores.classes, model),
        "confusion": [(rule, tables.confusion(scores, model, rule)) for rule in ("likeliest", "call")],
        "folds": tables.of_model(scores.folds, model),
        "reliability": session_charts.reliability_chart(curve, words, base),
        "of": words,
        "least_drawn": session_charts.LEAST_DRAWN,
    }


def _drift(watch: DriftWatch, rolling: pl.DataFrame) -> dict[str, Any]:
    it = watch.alarm
    charts = {} if rolling.is_empty() else {
        "log_loss": session_charts.drift_chart(rolling, "log_loss", it.loss_limit, it.loss),
        "auc": session_charts.drift_chart(rolling, "auc", it.auc_limit, it.auc),
    }  # fmt: skip
    return {"lines": watch.lines(), "charts": charts, "window": it.window}


def _contributions(rows: pl.DataFrame | None, importance: pl.DataFrame | None, unit: str) -> str:
    if rows is None or importance is None or rows.is_empty():
        return ""
    heavy = importance.filter(pl.col("importance") > 0)["feature"].to_list()
    return session_charts.contributions_chart(rows, heavy, f"contribution, {unit}") if heavy else ""


def _account(found: SessionBacktest) -> dict[str, Any]:
    """Everything about the account that was walked."""
    traded = found.performance is not None
    names = [name for name in found.equity.columns[1:] if name in found.measures]
    equity = found.equity.select("session", *names)
    measured = {name: found.measures[name] for name in names}
    return {
        "names": tables.curve_names(names),
        "short": [SHORT[name] for name in names],
        "tiles": tables.account_tiles(found),
        "measures": [
            row
            for row in measure_rows(measured, {name: name for name in measured}, risk_free_annual=RISK_FREE_ANNUAL)
            if any(each and each["value"] is not None for each in row["cells"])
        ],
        "of_trades": tables.trade_rows(found),
        "groups": tables.group_tables(found),
        "regimes": plain_rows(found.regimes),
        "costs": plain_rows(found.costs),
        "trades": tables.newest_trades(found),
        "newest": tables.NEWEST,
        "all_trades": found.trades.height,
        "worst": worst_drawdowns(found.sessions, equity[OURS].to_numpy(), 5) if traded else [],
        "legend": [
            {"label": label, "colour": selection_charts.series_property(at), "style": ""}
            for at, label in enumerate(tables.curve_names(names))
        ],
        "charts": {
            "growth": selection_charts.growth_chart(equity, names, key="session", logarithmic=False),
            "underwater": selection_charts.underwater_chart(equity, OURS, [], key="session"),
        }
        if traded
        else None,
    }
