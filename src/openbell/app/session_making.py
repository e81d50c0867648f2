"""One training of the session desk from rows to record: walked forward, fitted on everything, kept, registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbell.app.clock import now
from openbell.app.evidence_files import write_evidence
from openbell.app.files import write_whole
from openbell.app.kept_models import folder_of, keep
from openbell.app.outputs import json_text
from openbell.app.session_data import DESK, Prepared
from openbell.core.hashing import digest, frame_digest
from openbell.research.fitting import code_behind
from openbell.store.journal import Record
from openbell.store.tracker import Trained as Registered

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.research.session_models import Candidate, SessionModel
    from openbell.research.session_scores import SessionScores
    from openbell.research.session_walk import Walk

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Making:
    """One training that was not there yet; `desk` names desk and product, for example ``session.ES``."""

    home: Home
    data: Prepared
    plan: str
    names: tuple[str, ...]
    kind: str
    desk: str

    def done(self, progress: Progress | None) -> Record:
        """Walk forward, fit on everything, keep, register, journal."""
        from openbell.research.session_files import save_session_model, with_card
        from openbell.research.session_scores import scored

        home, data = self.home, self.data
        folder = folder_of(home, self.desk, self.plan)
        candidates = self._candidates()
        walked = self._walked(candidates, progress)
        train = home.settings.train
        scores = scored(
            walked.forecasts,
            data.rows,
            data.classes,
            alpha=train.alpha,
            replications=train.replications,
            seed=train.seed,
            min_sessions=home.settings.session.min_sessions,
            label=data.label.name,
            made_up=data.made_up,
        )
        models = self._fitted(candidates)
        cards = {name: with_card(each, scores=scores, lineage=data.lineage) for name, each in models.items()}
        manifests = {name: save_session_model(each, folder / "models" / name) for name, each in cards.items()}
        frames = {
            "walk": walked.forecasts, "folds": walked.folds, "rows": data.rows, "bars": data.bars,
            "lineage": data.lineage,
        }  # fmt: skip
        files = write_evidence(folder, frames)
        write_whole(folder / "scores.json", json_text(scores.record))
        return self._recorded(folder, scores, manifests, files, walked.notes)

    def _candidates(self) -> list[Candidate]:
        """The candidates with their parameters, counted as tries."""
        from openbell.research.session_models import BASE_RATE, session_candidate, trials_of

        home = self.home
        parameters = {name: chosen_parameters(home, name) for name in self.names}
        made = [
            session_candidate(name, home.catalogue.models, parameters=parameters) for name in (*self.names, BASE_RATE)
        ]
        home.trials.record(trials_of(made, desk=DESK, data=self.plan), at=now())
        return made

    def _walked(self, candidates: Sequence[Candidate], progress: Progress | None) -> Walk:
        from openbell.research.session_walk import walk

        home, wanted = self.home, self.home.settings.session
        return walk(
            self.data.rows,
            self.data.features,
            self.data.classes,
            candidates,
            ledger=home.trials,
            min_train_sessions=wanted.min_train_sessions,
            refit_sessions=wanted.refit_sessions,
            train_sessions=wanted.train_sessions,
            calibration_share=wanted.calibration_share,
            min_confidence=home.settings.desks[DESK]["min_confidence"],
            jobs=home.settings.train.jobs,
            cache=home.cache / DESK,
            progress=progress,
        )

    def _fitted(self, candidates: Sequence[Candidate]) -> dict[str, SessionModel]:
        from openbell.research.session_models import fit_session_models

        return fit_session_models(
            self.data.rows,
            self.data.features,
            self.data.label.name,
            candidates,
            ledger=self.home.trials,
            fit_at=self.data.as_of,
            calibration_share=self.home.settings.session.calibration_share,
        )

    def _recorded(
        self,
        folder: Path,
        scores: SessionScores,
        manifests: Mapping[str, str],
        files: Mapping[str, str],
        notes: Sequence[str],
    ) -> Record:
        home, data = self.home, self.data
        best, proven = scores.best or self.names[0], list(scores.proven)
        champion = proven[0] if proven else None
        payload = {
            "desk": self.desk,
            "product": data.product,
            "session": data.session.isoformat(),
            "training": self.plan,
            "champion": champion,
            "leader": champion or best,
            "proven": proven,
            "why": [scores.evidence, *scores.why],
            "notes": [*data.notes, *notes],
            "first": scores.first,
            "last": scores.last,
            "sessions": scores.n,
            "tries": len(self.names),
            "candidates": list(self.names),
            "features": list(data.features),
            "base": home.settings.session.base,
            "cutoff": home.settings.session.cutoff,
            "label": data.label.name,
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

    def _register(self, folder: Path, payload: Mapping[str, Any], scores: SessionScores) -> None:
        """Every candidate into the registry, with its figures and where it comes from (S4.14)."""
        rows = {row["model"]: row for row in scores.models.iter_rows(named=True)}
        measured = ("skill_nats", "skill_nats_low", "skill_nats_high", "log_loss", "brier", "ece", "accuracy",
                    "commonest", "auc", "n")  # fmt: skip
        tags = {name: payload[name] for name in ("data", "label", "product", "cutoff", "base")}
        self.home.tracker.register(
            self.desk,
            self.data.as_of,
            self.plan,
            [
                Registered(
                    name=name,
                    folder=(folder / "models" / name).relative_to(self.home.models).as_posix(),
                    manifest_hash=payload["manifests"][name],
                    metrics={each: rows[name][each] for each in measured if rows[name][each] is not None},
                    tags=tags | {"made_up": payload["made_up"] or "no"},
                )
                for name in self.names
            ],
            payload["champion"],
            why=" ".join(payload["why"]),
            metrics={"sessions": float(payload["sessions"]), "tries": float(payload["tries"])},
            params={"features": len(payload["features"]), "label": payload["label"], "cutoff": payload["cutoff"]},
        )


def chosen_parameters(home: Home, name: str) -> dict[str, Any]:
    """Parameters of the model `name` that somebody set; the others are the desk's own (S4.07)."""
    settings = home.settings
    return {
        key: value
        for key, value in settings.models[name].items()
        if settings.origins[f"models.{name}.{key}"] != "default"
    }


def plan_of(home: Home, data: Prepared, candidates: Sequence[str], kind: str) -> str:
    """Hash of everything that decides what is found."""
    from openbell.quant import calibration
    from openbell.research import session_models, session_rows, session_scores, session_walk

    parts = (calibration, session_models, session_rows, session_scores, session_walk)
    return digest(
        {
            "kind": kind,
            "as_of": data.as_of,
            "product": data.product,
            "rows": frame_digest(data.rows),
            "features": list(data.features),
            "candidates": list(candidates),
            "settings": home.settings.session.model_dump(),
            "models": {name: chosen_parameters(home, name) for name in candidates},
            "rule": dict(home.settings.desks[DESK]),
            "train": home.settings.train.model_dump(exclude={"jobs"}),
            "code": [code_behind(each) for each in parts],
        }
    )
