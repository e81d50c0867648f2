"""The page Training: a job is started, watched, reloaded, killed, run again and done; scores fold by fold."""

import os
import signal
import sys
from pathlib import Path

import polars as pl
import pytest
from labs import running

from openbell.app.lab.figures.training import folds
from openbell.app.lab.job_kinds import KINDS
from openbell.app.lab.looks import training as looks
from openbell.app.lab.place import Place
from openbell.core.errors import BadInput, DataMissing

pytestmark = pytest.mark.xdist_group("browser")
COMMAND = (sys.executable, str(Path(__file__).parent / "told_job.py"))


@pytest.fixture
def lab(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "told").write_text("wait")
    with running(home, command=COMMAND) as found:
        yield found


def _status(window, status):
    window.page.wait_for_selector(f'#training-watched .badge:text-is("{status}")')


def test_a_training_from_start_to_result(browse, lab):
    """Check: a reload during training, a killed worker, two people at once; nothing is lost."""
    window = browse().open(lab.page("training", "?desk=gate"))
    window.page.click("text=Folds and other settings")
    window.page.fill('input[id*="gate.refit_days"]', "many")
    window.page.keyboard.press("Tab")
    window.page.click("#training-start")
    window.page.wait_for_function("() => document.getElementById('lab-alert').textContent.includes('valid integer')")
    assert window.alert == "`gate.refit_days` must be a valid integer; was 'many'."
    window.page.fill('input[id*="gate.refit_days"]', "17")
    window.page.keyboard.press("Tab")
    window.page.click("#training-start")
    window.page.wait_for_selector("#training-watched progress[value]")
    window.page.reload()
    window.stands()
    _status(window, "running")
    other = browse(width=390, theme="dark").open(window.page.url)
    _status(other, "running")
    assert "Train the gate" in other.page.inner_text("#training-jobs")
    job = lab.lab.jobs.newest()[0]
    os.kill(job.pid, signal.SIGKILL)
    _status(window, "lost")
    _status(other, "lost")
    other.check_narrow()
    (lab.path / "told").write_text("done")
    window.page.click(f'button[aria-label^="Run again"][aria-label*="{job.id}"]')
    _status(window, "done")
    assert "17 days" in window.page.inner_text("#training-watched")
    assert "No candidate proved itself." in window.page.inner_text("#training-watched")
    assert window.page.get_attribute('#training-watched a:has-text("evaluation")', "href") == (
        "/lab/evaluation?desk=gate&training=abc"
    )
    window.check_accessible()
    other.check_quiet()
    window.check_quiet()


def test_a_running_job_is_cancelled_on_the_page(browse, lab):
    window = browse().open(lab.page("training", "?desk=gate"))
    window.page.click("#training-start")
    window.page.wait_for_selector("#training-watched progress[value]")
    window.page.click('button[aria-label^="Cancel"]')
    _status(window, "cancelled")
    window.check_quiet()


def test_two_people_see_the_same_job_and_one_cancels_it(browse, lab):
    """Check: two people at once. The second start is the same job; who cancels it cancels it for both."""
    ann = browse().open(lab.page("training", "?desk=gate"))
    ben = browse().open(lab.page("training", "?desk=gate"))
    ann.page.click("#training-start")
    _status(ann, "running")
    ben.page.wait_for_selector('#training-jobs .badge:text-is("running")')
    ben.page.click("#training-start")
    _status(ben, "running")
    assert len(lab.lab.jobs.newest()) == 1
    ben.page.click('button[aria-label^="Cancel"]')
    _status(ben, "cancelled")
    _status(ann, "cancelled")
    assert "It was cancelled." in ann.page.inner_text("#training-watched")
    ann.check_quiet()
    ben.check_quiet()


def test_a_job_that_there_is_not_is_said_to_be(browse, lab):
    window = browse().open(lab.page("training", "?job=../../etc"))
    window.page.wait_for_function("() => document.getElementById('lab-alert').textContent !== ''")
    assert window.alert.startswith("There is no job `../../etc`")
    window.check_quiet()


def test_every_desk_that_can_be_trained_has_its_form(tmp_path):
    """Models that the training itself would take, and settings that there are."""
    home = Place(str(tmp_path)).opened()
    found = looks.desks(home)
    assert set(found) == {each.desk for name, each in KINDS.items() if name.startswith("train_")} == set(looks.SETTINGS)
    for name, desk in found.items():
        assert desk.models, name
        assert set(desk.own) <= set(desk.models), name
        for each in desk.settings:
            assert each.key in home.settings.origins
            assert each.key.startswith(desk.kind.settings)
            assert each.about, each.key
    assert "lstm_classifier" in found["signals"].models
    assert "lstm_classifier" not in found["session"].models
    assert set(found["options"].models) == {"catboost", "lightgbm", "random_forest", "xgboost"}
    assert "price" not in found["gate"].models


def test_models_on_the_form_are_those_a_training_takes(tmp_path):
    from openbell.app import gate_training, options_training, session_training, signals_training

    home = Place(str(tmp_path)).opened()
    found = looks.desks(home)
    for desk, room in (("gate", gate_training), ("options", options_training), ("session", session_training),
                       ("signals", signals_training)):  # fmt: skip
        assert room.candidates_of(home, tuple(found[desk].models)), desk


def test_an_empty_home_is_said_to_be_one(tmp_path):
    home = Place(str(tmp_path)).opened()
    with pytest.raises(DataMissing, match="Nothing is stored yet"):
        looks.stored(home)
    with pytest.raises(DataMissing, match="There is no journal"):
        looks.folds(home, "gate", "abc")
    assert home.journal.records() == []
    with pytest.raises(BadInput, match="The journal knows no training `abc` of gate"):
        looks.folds(home, "gate", "abc")


def test_means_by_fold_with_intervals_of_whole_sessions():
    """Means by hand; an interval where there are sessions enough, none where there are too few."""
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 4, 19), eager=True)
    rows = pl.DataFrame({"session": days, "fold": [0] * 100 + [1] * 10, "value": [float(at % 5) for at in range(110)]})
    both = pl.concat([rows.with_columns(model=pl.lit("b")), rows.with_columns(pl.col("value") + 1, model=pl.lit("a"))],
                     how="diagonal")  # fmt: skip
    found = looks._by_fold(both, 1)
    assert found.select("model", "fold", "first", "last", "n", "score").rows() == [
        ("a", 0, "2024-01-01", "2024-04-09", 100, 3.0), ("a", 1, "2024-04-10", "2024-04-19", 10, 3.0),
        ("b", 0, "2024-01-01", "2024-04-09", 100, 2.0), ("b", 1, "2024-04-10", "2024-04-19", 10, 2.0),
    ]  # fmt: skip
    first, second = found.row(0, named=True), found.row(1, named=True)
    assert first["low"] < 3.0 < first["high"]
    assert (second["low"], second["high"]) == (None, None)


def test_the_figure_shows_every_model_and_fold_with_its_interval():
    rows = pl.DataFrame(
        {"model": ["a", "a", "b"], "fold": [0, 1, 0], "first": ["2024-01-02", "2024-03-01", "2024-01-02"],
         "last": ["2024-02-29", "2024-04-01", "2024-02-29"], "n": [40, 20, 38], "score": [0.1, -0.2, None],
         "low": [0.0, None, None], "high": [0.3, None, None]}
    )  # fmt: skip
    figure = folds(rows, "skill, nats")
    assert [trace.name for trace in figure.data] == ["a", "b"]
    a = figure.data[0]
    assert list(a.y) == [0.1, -0.2]
    assert a.error_y.array[0] == pytest.approx(0.2)
    assert a.error_y.arrayminus[0] == pytest.approx(0.1)
    assert list(figure.data[1].y) == []
    assert figure.layout.yaxis.title.text == "skill, nats"
    assert list(figure.layout.xaxis.ticktext) == ["2024-01-02<br>n = 40", "2024-03-01<br>n = 20"]
