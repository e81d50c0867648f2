"""From records and evidence to the report of a day and its monitoring log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app import evidence
from openbell.app.data import data_notes, quarantined
from openbell.app.reports.daily import DailyReport, write_report
from openbell.app.reports.monitoring import monitoring
from openbell.app.reports.proofs import proof_of
from openbell.app.training import features_of
from openbell.core.view import View
from openbell.quant.evaluation import information_coefficients
from openbell.research.compute import possible_features
from openbell.research.filings import filing_columns
from openbell.research.grid import lacking_fields
from openbell.research.universe import is_survivorship_biased

if TYPE_CHECKING:
    from openbell.app.daily import Decided
    from openbell.app.home import Home

#: What a reader might expect and this house does not do yet; each line is in the report.
NOT_TRIED = (
    "The back-test rebalances every 5 sessions, without the safety checks; the daily run looks every day and trades "
    "once the book is 5 % away from its targets, so its turnover differs.",
    "No intraday data, no short positions, no leverage, no taxes, no borrowing costs.",
    "Costs are 1 bp commission and 2 bp slippage of traded value unless set otherwise; market impact is not modelled.",
)
ONE_WEIGHTING = (
    "No hyper-parameter was tuned and no other weighting of the portfolio was compared: `openbell tournament stocks` "
    "does both."
)


def daily_report(home: Home, decided: Decided, history: pl.DataFrame, *, executed: bool, notes: tuple[str, ...]) -> str:
    """The report as one HTML page that opens offline."""
    found = decided.evidence
    why = "No training was done by this decision, so there is no evidence."
    if decided.alerts:
        why = "The champion's files cannot be loaded, so its evidence is not shown."
    elif decided.forecast.has_view:
        why = "The champion was promoted by hand, and no training on record has evidence of it."
    return write_report(
        DailyReport(
            decision=decided.decision,
            forecast=decided.forecast,
            reasons=decided.reasons,
            book=decided.book,
            market=decided.market,
            executed=executed,
            proof=proof_of(found.frames, found.figures) if found else None,
            no_proof="" if found else why,
            survivorship_biased=is_survivorship_biased(decided.universe) or _sample(home),
            quality=quarantined(home, decided.view.as_of),
            data=_about_data(home, decided),
            switched_off=_switched_off(home, decided.view),
            not_tried=_not_tried(decided),
            history=history if history.height else None,
            drift=_monitored(home, decided, found, history)["drift"],
            notes=(*notes, *decided.market.notes, *data_notes(home)),
        )
    )


def monitoring_log(home: Home, decided: Decided, history: pl.DataFrame) -> dict[str, Any]:
    """``monitoring_log.json``."""
    return _monitored(home, decided, decided.evidence, history)


def _sample(home: Home) -> bool:
    return any("survivorship" in note for note in data_notes(home))


def _not_tried(decided: Decided) -> tuple[str, ...]:
    """What could have been tried; a training compares models alone, a tournament their weightings too."""
    if decided.training is None or "plan" in decided.training.payload:
        return NOT_TRIED
    return (ONE_WEIGHTING, *NOT_TRIED)


def _about_data(home: Home, decided: Decided) -> Mapping[str, str]:
    bars = decided.view.facts("bars")
    span = bars.select(
        pl.min("session").alias("first"),
        pl.max("session").alias("last"),
        pl.col("symbol").n_unique().alias("names"),
        pl.len(),
    ).collect()
    first, last, names, rows = span.row(0)
    members = int(decided.market.names["member"].sum())
    return {
        "bars": f"{rows:,} of {names} names, {first} to {last}",
        "universe": f"{decided.universe}, {members} members on {decided.decision.session}",
        "benchmark": decided.market.benchmark_name,
        "trained": decided.training.payload["session"] if decided.training else "never",
    }


def _switched_off(home: Home, view: View) -> tuple[str, ...]:
    """Families of features the data cannot feed: one line each, with the reason of their members."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    declared = {each.name: each for each in features_of(home, view)}
    off = possible_features(list(declared.values()), lacking_fields(view), filing_columns(view))[1]
    for name, why in off.items():
        family = declared[name].family if name in declared else name.removesuffix("/*")
        reasons[family, why].append(name)
    return tuple(
        f"{family}: {len(names)} features ({', '.join(names[:4])}{', …' if len(names) > 4 else ''}): {why}"
        for (family, why), names in sorted(reasons.items())
    )


def live_ics(home: Home, view: View, horizon: int) -> pl.DataFrame:
    """Rank ICs of journaled forecasts whose outcome is known at the view's moment: ``session``, ``rank_ic``."""
    records = home.journal.records(kind="decision", before=view.as_of, desk="stocks")
    latest = {each.payload["session"]: each for each in records if each.payload["view"]}
    rows = [(session, symbol, score) for session, each in latest.items() for symbol, score in each.payload["scores"]]
    empty = pl.DataFrame(schema={"session": pl.Date, "rank_ic": pl.Float64})
    if not rows:
        return empty
    scores = pl.DataFrame(rows, schema=["session", "symbol", "score"], orient="row").with_columns(
        pl.col("session").str.to_date()
    )
    label = home.catalogue.labels[f"forward_return_{horizon}d"]
    outcomes = evidence.outcomes(view, label, scores["symbol"].unique().sort().to_list(), scores["session"].min())
    joined = scores.join(outcomes, on=["session", "symbol"]).drop_nulls("outcome")
    if joined.is_empty():
        return empty
    return information_coefficients(joined, score="score", outcome="outcome").select(
        "session", "rank_ic", "ic", "n_samples"
    )


def _monitored(home: Home, decided: Decided, found: evidence.Evidence | None, history: pl.DataFrame) -> dict[str, Any]:
    horizon = found.figures["horizon_sessions"] if found else 5
    shown = found.figures["quantiles_of"] if found else None
    ics = found.frames["ics"].select("session", pl.col(shown).alias("rank_ic")) if found and shown else None
    watched = home.settings.ops
    quality = dict(quarantined(home, decided.view.as_of).select("rule", "rows").iter_rows())
    return monitoring(
        session=decided.decision.session,
        model=decided.forecast.model,
        ics=ics,
        horizon_sessions=horizon,
        lookback_days=watched.ic_lookback_days,
        threshold=watched.ic_alert_threshold,
        recent=live_ics(home, decided.view, horizon),
        regimes=found.frames["regimes"] if found else None,
        decision=decided.decision,
        history=history if history.height else None,
        quality=quality,
        notes=tuple(decided.forecast.why),
    )
