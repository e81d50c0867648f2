"""What came before a tournament: itself, where it was held already, and everything that counts against it."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import polars as pl

from openbell.app.holdout import holdout_first, planned_first
from openbell.app.production import Production, in_office, latest, promotions, refuse_rewriting
from openbell.core.errors import IntegrityBroken, Refused
from openbell.core.hashing import digest
from openbell.research.entrants import Entrants
from openbell.research.selection import Rules
from openbell.research.tournament import KINDS, Past
from openbell.research.venue import MeetingSettings
from openbell.store.journal import Record

if TYPE_CHECKING:
    from openbell.app.home import Home

KIND = "tournament"
#: File of a tournament's active returns, in its evidence.
ACTIVE = "active.parquet"
#: Settings that change how long it takes, and nothing that is asked.
_NOT_ASKED = ("jobs", "time_budget_seconds")


class AnotherPlan(Exception):
    """What was asked before has another plan now: the data that were known have changed."""


def asked_digest(entrants: Entrants, rules: Rules, settings: MeetingSettings) -> str:
    """Hash of what a tournament is asked to do, whoever is in office."""
    how = {name: value for name, value in asdict(settings).items() if name not in _NOT_ASKED}
    return digest([entrants.prints, entrants.allocators, asdict(rules), how])


def record_key(plan: str, session: dt.date) -> str:
    """Key of a tournament in the journal."""
    return digest([KIND, plan, session])


def held_before(home: Home, desk: str, session: dt.date, asked: str) -> Record | None:
    """The record of the same tournament of the same session, where it was held to its end."""
    records = home.journal.records(kind=KIND, desk=desk)
    same = [each for each in records if each.payload["session"] == session.isoformat()]
    return next((each for each in reversed(same) if each.payload.get("asked") == asked), None)


@dataclass(frozen=True)
class Before:
    """What a tournament as of `session` finds; called with its plan, it tells `research.tournament` what was tried.

    `own` is the record of the same tournament where it was held: it meets what it met then, and finds what it found.
    """

    home: Home
    desk: str
    session: dt.date
    alpha: float
    own: Record | None

    @property
    def at(self) -> dt.datetime:
        """The moment for which a champion is sought."""
        return self.home.as_of(self.session)

    @property
    def office(self) -> Production | None:
        """Who was in office when it was held first: the same tournament must not meet the champion that it made."""
        if self.own is None:
            return in_office(self.home, self.at, self.desk)
        known = [each for each in promotions(self.home, self.desk) if each.at <= self.at and each.seq < self.own.seq]
        return Production(known[-1]) if known else None

    @property
    def holdout_first(self) -> dt.date:
        """The first session that is not read."""
        if self.own is None:
            return planned_first(self.home, self.desk, self.session)
        return dt.date.fromisoformat(self.own.payload["holdout_first"])

    def check(self) -> None:
        """Refuse, before anything is computed, what could change nothing any more or may not be looked at."""
        if self.own is not None:
            return
        refuse_rewriting(self.home, self.desk, self.at, latest(self.home, self.desk))
        held = {each.payload["plan"] for each in self.home.journal.records(kind=KIND, desk=self.desk)}
        # One that was killed after it had spent may be this one: its plan will tell.
        if not set(self._plans) - held:
            self._refuse_overspending()

    def __call__(self, plan: str) -> Past:
        """What was tried before; the hold-out is set and the budget is asked here, before anybody meets."""
        if self.own is not None and self.own.payload["plan"] != plan:
            raise AnotherPlan(plan)
        if self.own is None:
            if plan not in self._plans:
                self._refuse_overspending()
            holdout_first(self.home, self.desk, self.session, make=True)
        counted = None if self.own is None else {kind: self.own.payload["counted"][kind] for kind in KINDS}
        return Past(self._active(), counted)

    def spend(self, plan: str) -> None:
        """Take the error of the tournament out of the year's budget, once."""
        self.home.trials.spend(self.desk, at=self.at, alpha=self.alpha, plan=plan)

    @property
    def _plans(self) -> dict[str, float]:
        return self.home.trials.plans(self.desk, self.at.year)

    def _refuse_overspending(self) -> None:
        """A tournament that the year's budget of error does not cover is not held: looking is what costs."""
        spent, allowed = math.fsum(self._plans.values()), self.home.settings.tournament.alpha_per_year
        if spent + self.alpha > allowed + 1e-12:
            raise Refused(
                f"The tournaments of {self.at.year} have spent {spent:.2%} of the {allowed:.2%} that a year may err, "
                f"and one more would spend {self.alpha:.2%}. Wait for the next year, lower `tournament.alpha`, or "
                "raise `tournament.alpha_per_year` and own the error."
            )

    def _active(self) -> pl.DataFrame | None:
        """Active returns of the tournaments before it, one column each: they were tries too.

        One whose file was cleared away is counted by the ledger alone; a file that is not its own is refused.
        """
        joined: pl.DataFrame | None = None
        for record in self.home.journal.records(kind=KIND, desk=self.desk):
            plan = record.payload["plan"]
            path = self.home.models / plan / "evidence" / ACTIVE
            if (self.own is not None and record.seq >= self.own.seq) or not path.is_file():
                continue
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != record.payload["evidence"][ACTIVE]:
                raise IntegrityBroken(
                    f"{path} is not what was recorded with the tournament of {record.payload['session']}, so its tries "
                    "cannot be counted. Restore it from a backup."
                )
            frame = pl.read_parquet(content)
            named = frame.rename({name: f"{plan[:8]} {name}" for name in frame.columns[1:]})
            joined = named if joined is None else joined.join(named, on="session", how="full", coalesce=True)
        return joined
