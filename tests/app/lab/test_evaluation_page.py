"""The page Evaluation: the verdict first, every figure as the record has it, and what is not there is said once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from evaluated_homes import AT, DESK, PLAN, session_home, texts

from openbell.app.home import Home
from openbell.app.lab import theme
from openbell.app.lab.figures import evaluation as figures
from openbell.app.lab.looks import evaluation as looks
from openbell.app.lab.looks import evaluation_desks as desks
from openbell.app.lab.looks import evaluation_models as models
from openbell.app.lab.looks.evaluation_found import between, told
from openbell.app.lab.page import Lab
from openbell.app.lab.pages.evaluation import PAGE, _deep, _one
from openbell.core.errors import BadInput, DataMissing


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    theme.register()
    return session_home(tmp_path_factory.mktemp("evaluated"))


def lab(home: Home) -> Lab:
    return Lab(lambda: home, None, None, lambda: AT)  # type: ignore[arg-type]


def listed(home: Home) -> looks.Listed:
    return looks.chosen(looks.on_record(home), DESK, PLAN[:6])


def test_without_a_training_the_page_says_what_to_do(tmp_path: Path) -> None:
    """Kills an empty page, and making a journal by looking."""
    shown = texts(PAGE.layout(lab(Home.open(tmp_path)), {"desk": "session", "training": "x"}))
    assert "There is no journal" in shown
    assert "openbell demo session" in shown
    assert not list(tmp_path.iterdir())


def test_a_family_finds_its_desk_and_not_one_that_begins_alike(home: Home) -> None:
    """Kills a prefix of letters in place of a prefix of names."""
    assert looks.chosen(looks.on_record(home), "session", "").desk == DESK
    assert not looks.belongs("sessions", "session")
    with pytest.raises(BadInput, match=r"session\.ES"):
        looks.chosen(looks.on_record(home), "sess", "")


def test_the_verdict_is_that_of_the_record_and_large(home: Home) -> None:
    """Kills a page that calls nothing something: no champion, so not enough evidence, before any figure."""
    shown = texts(PAGE.layout(lab(home), {"desk": "session", "training": PLAN}))
    record = home.journal.records(kind="training")[0].payload
    assert record["champion"] is None
    assert "Not enough evidence" in shown
    assert record["why"][0].partition(": ")[2] in shown
    assert shown.index("Not enough evidence") < shown.index("What the models were worth")
    assert "The data were made up" in shown


def test_every_score_has_n_interval_and_what_it_must_beat(home: Home) -> None:
    """Kills a figure of its own: score and bounds are those of the record; chance and tries stand beside."""
    found = looks.evaluated(home, listed(home))
    row = found.scores.row(by_predicate=pl.col("model") == "logistic", named=True)
    kept = desks_row(home, "logistic")
    assert (row["score"], row["low"], row["high"]) == (
        kept["skill_nats"], kept["skill_nats_low"], kept["skill_nats_high"])  # fmt: skip
    assert found.table.row(0, named=True)["commonest class"] == f"{kept['commonest']:.1%}"
    assert found.scores["kind"].to_list()[-1] == "baseline"
    shown = texts(PAGE.layout(lab(home), {"desk": "session", "training": PLAN}))
    assert "Among 2 tries" in shown
    assert "0 is what the base rates known then already said" in shown


def desks_row(home: Home, name: str) -> dict[str, float]:
    from openbell.app.lab.looks.training import trained

    scores = trained(home, DESK, PLAN).scores  # type: ignore[attr-defined]
    return dict(scores.models.row(by_predicate=pl.col("model") == name, named=True))


def test_a_training_that_is_not_there_is_said_and_another_shown(home: Home) -> None:
    """Kills an error in place of the page, and a silent other training."""
    shown = texts(PAGE.layout(lab(home), {"desk": DESK, "training": "ffff", "model": "<b>"}))
    assert "There is no training `ffff`" in shown
    assert "What the models were worth" in shown
    assert "There is no model `<b>`" in shown


def test_one_model_has_its_matrix_its_calibration_and_its_drift(home: Home) -> None:
    """Kills a matrix without counts; a model whose file is gone is told in a sentence."""
    shown = texts([*_one(lab(home), listed(home), "base_rate"), *_deep(lab(home), listed(home), "base_rate")])
    assert "Calibration" in shown
    assert "What was said and what happened" in shown
    assert "look at no feature" in shown
    assert "Drift" in shown
    assert "The drift watch of `base_rate` rings where" in shown or "There is no drift watch" in shown
    with pytest.raises(BadInput, match="There is no model `other`"):
        _one(lab(home), listed(home), "other")


def test_the_cells_of_the_signals_desk_are_counted_out_of_its_walk() -> None:
    """Kills a label that is shifted by one, and counting decisions whose outcome is not known."""
    walk = pl.DataFrame({
        "model": ["a"] * 4, "label": [-1, 0, 1, None], "p_sell": [0.6, 0.2, 0.1, 0.9], "p_hold": [0.3, 0.1, 0.2, 0.05],
        "p_buy": [0.1, 0.7, 0.7, 0.05], "call": ["SELL", "HOLD", "BUY", "SELL"],
    }, schema_overrides={"label": pl.Int8})  # fmt: skip
    found = desks._of_calls(walk)
    cells = {(r["rule"], r["actual"], r["said"]): r["n"] for r in found.iter_rows(named=True)}
    assert cells == {
        ("likeliest", "SELL", "SELL"): 1, ("likeliest", "HOLD", "BUY"): 1, ("likeliest", "BUY", "BUY"): 1,
        ("call", "SELL", "SELL"): 1, ("call", "HOLD", "HOLD"): 1, ("call", "BUY", "BUY"): 1,
    }  # fmt: skip


def test_the_cells_of_the_gate_are_taken_or_left() -> None:
    """Kills taking for winning."""
    walk = pl.DataFrame({"model": ["m"] * 3, "win": [True, False, None], "take": [False, True, True]})
    found = desks._of_trades(walk)
    assert set(found.select("actual", "said", "n").rows()) == {("won", "left", 1), ("lost", "taken", 1)}


def test_the_matrix_shows_shares_of_the_row_and_counts() -> None:
    """Kills shares of the column, and a cell that is missing read as another."""
    rows = pl.DataFrame({"actual": ["UP", "UP", "DOWN"], "said": ["UP", "DOWN", "DOWN"], "n": [3, 1, 2]})
    drawn = figures.confusion(rows, ["DOWN", "UP"], ["DOWN", "UP"]).data[0]
    np.testing.assert_allclose(drawn.z, [[1.0, 0.0], [0.25, 0.75]])
    assert drawn.text[1][1] == "3<br>75%"
    assert list(drawn.y) == ["DOWN (n 2)", "UP (n 4)"]


def test_reliability_tells_n_of_each_bin_and_hollows_what_is_few() -> None:
    """Kills a bin of three that looks as sure as one of three hundred."""
    rows = pl.DataFrame({"predicted": [0.4, 0.6, 0.8], "observed": [0.5, 0.6, 0.9], "low": [0.1, 0.5, None],
                         "high": [0.9, 0.7, None], "n": [3, 300, 0]})  # fmt: skip
    drawn = figures.reliability(rows, "UP", 0.51)
    assert list(drawn.data[2].text) == ["3", "300"]
    assert list(drawn.data[2].marker.symbol) == ["circle-open", "circle"]
    assert "51.0%" in drawn.data[1].name


def test_an_interval_is_never_made_up() -> None:
    """Kills ± 0 where there is no interval, and a dash for a zero."""
    assert between(None, None, None, ".1%") == "–"
    assert between(0.0, None, None, ".1%") == "0.0%\u00a0(no\u00a0interval)"
    rows = pl.DataFrame({"x": [0.5], "x_low": [0.4], "x_high": [0.6], "n": [1234]})
    assert told(rows, {"X": ("x", ".0%"), "n": ("n", ",d"), "gone": ("y", "")}).row(0) == (
        "50%\u00a0(40%\u00a0to\u00a060%)", "1,234")  # fmt: skip


def test_the_information_coefficient_leaves_out_what_is_no_number() -> None:
    """Kills a NaN that makes the mean of all a NaN."""
    rows = pl.DataFrame({"session": pl.date_range(AT.date(), AT.date().replace(day=4), eager=True),
                         "m": [0.1, float("nan"), 0.3]})  # fmt: skip
    drawn = figures.ics(rows, "m")
    assert drawn.data[2].name == "mean of all +0.2000"


def test_a_decision_that_is_not_in_the_walk_is_refused_in_a_sentence(home: Home) -> None:
    """Kills a fault on an address that somebody typed."""
    folder = home.models / "session" / "ES" / PLAN
    training = models._training(folder)
    with pytest.raises(BadInput, match="is not a date"):
        models._said(training, "logistic", "soon")
    with pytest.raises(BadInput, match="1999-01-04"):
        models._said(training, "logistic", "1999-01-04")
    said = models._said(training, "logistic", str(models.decisions(folder, "logistic")[0]))
    assert said["model"] == "logistic"


def test_a_walk_that_is_too_short_for_the_watch_says_so(home: Home) -> None:
    """Kills an empty figure of drift."""
    with pytest.raises(DataMissing, match="There is no drift watch of `logistic`"):
        models._watched(home.models / "session" / "ES" / PLAN, "logistic", 140, 0.05, 0)


def test_the_models_of_the_stocks_desk_are_found_where_they_lie(home: Home, tmp_path: Path) -> None:
    """Kills looking for them below the name of the desk: their training could not be opened at all."""
    from openbell.app.lab.looks.training import trained

    opened = Home.open(tmp_path)
    opened.journal.append("training", {"desk": "stocks", "training": "p" * 64}, at=AT, key="k")
    assert trained(opened, "stocks", "p" * 64).folder == opened.models / ("p" * 64)
