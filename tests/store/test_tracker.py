"""Trainings by their moment, versions by number and label, and aliases that only a promotion moves."""

import datetime as dt
import logging
import os
import shutil
from pathlib import Path

import pytest

from openbell.core.errors import BadInput, Refused, StorageFailed
from openbell.store.tracker import ModelVersion, Tracker, Trained

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


def champion(tracker: Tracker, before: dt.datetime) -> ModelVersion | None:
    found = tracker.latest("stocks", before)
    return found.champion if found else None


def test_a_decision_never_meets_a_later_model(tracker: Tracker):
    """A run for 2020-03-16 must not load what was trained afterwards."""
    for year, best in ((2018, "ridge"), (2021, "lightgbm"), (2019, "lightgbm")):
        tracker.register("stocks", day(year), f"t{year}", candidates(f"m{year}"), best)
    found = champion(tracker, dt.datetime(2020, 3, 16, 13, tzinfo=UTC))
    assert found is not None
    assert (found.as_of, found.candidate, found.folder) == (day(2019), "lightgbm", "m2019/lightgbm")
    assert found.label == "lightgbm@2019-01-02#m2019444"
    assert champion(tracker, day(2018) - dt.timedelta(microseconds=1)) is None
    exactly = champion(tracker, day(2018))
    assert exactly is not None
    assert exactly.candidate == "ridge"
    assert [each.training for each in tracker.trainings("stocks")] == ["t2018", "t2019", "t2021"]


def test_a_training_without_champion_ends_the_reign(tracker: Tracker):
    """Kills "the last champion there ever was": no view is a result."""
    tracker.register("stocks", day(2018), "one", candidates("a"), "ridge")
    tracker.register("stocks", day(2019), "two", candidates("b"), None, why="No view: nobody survives.")
    assert champion(tracker, day(2020)) is None
    record = tracker.latest("stocks", day(2020))
    assert record is not None
    assert record.why == "No view: nobody survives."
    assert champion(tracker, day(2018, 6)) is not None


def test_the_same_training_again_writes_nothing(tracker: Tracker):
    first = tracker.register("stocks", day(2018), "one", candidates(), "ridge")
    again = tracker.register("stocks", day(2018), "one", candidates(), "ridge")
    assert again == first
    assert len(tracker.versions("stocks")) == 2


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
    seen = champion(tracker, day(2019))
    assert seen is not None
    assert seen.training == "old"
    record = tracker.register("stocks", day(2018), "new", candidates("n"), "lightgbm")
    assert record.champion is not None
    assert record.champion.candidate == "lightgbm"
    assert len(tracker.versions("stocks")) == 4
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


def aliases(tracker: Tracker) -> tuple[int | None, int | None]:
    found = [tracker.alias("stocks", name) for name in ("champion", "previous")]
    return tuple(each.version if each else None for each in found)  # type: ignore[return-value]


def test_registering_moves_no_alias(tracker: Tracker):
    """Kills: a training, or a tournament, that puts its champion into production by being registered."""
    assert aliases(tracker) == (None, None), "nothing was ever registered"
    tracker.register("stocks", day(2019), "late", candidates("a"), "lightgbm")
    tracker.register_tournament("stocks", day(2020), "plan", candidates("b"))
    assert aliases(tracker) == (None, None)
    tracker.promote("stocks", 1)
    tracker.register("stocks", day(2021), "none", candidates("c"), None)
    tracker.register("stocks", day(2022), "one", candidates("d"), "ridge")
    assert aliases(tracker) == (1, None)


def test_promotions_and_rollbacks_move_both_aliases(tracker: Tracker):
    tracker.register("stocks", day(2019), "one", candidates("a"), None)
    tracker.register("stocks", day(2020), "two", candidates("b"), None)
    assert tracker.promote("stocks", 2).folder == "a/lightgbm"
    assert aliases(tracker) == (2, None)
    tracker.promote("stocks", 3)
    assert aliases(tracker) == (3, 2)
    tracker.promote("stocks", 3)
    assert aliases(tracker) == (3, 2), "the same again is no change: it is not its own predecessor"
    tracker.promote("stocks", 4)
    assert aliases(tracker) == (4, 3)
    assert tracker.rollback("stocks", 2).version == 3
    assert aliases(tracker) == (3, 2)
    assert tracker.rollback("stocks").version == 2
    assert aliases(tracker) == (2, None)
    with pytest.raises(Refused, match="no previous champion"):
        tracker.rollback("stocks")
    assert aliases(tracker) == (2, None)


def test_a_promotion_that_was_killed_between_the_aliases_is_ended_by_the_next(tracker: Tracker, monkeypatch):
    tracker.register("stocks", day(2019), "one", candidates("a"), None)
    tracker.register("stocks", day(2020), "two", candidates("b"), None)
    tracker.promote("stocks", 1)
    real, calls = tracker._client.set_registered_model_alias, []

    def dies(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(tracker._client, "set_registered_model_alias", dies)
    with pytest.raises(KeyboardInterrupt):
        tracker.promote("stocks", 3)
    monkeypatch.undo()
    assert aliases(tracker)[0] == 1, "the champion is named last"
    tracker.promote("stocks", 3)
    assert aliases(tracker) == (3, 1)


def test_a_version_is_found_by_number_and_by_label(tracker: Tracker):
    tracker.register("stocks", day(2019), "one", candidates("a"), None)
    assert tracker.version("stocks", "2").candidate == "lightgbm"
    assert tracker.version("stocks", "ridge@2019-01-02#a1112222").version == 1
    with pytest.raises(BadInput, match="Did you mean `lightgbm@2019-01-02#a4445555"):
        tracker.version("stocks", "lightgbm@2019-01-03#a4445555")
    with pytest.raises(BadInput, match="Did you mean `champion`"):
        tracker.alias("stocks", "champoin")


def test_a_tournament_keeps_entrants_hashes_and_small_files(template: Path, tmp_path: Path, monkeypatch):
    """Parameters, metrics, tags and files on the run they belong to, inside the home, once."""
    home = tmp_path / "a home #1"
    tracker = Tracker.open(f"sqlite:///{shutil.copy(template, tmp_path / 'mlflow.db')}", home / "mlflow")
    (tmp_path / "matrix.csv").write_text("entrant\n")
    (tmp_path / "curve.png").write_bytes(b"png")
    (tmp_path / "large.csv").write_bytes(b"x" * 60)
    monkeypatch.setattr("openbell.store.tracker.LOGGED_BYTES", 50)
    entrants = [
        Trained("lightgbm+hrp", "p/lightgbm", "m" * 12, {"trees": 9}, {"sharpe": 1.2}, tags={"recipe": "r1"},
                files=[tmp_path / "curve.png"]),
        Trained("lightgbm+equal", "p/lightgbm", "m" * 12, {"trees": 9}, {"sharpe": 1.0}, tags={"recipe": "r1"}),
        Trained("naive+equal", None, None, why="It abstains."),
    ]  # fmt: skip
    given = {"metrics": {"entrants": 3.0}, "params": {"alpha": 0.01}, "tags": {"data": "d1"}}
    files = [tmp_path / "matrix.csv", tmp_path / "large.csv"]
    done = tracker.register_tournament("stocks", day(2020), "plan", entrants, why="None.", files=files, **given)
    assert {name: each.label for name, each in done.versions.items()} == {
        "lightgbm+hrp": "lightgbm+hrp@2020-01-02#mmmmmmmm",
        "lightgbm+equal": "lightgbm+equal@2020-01-02#mmmmmmmm",
    }
    parent = tracker._client.get_run(done.run_id)
    assert (parent.info.status, parent.data.metrics, parent.data.params) == (
        "FINISHED",
        {"entrants": 3.0},
        {"alpha": "0.01"},
    )
    assert parent.data.tags["data"] == "d1"
    assert set(parent.data.tags) >= {"file.matrix.csv", "file.large.csv"}
    runs = {run.info.run_name: run for run in tracker._client.search_runs([parent.info.experiment_id])}
    assert {run.data.tags["mlflow.parentRunId"] for name, run in runs.items() if name != "tournament"} == {done.run_id}
    assert runs["lightgbm+hrp"].data.tags["recipe"] == "r1"
    kept = {str(path.relative_to(home / "mlflow")) for path in home.rglob("*") if path.is_file()}
    assert kept == {
        f"{done.run_id}/artifacts/matrix.csv",
        f"{runs['lightgbm+hrp'].info.run_id}/artifacts/curve.png",
    }
    assert tracker.register_tournament("stocks", day(2020), "plan", entrants, why="None.", files=files, **given) == done
    assert len(tracker.versions("stocks")) == 2
    assert tracker.trainings("stocks") == [], "a tournament is no training"


def test_a_home_that_was_moved_writes_no_file_to_the_old_place(template: Path, tmp_path: Path):
    uri = f"sqlite:///{shutil.copy(template, tmp_path / 'mlflow.db')}"
    (tmp_path / "matrix.csv").write_text("entrant\n")
    Tracker.open(uri, tmp_path / "old").register("stocks", day(2019), "one", candidates("a"), None)
    for number, place in enumerate((tmp_path / "new", tmp_path / "ol", None)):
        moved = Tracker.open(uri, place)
        done = moved.register_tournament("stocks", day(2020), f"{number}", [], files=[tmp_path / "matrix.csv"])
        assert "file.matrix.csv" in moved._client.get_run(done.run_id).data.tags
    assert not list(tmp_path.rglob("artifacts"))


def test_desks_do_not_see_each_other(tracker: Tracker):
    tracker.register("stocks", day(2018), "one", candidates(), "ridge")
    assert tracker.latest("options", day(2020)) is None
    tracker.promote("stocks", 1)
    assert tracker.alias("options", "champion") is None
    with pytest.raises(BadInput, match="There is no version of a model of `options` `1`"):
        tracker.promote("options", 1)


@pytest.mark.parametrize("named", ["naive", "nobody"])
def test_a_champion_without_a_model_is_refused(tracker: Tracker, named: str):
    with pytest.raises(BadInput, match=f"`{named}` is not among"):
        tracker.register("stocks", day(2018), "one", candidates(), named)
    assert tracker.trainings("stocks") == []


def test_a_naive_moment_is_refused(tracker: Tracker):
    with pytest.raises(BadInput, match="no time zone"):
        tracker.latest("stocks", dt.datetime(2020, 1, 1))


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
