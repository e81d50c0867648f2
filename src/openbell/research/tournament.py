"""One tournament: every model with every allocator, judged on nothing but what could have been known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.core.hashing import digest
from openbell.core.types import Panel
from openbell.research.candidates import Candidate, final_fits, write_plan
from openbell.research.champion import rank_ics
from openbell.research.contest import JOINED_BY, Contest
from openbell.research.coverage import coverage
from openbell.research.entrants import Entrants, tuned
from openbell.research.findings import (
    consistency,
    decisions_per_year,
    failures_frame,
    matrix,
    significance,
    training_frame,
)
from openbell.research.folds import Fold
from openbell.research.looking import FamilyImportance, recombined, shap_frame
from openbell.research.meeting import Meeting, meet, settings_of
from openbell.research.portfolios import Portfolios, by_regime, cost_sensitivity, intervals, measures
from openbell.research.selection import Rules, Selection, select
from openbell.research.venue import MeetingSettings, Venue

if TYPE_CHECKING:
    from openbell.store.trials import Kind

#: Kinds of trials that the ledger counts.
KINDS: tuple[Kind, ...] = ("candidate", "tuning", "backtest")
#: Settings that change the time a tournament takes and nothing that it finds.
_NO_RESULT = ("jobs", "time_budget_seconds")


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What was tried before a tournament.

    Attributes
    ----------
    active : active returns of earlier tournaments, ``session`` and a column each; they count among the tries.
    counted : tries of the desk by kind, where the same plan was played before; None counts those in the ledger.
    """

    active: pl.DataFrame | None = None
    counted: Mapping[str, int] | None = None


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
    venue: Venue,
    entrants: Entrants,
    rules: Rules,
    *,
    as_of: dt.datetime,
    holdout_first: dt.date,
    folder: Path,
    incumbent: str | None = None,
    past: Callable[[str], Past] = lambda plan: Past(),
) -> Played:
    """Train every model, back-test it with every allocator, and let through what survives the search.

    Parameters
    ----------
    venue : its view is what was known before the open of `holdout_first`.
    rules : gates and score; see `selection.Rules`. as_of : the moment for which a champion is sought.
    folder : where fitted candidates are kept, under the plan's hash.
    incumbent : the entrant in office, if it meets the others.
    past : called with the hash of the plan once that is fixed, before anybody meets; it may refuse by raising.

    Returns
    -------
    Played
        A model that raises or abstains is a row of ``failures`` and does not meet; the others go on.

    Raises
    ------
    BadInput
        Where the span is too short for one fold, or no model is left.
    """
    dated = venue.decisions()
    folds = venue.folds(dated)
    panel = venue.panel(dated)
    entrants, tuning, tuned_notes = tuned(venue, entrants, panel, folds[0])
    plan = _plan(venue, panel, folds, entrants, rules, holdout_first)
    plan |= {"held_as_of": as_of, "incumbent": incumbent}
    before = past(digest(plan))
    if venue.cache is not None:
        write_plan(venue.cache, plan)
    look = FamilyImportance.of(venue.features, venue.label.name, venue.settings.seed)
    met = meet(venue, panel, folds, entrants, dated, examine=look)
    regimes = by_regime(met.played)
    steady = pl.Series("regime_consistency", consistency(regimes, met.played.entrants))
    measured = measures(met.played).with_columns(steady)
    bounds = _intervals(venue, met)
    counted = before.counted or {kind: venue.ledger.count(venue.desk.name, kind) for kind in KINDS}
    selection = select(
        met.played.entrants,
        met.played.active,
        measured,
        rules,
        incumbent=incumbent if incumbent in met.played.entrants else None,
        trial_returns=_matched(before.active, met.played),
        tries=sum(counted.values()),
    )
    candidates = fitted_candidates(venue, panel, entrants, dated, folder / digest(plan), plan, met.out)
    ics = rank_ics(
        met.walked.scores,
        venue.label.name,
        [each.name for each in entrants.models],
        min_names=venue.settings.min_names,
    )
    shap, unexplained = shap_frame(candidates, panel, venue.settings.seed)
    contest = Contest(
        desk=venue.desk.name,
        as_of=as_of,
        plan=digest(plan),
        recipe=panel.recipe,
        label=venue.label.name,
        universe=venue.universe,
        benchmark=met.arena.ready.benchmark,
        first=met.arena.sessions[0],
        last=met.played.dates[-1],
        holdout_first=holdout_first,
        matrix=matrix(measured, bounds, selection, met.held.fallback_counts),
        equity=met.played.equity(),
        active=met.played.active_frame(),
        regimes=regimes,
        gates=selection.gates,
        training=_training(venue, panel, entrants, met, ics),
        costs=cost_sensitivity(met.traded, met.played.dates),
        calibration=coverage(met.walked.scores, panel.frame, met.walked.folds, venue.label.name, met.able),
        importance=FamilyImportance.frame(met.walked.examined),
        shap=shap,
        tuning=tuning,
        failures=failures_frame(
            met.walked, met.held.failures, untuned=entrants.out, unfitted=_unfitted(candidates, met)
        ),
        significance=_significance(venue, panel, entrants, selection, dated, counted),
        champion=selection.champion,
        why=selection.why,
        alpha=rules.alpha,
        notes=(*panel.notes, *tuned_notes, *met.held.notes, *_notes(venue, met, incumbent), *unexplained),
        incumbent=incumbent,
        parameters=_told(plan, venue.settings, rules),
        intervals=bounds,
    )
    walked = met.walked
    return Played(contest, selection, candidates, walked.scores, ics, walked.folds, panel.features, entrants)


def fitted_candidates(
    venue: Venue,
    panel: Panel,
    entrants: Entrants,
    dated: pl.DataFrame,
    folder: Path,
    plan: Mapping[str, Any],
    left_out: Mapping[str, str],
) -> tuple[Candidate, ...]:
    """Every model on the rolling window that ends with what the view knows, saved; one that raises says why."""
    return final_fits(
        panel,
        venue.label,
        entrants.models,
        as_of=venue.view.as_of,
        dated=dated,
        stride=venue.desk.rebalance_sessions,
        train_first=venue.train_first(dated),
        folder=folder,
        plan=plan,
        ledger=venue.ledger,
        parameters=entrants.parameters,
        members=entrants.members,
        left_out=left_out,
        keep_going=True,
        jobs=venue.settings.jobs,
        progress=venue.progress,
    )


def _intervals(venue: Venue, met: Meeting) -> pl.DataFrame:
    own = venue.settings
    return intervals(
        met.played,
        horizon_sessions=venue.label.horizon_sessions,
        replications=own.replications,
        seed=own.seed,
        jobs=own.jobs,
    )


def _training(venue: Venue, panel: Panel, entrants: Entrants, met: Meeting, ics: pl.DataFrame) -> pl.DataFrame:
    return training_frame(
        [each.name for each in entrants.models],
        met.walked,
        ics,
        panel.frame.select("session", "symbol", pl.col(venue.outcome.name).alias("outcome")),
        untuned=entrants.out,
        per_year=decisions_per_year(met.walked.scores["session"].unique().sort().to_list()),
        seed=venue.settings.seed,
    )


def _significance(
    venue: Venue,
    panel: Panel,
    entrants: Entrants,
    selection: Selection,
    dated: pl.DataFrame,
    counted: Mapping[str, int],
) -> dict[str, dict[str, Any]]:
    """Every test by its name, the leader's recombined paths among them."""
    leader = selection.leaderboard["entrant"][0].partition(JOINED_BY)[0]
    paths = recombined(venue, panel, entrants, leader, dated)
    return {**significance(selection, counted), **({"cpcv": paths} if paths else {})}


def _plan(
    venue: Venue,
    panel: Panel,
    folds: Sequence[Fold],
    entrants: Entrants,
    rules: Rules,
    holdout_first: dt.date,
) -> dict[str, Any]:
    """Everything that is fixed before the first fit."""
    return {
        "desk": venue.desk.name,
        "as_of": venue.view.as_of,
        "recipe": panel.recipe,
        "features": panel.features,
        "label": venue.label.name,
        "candidates": entrants.prints,
        "parameters": entrants.parameters,
        "allocators": entrants.allocators,
        "decide": settings_of(venue.decide),
        "folds": [asdict(fold) for fold in folds],
        "rules": asdict(rules),
        "settings": {name: value for name, value in asdict(venue.settings).items() if name not in _NO_RESULT},
        "universe": venue.universe,
        "benchmark": venue.benchmark,
        "holdout_first": holdout_first,
    }


def _matched(earlier: pl.DataFrame | None, played: Portfolios) -> np.ndarray | None:
    """Active returns of earlier tries on these very sessions; those that do not cover them are only counted.

    A try that is here again is one try: its copy would say that tries are alike, and so that they were few.
    """
    if earlier is None or earlier.width < 2:
        return None
    days = pl.DataFrame({"session": played.dates[1:]}, schema={"session": pl.Date})
    joined = days.join(earlier, on="session", how="left", maintain_order="left").drop("session")
    whole = [name for name in joined.columns if joined[name].null_count() == 0]
    here = {column.tobytes() for column in np.ascontiguousarray(played.active.T)}
    other = {joined[name].to_numpy().tobytes(): name for name in whole}
    kept = [name for column, name in other.items() if column not in here]
    return joined.select(kept).to_numpy() if kept else None


def _unfitted(candidates: Sequence[Candidate], met: Meeting) -> dict[str, str]:
    """Why a model that met was not fitted on all that the view knows."""
    return {each.name: each.abstains or "" for each in candidates if each.folder is None and each.name not in met.out}


def _notes(venue: Venue, met: Meeting, incumbent: str | None) -> list[str]:
    played, chosen = met.played, venue.settings
    counted = [
        (played.unfilled, "orders of all entrants together found no price in their session and were not filled"),
        (played.carried, "position-days of all entrants together were marked at an older price"),
        (played.vanished, "holdings of all entrants together vanished and were turned into cash at their last price"),
    ]
    notes = [f"{count:,} {what}." for count, what in counted if count]
    if incumbent is not None and incumbent not in played.entrants:
        notes.append(f"The champion in office `{incumbent}` could not be judged, so nobody was compared with it.")
    if met.traded.prices.opens is None:
        notes.append("The data hold no opens: orders fill at the close of the decision session.")
    if not chosen.cash_rate:
        notes.append("Cash earns nothing in these curves; name an imported rate with `data.cash_rate`.")
    if not chosen.costs.impact:
        notes.append("Trades move no price in these curves (`trade.impact` is 0), which suits a small account.")
    notes.append(
        f"Every curve is traded every {venue.desk.rebalance_sessions} sessions at the next open, without the safety "
        "checks and the whole shares of the live run."
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
