"""Model versions by train moment: a decision never meets a model that was trained later."""

import datetime as dt
import logging
import os
import shutil
from pathlib import Path

import pytest

from openbell.core.errors import BadInput, StorageFailed
from openbell.store.tracker import Tracker, Trained

UTC = dt.UTC


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database; a new one costs seconds."""
    path = tmp_path_factory.mktemp("tracker") / "template.db"
    assert Tracker.open(f"sqlite:///{path}").trainings("stocks") == []
    return path


@pytest.fixture
def tracker(template: Path, tmp_path: Path) -> Tracker:
    return Tracker.open(f"sqlite:///{shutil.copy(template, tmp_path / 'mlflow.db')}")


def day(year: int, month: int = 1, number: int = 2) -> dt.datetime:
    return dt.datetime(year, month, number, 14, tzinfo=UTC)


def candidates(mark: str = "x") -> list[Trained]:
    return [
        Trained("ridge", f"{mark}/ridge", f"{mark}11122223333", {"alpha": 1.0}, {"mean_rank_ic": 0.01, "tries": 3.0}),
        Trained(
            "lightgbm", f"{mark}/lightgbm", f"{mark}44455556666", {"trees": 9}, {"mean_rank_ic": 0.02, "upper": None}
        ),
        Trained("naive", None, None, {}, {}, why="It abstains."),
    ]


def test_a_decision_never_meets_a_later_model(tracker: Tracker):
    """A run for 2020-03-16 must not load what was trained afterwards."""
    for year, champion in ((2018, "ridge"), (2021, "lightgbm"), (2019, "lightgbm")):
        tracker.register("stocks", day(year), f"t{year}", candidates(f"m{year}"), champion)
    found = tracker.champion("stocks", dt.datetime(2020, 3, 16, 13, tzinfo=UTC))
    assert found is not None
    assert (found.as_of, found.candidate, found.folder) == (day(2019), "lightgbm", "m2019/lightgbm")
    assert found.label == "lightgbm@2019-01-02#m2019444"
    assert tracker.champion("stocks", day(2018) - dt.timedelta(microseconds=1)) is None
    exactly = tracker.champion("stocks", day(2018))
    assert exactly is not None
    assert exactly.candidate == "ridge"
    assert [each.training for each in tracker.trainings("stocks")] == ["t2018", "t2019", "t2021"]


def test_a_training_without_champion_ends_the_reign(tracker: Tracker):
    """Kills "the last champion there ever was": no view is a result."""
    tracker.register("stocks", day(2018), "one", candidates("a"), "ridge")
    tracker.register("stocks", day(2019), "two", candidates("b"), None, why="No view: nobody survives.")
    assert tracker.champion("stocks", day(2020)) is None
    record = tracker.latest("stocks", day(2020))
    assert record is not None
    assert record.why == "No view: nobody survives."
    assert tracker.champion("stocks", day(2018, 6)) is not None


def test_the_same_training_again_writes_nothing(tracker: Tracker):
    first = tracker.register("stocks", day(2018), "one", candidates(), "ridge")
    again = tracker.register("stocks", day(2018), "one", candidates(), "ridge")
    assert again == first
    assert len(tracker._versions("stocks")) == 2


@pytest.mark.parametrize("step", ["create_run", "log_batch", "create_model_version", "set_tag", "set_terminated"])
def test_a_killed_registration_does_not_count_and_is_finished_later(tracker: Tracker, monkeypatch, step: str):
    """Fault injection at every kind of write: the unfinished training is invisible, the repeat makes no doubles."""
    tracker.register("stocks", day(2017), "old", candidates("o"), "ridge")
    real, calls = getattr(tracker._client, step), []

    def dies(*arguments, **named):
        calls.append(step)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(tracker._client, step, dies)
    with pytest.raises(KeyboardInterrupt):
        tracker.register("stocks", day(2018), "new", candidates("n"), "lightgbm")
    monkeypatch.undo()
    seen = tracker.champion("stocks", day(2019))
    assert seen is not None
    assert seen.training == "old"
    record = tracker.register("stocks", day(2018), "new", candidates("n"), "lightgbm")
    assert record.champion is not None
    assert record.champion.candidate == "lightgbm"
    assert len(tracker._versions("stocks")) == 4
    assert len(tracker.trainings("stocks")) == 2


def test_metrics_and_params_are_kept_and_missing_ones_left_out(tracker: Tracker):
    tracker.register("stocks", day(2018), "one", candidates(), "lightgbm", metrics={"dates": 500.0, "critical": None})
    experiment = tracker._client.get_experiment_by_name("stocks").experiment_id
    runs = {run.info.run_name: run.data for run in tracker._client.search_runs([experiment])}
    assert runs["ridge"].metrics == {"mean_rank_ic": 0.01, "tries": 3.0}
    assert runs["ridge"].params == {"alpha": "1.0"}
    assert runs["lightgbm"].metrics == {"mean_rank_ic": 0.02}
    assert runs["training"].metrics == {"dates": 500.0}
    assert runs["naive"].tags["why"] == "It abstains."


def test_the_alias_follows_the_latest_train_moment(tracker: Tracker):
    tracker.register("stocks", day(2019), "late", candidates("a"), "lightgbm")
    tracker.register("stocks", day(2018), "early", candidates("b"), "ridge")
    assert tracker._client.get_model_version_by_alias("stocks", "champion").source == "a/lightgbm"
    tracker.register("stocks", day(2020), "none", candidates("c"), None)
    assert tracker._client.get_registered_model("stocks").aliases == {}


def test_desks_do_not_see_each_other(tracker: Tracker):
    tracker.register("stocks", day(2018), "one", candidates(), "ridge")
    assert tracker.champion("options", day(2020)) is None


@pytest.mark.parametrize("champion", ["naive", "nobody"])
def test_a_champion_without_a_model_is_refused(tracker: Tracker, champion: str):
    with pytest.raises(BadInput, match=f"`{champion}` is not among"):
        tracker.register("stocks", day(2018), "one", candidates(), champion)
    assert tracker.trainings("stocks") == []


def test_a_naive_moment_is_refused(tracker: Tracker):
    with pytest.raises(BadInput, match="no time zone"):
        tracker.champion("stocks", dt.datetime(2020, 1, 1))


@pytest.mark.parametrize("uri", ["file:///tmp/runs", "mlruns", "s3://bucket/x"])
def test_a_store_that_cannot_work_is_refused(uri: str):
    with pytest.raises(BadInput, match="Valid are `sqlite"):
        Tracker.open(uri)


def test_a_database_that_does_not_open_says_so(tmp_path: Path):
    (tmp_path / "mlflow.db").write_text("this is no database")
    with pytest.raises(StorageFailed, match="does not open"):
        Tracker.open(f"sqlite:///{tmp_path / 'mlflow.db'}").trainings("stocks")


def test_it_is_silent(tracker: Tracker):
    tracker.trainings("stocks")
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert not logging.getLogger("mlflow").isEnabledFor(logging.INFO)
    assert not logging.getLogger("alembic.runtime.migration").isEnabledFor(logging.INFO)
