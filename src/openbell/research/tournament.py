"""One tournament: every model with every allocator, judged on nothing but what could have been known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.core.declare import Desk, Feature, Label
from openbell.core.hashing import digest
from openbell.core.types import Panel
from openbell.core.view import View
from openbell.research.candidates import Candidate, final_fits, write_plan
from openbell.research.champion import rank_ics
from openbell.research.combinations import splits
from openbell.research.contest import JOINED_BY, Contest
from openbell.research.coverage import coverage
from openbell.research.cpcv import cpcv_scores, label_keys
from openbell.research.dataset import decision_sessions, ranked_panel
from openbell.research.deciding import Decide
from openbell.research.entrants import Entrants, tuned
from openbell.research.findings import (
    consistency,
    decisions_per_year,
    failures_frame,
    matrix,
    significance,
    training_frame,
)
from openbell.research.fitting import fit
from openbell.research.folds import Fold
from openbell.research.looking import FamilyImportance, shap_frame
from openbell.research.meeting import MeetingSettings, meet, yearly_folds
from openbell.research.panel import Progress
from openbell.research.portfolios import Portfolios, Traded, by_regime, cost_sensitivity, intervals, measures
from openbell.research.selection import Rules, Selection, select
from openbell.research.snapshot import is_equal_weight

if TYPE_CHECKING:
    from openbell.store.trials import Trials

#: Settings that change the time a tournament takes and nothing that it finds.
_NO_RESULT = ("jobs", "time_budget_seconds")


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A tournament, with what its report does not need: scores to replay, fitted candidates, what was searched.

    Attributes
    ----------
    contest : what was found. selection : gates and tests. candidates : every model fitted on all that the selection
        could read. scores, ics, folds : of the walk-forward. entrants : with the parameters that were tuned.
    """

    contest: Contest
    selection: Selection
    candidates: tuple[Candidate, ...]
    scores: pl.DataFrame
    ics: pl.DataFrame
    folds: pl.DataFrame
    features: tuple[str, ...]
    entrants: Entrants


def tournament(
    view: View,
    desk: Desk,
    decide: Decide,
    features: Sequence[Feature],
    label: Label,
    outcome: Label,
    entrants: Entrants,
    rules: Rules,
    *,
    universe: str,
    benchmark: str,
    as_of: dt.datetime,
    holdout_first: dt.date,
    ledger: Trials,
    folder: Path,
    cache: Path | None = None,
    settings: MeetingSettings | None = None,
    incumbent: str | None = None,
    earlier: pl.DataFrame | None = None,
    now: Callable[[], float] = lambda: 0.0,
    progress: Progress | None = None,
) -> Played:
    """Train every model, back-test it with every allocator, and let through what survives the search.

    Parameters
    ----------
    view : what was known before the open of `holdout_first`; nothing later is there to be read.
    decide : the live desk function, its settings bound; it is called with ``weighting=`` an allocator.
    label, outcome : what models are trained on, and the return that a score portfolio is measured by.
    rules : gates and score; see `selection.Rules`. as_of : the moment for which a champion is sought.
    ledger : of trials: every configuration is counted there before it is fitted or back-tested.
    folder : where fitted candidates are kept, under the plan's hash. cache : finished pieces, for a resumed run.
    incumbent : the entrant in office, if it meets the others. earlier : active returns of earlier tournaments,
        ``session`` and a column each; they count among the tries. now : a clock in seconds, for the budget of tuning.

    Returns
    -------
    Played
        A model that raises or abstains is a row of ``failures`` and does not meet; the others go on.

    Raises
    ------
    BadInput
        Where the span is too short for one fold, or no model is left.
    """
    chosen = settings or MeetingSettings()
    dated = decision_sessions(
        view,
        warmup_sessions=chosen.warmup_sessions,
        history_years=chosen.history_years,
        lead_minutes=chosen.lead_minutes,
    )
    folds = yearly_folds(dated, chosen)
    panel = ranked_panel(
        view,
        features,
        [label, outcome],
        dated,
        universe=universe,
        stride=desk.rebalance_sessions,
        every_session_from=None,
        lead_minutes=chosen.lead_minutes,
        benchmark=None if is_equal_weight(benchmark) else benchmark,
        progress=progress,
    )
    entrants, tuning, tuned_notes = tuned(
        entrants,
        panel,
        label,
        folds[0],
        ledger,
        desk.name,
        view.as_of,
        trials=chosen.trials,
        time_budget_seconds=chosen.time_budget_seconds,
        seed=chosen.seed,
        cache=cache,
        now=now,
        progress=progress,
    )
    plan = _plan(desk, view, panel, label, folds, entrants, rules, chosen, universe, benchmark, holdout_first)
    if cache is not None:
        write_plan(cache, plan)
    met = meet(
        view,
        desk,
        decide,
        panel,
        label,
        folds,
        entrants,
        dated,
        universe=universe,
        benchmark=benchmark,
        ledger=ledger,
        settings=chosen,
        examine=FamilyImportance.of(features, label.name, chosen.seed),
        cache=cache,
        progress=progress,
    )
    walked, played = met.walked, met.played
    bounds = intervals(
        played,
        horizon_sessions=label.horizon_sessions,
        replications=chosen.replications,
        seed=chosen.seed,
        jobs=chosen.jobs,
    )
    regimes = by_regime(played)
    measured = measures(played).with_columns(pl.Series("regime_consistency", consistency(regimes, played.entrants)))
    selection = select(
        played.entrants,
        played.active,
        measured,
        rules,
        incumbent=incumbent if incumbent in played.entrants else None,
        trial_returns=_matched(earlier, played),
        tries=ledger.count(desk.name),
    )
    candidates = final_fits(
        panel,
        label,
        entrants.models,
        as_of=view.as_of,
        dated=dated,
        stride=desk.rebalance_sessions,
        train_first=train_first(dated, chosen),
        folder=folder / digest(plan),
        plan=plan,
        ledger=ledger,
        parameters=entrants.parameters,
        members=entrants.members,
        left_out=met.out,
        jobs=chosen.jobs,
        progress=progress,
    )
    ics = rank_ics(walked.scores, label.name, [each.name for each in entrants.models], min_names=chosen.min_names)
    dates = walked.scores["session"].unique().sort().to_list()
    contest = Contest(
        desk=desk.name,
        as_of=as_of,
        plan=digest(plan),
        recipe=panel.recipe,
        label=label.name,
        universe=universe,
        benchmark=met.arena.ready.benchmark,
        first=met.arena.sessions[0],
        last=played.dates[-1],
        holdout_first=holdout_first,
        matrix=matrix(measured, bounds, selection, met.held.fallback_counts),
        equity=played.equity(),
        active=played.active_frame(),
        regimes=regimes,
        gates=selection.gates,
        training=training_frame(
            [each.name for each in entrants.models],
            walked,
            ics,
            panel.frame.select("session", "symbol", pl.col(outcome.name).alias("outcome")),
            per_year=decisions_per_year(dates),
            seed=chosen.seed,
        ),
        costs=cost_sensitivity(met.traded, played.dates),
        calibration=coverage(walked.scores, panel.frame, walked.folds, label.name, met.able),
        importance=FamilyImportance.frame(walked.examined),
        shap=shap_frame(candidates, panel, chosen.seed),
        tuning=tuning,
        failures=failures_frame(walked, met.held.failures),
        significance={
            **significance(selection, {kind: ledger.count(desk.name, kind) for kind in _KINDS}),
            **_recombined(panel, label, outcome, selection, entrants, ledger, dated, chosen, progress),
        },
        champion=selection.champion,
        why=selection.why,
        alpha=rules.alpha,
        notes=(*panel.notes, *tuned_notes, *met.held.notes, *_notes(played, met.traded, chosen, desk)),
        incumbent=incumbent,
        parameters=_told(plan, chosen, rules),
        intervals=bounds,
    )
    return Played(contest, selection, candidates, walked.scores, ics, walked.folds, panel.features, entrants)


def _recombined(
    panel: Panel,
    label: Label,
    outcome: Label,
    selection: Selection,
    entrants: Entrants,
    ledger: Trials,
    dated: pl.DataFrame,
    chosen: MeetingSettings,
    progress: Progress | None,
) -> dict[str, dict[str, Any]]:
    """What the leader's model says on many recombined pasts; it decides nothing."""
    if not chosen.cpcv_groups:
        return {}
    name = selection.leaderboard["entrant"][0].partition(JOINED_BY)[0]
    model = next(each for each in entrants.models if each.name == name)
    given, members = entrants.parameters.get(name, {}), entrants.members.get(name, ())
    if model.sequential or any(each.sequential for each, _ in members):
        return {}
    chosen_splits = splits(
        label_keys(panel, label.name),
        groups=chosen.cpcv_groups,
        test_groups=chosen.cpcv_test_groups,
        numbers=dict(dated.select("session", "number").iter_rows()),
    )
    found = cpcv_scores(
        panel,
        label.name,
        chosen_splits,
        lambda frame, target: fit(model, frame, target, given, ledger=ledger, members=members),
        outcome=outcome.name,
        progress=progress,
    )
    ics, ratios = found.table["rank_ic"].drop_nulls(), found.table["sharpe"].drop_nulls()
    return {
        "cpcv": {
            "model": name,
            "paths": found.table.height,
            "splits": len(chosen_splits),
            "rank_ic_mean": ics.mean(),
            "rank_ic_lowest": ics.min(),
            "rank_ic_highest": ics.max(),
            "score_sharpe_mean": ratios.mean(),
            "score_sharpe_lowest": ratios.min(),
            "paths_below_zero": int((ics < 0).sum()),
        }
    }


_KINDS = ("candidate", "tuning", "backtest")


def _plan(
    desk: Desk,
    view: View,
    panel: Panel,
    label: Label,
    folds: Sequence[Fold],
    entrants: Entrants,
    rules: Rules,
    chosen: MeetingSettings,
    universe: str,
    benchmark: str,
    holdout_first: dt.date,
) -> dict[str, Any]:
    """Everything that is fixed before the first fit."""
    return {
        "desk": desk.name,
        "as_of": view.as_of,
        "recipe": panel.recipe,
        "features": panel.features,
        "label": label.name,
        "candidates": entrants.prints,
        "parameters": entrants.parameters,
        "allocators": entrants.allocators,
        "folds": [asdict(fold) for fold in folds],
        "rules": asdict(rules),
        "settings": {name: value for name, value in asdict(chosen).items() if name not in _NO_RESULT},
        "universe": universe,
        "benchmark": benchmark,
        "holdout_first": holdout_first,
    }


def train_first(dated: pl.DataFrame, chosen: MeetingSettings) -> dt.date:
    """First decision session of the rolling window that ends with the last of `dated`."""
    first: dt.date = dated["session"][max(dated.height - chosen.train_sessions, 0)]
    return first


def _matched(earlier: pl.DataFrame | None, played: Portfolios) -> np.ndarray | None:
    """Active returns of earlier tries on these very sessions; those that do not cover them are only counted."""
    if earlier is None or earlier.width < 2:
        return None
    days = pl.DataFrame({"session": played.dates[1:]}, schema={"session": pl.Date})
    joined = days.join(earlier, on="session", how="left", maintain_order="left").drop("session")
    whole = [name for name in joined.columns if joined[name].null_count() == 0]
    return joined.select(whole).to_numpy() if whole else None


def _notes(played: Portfolios, traded: Traded, chosen: MeetingSettings, desk: Desk) -> list[str]:
    counted = [
        (played.unfilled, "orders of all entrants together found no price in their session and were not filled"),
        (played.carried, "position-days of all entrants together were marked at an older price"),
        (played.vanished, "holdings of all entrants together vanished and were turned into cash at their last price"),
    ]
    notes = [f"{count:,} {what}." for count, what in counted if count]
    if traded.prices.opens is None:
        notes.append("The data hold no opens: orders fill at the close of the decision session.")
    if not chosen.cash_rate:
        notes.append("Cash earns nothing in these curves; name an imported rate with `data.cash_rate`.")
    if not chosen.costs.impact:
        notes.append("Trades move no price in these curves (`trade.impact` is 0), which suits a small account.")
    notes.append(
        f"Every curve is traded every {desk.rebalance_sessions} sessions at the next open, without the safety checks "
        "and the whole shares of the live run."
    )
    return notes


def _told(plan: Mapping[str, Any], chosen: MeetingSettings, rules: Rules) -> dict[str, Any]:
    """What the report says it was computed with."""
    return {
        "candidates": ", ".join(plan["candidates"]),
        "allocators": ", ".join(plan["allocators"]),
        "folds": len(plan["folds"]),
        "train_sessions": chosen.train_sessions,
        "refit_sessions": chosen.refit_sessions,
        "commission_bp": chosen.costs.commission_bp,
        "slippage_bp": chosen.costs.slippage_bp,
        "impact": chosen.costs.impact,
        "replications": rules.replications,
        "block_horizons": rules.block_horizons,
        "seed": chosen.seed,
    }
