"""Experiments and model versions: what was trained when, with what result, and which version is in production."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from openbell.core.errors import BadInput, Refused, StorageFailed, unknown
from openbell.core.time import utc

CHAMPION = "champion"
#: The alias of the version that was champion before, and stands in where the champion's files are broken.
PREVIOUS = "previous"
#: Larger files are named with their hash, and not copied beside the run.
LOGGED_BYTES = 10_000_000
_PAGE = 1000
_ENTRY_BYTES = 500


@dataclass(frozen=True, slots=True)
class Trained:
    """One candidate of a training, or one entrant of a tournament, as it is registered.

    `folder` is relative to the models' folder of the home, so a home can be moved; it is None, and `why` says the
    reason, where the candidate abstained. Metrics that are None are not logged. `tags` say what it was made of (hashes
    of data and recipe); `files` are plots and tables that are kept with it.
    """

    name: str
    folder: str | None
    manifest_hash: str | None
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    why: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered model: `version` counts within its desk, `label` is what decisions name."""

    desk: str
    candidate: str
    version: int
    as_of: dt.datetime
    training: str
    folder: str
    manifest_hash: str

    @property
    def label(self) -> str:
        """For example ``lightgbm@2020-01-02#1f3a9c20``."""
        return f"{self.candidate}@{self.as_of:%Y-%m-%d}#{self.manifest_hash[:8]}"


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """A finished training. `champion` proved itself in it, or is None; only a promotion puts it into production."""

    desk: str
    as_of: dt.datetime
    training: str
    run_id: str
    champion: ModelVersion | None
    why: str


@dataclass(frozen=True, slots=True)
class Registered:
    """A finished tournament: its run, and the version of each entrant that has a model."""

    desk: str
    plan: str
    run_id: str
    versions: Mapping[str, ModelVersion]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run of the tracker: what it was given, what it measured, what it says of itself; `parent` is its training."""

    run_id: str
    parent: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def _silence() -> None:
    """MLflow sends nothing anywhere and writes no log lines of its own."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ[name] = "true"
    os.environ["MLFLOW_LOGGING_LEVEL"] = "ERROR"
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


@dataclass(frozen=True)
class Tracker:
    """MLflow behind a tracking URI: one experiment and one registered model per desk.

    A training or a tournament is a run; each of its candidates is a run below it and, where a model came of it, a model
    version with the tags ``as_of``, ``training``, ``candidate`` and ``manifest``. It counts only once its run is
    finished, so one that was killed is as if it had never been, and is registered again without doubles.

    Registering moves no alias: ``champion`` and ``previous`` follow `promote` and `rollback` alone.
    """

    uri: str
    artifacts: Path | None = None

    @classmethod
    def open(cls, uri: str, artifacts: Path | None = None) -> Tracker:
        """The tracker at `uri`, for example ``sqlite:////home/me/openbell/mlflow.db``; a new database takes 3 s.

        `artifacts` is the folder that files of runs are copied to; without it they are only named with their hash.
        """
        scheme = uri.partition("://")[0]
        if scheme not in ("sqlite", "postgresql", "postgresql+psycopg", "http", "https"):
            raise BadInput(
                f"The tracking URI `{uri}` has the scheme `{scheme}`. "
                "Valid are `sqlite:///FILE`, `postgresql://…`, `http://…` and `https://…`."
            )
        return cls(uri, artifacts)

    @cached_property
    def _client(self) -> Any:
        _silence()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from mlflow import MlflowClient

                client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
                client.search_experiments(max_results=1)
        except Exception as failure:
            raise StorageFailed(f"The tracker at {self.uri} does not open: {failure}") from failure
        _silence()
        return client

    def _experiment(self, desk: str) -> str:
        found = self._client.get_experiment_by_name(desk)
        place = "mlflow" if self.artifacts is None else self.artifacts.resolve().as_uri()
        return str(found.experiment_id if found else self._client.create_experiment(desk, artifact_location=place))

    def register(
        self,
        desk: str,
        as_of: dt.datetime,
        training: str,
        candidates: Sequence[Trained],
        champion: str | None,
        *,
        why: str = "",
        metrics: Mapping[str, float | None] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> TrainingRecord:
        """Write a training with its candidates; the same `training` (a hash) again writes nothing new.

        `champion` is the candidate that proved itself: that is kept as evidence, and moves no alias.

        Raises
        ------
        BadInput
            Where `champion` is not among the candidates, or abstained.
        """
        if champion is not None and all(each.name != champion or each.folder is None for each in candidates):
            raise BadInput(f"The champion `{champion}` is not among the candidates that were fitted.")
        run, versions = self._written("training", desk, as_of, training, candidates, params, metrics, why)
        if not self._finished(run):
            chosen = versions.get(champion) if champion is not None else None
            self._client.set_tag(run, CHAMPION, str(chosen.version) if chosen else "")
            self._client.set_terminated(run, "FINISHED")
        return self._record(desk, self._client.get_run(run))

    def register_tournament(
        self,
        desk: str,
        as_of: dt.datetime,
        plan: str,
        entrants: Sequence[Trained],
        *,
        why: str = "",
        metrics: Mapping[str, float | None] | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        files: Sequence[Path] = (),
    ) -> Registered:
        """Write a tournament with a run for each entrant below it; the same `plan` (a hash) again writes nothing new.

        Entrants that share a model (one model under several allocators) have a version each.
        """
        run, versions = self._written("tournament", desk, as_of, plan, entrants, params, metrics, why)
        if not self._finished(run):
            self._tag(run, tags or {})
            self._keep(run, files)
            self._client.set_terminated(run, "FINISHED")
        return Registered(desk, plan, run, {name: each for name, each in versions.items() if each is not None})

    def _written(
        self,
        kind: str,
        desk: str,
        as_of: dt.datetime,
        training: str,
        candidates: Sequence[Trained],
        params: Mapping[str, Any] | None,
        metrics: Mapping[str, float | None] | None,
        why: str,
    ) -> tuple[str, dict[str, ModelVersion | None]]:
        """The run of a training or a tournament, not finished unless it was before, and the versions of candidates."""
        moment = utc(as_of)
        experiment = self._experiment(desk)
        parent = self._run(experiment, kind, {"training": training, "as_of": moment.isoformat()})
        # Asked once: a desk gathers a version for each entrant of each tournament.
        known = [each for each in self.versions(desk) if each.training == training]
        versions = {
            each.name: self._candidate(desk, experiment, parent, training, moment, each, known) for each in candidates
        }
        if not self._finished(parent):
            self._log(parent, params or {}, metrics or {})
            self._client.set_tag(parent, "why", why[: _ENTRY_BYTES * 10])
        return parent, versions

    def _run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """The run with these tags, made if there is none."""
        query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in {**tags, "mlflow.runName": name}.items())
        found = list(self._client.search_runs([experiment], query, max_results=1))
        run = found[0] if found else self._client.create_run(experiment, tags=dict(tags), run_name=name)
        return str(run.info.run_id)

    def _finished(self, run_id: str) -> bool:
        return bool(self._client.get_run(run_id).info.status == "FINISHED")

    def _log(self, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
        from mlflow.entities import Metric, Param

        finite = {name: float(value) for name, value in metrics.items() if value is not None and math.isfinite(value)}
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, 0, 0) for name, value in finite.items()],
            params=[Param(name, str(value)[:_ENTRY_BYTES]) for name, value in params.items()],
        )

    def _tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self._client.set_tag(run_id, name, str(value)[: _ENTRY_BYTES * 10])

    def _keep(self, run_id: str, files: Sequence[Path]) -> None:
        """Note each file with its SHA-256, and copy the small ones to the run's folder, where that is in our home.

        A home that was moved has runs whose folder is elsewhere; those are never written to.
        """
        if not files:
            return
        place = self._client.get_run(run_id).info.artifact_uri
        ours = self.artifacts is not None and str(place).startswith(self.artifacts.resolve().as_uri() + "/")
        for path in files:
            content = path.read_bytes()
            self._client.set_tag(run_id, f"file.{path.name}", hashlib.sha256(content).hexdigest())
            if ours and len(content) <= LOGGED_BYTES:
                self._client.log_artifact(run_id, str(path))

    def _candidate(
        self,
        desk: str,
        experiment: str,
        parent: str,
        training: str,
        as_of: dt.datetime,
        each: Trained,
        known: Sequence[ModelVersion],
    ) -> ModelVersion | None:
        tags = {"training": training, "as_of": as_of.isoformat(), "mlflow.parentRunId": parent}
        run = self._run(experiment, each.name, tags)
        if not self._finished(run):
            self._log(run, each.params, each.metrics)
            self._tag(run, {**each.tags, "why": each.why})
            self._keep(run, each.files)
            self._client.set_terminated(run, "FINISHED")
        if each.folder is None or each.manifest_hash is None:
            return None
        same = [one for one in known if (one.candidate, one.manifest_hash) == (each.name, each.manifest_hash)]
        return same[0] if same else self._new_version(desk, run, training, as_of, each)

    def _new_version(self, desk: str, run: str, training: str, as_of: dt.datetime, each: Trained) -> ModelVersion:
        if not self._client.search_registered_models(f"name='{desk}'"):
            self._client.create_registered_model(desk)
        tags = {
            "as_of": as_of.isoformat(),
            "training": training,
            "candidate": each.name,
            "manifest": str(each.manifest_hash),
        }
        return _version(desk, self._client.create_model_version(desk, source=each.folder, run_id=run, tags=tags))

    def desks(self) -> list[str]:
        """Every desk that has a registered model, by name."""
        found = _pages(lambda token: self._client.search_registered_models(max_results=_PAGE, page_token=token))
        return sorted(str(each.name) for each in found)

    def run_of(self, version: ModelVersion) -> RunRecord:
        """The run that a version came out of."""
        run = self._client.get_model_version(version.desk, str(version.version)).run_id
        found = self._client.get_run(run)
        tags = {name: str(value) for name, value in found.data.tags.items() if not name.startswith("mlflow.")}
        parent = found.data.tags.get("mlflow.parentRunId")
        return RunRecord(str(run), parent, dict(found.data.params), dict(found.data.metrics), tags)

    def versions(self, desk: str) -> list[ModelVersion]:
        """Every registered version of `desk`, by number."""
        query = f"name='{desk}'"
        found = _pages(lambda token: self._client.search_model_versions(query, max_results=_PAGE, page_token=token))
        return sorted((_version(desk, each) for each in found), key=lambda each: each.version)

    def trainings(self, desk: str, *, before: dt.datetime | None = None) -> list[TrainingRecord]:
        """Finished trainings of `desk`, oldest train moment first; with `before`, those at or before that moment."""
        limit = utc(before) if before is not None else None
        experiment = self._client.get_experiment_by_name(desk)
        if experiment is None:
            return []
        query = "tags.`mlflow.runName` = 'training' and attributes.status = 'FINISHED'"
        where = ([experiment.experiment_id], query)
        order = ["attributes.start_time ASC"]
        runs = _pages(
            lambda token: self._client.search_runs(*where, order_by=order, max_results=_PAGE, page_token=token)
        )
        records = [self._record(desk, run) for run in runs]
        return sorted((each for each in records if limit is None or each.as_of <= limit), key=lambda each: each.as_of)

    def _record(self, desk: str, run: Any) -> TrainingRecord:
        tags = run.data.tags
        number = tags.get(CHAMPION, "")
        champion = _version(desk, self._client.get_model_version(desk, number)) if number else None
        moment = dt.datetime.fromisoformat(tags["as_of"])
        return TrainingRecord(desk, moment, tags["training"], run.info.run_id, champion, tags.get("why", ""))

    def latest(self, desk: str, before: dt.datetime) -> TrainingRecord | None:
        """The latest training at or before `before`; of several at one moment, the one registered last."""
        records = self.trainings(desk, before=before)
        return records[-1] if records else None

    def version(self, desk: str, wanted: str) -> ModelVersion:
        """The version of `desk` with the number or the label `wanted`; an unknown one is refused with the nearest."""
        there = self.versions(desk)
        found = [each for each in there if wanted in (str(each.version), each.label)]
        if not found:
            raise unknown(f"version of a model of `{desk}`", wanted, [each.label for each in reversed(there)])
        return found[-1]

    def alias(self, desk: str, name: str) -> ModelVersion | None:
        """The version that the alias `name` (``champion`` or ``previous``) names, or None."""
        if name not in (CHAMPION, PREVIOUS):
            raise unknown("alias", name, (CHAMPION, PREVIOUS))
        registered = self._client.search_registered_models(f"name='{desk}'")
        number = registered[0].aliases.get(name) if registered else None
        return None if number is None else _version(desk, self._client.get_model_version(desk, str(number)))

    def promote(self, desk: str, version: int) -> ModelVersion:
        """Make `version` the champion, and the champion until now the previous one; the same again changes nothing."""
        before = self.alias(desk, CHAMPION)
        if before is None or before.version != version:
            self.point(desk, version, before.version if before else None)
        return self.version(desk, str(version))

    def rollback(self, desk: str, previous: int | None = None) -> ModelVersion:
        """Make the previous version the champion again, and `previous` the one before it; without one it is refused."""
        back = self.alias(desk, PREVIOUS)
        if back is None:
            raise Refused(f"There is no previous champion of `{desk}` to go back to. Promote a version instead.")
        self.point(desk, back.version, previous)
        return back

    def point(self, desk: str, champion: int, previous: int | None) -> None:
        """Let the aliases name these versions; killed half-way, the same call again ends it."""
        self.version(desk, str(champion))
        for name, number in ((PREVIOUS, previous), (CHAMPION, champion)):
            if number is not None:
                self._client.set_registered_model_alias(desk, name, str(number))
            elif self.alias(desk, name) is not None:
                self._client.delete_registered_model_alias(desk, name)

    def metrics(self, run_id: str) -> dict[str, float]:
        """The metrics of a run."""
        return dict(self._client.get_run(run_id).data.metrics)


def _pages(ask: Callable[[str | None], Any]) -> list[Any]:
    """Everything that a paged question answers."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = ask(token)
        found += page
        token = page.token
        if not token:
            return found


def _version(desk: str, found: Any) -> ModelVersion:
    return ModelVersion(
        desk=desk,
        candidate=found.tags["candidate"],
        version=int(found.version),
        as_of=dt.datetime.fromisoformat(found.tags["as_of"]),
        training=found.tags["training"],
        folder=found.source,
        manifest_hash=found.tags["manifest"],
    )
