"""A tournament of a desk: held on what is not held out, put on record, and its champion put in office, or nobody."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.holdout import span
from openbell.app.production import Production, appoint, in_office, latest, promotions, settle
from openbell.app.selection_files import link_latest, selection_folder, write_candidates, write_selection
from openbell.app.tournament_past import KIND, AnotherPlan, Before, asked_digest, held_before, record_key
from openbell.app.tournament_record import MEASURED, payload_of, registered
from openbell.app.tournament_venue import (
    Asked,
    champion_alone,
    entrant_in_office,
    entrants,
    meeting_settings,
    rules_of,
    venue,
)
from openbell.app.training import Progress
from openbell.core.declare import Desk
from openbell.core.errors import Refused
from openbell.research.contest import JOINED_BY, Contest
from openbell.research.last_look import last_look
from openbell.research.refit import refit
from openbell.research.selection import Rules
from openbell.research.tournament import Played, tournament
from openbell.research.venue import Venue
from openbell.store.tracker import ModelVersion

if TYPE_CHECKING:
    from openbell.app.home import Home

__all__ = ["Asked", "Held", "hold_stocks", "holdout_evaluation"]


@dataclass(frozen=True)
class Held:
    """A tournament that was held: what it found, where it lies, who was promoted by it and who is in office now."""

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
        failures = self.contest.failures.to_dicts()
        failed = [f"Failed: {row['entrant']} ({row['where']}): {row['why']}" for row in failures]
        office = f"In office: {self.office.sentence}" if self.office else "In office: nobody; the desk has no view."
        return [*self.contest.why, *failed, office, f"Report: {self.folder / 'model_selection_report.html'}"]


def hold_stocks(home: Home, session: dt.date, asked: Asked | None = None, progress: Progress | None = None) -> Held:
    """Hold the tournament of the stocks desk as of `session`; the same one again finds the same and changes nothing.

    Raises
    ------
    BadInput, Refused
        Before anything is computed or recorded: on a name that is not known, a moment that was decided on already, or
        a year whose budget of error is spent.
    """
    session = home.decision_session(session)
    desk, told = home.catalogue.desks["stocks"], asked or Asked()
    # Names are looked up before the journal is touched, which would make one where there is none.
    rules, wanted = rules_of(home, desk), entrants(home, desk, told)
    asked_for = asked_digest(wanted, rules, meeting_settings(home, told))
    own = held_before(home, desk.name, session, asked_for)
    try:
        before = Before(home, desk.name, session, rules.alpha, own)
        return _held(home, desk, told, rules, before, asked_for, progress)
    except AnotherPlan:  # of the same session, and on other data: a tournament of its own
        return _held(home, desk, told, rules, replace(before, own=None), asked_for, progress)


def _held(
    home: Home,
    desk: Desk,
    told: Asked,
    rules: Rules,
    before: Before,
    asked_for: str,
    progress: Progress | None,
) -> Held:
    before.check()
    office, first = before.office, before.holdout_first
    place = venue(home, desk, home.view(first), told, progress)
    played = tournament(
        place,
        entrants(home, desk, told, office),
        rules,
        as_of=before.at,
        holdout_first=first,
        folder=home.models,
        incumbent=entrant_in_office(home, office),
        past=before,
    )
    before.spend(played.contest.plan)
    return _concluded(home, before.session, place, played, asked_for)


def _concluded(home: Home, session: dt.date, place: Venue, played: Played, asked_for: str) -> Held:
    """Evidence, files, registry, record, office: each can be done again."""
    contest, desk = played.contest, place.desk
    champion = None
    if contest.champion is not None:
        model = contest.champion.partition(JOINED_BY)[0]
        now_known = replace(place, view=home.view(session))
        champion = refit(now_known, played, model, home.models / contest.plan / "production")
    payload = payload_of(home, place, played, session, champion, asked_for)
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
    versions = registered(home, desk, session, played, champion, files)
    home.journal.append(KIND, payload, at=home.as_of(session), key=record_key(contest.plan, session))
    promoted = None
    if contest.champion is not None and contest.champion in versions:
        promoted = _promoted(home, session, contest, versions[contest.champion], payload)
    return Held(contest, folder, promoted, in_office(home, home.as_of(session), desk.name), played.selection.stays)


def _promoted(
    home: Home, session: dt.date, contest: Contest, version: ModelVersion, payload: Mapping[str, Any]
) -> Production:
    """The promotion by this tournament: made, ended where it was killed, or left as it was where others came after."""
    done = [each for each in promotions(home, contest.desk) if _by(each.payload) == ("tournament", contest.plan)]
    if done:
        last = latest(home, contest.desk)
        return settle(home, last) if last and last.record.seq == done[-1].seq else Production(done[-1])
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


def _by(promotion: Mapping[str, Any]) -> tuple[str, str]:
    return promotion["by"], promotion["plan"]


def holdout_evaluation(home: Home, desk_name: str) -> Mapping[str, Any]:
    """What the champion in office earned over the hold-out; `holdout.open_holdout` calls it, once for each champion."""
    desk = home.catalogue.desks[desk_name]
    first, last = span(home, desk_name)
    after = home.sessions.shift(last, 1)
    office = in_office(home, home.as_of(after), desk_name)
    if office is None:
        raise Refused(f"Nobody is in office at the desk `{desk_name}`, so there is no champion to evaluate.")
    place = venue(home, desk, home.view(after), Asked())
    known = set((office.training or {}).get("features", ())) or {each.name for each in place.features}
    own = [each for each in place.features if each.name in known]
    return last_look(replace(place, features=own), champion_alone(home, office), first)
