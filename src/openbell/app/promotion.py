"""Changes of office by hand: which version, from when, on what evidence, and for what reason."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openbell.app import evidence
from openbell.app.production import DESK, KIND, Production, appoint, last_execution, latest, roll_back
from openbell.core.errors import BadInput, DataMissing, Refused
from openbell.quant.allocation import allocator_name
from openbell.research.contest import JOINED_BY
from openbell.store.journal import Record
from openbell.store.tracker import ModelVersion

if TYPE_CHECKING:
    from openbell.app.home import Home

#: Figures of a candidate that a promotion by hand takes over from its training.
MEASURED = ("mean_rank_ic", "lower", "upper", "statistic", "p_value", "dates")


def promote(
    home: Home,
    wanted: str | None = None,
    *,
    reason: str,
    session: dt.date | None = None,
    weighting: str | None = None,
    desk: str = DESK,
) -> Production:
    """Put a registered version in office by hand, from `session` on.

    Parameters
    ----------
    wanted : its label or its number in the registry; None takes the candidate that survived the latest training.
    reason : for the journal, the report and whoever asks later. session : the first one that it decides; None takes
        the next one that is open. weighting : allocator; None takes the one it was promoted with before, or the desk's.
    """
    _stated(reason, "promotion")
    records = home.kept_journal.records(kind=("training", "tournament", KIND), desk=desk)
    version = home.tracker.version(desk, wanted) if wanted else _best(home, records, desk)
    training = _training_of(records, version)
    told, metrics = _measured(home, version, training)
    return appoint(
        home,
        version,
        at=_moment(home, session, desk),
        by="hand",
        why=[_sentence(reason), *told],
        weighting=_tested_weighting(records, version) if weighting is None else allocator_name(weighting),
        training=training,
        metrics=metrics,
    )


def rollback(home: Home, *, reason: str, session: dt.date | None = None, desk: str = DESK) -> Production:
    """Put whoever was in office before the last change back in office, from `session` on."""
    _stated(reason, "rollback")
    if not home.kept_journal.records(kind=KIND, desk=desk):
        raise Refused(f"Nobody is in office at the desk `{desk}`, so there is nothing to roll back.")
    return roll_back(home, _moment(home, session, desk), [_sentence(reason)], desk)


def next_open_session(home: Home, desk: str = DESK) -> dt.date:
    """The first session that a change can still decide: none that was executed, none before the last change."""
    sessions = [home.decision_session(None)]
    executed, last = last_execution(home, desk), latest(home, desk)
    if executed is not None:
        sessions.append(home.sessions.shift(executed, 1))
    if last is not None:
        later = home.sessions.between(last.record.at.date(), dt.date.max)
        sessions.append(next(each for each in later if home.as_of(each) >= last.record.at))
    return max(sessions)


def _moment(home: Home, session: dt.date | None, desk: str) -> dt.datetime:
    return home.as_of(next_open_session(home, desk) if session is None else home.decision_session(session))


def _stated(reason: str, what: str) -> None:
    if not reason.strip():
        raise BadInput(f"A {what} by hand needs a reason; it was empty. Say it with --reason TEXT.")


def _sentence(reason: str) -> str:
    text = " ".join(reason.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _best(home: Home, records: Sequence[Record], desk: str) -> ModelVersion:
    """The candidate that survived the latest training; one that did not must be named."""
    trainings = [each for each in records if each.kind == "training"]
    if not trainings:
        raise DataMissing("There is no training to promote from. Train with `openbell train stocks --as-of DATE`.")
    told = max(trainings, key=lambda each: (each.at, each.seq)).payload
    if told["champion"] is None:
        own = [each.label for each in home.tracker.versions(desk) if each.training == told["training"]]
        raise Refused(
            f"No candidate survived the latest training, of {told['session']}. To promote one all the same, name it: "
            f"{', '.join(f'`{each}`' for each in own) or 'it registered none'}."
        )
    return home.tracker.version(desk, told["champion"])


def _training_of(records: Sequence[Record], version: ModelVersion) -> Mapping[str, Any] | None:
    """The payload of the training or tournament that made `version`, where the journal knows it."""
    for record in reversed(records):
        told = record.payload["training"] if record.kind == KIND else record.payload
        if told is not None and told["training"] == version.training:
            return told
    return None


def _tested_weighting(records: Sequence[Record], version: ModelVersion) -> str | None:
    """The allocator that it was promoted or registered with; None: the desk's own."""
    before = [each.payload for each in records if each.kind == KIND and each.payload["version"] == version.label]
    return before[-1]["weighting"] if before else version.candidate.partition(JOINED_BY)[2] or None


def _measured(
    home: Home, version: ModelVersion, training: Mapping[str, Any] | None
) -> tuple[list[str], dict[str, float | None]]:
    """What its training found of the candidate: sentences, and figures."""
    if training is None:
        return ["No training on record has evidence of it."], {}
    model = version.candidate.partition(JOINED_BY)[0]
    found = evidence.load(home.models / training["training"] / "evidence", training["evidence"])
    rows = [row for row in found.frames["candidates"].to_dicts() if row["candidate"] == model]
    if not rows:
        return [f"Its training of {training['session']} has no figures of it."], {}
    row = rows[0]
    verdict = "survived" if row["survives"] else "did not survive"
    told = [f"`{model}` {verdict} the test of its training of {training['session']}."]
    chosen = found.figures["choice"]["champion"]
    if chosen != model:
        curve = f"with the scores of `{chosen}`" if chosen else "without a view"
        told.append(f"The back-test in the evidence is of the desk {curve}, not of this model.")
    return told, {name: _finite(row.get(name)) for name in MEASURED}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
