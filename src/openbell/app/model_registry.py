"""The registry of models: what is in it, where each version comes from, and what may be put in office."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from openbell.app.production import Production, appoint, latest, promotions, roll_back
from openbell.core.errors import BadInput, DataMissing, IntegrityBroken, Refused, unknown
from openbell.store.tracker import CHAMPION, PREVIOUS, ModelVersion

if TYPE_CHECKING:
    from openbell.app.home import Home

#: Desks whose newest training speaks; nobody is put in office there.
WITHOUT_OFFICE = ("options", "gate")
#: What a training of a desk that quotes probabilities must have measured before one of its models can decide.
CALIBRATED = {"signals": "ece"}


def listed(home: Home, desk: str | None = None) -> list[dict[str, Any]]:
    """Every registered version, the newest of each desk first, with who is in office and who was before."""
    rows = []
    for each in _desks(home, desk):
        named = {word: home.tracker.alias(each, word) for word in (CHAMPION, PREVIOUS)}
        for version in reversed(home.tracker.versions(each)):
            aliases = [word for word, found in named.items() if found is not None and found.version == version.version]
            rows.append({**_named(version), "alias": " ".join(aliases)})
    return rows


def shown(home: Home, wanted: str, desk: str | None = None) -> dict[str, Any]:
    """One version: its figures, its hashes, its times in office, and what speaks against a promotion."""
    version = found(home, wanted, desk)
    run = home.tracker.run_of(version)
    offices = [each for each in promotions(home, version.desk) if each.payload["version"] == version.label]
    return {
        **_named(version),
        "run": run.run_id,
        "metrics": dict(run.metrics),
        "params": dict(run.params),
        "tags": dict(run.tags),
        "offices": [{"since": each.at.isoformat(), "by": each.payload["by"], "why": each.payload["why"]}
                    for each in offices],
        "against_promotion": against(home, version),
    }  # fmt: skip


def against(home: Home, version: ModelVersion) -> list[str]:
    """What the rules of promotion find wanting, in sentences; nothing where it may be put in office.

    A version needs the walk-forward of its training on record with the hashes of its evidence and of its data, the
    calibration measured where the desk quotes probabilities, and files that are those of its manifest.
    """
    if version.desk.partition(".")[0] in WITHOUT_OFFICE:
        return [f"The desk `{version.desk}` has no office: the leader of its newest training speaks."]
    said = []
    training = training_of(home, version)
    if training is None:
        said.append(f"The journal knows no training {version.training[:12]}, so there is no walk-forward on record.")
    else:
        said += _wanting(home, version, training)
    try:
        from openbell.app.production import check_files

        check_files(home, version.desk, version.folder, version.manifest_hash)
    except (IntegrityBroken, DataMissing, BadInput) as failure:
        said.append(f"Its files are not what its manifest says: {failure}")
    return said


def _wanting(home: Home, version: ModelVersion, training: Mapping[str, Any]) -> list[str]:
    said = []
    if not training.get("evidence"):
        said.append("Its training kept no evidence of a walk-forward.")
    if not data_hashes(training):
        said.append("Its training names no hash of the data it was made of.")
    measure = CALIBRATED.get(version.desk)
    if measure and measure not in home.tracker.run_of(version).metrics:
        said.append(f"Its calibration was not measured: the run has no `{measure}`.")
    return said


def data_hashes(training: Mapping[str, Any]) -> dict[str, str]:
    """The hashes of what a training was made of, as its record names them."""
    names = ("data", "rows", "recipe", "panel")
    own = {name: training[name] for name in names if isinstance(training.get(name), str)}
    evidence = training.get("evidence")
    kept = (
        {f"evidence: {name}": str(value) for name, value in evidence.items()} if isinstance(evidence, Mapping) else {}
    )
    return own | (kept if own or kept else {})


def promoted(
    home: Home, wanted: str, *, reason: str, desk: str | None = None, session: dt.date | None = None
) -> Production:
    """Put a version in office by hand, if the rules allow it; the same again changes nothing."""
    version = found(home, wanted, desk)
    _stated(reason, "promotion")
    wanting = against(home, version)
    if wanting:
        raise Refused(f"{version.label} cannot be promoted. {' '.join(wanting)}")
    if version.desk == "stocks":
        from openbell.app.promotion import promote

        return promote(home, version.label, reason=reason, session=session)
    training = training_of(home, version)
    run = home.tracker.run_of(version)
    return appoint(
        home,
        version,
        at=_moment(home, version, session),
        by="hand",
        why=[reason],
        training=training,
        metrics=dict(run.metrics),
    )


def rolled_back(home: Home, desk: str, *, reason: str, session: dt.date | None = None) -> Production:
    """Put whoever was in office before back."""
    _stated(reason, "rollback")
    if desk == "stocks":
        from openbell.app.promotion import rollback

        return rollback(home, reason=reason, session=session)
    last = latest(home, desk)
    if last is None:
        raise Refused(f"Nobody is in office at the desk `{desk}`, so there is nothing to roll back.")
    return roll_back(home, home.as_of(session) if session else last.record.at, [reason], desk)


def lineage(home: Home, what: str, desk: str | None = None) -> dict[str, Any]:
    """From a signal's number or a version's label back to the data: model version, run, training, hashes.

    Raises
    ------
    BadInput
        Where there is neither a signal of that number nor a version of that name.
    """
    signal: dict[str, Any] | None = None
    label = what
    if what.isdigit() and desk is None:
        kept = home.kept_signals.get(int(what))
        signal = {
            "id": int(what), "symbol": kept.signal.symbol, "call": kept.signal.call.value,
            "created_at": kept.signal.created_at.isoformat(), "status": kept.status.value,
            "made_of": dict(kept.signal.made_of),
        }  # fmt: skip
        label, desk = kept.signal.model_version, "signals"
    version = found(home, label, desk)
    run = home.tracker.run_of(version)
    training = training_of(home, version)
    return {
        "signal": signal,
        "version": {**_named(version), "folder": version.folder},
        "run": {"id": run.run_id, "parent": run.parent, "params": dict(run.params), "metrics": dict(run.metrics)},
        "training": None
        if training is None
        else {
            "id": training["training"],
            "session": training["session"],
            "why": list(training.get("why", ())),
            "settings": training.get("settings"),
        },
        "data": {} if training is None else data_hashes(training),
    }


def training_of(home: Home, version: ModelVersion) -> Mapping[str, Any] | None:
    """The payload of the training or tournament that made `version`, where the journal knows it."""
    for record in reversed(home.journal.records(kind=("training", "tournament"), desk=version.desk)):
        if version.training in (record.payload["training"], record.payload.get("plan")):
            return record.payload
    return None


def found(home: Home, wanted: str, desk: str | None = None) -> ModelVersion:
    """The version with the label `wanted`, or its number where the desk is said; an unknown one names the nearest."""
    desks = _desks(home, desk)
    there = [each for name in desks for each in home.tracker.versions(name)]
    hits = [each for each in there if each.label == wanted or (desk is not None and str(each.version) == wanted)]
    if not hits:
        raise unknown("registered version", wanted, [each.label for each in there])
    if len({each.desk for each in hits}) > 1:
        raise BadInput(f"`{wanted}` is a version of several desks. Say which with --desk.")
    return hits[-1]


def _desks(home: Home, desk: str | None) -> list[str]:
    there = home.tracker.desks()
    if desk is None:
        return there
    if desk not in there:
        if desk in home.catalogue.desks:
            return []
        raise unknown("desk", desk, {*there, *home.catalogue.desks})
    return [desk]


def _named(version: ModelVersion) -> dict[str, Any]:
    return {
        "desk": version.desk,
        "number": version.version,
        "version": version.label,
        "candidate": version.candidate,
        "as_of": version.as_of.isoformat(),
        "training": version.training,
        "manifest": version.manifest_hash,
    }


def _moment(home: Home, version: ModelVersion, session: dt.date | None) -> dt.datetime:
    if session is not None:
        return home.as_of(session)
    last = latest(home, version.desk)
    return version.as_of if last is None else max(version.as_of, last.record.at)


def _stated(reason: str, what: str) -> None:
    if not reason.strip():
        raise BadInput(f"A {what} by hand needs a reason; it was empty. Say it with --reason TEXT.")
