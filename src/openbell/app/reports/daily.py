"""``report.html``: the decision in the first screen, then what such decisions have been worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from openbell.app.outputs import weights_frame
from openbell.app.reports.figures import Figure, TooFew, checked_candidates, is_index, refuse_in_sample
from openbell.core.errors import Refused
from openbell.core.types import Book, Decision, Forecast, Market, Outcome
from openbell.quant.intervals import estimate, mean_block
from openbell.quant.performance import marks_per_year, returns, sharpe, win_rate
from openbell.quant.regime import Regime
from openbell.research.reasons import Reasons

#: A rolling mean over fewer dates than this says nothing; the chart is then left out.
ROLLING_DATES = 126


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """What the desk's decisions have been worth on dates that no model was fitted on.

    Attributes
    ----------
    split : how all of it was measured; anything but ``out_of_sample`` is refused. tries : candidates tried.
    model : the candidate whose scores these are, or None: then the decisions were made without a view.
    champion : whether that model earned a view.
    horizon_sessions : of the outcome. benchmark : its name. costs : in words.
    figures : the first figures, as from `figures.headline_figures`, and the mean rank IC.
    measures : rows of the comparison, as from `figures.measure_rows`.
    equity : ``session``, ``policy``, ``equal_weight``, ``benchmark``, marked every session, after costs.
    ics : ``session``, ``rank_ic``. quantiles : as `quant.evaluation.QuantileReturns.table`. spread : top less bottom.
    candidates : as `research.champion.Choice.evidence`. regimes : as `quant.evaluation.regime_performance`.
    choice : sentences on how the champion was chosen. notes : what was missing or left out.
    """

    split: str
    tries: int
    model: str | None
    champion: bool
    horizon_sessions: int
    benchmark: str
    costs: str
    figures: tuple[Figure | TooFew, ...]
    measures: tuple[Mapping[str, Any], ...]
    equity: pl.DataFrame
    ics: pl.DataFrame
    quantiles: pl.DataFrame
    spread: Figure | TooFew | None
    candidates: pl.DataFrame
    regimes: pl.DataFrame
    choice: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        refuse_in_sample("the back-test and the evaluation", self.split)
        if self.tries < 1:
            raise Refused(f"The evidence does not say how many candidates were tried (was {self.tries}).")
        checked_candidates(self.candidates)


@dataclass(frozen=True, slots=True, eq=False)
class DailyReport:
    """Everything the report shows.

    Attributes
    ----------
    decision, forecast, book, market : as they were when it was decided. reasons : why what is held has its scores.
    executed : whether orders went to the broker. proof : the evidence; None with `no_proof` saying why.
    survivorship_biased : whether the universe was read from what is in the tables today.
    quality : rows put aside by the quality gate, columns ``rule``, ``rows``, ``example``. data : facts on the data.
    switched_off : families of features that the data cannot feed, with why. not_tried : what could have been.
    history : the account's marks so far, ``session``, ``equity_usd``. drift : ``monitoring(...)["drift"]``.
    notes : anything else that a reader must know.
    """

    decision: Decision
    forecast: Forecast
    book: Book
    market: Market
    reasons: Reasons = field(default_factory=Reasons)
    executed: bool = False
    proof: Proof | None = None
    no_proof: str = "Nothing has been trained yet, so there is no evidence."
    survivorship_biased: bool = False
    quality: pl.DataFrame | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    switched_off: tuple[str, ...] = ()
    not_tried: tuple[str, ...] = ()
    history: pl.DataFrame | None = None
    drift: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def headline(report: DailyReport) -> tuple[str, str]:
    """What to do, in a few words, and its tone: ``act``, ``rest`` or ``stop``."""
    decision = report.decision
    if decision.blocked:
        return "No orders: safety blocked this decision", "stop"
    sides = decision.trades["side"]
    sells, buys = int((sides == "SELL").sum()), int((sides == "BUY").sum())
    if not sells + buys:
        return "Nothing to trade today", "rest"
    words = [f"{verb} {count}" for verb, count in (("Sell", sells), ("Buy", buys)) if count]
    return ", ".join(words).capitalize(), "act"


def brief_trades(trades: pl.DataFrame, *, most: int = 12) -> list[tuple[str, str]]:
    """Each side with its names, the largest first; beyond `most` they are counted."""
    brief = []
    for side in ("SELL", "BUY"):
        ordered = (
            trades.filter(pl.col("side") == side).sort(pl.col("notional").abs(), descending=True)["symbol"].to_list()
        )
        more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
        if ordered:
            brief.append((side, ", ".join(ordered[:most]) + more))
    return brief


def portfolio_rows(report: DailyReport) -> list[dict[str, Any]]:
    """The portfolio after the trades, largest first, cash last; weights of the whole account."""
    decision = report.decision
    table = weights_frame(decision, report.book, report.market)
    scores = report.forecast.scores.select("symbol", "score")
    ranks = scores.with_columns(pl.col("score").rank("ordinal", descending=True).cast(pl.Int64).alias("rank"))
    return table.join(ranks, on="symbol", how="left", maintain_order="left").to_dicts()


def reason_rows(report: DailyReport, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each name that is explained, in the order of the portfolio: its score and its largest contributions."""
    because = report.reasons.because
    return [{**row, "because": because[row["symbol"]]} for row in rows if row["symbol"] in because]


def trade_rows(report: DailyReport) -> list[dict[str, Any]]:
    """The trade list as it is in ``trades.csv``."""
    return report.decision.trades.to_dicts()


def safety_rows(report: DailyReport) -> list[dict[str, Any]]:
    """Verdicts, the gravest first; a check that the data cannot feed reads ``unavailable``."""
    order = {"BLOCK": 0, "SHRINK": 1, "unavailable": 2, "ALLOW": 3}
    rows = [
        {
            "check": each.check.replace("_", " "),
            "word": each.outcome.value if each.available or each.outcome is not Outcome.ALLOW else "unavailable",
            "why": each.why,
            "names": ", ".join(f"{name} to {scale:.0%}" for name, scale in sorted(each.by_symbol.items())[:12]),
        }
        for each in report.decision.verdicts
    ]
    return sorted(rows, key=lambda row: (order[row["word"]], row["check"]))


def sector_rows(rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Weight of each sector after the trades, largest first."""
    total: dict[str, float] = {}
    for row in rows:
        if row["symbol"] != "CASH" and row["weight"]:
            total[row["sector"] or "Unknown"] = total.get(row["sector"] or "Unknown", 0.0) + row["weight"]
    return sorted(total.items(), key=lambda item: (-item[1], item[0]))


def regime_rows(proof: Proof) -> list[dict[str, Any]]:
    """Performance by regime, and of all sessions together to compare with."""
    moves = np.asarray(returns(proof.equity["policy"].to_numpy()))
    mean = estimate(moves, block=mean_block(proof.horizon_sessions, len(moves)))
    ratio = sharpe(moves, per_year=marks_per_year(proof.equity["session"].to_list()))
    whole = {
        "regime": None,
        "regime_name": "All sessions",
        "avg_return": mean.value,
        "low": mean.low,
        "high": mean.high,
        "sharpe": ratio if np.isfinite(ratio) else None,
        "win_rate": win_rate(moves),
        "n_days": len(moves),
    }
    return [*proof.regimes.to_dicts(), whole]


def _charts(report: DailyReport) -> dict[str, str]:
    from openbell.app.reports import charts

    made = {}
    proof = report.proof
    if proof is not None:
        curves = curve_names(proof.benchmark, proof.model, proof.champion)
        made["equity"] = charts.equity_chart(proof.equity, curves)
        made["drawdown"] = charts.drawdown_chart(proof.equity, curves)
        ics = proof.ics.drop_nulls("rank_ic").sort("session")
        if ics.height >= 2 * ROLLING_DATES:
            block = max(2 * proof.horizon_sessions, 2)
            made["ic"] = charts.ic_chart(ics, window=ROLLING_DATES, block=block)
        if proof.quantiles["avg_return"].drop_nulls().len():
            made["quantiles"] = charts.quantile_chart(proof.quantiles)
    if report.history is not None and report.history.height > 1:
        made["history"] = charts.history_chart(report.history)
    return made


def curve_names(benchmark: str, model: str | None, champion: bool) -> dict[str, str]:
    """Labels of the curves; an index that is the universe itself has no curve of its own."""
    ours = f"this desk with {model}" if champion and model else "this desk without a view"
    names = {"policy": ours, "equal_weight": "equal weight"}
    return names if is_index(benchmark) else {**names, "benchmark": benchmark}


def context(report: DailyReport) -> dict[str, Any]:
    """What the template is given."""
    rows = portfolio_rows(report)
    words, tone = headline(report)
    trades = report.decision.trades
    regime = report.decision.details.get("regime")
    safety = safety_rows(report)
    proof = report.proof
    return {
        "report": report,
        "decision": report.decision,
        "market": report.market,
        "forecast": report.forecast,
        "proof": proof,
        "headline": words,
        "tone": tone,
        "brief": [] if report.decision.blocked else brief_trades(trades),
        "regime": None if regime is None else Regime(regime).label,
        "regime_number": regime,
        "rows": rows,
        "reasons": reason_rows(report, rows),
        "sectors": sector_rows(rows),
        "names": sum(1 for row in rows if row["symbol"] != "CASH" and row["weight"] > 0),
        "widest": max((row["weight"] for row in rows), default=0.0) or 1.0,
        "trades": trade_rows(report),
        "traded_usd": float(trades["notional"].sum()),
        "cost_usd": float(trades["total_cost_est"].sum()),
        "value_usd": report.book.value_usd,
        "safety": safety,
        "words": {
            word: sum(row["word"] == word for row in safety) for word in ("BLOCK", "SHRINK", "unavailable", "ALLOW")
        },
        "candidates": proof.candidates.to_dicts() if proof else [],
        "span": _candidate_span(proof.candidates) if proof else (0.0, 1.0),
        "regimes": regime_rows(proof) if proof else [],
        "quantiles": proof.quantiles.to_dicts() if proof else [],
        "curves": curve_names(proof.benchmark, proof.model, proof.champion) if proof else {},
        "quality": report.quality.to_dicts() if report.quality is not None else None,
        "charts": _charts(report),
        "rolling_dates": ROLLING_DATES,
    }


def _candidate_span(candidates: pl.DataFrame) -> tuple[float, float]:
    """The common axis of the candidates' intervals, 0 always on it."""
    bounds = [each for each in (candidates["lower"].min(), candidates["upper"].max()) if each is not None]
    low, high = min([0.0, *bounds]), max([0.0, *bounds])  # type: ignore[type-var]
    room = 0.06 * ((high - low) or 1.0)
    return low - room, high + room


def write_report(report: DailyReport) -> str:
    """One self-contained page that opens offline, on a phone and on paper: the same report gives the same bytes."""
    from openbell.app.reports.page import render

    return render("report.html.jinja", context(report))
