"""One training of the signals desk from rows to record: walked forward, fitted on everything, kept, registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.clock import now, seconds
from openbell.app.evidence_files import write_evidence
from openbell.app.files import write_whole
from openbell.app.kept_models import folder_of, keep
from openbell.app.outputs import json_text
from openbell.app.signals_data import DESK, Prepared, bar_seconds, features_of
from openbell.core.hashing import digest, frame_digest
from openbell.research.fitting import code_behind
from openbell.store.journal import Record
from openbell.store.tracker import Trained as Registered

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.research.feature_quality import Quality
    from openbell.research.signal_models import Candidate, SignalModel
    from openbell.research.signal_scores import SignalScores
    from openbell.research.signal_tuning import TunedCandidate
    from openbell.research.signal_walk import Walk

Progress = Callable[[int, int, str], None]

#: Behind the name of a candidate: its parameters are tuned within the rows of each training first.
TUNED = "_tuned"
#: Trials of a search, at most: a classifier of three classes learns slowly.
MOST_TRIALS = 20


@dataclass(frozen=True, eq=False)
class Making:
    """One training that was not there yet."""

    home: Home
    data: Prepared
    plan: str
    names: tuple[str, ...]
    kind: str

    def done(self, progress: Progress | None) -> Record:
        """Walk forward, fit on everything, keep, register, journal."""
        from openbell.research.signal_files import save_signal_model
        from openbell.research.signal_scores import scored

        home, data = self.home, self.data
        folder = folder_of(home, DESK, self.plan)
        kept, quality = self._features()
        candidates, gains = self._candidates(kept, progress)
        walked = self._walked(kept, candidates, progress)
        train = home.settings.train
        scores = scored(
            walked.forecasts,
            data.rows,
            alpha=train.alpha,
            replications=train.replications,
            coverage=home.settings.signals.coverage,
            seed=train.seed,
            made_up=data.made_up,
        )
        models = self._fitted(kept, candidates)
        half_lives = {name: self._half_life(walked.forecasts, name) for name in self.names}
        manifests = {name: save_signal_model(each, folder / "models" / name) for name, each in models.items()}
        frames = {
            "walk": walked.forecasts, "folds": walked.folds, "bars": data.bars, "lineage": data.lineage,
            "quality": quality.table, "importance": _importances(models),
        }  # fmt: skip
        files = write_evidence(folder, frames)
        write_whole(folder / "scores.json", json_text(scores.record))
        notes = (*walked.notes, *quality.sentences[:1], *gains)
        return self._recorded(folder, scores, kept, half_lives, manifests, files, notes)

    def _features(self) -> tuple[tuple[str, ...], Quality]:
        """The features that pass the quality gate on the sessions before the first forecast, and what it found."""
        from openbell.research.feature_quality import pruned, quality

        data, wanted = self.data, self.home.settings.signals
        sessions = data.rows["session"].unique().sort()
        first = sessions[min(wanted.min_train_sessions, sessions.len() - 1)]
        declared = {each.name: each for each in features_of(self.home)}
        before = data.rows.filter(pl.col("session") < first)
        found = quality(before, data.features, declared, base=wanted.base)
        return pruned(data.features, found), found

    def _candidates(self, features: Sequence[str], progress: Progress | None) -> tuple[list[Candidate], list[str]]:
        """The candidates with their parameters, and what tuning gained, in sentences."""
        from openbell.research.signal_models import BASE_RATE, candidate, trials_of

        home, models = self.home, self.home.catalogue.models
        parameters = {name: dict(home.settings.models[name]) for name in models}
        made, gains = [], []
        for name in (*self.names, BASE_RATE):
            if name.endswith(TUNED):
                tuned = self._tuned(name.removesuffix(TUNED), features, progress)
                made.append(tuned.candidate)
                gains.append(_gain(tuned))
            else:
                weights = home.settings.signals.weights if name == "voting" else None
                made.append(candidate(name, models, weights=weights, parameters=parameters))
        home.trials.record(trials_of(made, desk=DESK, data=self.plan), at=now())
        return made, gains

    def _tuned(self, name: str, features: Sequence[str], progress: Progress | None) -> TunedCandidate:
        """`name` with the parameters that were best before the walk begins."""
        from openbell.research.signal_tuning import tuned_candidate
        from openbell.research.tuning import TuningSettings

        home, wanted = self.home, self.home.settings.signals
        return tuned_candidate(
            name,
            self.data.rows,
            features,
            home.catalogue.models,
            ledger=home.trials,
            desk=DESK,
            data=self.plan,
            at=now(),
            now=seconds,
            min_train_sessions=wanted.min_train_sessions,
            settings=TuningSettings(trials=min(home.settings.tournament.trials, MOST_TRIALS), folds=3),
            max_train_rows=wanted.max_train_rows,
            cache=home.cache / DESK,
            progress=progress,
        )

    def _walked(self, features: Sequence[str], candidates: Sequence[Candidate], progress: Progress | None) -> Walk:
        from openbell.research.signal_walk import Fitting, walk

        home, wanted = self.home, self.home.settings.signals
        rule = home.settings.desks[DESK]
        return walk(
            self.data.rows,
            features,
            candidates,
            ledger=home.trials,
            min_train_sessions=wanted.min_train_sessions,
            refit_sessions=wanted.refit_sessions,
            train_sessions=wanted.train_sessions,
            fitting=Fitting(wanted.calibration_share, wanted.coverage, wanted.max_train_rows),
            min_confidence=rule["min_confidence"],
            require_single=rule["require_single"],
            jobs=home.settings.train.jobs,
            cache=home.cache / DESK,
            progress=progress,
        )

    def _fitted(self, features: Sequence[str], candidates: Sequence[Candidate]) -> dict[str, SignalModel]:
        from openbell.research.signal_models import fit_signal_models

        wanted = self.home.settings.signals
        return fit_signal_models(
            self.data.rows,
            features,
            candidates,
            ledger=self.home.trials,
            fit_at=self.data.as_of,
            calibration_share=wanted.calibration_share,
            coverage=wanted.coverage,
            max_train_rows=wanted.max_train_rows,
        )

    def _half_life(self, forecasts: pl.DataFrame, name: str) -> float | None:
        """Seconds after which half of what the calls of `name` knew is gone; None where that cannot be told."""
        from openbell.research.signal_decay import decay

        base, train = self.home.settings.signals.base, self.home.settings.train
        own = forecasts.filter(pl.col("model") == name)
        return decay(own, self.data.bars, within_session=base != "1d", seed=train.seed).seconds(bar_seconds(base))

    def _recorded(
        self,
        folder: Path,
        scores: SignalScores,
        features: Sequence[str],
        half_lives: Mapping[str, float | None],
        manifests: Mapping[str, str],
        files: Mapping[str, str],
        notes: Sequence[str],
    ) -> Record:
        home, data = self.home, self.data
        best = scores.best or self.names[0]
        proven = [name for name in scores.proven if name in self.names]
        champion = best if best in proven else None
        payload = {
            "desk": DESK,
            "session": data.session.isoformat(),
            "training": self.plan,
            "champion": champion,
            "leader": champion or best,
            "proven": proven,
            "why": [verdict(scores, champion, best), *scores.why],
            "notes": [*data.notes, *notes],
            "first": scores.first,
            "last": scores.last,
            "sessions": scores.days,
            "decisions": scores.n,
            "tries": len(self.names),
            "candidates": list(self.names),
            "features": list(features),
            "base": home.settings.signals.base,
            "label": data.label.name,
            "horizon_bars": data.label.horizon_sessions,
            "half_life_seconds": dict(half_lives),
            "made_up": data.made_up,
            "data": frame_digest(data.rows),
            "settings": home.settings.hash,
            "manifests": dict(manifests),
            "evidence": dict(files),
        }
        write_whole(folder / "training.json", json_text(payload))
        self._register(folder, payload, scores)
        record = home.journal.append(self.kind, payload, at=data.as_of, key=digest([self.kind, payload]))
        keep(home, record.payload)
        return record

    def _register(self, folder: Path, payload: Mapping[str, Any], scores: SignalScores) -> None:
        """Every candidate into the registry, with its figures and where it comes from."""
        rows = {row["model"]: row for row in scores.models.iter_rows(named=True)}
        measured = ("skill_nats", "skill_nats_low", "skill_nats_high", "log_loss", "brier", "ece", "accuracy",
                    "commonest", "coverage", "n")  # fmt: skip
        self.home.tracker.register(
            DESK,
            self.data.as_of,
            self.plan,
            [
                Registered(
                    name=name,
                    folder=(folder / "models" / name).relative_to(self.home.models).as_posix(),
                    manifest_hash=payload["manifests"][name],
                    metrics={each: rows[name][each] for each in measured if rows[name][each] is not None},
                    tags={"data": payload["data"], "label": payload["label"], "made_up": payload["made_up"] or "no"},
                )
                for name in self.names
            ],
            payload["champion"],
            why=" ".join(payload["why"]),
            metrics={"sessions": float(payload["sessions"]), "tries": float(payload["tries"])},
            params={"features": len(payload["features"]), "decisions": payload["decisions"], "label": payload["label"]},
        )


def verdict(scores: SignalScores, champion: str | None, best: str) -> str:
    """What the walk-forward found, in a sentence with its figures."""
    row = scores.models.filter(pl.col("model") == best).row(0, named=True)
    low, high = row["skill_nats_low"], row["skill_nats_high"]
    between = "no interval" if low is None else f"{low:+.5f} to {high:+.5f}"
    measured = (
        f"{row['skill_nats']:+.5f} nats per decision ({between}; {row['n']:,} decisions on {scores.days} sessions)"
    )
    if champion:
        return f"{champion} knows more than the base rates: {measured}."
    return f"Nobody knows more than the base rates. The best is {best} with a skill of {measured}."


def _gain(tuned: TunedCandidate) -> str:
    """What tuning gained over the defaults on its inner folds (S3.14)."""
    gain = tuned.gain
    found = "its defaults could not be compared" if gain is None else f"{gain:+.1%} of the log-loss of its defaults"
    return (
        f"`{tuned.candidate.name}`: the best of {tuned.found.trials.height} trials gains {found} on inner folds, "
        "as the largest of many; the walk shows what it is worth."
    )


def _importances(models: Mapping[str, SignalModel]) -> pl.DataFrame:
    """The importance of every feature in every candidate, as measured in its fit."""
    found = [
        pl.DataFrame(each.report["importance"]).select(pl.lit(name).alias("model"), pl.all())
        for name, each in models.items()
        if each.report.get("importance")
    ]
    return pl.concat(found, how="diagonal") if found else pl.DataFrame(schema={"model": pl.String})


def plan_of(home: Home, data: Prepared, candidates: Sequence[str], kind: str) -> str:
    """Hash of everything that decides what is found."""
    from openbell.quant import calibration, conformal, signal_rule
    from openbell.research import (
        feature_quality,
        signal_decay,
        signal_models,
        signal_parts,
        signal_ranks,
        signal_rows,
        signal_scores,
        signal_tuning,
        signal_votes,
        signal_walk,
    )

    parts = (
        calibration, conformal, signal_rule, feature_quality, signal_decay, signal_models, signal_parts, signal_ranks,
        signal_rows, signal_scores, signal_tuning, signal_votes, signal_walk,
    )  # fmt: skip
    return digest(
        {
            "kind": kind,
            "as_of": data.as_of,
            "rows": frame_digest(data.rows),
            "features": list(data.features),
            "candidates": list(candidates),
            "settings": home.settings.signals.model_dump(),
            "models": {name: dict(home.settings.models[name]) for name in home.catalogue.models},
            "rule": dict(home.settings.desks[DESK]),
            "train": home.settings.train.model_dump(exclude={"jobs"}),
            "code": [code_behind(each) for each in parts],
        }
    )
