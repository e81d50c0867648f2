"""The prediction log, one suite over SQLite and a real PostgreSQL."""

import datetime as dt
import hashlib
import json
import sys
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from openbell.core.assessment import Answer, Assessment
from openbell.core.errors import BadInput, DataMissing
from openbell.store.assignments import Assignment
from openbell.store.prediction_measures import Chosen
from openbell.store.prediction_rows import Kept, Logged, Prediction
from openbell.store.predictions import Outcome, Predictions

sys.path.insert(0, str(Path(__file__).parent))
from gate_log import AT, LATER, said

NEW, KNOWN, CLASH, OTHER_ARM = Kept.NEW, Kept.KNOWN, Kept.CLASH, Kept.OTHER_ARM


@pytest.fixture
def log(journal_url):
    with Predictions.open(journal_url) as opened:
        yield opened


def rows(log: Predictions) -> int:
    with log.database.reading() as connection:
        return connection.execute(sa.text("SELECT count(*) FROM predictions")).scalar()


def full(id: str = "full") -> Prediction:
    """Every field differs from its default, and numbers that a database may bend."""
    return said(
        id, trade_id="t-ü", features={"a": -0.0, "b": 1e22, "c": None, "d": 1 / 3, "e": 1e-300, "f": 7},
        inputs={"text": "Ä „x“ \u2603 \\u0000 stays", "strikes": (5905.0, 5855), "none": None, "at": AT, "flag": True},
        model_key="SPX_Vertical", model_version="v1", model_level="symbol", price_probability=0.1 + 0.2,
        risk_usd=437.0, reward_usd=63.0, expected_value_usd=-1e-9, latency_ms=3.5, data_source="companion",
        data_age_seconds=0.0, experiment="gate", experiment_version=1, arm="test", threshold=1.0,
        at=AT + dt.timedelta(microseconds=123456),
    )  # fmt: skip


def test_what_was_appended_is_read_back(log, journal_url):
    given = full()
    assert log.append([given]) == (NEW,)
    with Predictions.open(journal_url) as other:
        assert other.get(["full", "nobody"]) == {"full": Logged(given, None, None, None)}
    assert given.inputs["strikes"] == [5905.0, 5855]
    assert given.inputs["at"] == "2025-06-02T14:00:00+00:00"
    text = json.dumps(given.features, sort_keys=True, separators=(",", ":"))
    assert '"a":0.0' in text
    assert given.features_hash == hashlib.sha256(text.encode()).hexdigest()
    if log.database.dialect == "postgresql":
        with log.database.reading() as connection:
            kinds = connection.exec_driver_sql("SELECT pg_typeof(features), pg_typeof(inputs) FROM predictions").one()
        assert set(kinds) == {"jsonb"}


def test_an_id_is_one_row_however_often_it_is_sent(log):
    """Kills: a second row for a retry; a retry that overwrites; another order that hides behind a known id."""
    retried = said("a", at=LATER, latency_ms=9.0, probability=0.9)
    retried_question = said("a").inputs
    assert log.append([]) == ()
    assert log.append([said("a"), said("b"), said("a"), said("b", inputs={"text": "another"})]) == (
        NEW,
        NEW,
        KNOWN,
        CLASH,
    )
    assert log.append([said("c"), retried, said("a", inputs={"other": 1})]) == (NEW, KNOWN, CLASH)
    assert retried.inputs == retried_question
    assert log.get(["a"])["a"].prediction == said("a")
    assert rows(log) == 3


def test_a_large_batch_goes_in_at_once(log):
    """More rows than one statement takes parameters for."""
    many = [said(f"{number}") for number in range(1200)]
    assert set(log.append(many)) == {NEW}
    assert set(log.append(many[::-1])) == {KNOWN}
    assert len(log.get([each.id for each in many])) == rows(log) == 1200


def test_the_stored_arm_of_a_trade_stands(log):
    """Kills: a trade that is split over two arms; a prediction that is logged under an arm the trade does not have."""

    def armed(id, arm, version=1, trade="t"):
        return said(id, trade_id=trade, experiment="gate", experiment_version=version, arm=arm)

    assert log.append([armed("a", "test"), armed("b", "control"), armed("c", "test")]) == (NEW, OTHER_ARM, NEW)
    assert log.append([armed("d", "test", version=2), armed("e", "control", trade="u")]) == (OTHER_ARM, NEW)
    assert log.append([armed("b", "test"), armed("a", "control")]) == (NEW, KNOWN)
    assert sorted(log.get(list("abcde"))) == ["a", "b", "c", "e"]


def test_an_outcome_is_joined_to_every_prediction_of_its_trade_once(log):
    """Kills: profit 0 as a win; a later prediction that gets an outcome known before it; another key's trade."""
    log.append([
        said("a", trade_id="t"), said("b", trade_id="t", at=AT + dt.timedelta(minutes=1)),
        said("late", trade_id="t", at=LATER + dt.timedelta(minutes=1)), said("other", trade_id="t2"),
        said("theirs", trade_id="t", key_id="k2"), said("alone"),
    ])  # fmt: skip
    assert log.outcome(-437.0, known_at=LATER, id="a") == 2
    assert log.outcome(-437.0, known_at=LATER + dt.timedelta(days=1), trade_id="t", key_id="k1") == 1, "the late one"
    assert log.outcome(-437.0, known_at=LATER, id="b") == 0
    assert log.outcomes([Outcome(0.0, LATER, trade_id="t2"), Outcome(1e-9, LATER, id="alone")]) == 2
    found = log.get(["a", "b", "late", "other", "theirs", "alone"])
    assert {id: (each.win, each.profit_usd) for id, each in found.items()} == {
        "a": (False, -437.0), "b": (False, -437.0), "late": (False, -437.0), "other": (False, 0.0),
        "theirs": (None, None), "alone": (True, 1e-9),
    }  # fmt: skip
    assert found["a"].outcome_known_at == LATER, "the first moment stands"
    assert log.history(Chosen(known=False)).rows == (found["theirs"],)


def test_an_outcome_that_contradicts_is_refused_and_nothing_of_its_batch_is_kept(log):
    log.append([said("a", trade_id="t"), said("b", trade_id="u"), said("c", trade_id="t", key_id="k2")])
    log.outcome(5.0, known_at=LATER, id="a")
    before = log.history().rows
    with pytest.raises(BadInput, match=r"request `a` has made 5.00 USD already; it cannot have made 6.00 now"):
        log.outcomes([Outcome(1.0, LATER, id="b"), Outcome(6.0, LATER, id="a")])
    with pytest.raises(BadInput, match=r"Several keys asked about a trade `t`"):
        log.outcome(5.0, known_at=LATER, trade_id="t")
    with pytest.raises(DataMissing, match=r"no prediction of trade `nobody` made\. Tell"):
        log.outcome(5.0, known_at=LATER, trade_id="nobody")
    with pytest.raises(DataMissing, match=r"no prediction of request `b` made\. Tell"):
        log.outcome(5.0, known_at=LATER, id="b", key_id="k2")
    with pytest.raises(DataMissing, match="no prediction of request `b` made before the outcome was known"):
        log.outcome(5.0, known_at=AT, id="b")
    assert log.history().rows == before


@pytest.mark.parametrize(("profit", "words", "sentence"), [
    (float("nan"), {"id": "a"}, "must be a finite number; was nan. Where it is missing, tell no outcome"),
    (1.0, {}, "one of both"),
    (1.0, {"id": "a", "trade_id": "b"}, "one of both"),
])  # fmt: skip
def test_an_outcome_that_is_none_is_refused(profit, words, sentence):
    """check 6: a missing profit is missing, never a loss."""
    with pytest.raises(BadInput, match=sentence):
        Outcome(profit, LATER, **words)


def test_history_is_paged_without_gap_or_double(log):
    """Many rows of one moment. Kills: a cursor of the moment alone; an offset."""
    log.append([said(f"{number:02d}", at=AT + dt.timedelta(seconds=number // 5)) for number in range(23)])
    expected = [f"{number:02d}" for number in reversed(range(23))]
    seen, cursor = [], None
    for turn in range(10):
        page = log.history(limit=4, cursor=cursor)
        seen += [each.prediction.id for each in page.rows]
        cursor = page.cursor
        if turn == 1:
            log.append([said("new", at=LATER)])
        if cursor is None:
            break
    assert seen == expected
    assert log.history(limit=24).cursor is None
    for limit in (0, 1001):
        with pytest.raises(BadInput, match=f"{limit} were asked for"):
            log.history(limit=limit)
    for cursor in ("x", "ÿ", "AAAA"):
        with pytest.raises(BadInput, match="is no cursor"):
            log.history(cursor=cursor)


def test_history_is_chosen_by_everything_that_is_asked(log):
    log.append([said("a"), said("b", symbol="SPY"), said("c", strategy="Sonar", model_level="group"),
                said("d", answer="REFUSE", key_id="k2"), said("e", at=LATER)])  # fmt: skip

    def ids(**how):
        return [each.prediction.id for each in log.history(Chosen(**how)).rows]

    assert ids() == ["e", "d", "c", "b", "a"]
    assert ids(symbol="SPY") == ["b"]
    assert ids(strategy="Sonar", model_level="group") == ["c"]
    assert ids(answer="REFUSE", key_id="k1") == []
    assert ids(key_id="k2") == ["d"]
    assert ids(since=LATER) == ["e"]
    assert ids(until=LATER, symbol="SPX", key_id="k1") == ["c", "a"]
    assert ids(known=True) == []


def judged(log: Predictions) -> None:
    """Two days. SPX: p .6 won, .7 lost, .4 (under its threshold) won, .2 lost; one open; one without a model."""
    next_day = AT + dt.timedelta(days=1)
    wins = {"a": (0.6, 0.5, 10.0, AT), "b": (0.7, None, -20.0, AT), "c": (0.4, 0.5, 5.0, next_day),
            "d": (0.2, None, -1.0, next_day)}  # fmt: skip
    log.append([said(id, probability=p, threshold=t, at=at) for id, (p, t, _, at) in wins.items()])
    log.append([said("open", probability=0.9), said("price", probability=None, at=next_day), said("spy", symbol="SPY")])
    log.outcomes([Outcome(profit, next_day + dt.timedelta(hours=9), id=id) for id, (_, _, profit, _) in wins.items()])
    log.outcome(100.0, known_at=LATER + dt.timedelta(days=2), id="price")


def test_accuracy_is_worked_by_hand(log):
    judged(log)
    (row,) = log.accuracy(minimum=4).to_dicts()
    assert row == pytest.approx({
        "symbol": "SPX", "strategy": "Vertical", "n": 4, "days": 2, "hits": 2, "accuracy": 0.5, "win_rate": 0.5,
        "mean_probability": 0.475, "brier": (0.16 + 0.49 + 0.36 + 0.04) / 4, "false_positives": 1, "false_negatives": 1,
    })  # fmt: skip
    (row,) = log.accuracy(minimum=5).to_dicts()
    assert (row["n"], row["hits"], row["accuracy"], row["brier"], row["win_rate"]) == (4, 2, None, None, None)
    assert log.accuracy(Chosen(symbol="SPY")).is_empty()
    with pytest.raises(BadInput, match="`minimum` must be at least 1; was 0"):
        log.accuracy(minimum=0)


def test_trends_are_worked_by_hand(log):
    """Kills: an open trade as a loss; a trade without a model in the model's own figures."""
    judged(log)
    trends = log.trends(Chosen(symbol="SPX"))
    assert trends["day"].to_list() == [dt.date(2025, 6, 2), dt.date(2025, 6, 3)]
    first, second = ({name: each for name, each in row.items() if name != "day"} for row in trends.to_dicts())
    assert first == pytest.approx({
        "n": 3, "mean_probability": (0.6 + 0.7 + 0.9) / 3, "judged": 2, "win_rate": 0.5, "brier": 0.325,
        "calibration": 0.15, "profit_usd": -10.0,
    })  # fmt: skip
    assert second == pytest.approx({
        "n": 3, "mean_probability": 0.3, "judged": 2, "win_rate": 0.5, "brier": 0.2, "calibration": -0.2,
        "profit_usd": 104.0,
    })  # fmt: skip
    (spy,) = log.trends(Chosen(symbol="SPY")).to_dicts()
    assert (spy["n"], spy["judged"], spy["win_rate"], spy["brier"], spy["profit_usd"]) == (1, 0, None, None, None)
    assert log.trends(Chosen(symbol="QQQ")).schema == trends.schema
    assert log.counts().rows() == [("SPX", "Vertical", "ACCEPT", 6), ("SPY", "Vertical", "ACCEPT", 1)]


def test_a_day_is_the_exchanges(log, monkeypatch):
    """check 40: a prediction after midnight UTC belongs to the evening in New York, wherever the machine stands."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    log.append([said("a", at=dt.datetime(2025, 6, 3, 3, 59, tzinfo=dt.UTC)),
                said("b", at=dt.datetime(2025, 6, 3, 4, 0, tzinfo=dt.UTC)),
                said("c", at=dt.datetime(2025, 1, 3, 4, 59, tzinfo=dt.UTC))])  # fmt: skip
    assert log.trends()["day"].to_list() == [dt.date(2025, 1, 2), dt.date(2025, 6, 2), dt.date(2025, 6, 3)]


def test_thinning_forgets_what_was_asked_and_nothing_of_what_was_said(log):
    judged(log)
    before = (log.trends(), log.accuracy(), log.counts())
    assert log.thin(AT + dt.timedelta(hours=1)) == 4
    assert log.thin(AT + dt.timedelta(hours=1)) == 0
    thinned, kept = log.get(["a", "c"]).values()
    assert (thinned.prediction.inputs, thinned.prediction.features) == ({}, {})
    assert kept.prediction.inputs == {"text": "SELL c"}
    assert thinned.prediction.inputs_hash == said("a").inputs_hash
    assert log.append([said("a"), said("a", inputs={"x": 1})]) == (KNOWN, CLASH)
    assert all(one.equals(two) for one, two in zip(before, (log.trends(), log.accuracy(), log.counts()), strict=True))


@pytest.mark.parametrize(("field", "value", "sentence"), [
    ("id", "", "id of a prediction must be text of 1 to 200 characters"),
    ("id", "x" * 201, r"\(201\)"),
    ("trade_id", "a\0", "without a null character"),
    ("symbol", None, "symbol of a prediction must be text"),
    ("model_key", "\ud800", "model_key of a prediction must be text"),
    ("answer", "HOLD", "There is no answer `HOLD`"),
    ("quantity", -1, "must be 0 or more; was -1"),
    ("quantity", 2**63, "must be 0 or more"),
    ("at", AT.replace(tzinfo=None), "has no time zone"),
    ("probability", 1.0001, "must lie between 0 and 1; was 1.0001"),
    ("probability", float("nan"), "finite number, or None where it is missing; was nan"),
    ("reward_usd", float("inf"), "finite number"),
    ("features", {"a": float("nan")}, "features of a prediction cannot be recorded"),
    ("inputs", {"a": float("inf")}, "inputs of a prediction cannot be recorded"),
    ("inputs", {"a": object()}, "inputs of a prediction cannot be recorded"),
    ("inputs", {"a": "x\0y"}, "hold a null character"),
    ("inputs", {"a": "\ud800"}, "inputs of a prediction cannot be recorded"),
    ("inputs", {"text": "ob_abcdefghij_" + "A1" * 21 + "x"}, "seems to hold a secret"),
    ("arm", "test", "An arm needs its experiment"),
])  # fmt: skip
def test_what_a_database_would_refuse_is_refused_where_it_is_made(field, value, sentence):
    """One caller's bad row must not fail the transaction that holds the rows of others."""
    with pytest.raises(BadInput, match=sentence):
        said(**{field: value})
    with pytest.raises(BadInput, match="There is no arm `both`"):
        said(trade_id="t", experiment="gate", experiment_version=1, arm="both")


def test_the_longest_texts_there_may_be_are_kept(log):
    """Kills: an index of PostgreSQL that refuses a row."""
    long = "\U0001f600" * 200
    assert log.append([said(long, trade_id=long, symbol=long, strategy=long, key_id=long)]) == (NEW,)
    assert log.get([long])[long].prediction.trade_id == long


def test_an_assessment_is_a_row():
    assessed = Assessment(
        "SPX", "Sonar", AT, Answer.REDUCE, 2, ("why",), 437.0, None, None, (5900.0,), price_probability=0.5,
        win_probability=0.6, model_level="symbol", model_version="v1", threshold=0.55, expected_value_usd=3.0,
        features={"x": 1.0}, features_hash="abc", data_source="live", data_age_seconds=2.0, trade_id="t",
    )  # fmt: skip
    row = Prediction.of(assessed, id="r", inputs={"q": 1}, latency_ms=4.0, key_id="k", model_key="SPX_Sonar",
                        assignment=Assignment("gate", 3, "t", "test"))  # fmt: skip
    assert row == Prediction(
        "r", AT, "SPX", "Sonar", "REDUCE", 2, {"q": 1}, "t", None, {"x": 1.0}, "abc", "SPX_Sonar", "v1", "symbol",
        "gate", 3, "test", 0.6, 0.5, 0.55, 437.0, None, 3.0, 4.0, "live", 2.0, "k",
    )  # fmt: skip
    assert row.assignment == Assignment("gate", 3, "t", "test")
    assert Prediction.of(assessed, id="r", inputs={}).assignment is None


def test_frames_without_rows_have_their_columns(log):
    assert log.accuracy().schema["accuracy"] == pl.Float64
    assert log.counts().columns == ["symbol", "strategy", "answer", "n"]
    assert log.history().rows == ()
