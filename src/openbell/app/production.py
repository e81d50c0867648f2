"""The champion in office, in time: who decides at a moment, since when, and by whose word.

A change of office is a record of the journal, valid from its moment on, so that a decision never meets a champion of
its future. The journal is the truth: the registry's aliases and the folder ``production/`` follow it, and a change that
was killed before they did is ended by the same command again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from openbell.app.published import publish
from openbell.core.errors import IntegrityBroken, Refused
from openbell.core.hashing import digest
from openbell.core.time import utc
from openbell.research.fitting import load_fitted
from openbell.store.journal import Record
from openbell.store.tracker import CHAMPION, PREVIOUS, ModelVersion

if TYPE_CHECKING:
    from openbell.app.home import Home

KIND = "promotion"
DESK = "stocks"
By = Literal["tournament", "hand", "rollback"]
_WORDS = {
    "tournament": "was promoted by the tournament",
    "hand": "was promoted by hand",
    "rollback": "was put back in office by a rollback",
}


@dataclass(frozen=True)
class Production:
    """A version in office, as the journal has it."""

    record: Record

    @property
    def payload(self) -> Mapping[str, Any]:
        """What was recorded, see `appoint`."""
        return self.record.payload

    @property
    def version(self) -> str:
        """For example ``lightgbm@2020-01-02#1f3a9c20``."""
        return str(self.payload["version"])

    @property
    def manifest(self) -> str:
        """Hash of the manifest of the model."""
        return str(self.payload["manifest"])

    @property
    def weighting(self) -> str | None:
        """The allocator that it was back-tested with; None: the one that is set for the desk."""
        return self.payload["weighting"]

    @property
    def training(self) -> Mapping[str, Any] | None:
        """The payload of the training whose evidence it was chosen on; None where there is none on record."""
        return self.payload["training"]

    @property
    def sentence(self) -> str:
        """Who is in office, since when, by whose word and why."""
        return (
            f"{self.version} {_WORDS[self.payload['by']]} and is in office since {self.record.at:%Y-%m-%d}: "
            f"{' '.join(self.payload['why'][:1])}"
        )


def promotions(home: Home, desk: str = DESK) -> list[Record]:
    """Every change of office, in order."""
    return sorted(home.journal.records(kind=KIND, desk=desk), key=lambda each: (each.at, each.seq))


def latest(home: Home, desk: str = DESK) -> Production | None:
    """Who was put in office last, also where that begins after the decision that is looked at."""
    records = promotions(home, desk)
    return Production(records[-1]) if records else None


def in_office(home: Home, as_of: dt.datetime, desk: str = DESK) -> Production | None:
    """Who is in office at `as_of`: the last change at or before it. A decision never uses a champion of its future.

    Raises
    ------
    IntegrityBroken
        Where it is the last change of all and the registry's alias names another version.
    """
    records = promotions(home, desk)
    known = [each for each in records if each.at <= utc(as_of)]
    if not known:
        return None
    found = Production(known[-1])
    if found.record.seq == records[-1].seq:
        _check_alias(home, found, desk)
    return found


def champion_told(home: Home, session: dt.date | None = None, desk: str = DESK) -> dict[str, Any]:
    """Who is in office before the open of `session`, or who was put there last, for a reader and for a program."""
    records = home.kept_journal.records(kind=KIND, desk=desk)
    moment = home.as_of(session) if session else max((each.at for each in records), default=None)
    found = None if moment is None else in_office(home, moment, desk)
    if found is None:
        when = f"before the open of {session}" if session else "and nobody ever was"
        later = f" The first champion begins on {min(each.at for each in records):%Y-%m-%d}." if records else ""
        says = f"Nobody is in office at the desk `{desk}` {when}.{later} `openbell tournament {desk}` seeks a champion."
        return {"desk": desk, "champion": None, "says": says, "why": []}
    told = found.payload
    own = ("candidate", "by", "why", "weighting", "previous", "metrics", "weighted_score", "plan", "manifest", "model")
    return {
        "desk": desk,
        "champion": found.version,
        "since": found.record.at.isoformat(),
        "says": found.sentence,
        **{name: told[name] for name in own},
        "number": home.tracker.version(desk, found.version).version,
        "record": found.record.seq,
    }


def appoint(
    home: Home,
    version: ModelVersion,
    *,
    at: dt.datetime,
    by: By,
    why: Sequence[str],
    weighting: str | None = None,
    training: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float | None] | None = None,
    weighted_score: float | None = None,
    plan: str | None = None,
) -> Production:
    """Put `version` in office from `at` on; whoever is in office already, with this weighting, changes nothing.

    Parameters
    ----------
    at : moment from which it decides: not before it was trained, the last change, or an executed decision.
    weighting : allocator that it was back-tested with; None leaves the desk's own. training : payload of the training
        or tournament whose evidence it was chosen on, with ``training`` (its folder) and ``evidence`` (hashes).
    metrics, weighted_score, plan : what it was chosen by, for ``champion_metadata.json``.

    Raises
    ------
    Refused
        Where `at` would change what was decided already. IntegrityBroken: where the model's files are not its own.
    """
    check_files(home, version.desk, version.folder, version.manifest_hash)
    last = latest(home, version.desk)
    same = last is not None and last.version == version.label
    if last is not None and same and last.weighting == weighting:
        return settle(home, last)
    moment = utc(at)
    _refuse_hindsight(home, version, moment, last)
    before = last if not same or last is None else predecessor(home, last, version.desk)
    payload = {
        "desk": version.desk,
        "version": version.label,
        "candidate": version.candidate,
        "model": version.folder,
        "manifest": version.manifest_hash,
        "weighting": weighting,
        "by": by,
        "why": list(why),
        "training": None if training is None else dict(training),
        "previous": before.version if before else None,
        "displaces": before.record.key if before else None,
        "metrics": dict(metrics or {}),
        "weighted_score": weighted_score,
        "plan": plan or version.training,
    }
    return settle(home, _recorded(home, payload, moment, last))


def roll_back(home: Home, at: dt.datetime, why: Sequence[str], desk: str = DESK) -> Production:
    """Undo the last change of office: who was in office before it is again, with the weighting that it had.

    A version that was rolled back is no one's previous: it comes back by a promotion only. Where a rollback was killed
    before the registry followed, that one is ended, and not another one made.
    """
    last = latest(home, desk)
    if last is None:
        raise Refused(f"Nobody is in office at the desk `{desk}`, so there is nothing to roll back.")
    if last.payload["by"] == "rollback" and not _alias_agrees(home, last, desk):
        return settle(home, last)
    back = predecessor(home, last, desk)
    if back is None:
        raise Refused(
            f"{last.version} is the first champion of `{desk}`: there is no previous one to go back to. "
            "Promote another version with `openbell promote`."
        )
    check_files(home, desk, back.payload["model"], back.manifest)
    moment = utc(at)
    _refuse_hindsight(home, home.tracker.version(desk, back.version), moment, last)
    return settle(home, _recorded(home, {**back.payload, "by": "rollback", "why": list(why)}, moment, last))


def settle(home: Home, production: Production) -> Production:
    """Let the registry and ``production/`` say what the journal says; done already, it changes nothing."""
    desk, before = production.payload["desk"], production.payload["previous"]
    numbers = [home.tracker.version(desk, each).version if each else None for each in (production.version, before)]
    named = [home.tracker.alias(desk, each) for each in (CHAMPION, PREVIOUS)]
    if numbers != [each.version if each else None for each in named]:
        home.tracker.point(desk, numbers[0], numbers[1])  # type: ignore[arg-type]
    if desk == DESK:
        publish(home, production.record)
    return production


def check_files(home: Home, desk: str, folder: str, manifest: str) -> None:
    """Refuse a model whose files are not those of its manifest."""
    family = desk.partition(".")[0]
    if family == "signals":
        from openbell.research.signal_files import load_signal_model

        load_signal_model(home.models / folder, manifest)
    elif family == "session":
        from openbell.research.session_files import load_session_model

        load_session_model(home.models / folder, manifest)
    else:
        load_fitted(home.models / folder, manifest_hash=manifest)


def _recorded(home: Home, payload: Mapping[str, Any], at: dt.datetime, last: Production | None) -> Production:
    # What it follows is in its key: the same promotion after another one is a new one, made twice at once it is one.
    key = digest([KIND, payload, last.record.key if last else None])
    return Production(home.journal.append(KIND, payload, at=at, key=key))


def predecessor(home: Home, production: Production, desk: str) -> Production | None:
    """Who was in office before, as it was then."""
    key = production.payload["displaces"]
    found = home.journal.get(key) if key else None
    return Production(found) if found else None


def _alias_agrees(home: Home, production: Production, desk: str) -> bool:
    named = home.tracker.alias(desk, CHAMPION)
    return named is not None and (named.label, named.manifest_hash) == (production.version, production.manifest)


def _check_alias(home: Home, production: Production, desk: str) -> None:
    if not _alias_agrees(home, production, desk):
        named = home.tracker.alias(desk, CHAMPION)
        cure = "rollback {desk}" if production.payload["by"] == "rollback" else "promote {desk} {version} --reason TEXT"
        command = cure.format(desk=desk, version=production.version)
        raise IntegrityBroken(
            f"The journal says that {production.version} is in office since {production.record.at:%Y-%m-%d}, and the "
            f"registry's alias `{CHAMPION}` names {named.label if named else 'nobody'}. Where a change was killed "
            f"half-way, `openbell {command}` ends it; else somebody moved the alias by hand."
        )


def _refuse_hindsight(home: Home, version: ModelVersion, at: dt.datetime, last: Production | None) -> None:
    """Refuse a moment that would change what was decided, or that the model's own training had not reached."""
    if version.as_of > at:
        raise Refused(
            f"{version.label} was trained on what was known at {version.as_of:%Y-%m-%d %H:%M} UTC and cannot decide at "
            f"{at:%Y-%m-%d %H:%M}. Let it begin later."
        )
    refuse_rewriting(home, version.desk, at, last)


def refuse_rewriting(home: Home, desk: str, at: dt.datetime, last: Production | None) -> None:
    """Refuse a change of office from `at` on that would alter what was decided, or who had decided it."""
    if last is not None and at < last.record.at:
        raise Refused(
            f"{last.version} is in office since {last.record.at:%Y-%m-%d}; a change from {at:%Y-%m-%d} on would "
            "rewrite what was before it. Let it begin later, or use a home of its own for another history."
        )
    executed = last_execution(home, desk)
    if executed is not None and home.as_of(executed) >= at:
        raise Refused(
            f"The decision for {executed} was executed already; a change from {at:%Y-%m-%d} on would be hindsight. "
            "Let it begin with the next session."
        )


def last_execution(home: Home, desk: str = DESK) -> dt.date | None:
    """The latest session whose decision was executed, or None."""
    records = home.journal.records(kind="execution", desk=desk)
    return max((dt.date.fromisoformat(each.payload["session"]) for each in records), default=None)
