"""Training the gate: its models walked forward by whole days beside the price, fitted on all, and put on record."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.error_budget import spend
from openbell.app.evidence_files import evidence, write_evidence
from openbell.app.files import write_whole
from openbell.app.gate_data import Prepared, prepared
from openbell.app.kept_models import folder_of, keep
from openbell.app.outputs import json_text
from openbell.app.trainings import OnRecord, newest, there
from openbell.core.errors import BadInput, unknown
from openbell.core.hashing import digest, frame_digest
from openbell.research.fitting import code_behind
from openbell.research.gate_models import BASELINES, NAMES
from openbell.research.gate_scores import GateScores, scored
from openbell.research.gate_thresholds import Thresholds
from openbell.research.gate_training import Trained, load, trained
from openbell.research.gate_walk import walk
from openbell.store.tracker import Trained as Registered
from openbell.store.trials import Trial

if TYPE_CHECKING:
    from openbell.app.home import Home

Progress = Callable[[int, int, str], None]

DESK = "gate"


@dataclass(frozen=True)
class GateTraining(OnRecord):
    """A finished training or tournament of the gate as the journal knows it."""

    def version(self, name: str) -> str:
        """What decisions name."""
        return f"{name}@{self.payload['session']}#{self.payload['training'][:8]}"

    def proven(self, name: str) -> bool:
        """Whether the walk-forward of `name` knew more than the price, adjusted for the number of tries."""
        return name in self.payload["proven"]

    @cached_property
    def models(self) -> Trained:
        """Models, calibration and thresholds, every file checked against its hash."""
        return load(self.folder / "models", self.payload["manifest"])

    @cached_property
    def scores(self) -> GateScores:
        """What the walk-forward was worth."""
        import json

        return GateScores.from_record(json.loads((self.folder / "scores.json").read_text(encoding="utf-8")))

    @property
    def walked(self) -> pl.DataFrame:
        """The forecasts out of sample."""
        return evidence(self.folder, "walk", self.payload["evidence"]["walk"])

    def lines(self) -> list[str]:
        """What was found, in sentences."""
        told = [*self.payload["why"], *self.payload["notes"]]
        return [*told, f"Evidence and models: {self.folder}", f"Report: {self.folder / 'report.html'}"]


def candidates_of(home: Home, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """The candidates that were asked for, else those of the settings, else all of the desk."""
    wanted = tuple(names or home.settings.gate.candidates or home.catalogue.desks[DESK].candidates)
    usable = [each for each in NAMES if each not in BASELINES]
    for name in wanted:
        if name not in usable:
            raise unknown("candidate of the gate", name, usable)
    return tuple(dict.fromkeys(wanted))


def train_gate(
    home: Home,
    session: dt.date | None = None,
    names: Sequence[str] | None = None,
    *,
    kind: str = "training",
    progress: Progress | None = None,
) -> GateTraining:
    """Train on every trade whose outcome was known before the open of `session`, and journal it; idempotent.

    Raises
    ------
    BadInput, DataMissing
        Without trades, or where they are too few days for a single forecast.
    """
    candidates = candidates_of(home, names)
    data = prepared(home, session)
    plan = _plan(home, data, candidates, kind)
    done = _there(home, plan)
    if done is not None:
        keep(home, done.payload)
        return done
    folder = folder_of(home, DESK, plan)
    _count(home, candidates, plan)
    walked, scores = judged(home, data, candidates, progress)
    fitted = trained(data.rows, data.features, [*candidates, *BASELINES], fit_at=data.as_of, **_how(home))
    manifest = fitted.save(folder / "models")
    files = write_evidence(folder, {"walk": walked, "computed": data.computed, "drift": data.drift})
    write_whole(folder / "scores.json", json_text(scores.record))
    return _recorded(home, data, plan, folder, scores, manifest, files, candidates, kind)


def hold_gate(
    home: Home,
    session: dt.date | None = None,
    names: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
) -> GateTraining:
    """A tournament: a training that spends part of the year's budget of error, refused where that is used up."""
    candidates = candidates_of(home, names)
    spend(home, DESK, digest([DESK, prepared(home, session).session, sorted(candidates), home.settings.hash]))
    return train_gate(home, session, names, kind="tournament", progress=progress)


def judged(
    home: Home, data: Prepared, candidates: Sequence[str], progress: Progress | None = None
) -> tuple[pl.DataFrame, GateScores]:
    """The candidates and the baselines walked forward by days, and what that was worth."""
    wanted, train = home.settings.gate, home.settings.train
    walked = walk(
        data.rows,
        data.features,
        [*candidates, *BASELINES],
        fit=functools.partial(trained, **_how(home)),
        min_train_days=wanted.min_train_days,
        train_days=wanted.train_days,
        refit_days=wanted.refit_days,
        jobs=home.settings.train.jobs,
        progress=progress,
    )
    scores = scored(walked, alpha=train.alpha, replications=train.replications, seed=train.seed, modelled=data.made_up)
    return walked, scores


def _how(home: Home) -> dict[str, Any]:
    """How a fit is made, by the settings."""
    wanted = home.settings.gate
    imported = None
    if wanted.thresholds_file:
        imported = Thresholds.from_json(Path(wanted.thresholds_file).read_text(encoding="utf-8"))
    return {
        "thresholds": imported,
        "min_trades": wanted.min_trades,
        "calibration_share": wanted.calibration_share,
        "thresholds_by": wanted.thresholds_by,
        "threshold_low": wanted.threshold_low,
        "threshold_high": wanted.threshold_high,
    }


def _plan(home: Home, data: Prepared, candidates: Sequence[str], kind: str) -> str:
    """Hash of everything that decides what is found."""
    from openbell.quant import design_effects, partial_pooling, pooling_algebra
    from openbell.research import (
        gate_baselines,
        gate_calibration,
        gate_fallback,
        gate_inputs,
        gate_models,
        gate_pooled,
        gate_scaling,
        gate_scores,
        gate_thresholds,
        gate_training,
        gate_walk,
    )

    parts = (
        design_effects, partial_pooling, pooling_algebra, gate_baselines, gate_calibration, gate_fallback, gate_inputs,
        gate_models, gate_pooled, gate_scaling, gate_scores, gate_thresholds, gate_training, gate_walk,
    )  # fmt: skip
    return digest(
        {
            "kind": kind,
            "as_of": data.as_of,
            "rows": frame_digest(data.rows),
            "features": list(data.features),
            "candidates": list(candidates),
            "settings": home.settings.gate.model_dump(),
            "train": home.settings.train.model_dump(exclude={"jobs"}),
            "code": [code_behind(each) for each in parts],
        }
    )


def _there(home: Home, plan: str) -> GateTraining | None:
    """The same training, where it was done before."""
    found = there(home, DESK, plan)
    return None if found is None else GateTraining(*found)


def _count(home: Home, candidates: Sequence[str], plan: str) -> None:
    """Every configuration into the ledger before it is fitted."""
    from openbell.app.clock import now

    how = _how(home) | {"thresholds": home.settings.gate.thresholds_file}
    home.trials.record(
        [Trial(DESK, "candidate", name, digest([name, how]), plan, how) for name in candidates], at=now()
    )


def _recorded(
    home: Home,
    data: Prepared,
    plan: str,
    folder: Path,
    scores: GateScores,
    manifest: str,
    files: Mapping[str, str],
    candidates: Sequence[str],
    kind: str,
) -> GateTraining:
    best = scores.best or candidates[0]
    proven = [name for name in scores.proven if name in candidates]
    champion = best if best in proven else None
    payload = {
        "desk": DESK,
        "session": data.session.isoformat(),
        "training": plan,
        "champion": champion,
        "leader": champion or best,
        "proven": proven,
        "why": [_verdict(scores, champion, best), *scores.why],
        "notes": list(data.notes),
        "first": scores.first,
        "last": scores.last,
        "days": scores.days,
        "trades": scores.trades,
        "tries": len(candidates),
        "candidates": list(candidates),
        "features": list(data.features),
        "made_up": data.made_up,
        "settings": home.settings.hash,
        "manifest": manifest,
        "evidence": dict(files),
    }
    write_whole(folder / "training.json", json_text(payload))
    _register(home, data, plan, folder, payload, scores)
    record = home.journal.append(kind, payload, at=data.as_of, key=digest([kind, payload]))
    keep(home, record.payload)
    done = GateTraining(record.payload, folder)
    from openbell.app.gate_report import write_report

    write_report(done)
    return done


def _verdict(scores: GateScores, champion: str | None, best: str) -> str:
    row = scores.models.filter(pl.col("model") == best).row(0, named=True)
    low, high = row["skill_nats_low"], row["skill_nats_high"]
    between = "no interval" if low is None else f"{low:+.5f} to {high:+.5f}"
    measured = f"{row['skill_nats']:+.5f} nats per trade ({between}; {scores.trades:,} trades on {scores.days} days)"
    if champion:
        return f"{champion} knows more than the price: {measured}."
    return f"Nobody knows more than the price. The best is {best} with a skill of {measured}."


def _register(
    home: Home, data: Prepared, plan: str, folder: Path, payload: Mapping[str, Any], scores: GateScores
) -> None:
    """Every candidate into the registry; the files of a training are one folder, which all of them share."""
    rows = {row["model"]: row for row in scores.models.iter_rows(named=True)}
    measured = ("skill_nats", "skill_nats_low", "skill_nats_high", "log_loss", "auc", "brier", "ece", "usd_per_day")
    home.tracker.register(
        DESK,
        data.as_of,
        plan,
        [
            Registered(
                name=name,
                folder=(folder / "models").relative_to(home.models).as_posix(),
                manifest_hash=payload["manifest"],
                metrics={each: rows[name][each] for each in measured if rows[name][each] is not None},
                tags={"made_up": payload["made_up"] or "no"},
            )
            for name in payload["candidates"]
        ],
        payload["champion"],
        why=" ".join(payload["why"]),
        metrics={"days": float(payload["days"]), "tries": float(payload["tries"]), "base_rate": _base_rate(scores)},
        params={"features": len(payload["features"]), "trades": payload["trades"]},
    )


def _base_rate(scores: GateScores) -> float:
    return float(scores.models["base_rate"][0])


def latest_gate(home: Home, as_of: dt.datetime) -> GateTraining | None:
    """The last training or tournament whose own moment is not after `as_of`; None before the first."""
    found = newest(home, DESK, as_of)
    return None if found is None else GateTraining(*found)


def needed_gate(home: Home, as_of: dt.datetime) -> GateTraining:
    """As `latest_gate`; without one it says how there comes to be one."""
    found = latest_gate(home, as_of)
    if found is None:
        raise BadInput(
            f"There is no training of the gate as of {as_of.date()} in {home.path}. Run `openbell train gate`."
        )
    return found
