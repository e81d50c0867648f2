"""A tournament of a desk: held on what is not held out, put on record, and its champion put in office, or nobody."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app import evidence
from openbell.app.clock import seconds
from openbell.app.holdout import holdout_first, span
from openbell.app.production import Production, appoint, in_office
from openbell.app.selection_files import link_latest, selection_folder, write_candidates, write_selection
from openbell.app.training import (
    Progress,
    bound_desk,
    features_of,
    replay,
    train_settings,
    universe_of,
)
from openbell.core.declare import Desk, Label, Model
from openbell.core.errors import Refused
from openbell.core.hashing import digest
from openbell.core.view import View
from openbell.quant.allocation import allocator_name
from openbell.research.backtest import Costs
from openbell.research.candidates import Candidate
from openbell.research.champion import choose
from openbell.research.contest import JOINED_BY, Contest
from openbell.research.entrants import Entrants, entrants_of
from openbell.research.last_look import last_look
from openbell.research.refit import refit
from openbell.research.selection import Rules
from openbell.research.tournament import Past, Played, tournament
from openbell.research.training import Training
from openbell.research.venue import MeetingSettings, Venue
from openbell.store.tracker import ModelVersion, Trained

if TYPE_CHECKING:
    from openbell.app.home import Home

KIND = "tournament"
#: Measures of an entrant that go to the registry and into the champion's metadata.
MEASURED = (
    "cagr",
    "sharpe",
    "sharpe_lower",
    "sharpe_upper",
    "max_drawdown",
    "calmar",
    "turnover",
    "win_rate",
    "total_return",
    "volatility",
    "active_return",
    "active_sharpe",
    "information_ratio",
    "regime_consistency",
    "deflated_sharpe",
    "statistic",
    "p_value",
    "weighted_score",
)


@dataclass(frozen=True)
class Asked:
    """What a command line says beside the settings; None leaves what is set."""

    candidates: tuple[str, ...] | None = None
    allocators: tuple[str, ...] | None = None
    baseline: str | None = None
    trials: int | None = None
    time_budget_seconds: float | None = None
    jobs: int | None = None


@dataclass(frozen=True)
class Held:
    """A tournament that was held: what it found, where it lies, and who is in office now."""

    contest: Contest
    folder: Path
    promoted: Production | None
    office: Production | None
    stays: bool = False

    @property
    def exit_code(self) -> int:
        """3 where a candidate failed; else 0 where a champion was promoted or rightly stays, and 1 where nobody may."""
        if self.contest.failures.height:
            return 3
        return 0 if self.promoted is not None or self.stays else 1

    def as_json(self) -> dict[str, Any]:
        """The tournament in short."""
        contest = self.contest
        return {
            "desk": contest.desk,
            "plan": contest.plan,
            "champion": contest.champion,
            "version": self.promoted.version if self.promoted else None,
            "in_office": self.office.version if self.office else None,
            "first": contest.first.isoformat(),
            "last": contest.last.isoformat(),
            "holdout_first": contest.holdout_first.isoformat(),
            "entrants": contest.matrix.height,
            "alpha": contest.alpha,
            "significance": {name: dict(found) for name, found in contest.significance.items()},
            "failures": contest.failures.to_dicts(),
            "why": list(contest.why),
            "notes": list(contest.notes),
            "folder": str(self.folder),
            "report": str(self.folder / "model_selection_report.html"),
        }

    def lines(self) -> list[str]:
        """What the command says."""
        failed = [f"Failed: {row['entrant']} ({row['where']}): {row['why']}" for row in _failures(self.contest)]
        office = f"In office: {self.office.sentence}" if self.office else "In office: nobody; the desk has no view."
        return [*self.contest.why, *failed, office, f"Report: {self.folder / 'model_selection_report.html'}"]


def _failures(contest: Contest) -> list[dict[str, Any]]:
    return contest.failures.to_dicts()


def hold_stocks(home: Home, session: dt.date, asked: Asked | None = None, progress: Progress | None = None) -> Held:
    """Hold the tournament of the stocks desk as of `session`; the same one again changes nothing."""
    session = home.decision_session(session)
    desk = home.catalogue.desks["stocks"]
    first = holdout_first(home, desk.name, session, make=True)
    assert first is not None
    told, rules = asked or Asked(), rules_of(home, desk)
    # Who was in office before: the same tournament once more must not meet the champion that it made.
    office = in_office(home, home.as_of(session) - dt.timedelta(microseconds=1), desk.name)
    _refuse_overspending(home, desk, session, rules.alpha)
    place = venue(home, desk, home.view(first), told, progress)
    played = tournament(
        place,
        entrants(home, desk, told, office),
        rules,
        as_of=home.as_of(session),
        holdout_first=first,
        folder=home.models,
        incumbent=_entrant_in_office(office),
        past=lambda plan: Past(active=_earlier(home, desk.name)),
    )
    home.trials.spend(desk.name, at=home.as_of(session), alpha=rules.alpha, plan=played.contest.plan)
    return _concluded(home, session, place, played)


def venue(home: Home, desk: Desk, view: View, asked: Asked, progress: Progress | None = None) -> Venue:
    """Where the entrants of `desk` meet, on what `view` knows."""
    return Venue(
        view=view,
        desk=desk,
        decide=bound_desk(home),
        features=features_of(home, view),
        label=_label(home, desk.label),
        outcome=_label(home, desk.label.replace("forward_rank", "forward_return")),
        universe=universe_of(view, home.settings.data.universe),
        benchmark=home.settings.data.benchmark,
        ledger=home.trials,
        settings=meeting_settings(home, asked),
        cache=home.cache / "tournament",
        stopwatch=seconds,
        progress=progress,
    )


def rules_of(home: Home, desk: Desk) -> Rules:
    """Gates and score of the desk as they are set."""
    criteria, thresholds = desk.judged_by(home.settings.selection[desk.name])
    values = home.settings.tournament
    return Rules(
        criteria=criteria,
        thresholds=thresholds,
        alpha=values.alpha,
        replications=values.replications,
        horizon=desk.rebalance_sessions,
        block_horizons=values.block_horizons,
        deflated_at_least=values.deflated_sharpe,
        seed=home.settings.train.seed,
    )


def meeting_settings(home: Home, asked: Asked) -> MeetingSettings:
    """How the entrants meet: the settings, and what the command line says over them."""
    values, train, trade = home.settings.tournament, home.settings.train, home.settings.trade
    budget = values.time_budget_minutes * 60.0 if asked.time_budget_seconds is None else asked.time_budget_seconds
    return MeetingSettings(
        history_years=values.history_years,
        warmup_sessions=train.warmup_sessions,
        train_sessions=values.train_sessions,
        refit_sessions=values.refit_sessions,
        lead_minutes=home.settings.run.lead_minutes,
        costs=Costs(
            commission_bp=trade.commission_bp,
            slippage_bp=trade.slippage_bp,
            impact=trade.impact,
            delisting_return=values.delisting_return,
        ),
        cash_rate=home.settings.data.cash_rate,
        capital_usd=home.settings.run.capital,
        trials=asked.trials or values.trials,
        time_budget_seconds=budget,
        cpcv_groups=values.cpcv_groups,
        cpcv_test_groups=values.cpcv_test_groups,
        min_names=train.min_names,
        seed=train.seed,
        jobs=asked.jobs or train.jobs,
    )


def entrants(home: Home, desk: Desk, asked: Asked, office: Production | None) -> Entrants:
    """Who meets: those asked for, or set, or the desk's own; the baseline and the one in office always do."""
    values = home.settings.tournament
    models = list(asked.candidates or values.candidates or desk.entrants)
    allocators = [allocator_name(each) for each in asked.allocators or values.allocators or desk.allocators]
    if asked.baseline is not None:
        models.append(asked.baseline)
    reigning = _entrant_in_office(office)
    if reigning is not None:
        model, _, allocator = reigning.partition(JOINED_BY)
        models.append(model)
        allocators.append(allocator)
    return entrants_of(models, allocators, _finder(home), _parameters(home))


def _finder(home: Home) -> Callable[[str], Model]:
    return lambda name: home.catalogue.find("models", name)  # type: ignore[return-value]


def _parameters(home: Home) -> dict[str, dict[str, Any]]:
    """Parameters of every model, as they are set."""
    return {name: dict(given) for name, given in home.settings.models.items() if given}


def _label(home: Home, name: str) -> Label:
    return home.catalogue.find("labels", name)  # type: ignore[return-value]


def _entrant_in_office(office: Production | None) -> str | None:
    """The champion as an entrant, where it is a pair of a model and an allocator."""
    if office is None:
        return None
    candidate = str(office.payload["candidate"])
    if JOINED_BY in candidate:
        return candidate
    return f"{candidate}{JOINED_BY}{office.weighting}" if office.weighting else None


def _refuse_overspending(home: Home, desk: Desk, session: dt.date, alpha: float) -> None:
    """A tournament that the year's budget of error does not cover is not held: looking is what costs."""
    spent, allowed = home.trials.spent(desk.name, session.year), home.settings.tournament.alpha_per_year
    if spent + alpha > allowed + 1e-12:
        raise Refused(
            f"The tournaments of {session.year} have spent {spent:.2%} of the {allowed:.2%} that a year may err, and "
            f"one more would spend {alpha:.2%}. Wait for the next year, lower `tournament.alpha`, or raise "
            "`tournament.alpha_per_year` and own the error."
        )


def _earlier(home: Home, desk: str) -> pl.DataFrame | None:
    """Active returns of all earlier tournaments of the desk, one column each: they were tries too."""
    joined: pl.DataFrame | None = None
    for record in home.journal.records(kind=KIND, desk=desk):
        path = home.models / record.payload["plan"] / "evidence" / "active.parquet"
        if not path.is_file():
            continue
        frame = pl.read_parquet(path)
        named = frame.rename({name: f"{record.payload['plan'][:8]} {name}" for name in frame.columns[1:]})
        joined = named if joined is None else joined.join(named, on="session", how="full", coalesce=True)
    return joined


def _concluded(home: Home, session: dt.date, place: Venue, played: Played) -> Held:
    """Evidence, files, registry, record, office: each can be done again."""
    contest, desk = played.contest, place.desk
    champion = None
    if contest.champion is not None:
        model = contest.champion.partition(JOINED_BY)[0]
        now_known = replace(place, view=home.view(session))
        champion = refit(now_known, played, model, home.models / contest.plan / "production")
    payload = _evidence(home, place, played, session, champion)
    folder = selection_folder(home.path / "reports", session)
    files = write_selection(folder, contest)
    link_latest(folder)
    fitted = [each for each in played.candidates if each.folder is not None]
    write_candidates(
        home.models / "candidates" / contest.plan,
        contest,
        {each.name: each.folder.relative_to(home.models).as_posix() for each in fitted if each.folder is not None},
        {each.name: str(each.manifest_hash) for each in fitted},
    )
    versions = _registered(home, desk, session, played, champion, files)
    home.journal.append(KIND, payload, at=home.as_of(session), key=digest([KIND, contest.plan, session]))
    promoted = None
    if contest.champion is not None and contest.champion in versions:
        promoted = _promoted(home, session, contest, versions[contest.champion], payload)
    office = promoted or in_office(home, home.as_of(session), desk.name)
    return Held(contest, folder, promoted, office, played.selection.stays)


def _as_training(home: Home, played: Played, view: View) -> Training:
    """The tournament in the form in which the daily report reads its evidence."""
    contest = played.contest
    own = train_settings(home)
    choice = choose(
        played.ics,
        horizon=1,
        alpha=contest.alpha,
        replications=own.replications,
        block_horizons=own.block_horizons,
        seed=own.seed,
        abstained={row["entrant"]: row["why"] for row in contest.failures.to_dicts() if row["where"] == "training"},
    )
    chosen = contest.champion.partition(JOINED_BY)[0] if contest.champion else None
    return Training(
        desk=contest.desk,
        as_of=view.as_of,
        plan=contest.plan,
        recipe=contest.recipe,
        label=contest.label,
        horizon_sessions=_label(home, contest.label).horizon_sessions,
        features=played.features,
        scores=played.scores,
        ics=played.ics,
        choice=replace(choice, champion=chosen, why=contest.why),
        candidates=played.candidates,
        folds=played.folds,
        settings=own,
        notes=contest.notes,
    )


def _evidence(
    home: Home, place: Venue, played: Played, session: dt.date, champion: Candidate | None
) -> Mapping[str, Any]:
    """Write what the choice rests on beside the models; the payload of the record."""
    contest, view = played.contest, place.view
    training = _as_training(home, played, view)
    weighting = contest.champion.partition(JOINED_BY)[2] if contest.champion else None
    tested = replay(home, view, training, place.universe, place.progress, weighting=weighting)
    folder = home.models / contest.plan / "evidence"
    files = evidence.save(folder, training, tested, evidence.quantiles(view, training, home.catalogue))
    contest.active.write_parquet(folder / "active.parquet")
    return {
        "desk": contest.desk,
        "session": session.isoformat(),
        "plan": contest.plan,
        "training": contest.plan,
        "champion": contest.champion,
        "model": f"{contest.plan}/production/{champion.name}" if champion else None,
        "manifest": champion.manifest_hash if champion else None,
        "why": list(contest.why),
        "universe": place.universe,
        "benchmark": home.settings.data.benchmark,
        "label": contest.label,
        "horizon_sessions": training.horizon_sessions,
        "tries": contest.significance["trials"]["raw"],
        "alpha": contest.alpha,
        "holdout_first": contest.holdout_first.isoformat(),
        "entrants": contest.matrix["entrant"].to_list(),
        "parameters": {name: dict(given) for name, given in played.entrants.parameters.items()},
        "features": list(played.features),
        "failures": contest.failures.to_dicts(),
        "notes": list(contest.notes),
        "settings": home.settings.hash,
        "evidence": files,
    }


def _registered(
    home: Home, desk: Desk, session: dt.date, played: Played, champion: Candidate | None, files: list[Path]
) -> Mapping[str, ModelVersion]:
    """A run and, where a model came of it, a version for each entrant; the champion's is its refit for production."""
    contest = played.contest
    fitted = {each.name: each for each in played.candidates}
    trained = []
    for row in contest.matrix.to_dicts():
        own = champion if champion is not None and row["entrant"] == contest.champion else fitted[row["model"]]
        trained.append(
            Trained(
                name=row["entrant"],
                folder=own.folder.relative_to(home.models).as_posix() if own.folder else None,
                manifest_hash=own.manifest_hash,
                params={**own.parameters, "allocator": row["allocator"]},
                metrics={name: row[name] for name in MEASURED},
                why=own.abstains or "",
            )
        )
    registered = home.tracker.register_tournament(
        desk.name,
        home.as_of(session),
        contest.plan,
        trained,
        why=" ".join(contest.why),
        metrics={"tries": float(contest.significance["trials"]["raw"]), "alpha": contest.alpha},
        params=dict(contest.parameters),
        tags={"recipe": contest.recipe, "data": contest.recipe, "holdout_first": contest.holdout_first.isoformat()},
        files=[path for path in files if path.suffix in (".png", ".csv", ".md")],
    )
    return registered.versions


def _promoted(
    home: Home, session: dt.date, contest: Contest, version: ModelVersion, payload: Mapping[str, Any]
) -> Production:
    row = contest.matrix.row(by_predicate=pl.col("entrant") == contest.champion, named=True)
    return appoint(
        home,
        version,
        at=home.as_of(session),
        by="tournament",
        why=contest.why[:1],
        weighting=row["allocator"],
        training={**payload, "champion": version.label},
        metrics={name: row[name] for name in MEASURED},
        weighted_score=row["weighted_score"],
        plan=contest.plan,
    )


def holdout_evaluation(home: Home, desk_name: str) -> Mapping[str, Any]:
    """What the champion in office earned over the hold-out; `holdout.open_holdout` calls it, once for each champion."""
    desk = home.catalogue.desks[desk_name]
    first, last = span(home, desk_name)
    after = home.sessions.shift(last, 1)
    office = in_office(home, home.as_of(after), desk_name)
    if office is None:
        raise Refused(f"Nobody is in office at the desk `{desk_name}`, so there is no champion to evaluate.")
    candidate, _, allocator = str(office.payload["candidate"]).partition(JOINED_BY)
    weighting = allocator or office.weighting or home.settings.desks[desk_name]["weighting"]
    chosen_on = office.training or {}
    met = entrants_of(
        [candidate], [allocator_name(weighting)], _finder(home), _parameters(home) | chosen_on.get("parameters", {})
    )
    place = venue(home, desk, home.view(after), Asked())
    known = set(chosen_on.get("features", ())) or {each.name for each in place.features}
    own = [each for each in place.features if each.name in known]
    return last_look(replace(place, features=own), met, first)
