"""The drift watch of a model: armed by its walk, looked at session by session, silent where nobody spoke."""

import json

import polars as pl
import pytest
from tests.research.session_days import made_bars, made_forecasts

from openbell.core.errors import BadInput, DataMissing
from openbell.research.session_drift import WATCHED, armed, rolling, spoken

HOW = {"window": 30, "replications": 200}


@pytest.fixture(scope="module")
def walk():
    return made_forecasts(made_bars(300), knows=0.4)


@pytest.fixture(scope="module")
def watch(walk):
    return armed(walk.head(220), **HOW)


def test_every_later_session_has_a_whole_window_and_a_look_at_a_time_is_a_look_at_all(walk, watch):
    """Trap 20: whether it rings does not depend on how much is watched at once."""
    later = walk.tail(80)
    found = watch.watched(later)
    assert found["session"].to_list() == later["session"].to_list()
    assert found.schema == pl.Schema(WATCHED)
    for n in (1, 17):
        assert watch.watched(later.head(n)).equals(found.head(n))
    own = walk.filter(pl.col("session") <= later["session"][0]).tail(30)
    loss = -own.select(pl.when(pl.col("label") == 1).then("p_up").otherwise("p_down").log().mean()).item()
    assert found["log_loss"][0] == pytest.approx(loss)


def test_a_model_that_says_the_opposite_is_noticed_and_one_that_goes_on_is_not(walk, watch):
    assert not watch.watched(walk.tail(80))["rings"].any()
    turned = walk.tail(80).with_columns((1 - pl.col("label")).alias("label"))
    rings = watch.watched(turned)["rings"]
    assert rings.any()
    assert not rings[0], "one session is no drift"


def test_the_reference_is_not_watched_and_what_is_not_known_yet_is_left_out(walk, watch):
    with pytest.raises(BadInput, match="looks at sessions after"):
        watch.watched(walk.tail(100))
    waiting = walk.tail(80).with_columns(
        pl.when(pl.int_range(pl.len()) < 2).then(None).otherwise("label").alias("label"),
        pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise("p_up").alias("p_up"),
    )
    assert watch.watched(waiting).height == 77
    assert watch.watched(walk.clear()).is_empty() or watch.watched(walk.clear()).height == 0
    assert spoken(waiting, ("DOWN", "UP")).height == 77


def test_it_is_told_what_it_is_worth_before_it_is_relied_on(watch):
    told = watch.lines()
    assert told[0].startswith("The drift watch of `made` rings where the log-loss of 30 sessions lies above ")
    assert told[1].startswith("Without any drift it rings within 252 sessions with a chance of 5%; in 200 simulated")
    assert [each.split(",")[0] for each in told[2:]] == [
        "Where half of what is known is lost", "Where all that is known is lost", "Where the opposite comes",
    ]  # fmt: skip
    assert json.loads(json.dumps(watch.record))["classes"] == ["DOWN", "UP"]


def test_the_walk_itself_is_rolled_from_its_first_whole_window(walk, watch):
    found = rolling(walk.head(220), watch)
    assert found.height == 220 - 29
    assert found["session"][0] == walk["session"][29]
    assert rolling(walk.head(10), watch).schema == pl.Schema(WATCHED)


def test_a_watch_is_of_one_model_and_of_enough_sessions(walk):
    with pytest.raises(BadInput, match="of one model; the forecasts are of 2"):
        armed(pl.concat([walk, walk.with_columns(pl.lit("other").alias("model"))]), **HOW)
    with pytest.raises(DataMissing, match="not armed"):
        armed(walk.head(50), **HOW)
