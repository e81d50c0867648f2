"""Training the signals desk: its models walked forward in time, fitted on all that was known, and put on record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from openbell.app.error_budget import spend
from openbell.app.evidence_files import evidence
from openbell.app.kept_models import folder_of, keep
from openbell.app.signals_data import DESK, as_of_session, prepared
from openbell.app.signals_making import TUNED, Making, plan_of
from openbell.app.trainings import OnRecord, newest, there
from openbell.core.errors import BadInput, unknown
from openbell.core.hashing import digest

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.research.signal_models import SignalModel
    from openbell.research.signal_scores import SignalScores

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SignalsTraining(OnRecord):
    """A finished training or tournament of the signals desk as the journal knows it."""

    def version(self, name: str) -> str:
        """What signals name as their model: the label of the registry."""
        return f"{name}@{self.payload['session']}#{self.payload['manifests'][name][:8]}"

    def proven(self, name: str) -> bool:
        """Whether the walk-forward of `name` knew more than the base rates, adjusted for the number of tries."""
        return name in self.payload["proven"]

    def model(self, name: str) -> SignalModel:
        """The fitted candidate, every file checked against its hash."""
        from openbell.research.signal_files import load_signal_model

        return load_signal_model(self.folder / "models" / name, self.payload["manifests"][name])

    @cached_property
    def scores(self) -> SignalScores:
        """What the walk-forward was worth."""
        import json

        from openbell.research.signal_scores import SignalScores

        return SignalScores.from_record(json.loads((self.folder / "scores.json").read_text(encoding="utf-8")))

    def evidence(self, name: str) -> pl.DataFrame:
        """A frame of the evidence: walk, folds, bars, importance, lineage, quality or tuning."""
        return evidence(self.folder, name, self.payload["evidence"][name])

    def lines(self) -> list[str]:
        """What was found, in sentences."""
        told = [*self.payload["why"], *self.payload["notes"]]
        return [*told, f"Evidence and models: {self.folder}", f"Report: {self.folder / 'report.html'}"]


def candidates_of(home: Home, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """The candidates that were asked for, else those of the settings, else the desk's own that can run here.

    The desk's own list leaves out what needs PyTorch where it is not installed; asked for by name, that is refused.
    """
    wanted = tuple(names or home.settings.signals.candidates)
    valid = [each.name for each in home.catalogue.models.values() if each.task == "classification"]
    for name in wanted:
        if name.removesuffix(TUNED) not in valid:
            raise unknown("candidate of the signals desk", name, valid)
    if wanted:
        return tuple(dict.fromkeys(wanted))
    own = home.catalogue.desks[DESK].candidates
    return own if _has_torch() else tuple(each for each in own if each not in ("lstm_classifier", "voting"))


def _has_torch() -> bool:
    from importlib.util import find_spec

    return find_spec("torch") is not None


def train_signals(
    home: Home,
    session: dt.date | None = None,
    names: Sequence[str] | None = None,
    *,
    kind: str = "training",
    progress: Progress | None = None,
) -> SignalsTraining:
    """Train on every decision whose outcome was known before the open of `session`, and journal it; idempotent.

    Raises
    ------
    BadInput, DataMissing
        Without bars, or where there are too few sessions for a single forecast.
    """
    candidates = candidates_of(home, names)
    data = prepared(home, session)
    plan = plan_of(home, data, candidates, kind)
    done = _there(home, plan)
    if done is not None:
        keep(home, done.payload)
        return done
    record = Making(home, data, plan, candidates, kind).done(progress)
    done = SignalsTraining(record.payload, folder_of(home, DESK, plan))
    from openbell.app.signals_report import write_report

    write_report(home, done)
    return done


def hold_signals(
    home: Home,
    session: dt.date | None = None,
    names: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
) -> SignalsTraining:
    """A tournament: a training that spends part of the year's budget of error and puts its champion in office."""
    from openbell.app.production import appoint

    candidates = candidates_of(home, names)
    _, day = as_of_session(home, session)
    spend(home, DESK, digest([DESK, day, sorted(candidates), home.settings.hash]))
    held = train_signals(home, session, names, kind="tournament", progress=progress)
    if held.champion is not None:
        version = home.tracker.version(DESK, held.version(held.champion))
        appoint(home, version, at=version.as_of, by="tournament", why=held.payload["why"][:1], training=held.payload)
    return held


def _there(home: Home, plan: str) -> SignalsTraining | None:
    """The same training, where it was done before."""
    found = there(home, DESK, plan)
    return None if found is None else SignalsTraining(*found)


def latest_signals(home: Home, as_of: dt.datetime) -> SignalsTraining | None:
    """The last training or tournament whose own moment is not after `as_of`; None before the first."""
    found = newest(home, DESK, as_of)
    return None if found is None else SignalsTraining(*found)


def needed_signals(home: Home, as_of: dt.datetime) -> SignalsTraining:
    """As `latest_signals`; without one it says how there comes to be one."""
    found = latest_signals(home, as_of)
    if found is None:
        raise BadInput(
            f"There is no training of the signals desk as of {as_of.date()} in {home.path}. "
            "Run `openbell train signals`."
        )
    return found
