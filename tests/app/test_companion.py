"""The companion's files: written whole, read strictly, checkpoints of the session."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.app.api.companion_files import CompanionFiles
from openbell.app.companion import (
    RECOMMENDATIONS,
    checkpoint,
    checkpoints,
    latest_predictions,
    level_of,
    read_file,
    write_predictions,
    write_recommendations,
)
from openbell.core.assessment import Answer, Assessment
from openbell.core.errors import BadInput, DataMissing
from openbell.market.calendars import sessions
from openbell.store.prediction_rows import Prediction
from openbell.store.predictions import Predictions

XNYS = sessions("XNYS", 2024, 2026)
AT = dt.datetime(2025, 5, 22, 14, 37, 12, tzinfo=dt.UTC)


def said(symbol: str = "SPX", strategy: str = "Sonar", odds: float | None = 0.8, **changes) -> Assessment:
    made = Assessment(
        symbol, strategy, AT, Answer.ACCEPT, 1, ("why",), 400.0, 100.0, 0.25, (5800.0,),
        price_probability=0.7, win_probability=odds, threshold=0.6, expected_value_usd=12.0, model_version="m@1",
    )  # fmt: skip
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("score", "level"),
    [(100, "HIGH"), (75, "HIGH"), (74.999, "MEDIUM"), (60, "MEDIUM"), (59.999, "LOW"), (0, "LOW")],
)
def test_a_score_of_75_is_high(score, level):
    assert level_of(score) == level


def test_recommendations_read_back_as_they_were_written(tmp_path: Path):
    written = [said(), said("NDX", "Butterfly", None, answer=Answer.REFUSE), said("SPX", "Vertical", 0.55)]
    found = read_file(write_recommendations(tmp_path, written, at=AT))
    assert (found.timestamp, found.checkpoint_time) == (AT, None)
    by_name = {(each.symbol, each.strategy): each for each in found.recommendations}
    sonar, butterfly = by_name["SPX", "Sonar"], by_name["NDX", "Butterfly"]
    assert (sonar.score, sonar.level, sonar.recommendation) == (80.0, "HIGH", "TRADE")
    assert (butterfly.score, butterfly.recommendation) == (70.0, "SKIP")  # the price's odds, where no model speaks
    assert butterfly.beside["win_probability"] is None
    assert by_name["SPX", "Vertical"].level == "LOW"


def test_of_two_trades_in_one_place_the_better_speaks_and_the_other_is_counted(tmp_path: Path):
    path = write_recommendations(tmp_path, [said(odds=0.4), said(odds=0.9), said(odds=0.5)], at=AT)
    (found,) = read_file(path).recommendations
    assert (found.score, found.beside["others"]) == (90.0, 2)


def test_the_same_recommendations_are_the_same_bytes(tmp_path: Path):
    one, two = said(), said("NDX", "Butterfly")
    first = write_recommendations(tmp_path / "a", [one, two], at=AT).read_bytes()
    assert write_recommendations(tmp_path / "b", [two, one], at=AT).read_bytes() == first


def test_the_predictions_of_five_minutes_are_of_their_checkpoint(tmp_path: Path):
    """S1.40: {timestamp, checkpoint_time, recommendations}, one file for each checkpoint, the newest is found."""
    path = write_predictions(tmp_path, [said()], at=AT, sessions=XNYS)
    assert path.name == "ml_predictions_2025-05-22_1035.json"
    assert set(json.loads(path.read_text())) == {"timestamp", "checkpoint_time", "recommendations"}
    write_predictions(tmp_path, [said(odds=0.3)], at=AT + dt.timedelta(minutes=5), sessions=XNYS)
    found = latest_predictions(tmp_path)
    assert found.checkpoint_time == dt.datetime(2025, 5, 22, 14, 40, tzinfo=dt.UTC)
    assert found.recommendations[0].score == 30.0
    assert not list(tmp_path.glob(".*"))


def test_checkpoints_are_those_of_the_session_early_closes_included():
    """The grid of the sheets: 09:35 to 15:55, whatever the clock was changed to; check 40."""
    day = checkpoints(XNYS, dt.date(2025, 5, 22))
    assert len(day) == 77
    assert (f"{day[0]:%H:%M}", f"{day[-1]:%H:%M}") == ("13:35", "19:55")
    winter, half = checkpoints(XNYS, dt.date(2025, 1, 15)), checkpoints(XNYS, dt.date(2025, 11, 28))
    assert f"{winter[0]:%H:%M}" == "14:35"
    assert f"{half[-1]:%H:%M}" == "17:55"
    assert checkpoint(XNYS, day[3]) == day[3]
    assert checkpoint(XNYS, day[3] + dt.timedelta(seconds=299)) == day[3]
    assert checkpoint(XNYS, day[-1] + dt.timedelta(hours=3)) == day[-1]
    for none in (day[0] - dt.timedelta(seconds=1), dt.datetime(2025, 5, 24, 15, 0, tzinfo=dt.UTC)):
        with pytest.raises(BadInput):
            checkpoint(XNYS, none)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "no JSON"),
        ("[]", "object"),
        ({}, "timestamp"),
        ({"timestamp": "noon", "recommendations": {}}, "no moment"),
        ({"timestamp": "2025-05-22T10:35:00", "recommendations": []}, "symbols"),
        ({"timestamp": "2025-05-22T10:35:00", "recommendations": {"SPX": 1}}, "strategies"),
        ({"timestamp": "2025-05-22T10:35:00", "recommendations": {"SPX": {"Sonar": {"recommendation": "x"}}}}, "score"),
        (
            {
                "timestamp": "2025-05-22T10:35:00",
                "recommendations": {"SPX": {"Sonar": {"score": 101, "recommendation": "x"}}},
            },
            "0 to 100",
        ),
        ({"timestamp": "2025-05-22T10:35:00", "recommendations": {"SPX": {"Sonar": {"score": 1}}}}, "recommendation"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_part(tmp_path: Path, content, why):
    path = tmp_path / RECOMMENDATIONS
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(BadInput, match=why):
        read_file(path)


def test_a_moment_without_its_zone_is_the_exchanges(tmp_path: Path):
    """The companion's own files carry the exchange's time; check 40: never the machine's."""
    path = tmp_path / RECOMMENDATIONS
    path.write_text('{"timestamp": "2025-01-15T10:35:00", "recommendations": {}}')
    assert read_file(path).timestamp == dt.datetime(2025, 1, 15, 15, 35, tzinfo=dt.UTC)


def test_what_is_not_there_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(DataMissing):
        read_file(tmp_path / RECOMMENDATIONS)
    with pytest.raises(DataMissing):
        latest_predictions(tmp_path)
    with pytest.raises(BadInput, match="no score"):
        write_recommendations(tmp_path, [said(odds=None, price_probability=None)], at=AT)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("XY"), st.floats(0, 1)), max_size=8))
def test_nothing_is_lost_between_writing_and_reading(tmp_path_factory, rows):
    path = write_recommendations(tmp_path_factory.mktemp("c"), [said(*row) for row in rows], at=AT)
    found = read_file(path).recommendations
    assert sum(1 + each.beside.get("others", 0) for each in found) == len(rows)
    for each in found:
        assert each.score == max(
            round(100 * odds, 4) for symbol, name, odds in rows if (symbol, name) == (each.symbol, each.strategy)
        )


def test_the_log_of_five_minutes_is_written_at_their_checkpoint(tmp_path: Path):
    """14:35 UTC to 14:40: what was asked before and after belongs to others; the next file is half a minute away."""
    row = Prediction("a", AT, "SPX", "Sonar", "ACCEPT", 1, {"n": 1}, probability=0.8)
    rows = [
        row,
        replace(row, id="b", strategy="Vertical", answer="REFUSE", probability=None, price_probability=0.6),
        replace(row, id="c", at=AT - dt.timedelta(minutes=3), symbol="NDX"),
        replace(row, id="d", at=AT + dt.timedelta(minutes=3), symbol="RUT"),
        replace(row, id="e", probability=None, symbol="XSP"),
    ]
    with Predictions.open(f"sqlite:///{tmp_path}/p.db") as log:
        log.append(rows)
        clock = [AT + dt.timedelta(minutes=3, seconds=18)]  # 14:40:30
        files = CompanionFiles(tmp_path / "out", log, XNYS, lambda: clock[0])
        path = files.write()
        assert files._wait_seconds() == 4 * 60 + 40
        clock[0] = dt.datetime(2025, 5, 22, 22, 0, tzinfo=dt.UTC)
        assert files.write() is None  # the session is over
        clock[0] = dt.datetime(2025, 5, 24, 15, 0, tzinfo=dt.UTC)
        assert files.write() is None  # there is none
    assert path.name == "ml_predictions_2025-05-22_1040.json"
    found = {(each.symbol, each.strategy): each for each in read_file(path).recommendations}
    assert {key: (each.score, each.recommendation) for key, each in found.items()} == {
        ("SPX", "Sonar"): (80.0, "TRADE"),
        ("SPX", "Vertical"): (60.0, "SKIP"),
    }
    recommended = read_file(tmp_path / "out" / RECOMMENDATIONS)
    assert recommended.timestamp == dt.datetime(2025, 5, 22, 14, 40, tzinfo=dt.UTC)
    assert len(recommended.recommendations) == 2
