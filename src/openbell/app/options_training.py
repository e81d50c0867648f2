"""Training the options desk: every structure simulated on every past day, stage 1 walked forward, and put on record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.error_budget import spend
from openbell.app.evidence_files import evidence, write_evidence
from openbell.app.files import write_whole
from openbell.app.kept_models import folder_of, keep
from openbell.app.options_history import Past, past_of
from openbell.app.options_market import OptionMarketData, market_data
from openbell.app.outputs import json_text
from openbell.app.trainings import OnRecord, newest, there
from openbell.core.errors import LeakFound, unknown
from openbell.core.hashing import digest, frame_digest
from openbell.core.time import utc
from openbell.quant.feature_groups import EIGHTY_FOUR
from openbell.quant.structures import STRUCTURES
from openbell.research.fitting import code_behind
from openbell.research.option_baselines import ladder
from openbell.research.option_feature_checks import constant_features, out_of_range
from openbell.research.option_history import Chosen, Cube, stage_two
from openbell.research.option_scores import HORIZON, Scoreboard, scoreboard
from openbell.research.option_walk import CONSTANT, Candidate, Walk, forecast_rows, walk
from openbell.research.sanity import RULE_DEPTH, rule_label_accuracy
from openbell.research.stage_files import load_stage, rounded, save_stage
from openbell.research.stage_one import StageOne, configurations, fit_stage_one
from openbell.store.tracker import Trained as Registered
from openbell.store.trials import Trial

if TYPE_CHECKING:
    from openbell.app.home import Home

Progress = Callable[[int, int, str], None]

FRAMES = ("strategies", "classification", "structures", "paths", "forecasts", "chosen")
#: Sessions a year, for the span that is walked.
YEAR = 252
#: Labels below which a rule cannot be told from luck.
FEWEST_LABELS = 100


def desk_of(underlying: str) -> str:
    """The name under which the models and records of `underlying` stand."""
    return f"options.{underlying}"


@dataclass(frozen=True)
class OptionTraining(OnRecord):
    """A finished training or tournament as the journal knows it."""

    @property
    def version(self) -> str:
        """What decisions name."""
        return f"{self.leader}@{self.payload['session']}#{self.payload['manifests'][self.leader][:8]}"

    def stage(self, name: str | None = None) -> StageOne:
        """The fitted stage 1 of a candidate, every file checked against its hash."""
        which = name or self.leader
        return load_stage(self.folder / which, self.payload["manifests"][which])

    def frame(self, name: str) -> pl.DataFrame:
        """One of `FRAMES`, checked against its hash."""
        return evidence(self.folder, name, self.payload["evidence"][name])

    def lines(self) -> list[str]:
        """What was found, in sentences."""
        told = [*self.payload["why"], *self.payload["notes"]]
        return [*told, f"Evidence and models: {self.folder}", f"Report: {self.folder / 'report.html'}"]


def candidates_of(home: Home, names: Sequence[str] | None = None) -> list[Candidate]:
    """The candidates: a regression and the classifier of the same name, with the parameters that are set for them."""
    wanted = tuple(names or home.settings.options.candidates or home.catalogue.desks["options"].candidates)
    models = home.catalogue.models
    found = []
    for name in dict.fromkeys(wanted):
        regressor = models.get(name)
        if regressor is None or regressor.task != "regression" or regressor.sequential or regressor.members:
            usable = [each for each in models if f"{each}_classifier" in models and not models[each].sequential]
            raise unknown("candidate of the options desk", name, usable)
        classifier = models[f"{name}_classifier"]
        settings = {each.name: dict(home.settings.models[each.name]) for each in (regressor, classifier)}
        found.append(Candidate(name, regressor, classifier, settings))
    return found


def train_options(
    home: Home,
    underlying: str,
    session: dt.date,
    names: Sequence[str] | None = None,
    *,
    kind: str = "training",
    progress: Progress | None = None,
) -> OptionTraining:
    """Train on everything known before the open of `session`, and journal what was found; idempotent.

    Raises
    ------
    BadInput
        Where the history is too short for a single forecast.
    """
    session = home.decision_session(session)
    view = home.view(session)
    candidates = candidates_of(home, names)
    data = market_data(home, view, underlying, progress=progress)
    past = past_of(data)
    plan = _plan(home, past, candidates, kind)
    folder = folder_of(home, desk_of(underlying), plan)
    done = _there(home, underlying, plan)
    if done is not None:
        keep(home, done.payload)
        return done
    count(home, underlying, candidates, plan)
    walked, chosen, board = judged(home, past, candidates, progress)
    manifests = _fitted(home, past, candidates, folder, progress)
    files = _evidence(folder, past, walked, chosen, board)
    return _recorded(home, past, session, plan, folder, walked, board, manifests, files, kind)


def judged(
    home: Home, past: Past, candidates: Sequence[Candidate], progress: Progress | None = None
) -> tuple[Walk, Chosen, Scoreboard]:
    """Stage 1 walked forward, stage 2 on each of its days, and the scoreboard of both."""
    walked = _walked(home, past, candidates, progress)
    chosen = stage_two(past.made, past.states, walked.rows, count=home.settings.options.similar_days, progress=progress)
    return walked, chosen, _board(home, past, walked, chosen)


def _plan(home: Home, past: Past, candidates: Sequence[Candidate], kind: str) -> str:
    """Hash of everything that decides what is found."""
    from openbell.research import option_history, option_scores, option_walk, stage_one

    tried = {each.name: configurations_of(each) for each in candidates}
    frame = past.features.with_columns(pl.Series("usable", past.usable))
    return digest(
        {
            "kind": kind,
            "as_of": past.data.view.as_of,
            "features": frame_digest(frame),
            "outcomes": _sum(past.made),
            "candidates": {name: {each: pair[0] for each, pair in found.items()} for name, found in tried.items()},
            "settings": home.settings.options.model_dump(),
            "train": home.settings.train.model_dump(exclude={"jobs"}),
            "code": [code_behind(each) for each in (option_history, option_scores, option_walk, stage_one)],
        }
    )


def _sum(made: Cube) -> str:
    import hashlib

    return hashlib.sha256(np.ascontiguousarray(made.returns).tobytes() + made.known_at.tobytes()).hexdigest()


def configurations_of(each: Candidate) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """What a fit of this candidate tries: fingerprint and parameters by model name."""
    assert each.regressor is not None
    assert each.classifier is not None
    return configurations(each.regressor, each.classifier, each.parameters)


def _there(home: Home, underlying: str, plan: str) -> OptionTraining | None:
    """The same training, where it was done before."""
    found = there(home, desk_of(underlying), plan)
    return None if found is None else OptionTraining(*found)


def count(home: Home, underlying: str, candidates: Sequence[Candidate], plan: str) -> None:
    """Every configuration into the ledger before it is fitted."""
    from openbell.app.clock import now

    desk = desk_of(underlying)
    home.trials.record(
        [
            Trial(desk, "candidate", name, fingerprint, plan, parameters)
            for each in candidates
            for name, (fingerprint, parameters) in configurations_of(each).items()
        ],
        at=now(),
    )


def _walked(home: Home, past: Past, candidates: Sequence[Candidate], progress: Progress | None) -> Walk:
    wanted = home.settings.options
    span = round(wanted.history_years * YEAR)
    rows = forecast_rows(past.made.outcomes, past.usable, min_train=wanted.min_train_sessions, last=None)
    return walk(
        past.features,
        past.made.outcomes,
        past.usable,
        [Candidate(CONSTANT), *candidates],
        ledger=home.trials,
        min_train=wanted.min_train_sessions,
        refit=wanted.refit_sessions,
        train_rows=wanted.train_sessions,
        test=span if len(rows) > span else None,
        jobs=home.settings.train.jobs,
        progress=progress,
    )


def _board(home: Home, past: Past, walked: Walk, chosen: Chosen) -> Scoreboard:
    names = list(past.made.structures)
    said = ladder(past.features).to_list()
    rules = np.array([-1 if each is None else names.index(each) for each in said])
    days = [session.item() for session in past.data.calendar[1 : len(past.made.sessions) + 1]]
    return scoreboard(
        walked,
        past.made.outcomes,
        days,
        chosen.returns,
        chosen.held,
        risk_fraction=home.settings.desks["options"]["risk_fraction"],
        rules=rules,
        alpha=home.settings.train.alpha,
        replications=home.settings.train.replications,
        seed=home.settings.train.seed,
    )


def _fitted(
    home: Home, past: Past, candidates: Sequence[Candidate], folder: Path, progress: Progress | None
) -> dict[str, str]:
    """Every candidate fitted on all that is known now, saved, with the hash of each."""
    outcomes = past.made.outcomes
    moment = np.datetime64(utc(past.data.view.as_of).replace(tzinfo=None), "us")
    rows = np.flatnonzero(past.usable & outcomes.known_by(moment))
    limit = home.settings.options.train_sessions
    rows = rows if limit is None else rows[-limit:]
    manifests = {}
    for done, each in enumerate(candidates, start=1):
        stage = fit_stage_one(
            past.features,
            outcomes,
            rows,
            regressor=each.regressor,
            classifier=each.classifier,
            ledger=home.trials,
            parameters=each.parameters,
            name=each.name,
        )
        manifests[each.name] = save_stage(rounded(stage), folder / each.name)
        if progress is not None:
            progress(done, len(candidates), f"{each.name} fitted on {len(rows)} decisions")
    return manifests


def _evidence(folder: Path, past: Past, walked: Walk, chosen: Chosen, board: Scoreboard) -> dict[str, str]:
    """What the training was judged on, beside its models: a hash per file."""
    names = past.made.structures
    days = board.paths["session"]
    forecasts = pl.concat(
        [
            pl.DataFrame(
                {
                    "session": days,
                    "candidate": [each.name] * len(days),
                    **{f"utility_{name}": each.expected[:, at] for at, name in enumerate(names)},
                    **{f"probability_{name}": each.probabilities[:, at] for at, name in enumerate(names)},
                }
            )
            for each in walked.candidates.values()
            if not each.why
        ]
    )
    picked = pl.DataFrame(
        {
            "session": days,
            "similar": chosen.similar[walked.rows],
            **{f"set_{name}": chosen.which[walked.rows, at] for at, name in enumerate(names)},
            **{f"return_{name}": chosen.returns[walked.rows, at] for at, name in enumerate(names)},
        }
    )
    frames = {
        "strategies": board.strategies,
        "classification": board.classification,
        "structures": board.structures,
        "paths": board.paths,
        "forecasts": forecasts,
        "chosen": picked,
    }
    return write_evidence(folder, {name: frames[name] for name in FRAMES})


def _recorded(
    home: Home,
    past: Past,
    session: dt.date,
    plan: str,
    folder: Path,
    walked: Walk,
    board: Scoreboard,
    manifests: Mapping[str, str],
    files: Mapping[str, str],
    kind: str,
) -> OptionTraining:
    data = past.data
    stopped = {name: each.why for name, each in walked.candidates.items() if each.why}
    payload = {
        "desk": desk_of(data.underlying),
        "underlying": data.underlying,
        "session": session.isoformat(),
        "training": plan,
        "champion": board.champion,
        "leader": board.champion or _leader(board, manifests),
        "why": list(board.why),
        "notes": [*_notes(past, walked), *(f"{name} stopped: {why}" for name, why in stopped.items()), *data.remarks],
        "first": str(board.paths["session"][0]),
        "last": str(board.paths["session"][-1]),
        "days": board.paths.height,
        "tries": len(manifests),
        "horizon_sessions": HORIZON,
        "modelled": bool(data.surfaces.modelled.any()),
        "settings": home.settings.hash,
        "manifests": dict(manifests),
        "evidence": dict(files),
    }
    write_whole(folder / "training.json", json_text(payload))
    _register(home, data, plan, folder, payload, board)
    record = home.journal.append(kind, payload, at=data.view.as_of, key=digest([kind, payload]))
    keep(home, record.payload)
    trained = OptionTraining(record.payload, folder)
    from openbell.app.reports.options import training_report

    write_whole(folder / "report.html", training_report(trained))
    return trained


def _leader(board: Scoreboard, manifests: Mapping[str, str]) -> str:
    if board.test is None:
        return next(iter(manifests))
    return board.test.names[int(np.argmax(board.test.statistic))]


def _notes(past: Past, walked: Walk) -> list[str]:
    data = past.data
    left_out = int((~past.usable).sum())
    modelled = int(data.surfaces.modelled.sum())
    return [
        f"{data.underlying}: {len(past.made.sessions):,} past decisions, {left_out:,} of them without all inputs of "
        f"the 84 features and left out; {len(walked.rows):,} forecast out of sample with {len(walked.fits)} fits each.",
        *_sanity(past),
        f"Every result here rests on modelled quotes ({modelled:,} of {len(data.sessions):,} sessions): nobody traded "
        "at them.",
    ]


def _sanity(past: Past) -> list[str]:
    """What the labels and the features look like to checks that know nothing of markets (checks 1, 12, 13).

    Raises
    ------
    LeakFound
        Where the labels are a rule of the features: then no score means anything.
    """
    best = past.made.outcomes.best
    known = np.flatnonzero(past.usable & ~np.isnat(past.made.known_at) & (best >= 0))
    table = past.data.features.frame
    impossible = out_of_range(table).filter("hard")
    said = [
        f"`{row['feature']}` lies outside {row['low']:g} to {row['high']:g} on {row['count']:,} of {row['of']:,} days."
        for row in impossible.iter_rows(named=True)
    ]
    said += constant_features(table)["reason"].to_list()
    if len(known) < FEWEST_LABELS:
        return said
    matrix = past.features[known].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    found = rule_label_accuracy(matrix, best[known])
    if found.is_rule:
        raise LeakFound(
            f"A tree of depth {RULE_DEPTH} on the features foretells {found.accuracy:.1%} of the labels: they are a "
            "rule of the features, not what became of the days."
        )
    told = f"A tree of depth {RULE_DEPTH} on the features names {found.accuracy:.0%} of {found.n:,} later labels"
    return [*said, f"{told} (the commonest one {found.base_rate:.0%}): they are no rule of the features."]


def _register(
    home: Home, data: OptionMarketData, plan: str, folder: Path, payload: Mapping[str, Any], board: Scoreboard
) -> None:
    """Every candidate into the registry, under the underlying's own name."""
    rows = {row["strategy"]: row for row in board.strategies.iter_rows(named=True)}
    measured = ("mean_utility", "utility_low", "utility_high", "win_rate", "trades", "days", "p_value")
    trained = [
        Registered(
            name=name,
            folder=(folder / name).relative_to(home.models).as_posix(),
            manifest_hash=manifest,
            metrics={each: rows[name][each] for each in measured} if name in rows else {},
            tags={"underlying": data.underlying, "modelled": str(payload["modelled"])},
        )
        for name, manifest in payload["manifests"].items()
    ]
    home.tracker.register(
        desk_of(data.underlying),
        data.view.as_of,
        plan,
        trained,
        payload["champion"],
        why=" ".join(payload["why"]),
        metrics={"days": float(payload["days"]), "tries": float(payload["tries"]), "base_rate": 0.0},
        params={"features": len(EIGHTY_FOUR), "structures": len(STRUCTURES)},
    )


def hold_options(
    home: Home,
    underlying: str,
    session: dt.date,
    names: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
) -> OptionTraining:
    """A tournament: a training that spends part of the year's budget of error, refused where that is used up."""
    desk = desk_of(underlying)
    candidates = candidates_of(home, names)
    spend(home, desk, digest([desk, session, sorted(each.name for each in candidates), home.settings.hash]))
    return train_options(home, underlying, session, names, kind="tournament", progress=progress)


def latest_options(home: Home, underlying: str, as_of: dt.datetime) -> OptionTraining | None:
    """The last training or tournament whose own moment is not after `as_of`; None before the first."""
    found = newest(home, desk_of(underlying), as_of)
    return None if found is None else OptionTraining(*found)
