"""Experiments and model versions: what was trained when, with what result, and which model stood at a moment."""

from __future__ import annotations

import datetime as dt
import logging
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from openbell.core.errors import BadInput, StorageFailed
from openbell.core.time import utc

CHAMPION = "champion"
_PAGE = 1000
_ENTRY_BYTES = 500


@dataclass(frozen=True, slots=True)
class Trained:
    """One candidate of a training as it is registered.

    `folder` is relative to the models' folder of the home, so a home can be moved; it is None, and `why` says the
    reason, where the candidate abstained. Metrics that are None are not logged.
    """

    name: str
    folder: str | None
    manifest_hash: str | None
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    why: str = ""


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
    """A finished training. `champion` is None where no candidate proved itself: then there is no view."""

    desk: str
    as_of: dt.datetime
    training: str
    run_id: str
    champion: ModelVersion | None
    why: str


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

    A training is a run; each of its candidates is a run below it and, where a model came of it, a model version with
    the tags ``as_of``, ``training``, ``candidate`` and ``manifest``. A training counts only once its run is finished,
    so one that was killed is as if it had never been, and is registered again without doubles.
    """

    uri: str

    @classmethod
    def open(cls, uri: str) -> Tracker:
        """The tracker at `uri`, for example ``sqlite:////home/me/openbell/mlflow.db``; a new database takes 3 s."""
        scheme = uri.partition("://")[0]
        if scheme not in ("sqlite", "postgresql", "postgresql+psycopg", "http", "https"):
            raise BadInput(
                f"The tracking URI `{uri}` has the scheme `{scheme}`. "
                "Valid are `sqlite:///FILE`, `postgresql://…`, `http://…` and `https://…`."
            )
        return cls(uri)

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
        return str(found.experiment_id if found else self._client.create_experiment(desk, artifact_location="mlflow"))

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

        Raises
        ------
        BadInput
            Where `champion` is not among the candidates, or abstained.
        """
        if champion is not None and all(each.name != champion or each.folder is None for each in candidates):
            raise BadInput(f"The champion `{champion}` is not among the candidates that were fitted.")
        moment = utc(as_of)
        experiment = self._experiment(desk)
        parent = self._run(experiment, "training", {"training": training, "as_of": moment.isoformat()})
        if self._finished(parent):
            return self._record(desk, self._client.get_run(parent))
        versions = {each.name: self._candidate(desk, experiment, parent, training, moment, each) for each in candidates}
        self._log(parent, params or {}, metrics or {})
        chosen = versions.get(champion) if champion is not None else None
        self._client.set_tag(parent, CHAMPION, str(chosen.version) if chosen else "")
        self._client.set_tag(parent, "why", why[: _ENTRY_BYTES * 10])
        self._client.set_terminated(parent, "FINISHED")
        self._point_alias(desk)
        return self._record(desk, self._client.get_run(parent))

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

    def _candidate(
        self, desk: str, experiment: str, parent: str, training: str, as_of: dt.datetime, each: Trained
    ) -> ModelVersion | None:
        tags = {"training": training, "as_of": as_of.isoformat(), "mlflow.parentRunId": parent}
        run = self._run(experiment, each.name, tags)
        if not self._finished(run):
            self._log(run, each.params, each.metrics)
            self._client.set_tag(run, "why", each.why[: _ENTRY_BYTES * 10])
            self._client.set_terminated(run, "FINISHED")
        if each.folder is None or each.manifest_hash is None:
            return None
        same = [
            version
            for version in self._versions(desk)
            if (version.training, version.candidate, version.manifest_hash) == (training, each.name, each.manifest_hash)
        ]
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

    def _versions(self, desk: str) -> list[ModelVersion]:
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

    def champion(self, desk: str, before: dt.datetime) -> ModelVersion | None:
        """The champion of the latest training at or before `before`; None where that training found none.

        A training without a champion ends the reign of the one before it: "no view" is a result.
        """
        record = self.latest(desk, before)
        return record.champion if record else None

    def _point_alias(self, desk: str) -> None:
        """The alias ``champion`` names the latest training's champion, and is taken away where it has none."""
        latest = self.trainings(desk)[-1]
        if latest.champion is not None:
            self._client.set_registered_model_alias(desk, CHAMPION, str(latest.champion.version))
        elif self._client.search_registered_models(f"name='{desk}'"):
            self._client.delete_registered_model_alias(desk, CHAMPION)

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
