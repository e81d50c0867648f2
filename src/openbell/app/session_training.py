"""Training the session desk: its models walked forward in time, fitted on all that was known, and put on record."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from openbell.app.error_budget import spend
from openbell.app.evidence_files import evidence
from openbell.app.kept_models import folder_of, keep
from openbell.app.session_data import DESK, Prepared, Venue, prepared
from openbell.app.session_making import Making, plan_of
from openbell.app.trainings import OnRecord, newest, there
from openbell.core.errors import BadInput, unknown
from openbell.core.hashing import digest

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.research.session_models import SessionModel
    from openbell.research.session_scores import SessionScores

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SessionTraining(OnRecord):
    """A finished training or tournament of the session desk as the journal knows it."""

    @property
    def product(self) -> str:
        """Code of the product it was trained on."""
        return str(self.payload["product"])

    def version(self, name: str) -> str:
        """What calls name as their model: the label of the registry."""
        return f"{name}@{self.payload['session']}#{self.payload['manifests'][name][:8]}"

    def proven(self, name: str) -> bool:
        """Whether the walk-forward of `name` knew more than the base rates, adjusted for the number of tries."""
        return name in self.payload["proven"]

    def model(self, name: str) -> SessionModel:
        """The fitted candidate, every file checked against its hash."""
        from openbell.research.session_files import load_session_model

        return load_session_model(self.folder / "models" / name, self.payload["manifests"][name])

    @cached_property
    def scores(self) -> SessionScores:
        """What the walk-forward was worth."""
        from openbell.research.session_scores import SessionScores

        return SessionScores.from_record(json.loads((self.folder / "scores.json").read_text(encoding="utf-8")))

    def evidence(self, name: str) -> pl.DataFrame:
        """A frame of the evidence: walk, folds, rows, bars, lineage or importance."""
        return evidence(self.folder, name, self.payload["evidence"][name])

    def lines(self) -> list[str]:
        """What was found, in sentences."""
        told = [*self.payload["why"], *self.payload["notes"]]
        return [*told, f"Evidence and models: {self.folder}", f"Report: {self.folder / 'report.html'}"]


def desk_of(product: str) -> str:
    """The name under which trainings of `product` are kept, for example ``session.ES``."""
    return f"{DESK}.{product}"


def candidates_of(home: Home, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """The candidates that were asked for, else those of the settings, else the desk's own."""
    wanted = tuple(names or home.settings.session.candidates or home.catalogue.desks[DESK].candidates)
    valid = [
        name for name, each in home.catalogue.models.items() if each.task == "classification" and not each.sequential
    ]
    for name in wanted:
        if name not in valid:
            raise unknown("candidate of the session desk", name, valid)
    return tuple(dict.fromkeys(wanted))


def train_session(
    home: Home,
    session: dt.date | None = None,
    names: Sequence[str] | None = None,
    *,
    product: str | None = None,
    kind: str = "training",
    progress: Progress | None = None,
) -> SessionTraining:
    """Train on every session whose outcome was known before the open of `session`, and journal it; idempotent.

    Raises
    ------
    BadInput, DataMissing
        Without bars, or where there are too few sessions for a single forecast.
    """
    candidates = candidates_of(home, names)
    return _trained(home, prepared(home, session, product=product), candidates, kind, progress)


def _trained(
    home: Home, data: Prepared, candidates: tuple[str, ...], kind: str, progress: Progress | None
) -> SessionTraining:
    plan = plan_of(home, data, candidates, kind)
    desk = desk_of(data.product)
    found = there(home, desk, plan)
    if found is not None:
        keep(home, found[0])
        return SessionTraining(*found)
    record = Making(home, data, plan, candidates, kind, desk).done(progress)
    done = SessionTraining(record.payload, folder_of(home, desk, plan))
    from openbell.app.session_report import write_report

    write_report(home, done)
    return done


def hold_session(
    home: Home,
    session: dt.date | None = None,
    names: Sequence[str] | None = None,
    *,
    product: str | None = None,
    progress: Progress | None = None,
) -> SessionTraining:
    """A tournament: a training that spends part of the year's budget of error and puts its champion in office."""
    from openbell.app.production import appoint

    candidates = candidates_of(home, names)
    data = prepared(home, session, product=product)
    desk = desk_of(data.product)
    spend(home, desk, digest([desk, data.session, sorted(candidates), home.settings.hash]))
    held = _trained(home, data, candidates, "tournament", progress)
    if held.champion is not None:
        version = home.tracker.version(desk, held.version(held.champion))
        appoint(home, version, at=version.as_of, by="tournament", why=held.payload["why"][:1], training=held.payload)
    return held


def latest_session(home: Home, as_of: dt.datetime, product: str) -> SessionTraining | None:
    """The last training of `product` whose own moment is not after `as_of`; None before the first."""
    found = newest(home, desk_of(product), as_of)
    return None if found is None else SessionTraining(*found)


def needed_session(home: Home, as_of: dt.datetime, product: str | None = None) -> SessionTraining:
    """As `latest_session`; without one it says how there comes to be one."""
    code = product or Venue.of(home).product.code
    found = latest_session(home, as_of, code)
    if found is None:
        later = latest_session(home, dt.datetime(9000, 1, 1, tzinfo=dt.UTC), code)
        told = f" --as-of {as_of:%Y-%m-%d}`; that of {later.payload['session']} has seen that day" if later else "`"
        raise BadInput(
            f"There is no training of the session desk for {code} as of {as_of:%Y-%m-%d %H:%M} UTC in {home.path}. "
            f"Run `openbell train session --product {code}{told}."
        )
    return found
