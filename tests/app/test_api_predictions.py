"""The service answers: fields, caches, batches, the log; each answer is of its own order."""

import dataclasses
import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.app.served import AT, BUTTERFLY, CONDOR, Served

from openbell.app.api import shapes
from openbell.core.experiment import Arm, Definition
from openbell.core.hashing import digest
from openbell.store.assignments import Assignment
from openbell.store.experiments import Experiments


@pytest.fixture
def served(tmp_path: Path):
    with Served(tmp_path) as made:
        yield made


def instruction(body: dict) -> dict:
    return {name: value for name, value in body.items() if name not in ("predicted_price", "expiry")}


# --- risk and reward --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "action", "strikes", "premium", "right", "risk", "reward", "ratio", "breakevens"),
    [
        ("Butterfly", "BUY", [5905, 5855, 5805], 24.82, "CALL", 2482.0, 2518.0, 1.0145, (5829.82, 5880.18)),
        ("Iron Condor", "SELL", [5905, 5910, 5780, 5775], 0.63, None, 437.0, 63.0, 0.1442, (5779.37, 5905.63)),
        ("Sonar", "SELL", [5905, 5910, 5780, 5775], 0.63, None, 437.0, 63.0, 0.1442, (5779.37, 5905.63)),
        ("Vertical", "SELL", [6000, 6005], 0.50, "CALL", 450.0, 50.0, 0.1111, (6000.50,)),
        ("Vertical", "SELL", [5950, 5945], 0.50, "PUT", 450.0, 50.0, 0.1111, (5949.50,)),
        ("vertical", "buy", [5945, 5950], 2.0, "put", 200.0, 300.0, 1.5, (5948.0,)),
        ("Butterfly", "BUY", [6030, 6000, 6010], 1.5, "CALL", 1150.0, 850.0, 0.7391, (6001.50, 6018.50)),
    ],
)
def test_risk_and_reward_of_the_reference(
    served, strategy, action, strikes, premium, right, risk, reward, ratio, breakevens
):
    """S1.17 to the cent, over HTTP; check 18: the order of the strikes is nothing."""
    body = {"symbol": "SPX", "strategy": strategy, "action": action, "strikes": strikes, "premium": premium}
    answer = served.client.post("/calculate_risk_reward", json=body | ({"option_type": right} if right else {})).json()
    assert (answer["risk"], answer["reward"]) == (pytest.approx(risk), pytest.approx(reward))
    assert answer["risk_reward_ratio"] == pytest.approx(ratio, abs=5e-5)
    told = (
        {"breakeven": breakevens[0]}
        if len(breakevens) == 1
        else dict(zip(("breakeven_lower", "breakeven_upper"), breakevens, strict=True))
    )
    assert answer["breakevens"] == pytest.approx(told)


def test_risk_and_reward_scale_with_the_quantity_and_unlimited_is_null(served):
    body = instruction(CONDOR)
    one = served.client.post("/calculate_risk_reward", json=body).json()
    three = served.client.post("/calculate_risk_reward", json=body | {"quantity": 3}).json()
    assert (three["risk"], three["reward"]) == (3 * one["risk"], 3 * one["reward"])
    call = {"symbol": "SPX", "strategy": "Single", "action": "BUY", "strikes": [6000], "premium": 5.0,
            "option_type": "CALL"}  # fmt: skip
    answer = served.client.post("/calculate_risk_reward", json=call).json()
    assert (answer["risk"], answer["reward"], answer["reward_unlimited"]) == (500.0, None, True)


# --- predictions ------------------------------------------------------------------------------------------------------


def test_a_prediction_has_every_field_and_is_on_record_when_it_comes(served):
    answer = served.client.post("/predict", json=CONDOR | {"trade_id": "t-1", "quantity": 2}).json()
    shapes.Prediction.model_validate(answer)
    assert (answer["symbol"], answer["strategy"], answer["verdict"]) == ("SPX", "Iron Condor", "ACCEPT")
    assert (answer["win_probability"], answer["threshold"], answer["prediction"]) == (0.9, 0.55, "WIN")
    assert (answer["risk"], answer["reward"], answer["quantity"]) == (874.0, 126.0, 2)
    assert (answer["data_source"], answer["data_age_seconds"]) == ("made", 2.0)
    assert (answer["n_features"], answer["null_features"]) == (3, ["missing"])
    (row,) = served.logged()
    made = row.prediction
    assert (made.id, made.trade_id, made.answer) == (answer["prediction_id"], "t-1", "ACCEPT")
    assert (made.key_id, made.model_key, made.features_hash) == (
        served.caller.id, "hierarchy", answer["features_hash"]
    )  # fmt: skip
    assert made.inputs["request"]["premium"] == 0.63
    assert made.inputs["market"]["price"] == 5860.0
    assert made.inputs_hash == digest(dict(made.inputs))


def test_what_is_left_out_is_resolved_and_said(served):
    """No expiry is the session that is open; no action is S1.05's. After the close it is the next session."""
    body = {name: value for name, value in CONDOR.items() if name not in ("expiry", "action")}
    answer = served.client.post("/predict", json=body).json()
    assert answer["flags"] == ["No expiry was given, so it was read as 2025-05-22."]
    assert answer["reward"] == 63.0  # sold
    served.clock.go(6 * 3600)
    later = served.client.post("/predict", json=body).json()
    assert later["flags"] == ["No expiry was given, so it was read as 2025-05-23."]


def test_the_prophecy_reaches_the_gate_with_its_scale(served):
    served.client.post("/predict", json=CONDOR | {"short_term": 0.65, "long_term": -0.2})
    served.client.post("/predict", json=CONDOR | {"short_term": 5860, "long_term": 5865, "target1": 5870})
    score, level = (calls[0].prophecy for calls in served.gate.calls)
    assert (score.scale.value, level.scale.value) == ("SCORE", "LEVEL")
    assert (level.predicted_close, level.target1, level.target2) == (5862.0, 5870.0, None)


def test_a_stated_risk_must_be_the_orders_own(served):
    """S1.22: risk and reward may be sent; one of another trade is no way to change the features."""
    assert served.client.post("/predict", json=BUTTERFLY | {"risk": -2482.0, "reward": 2518.0}).status_code == 200
    wrong = served.client.post("/predict", json=BUTTERFLY | {"risk": 24.82})
    assert wrong.status_code == 422
    assert "that of this order is 2,482.00 USD" in wrong.json()["detail"]


# --- caches -----------------------------------------------------------------------------------------------------------

CHANGES = [
    {"quantity": 2},
    {"premium": 0.64},
    {"strikes": [5905, 5910, 5780, 5770]},
    {"predicted_price": 5863.0},
    {"short_term": 5860.0},
    {"long_term": 5861.0},
    {"target1": 5861.0},
    {"target2": 5861.0},
    {"expiry": "2025-05-23"},
    {"strategy": "Sonar"},
    {"symbol": "XSP"},
    {"action": "BUY"},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_two_orders_in_one_minute_never_share_an_answer(served, change):
    """Check 35: the key of the cache holds every part of the request; without one of them, this order is not asked."""
    served.client.post("/predict", json=CONDOR)
    answer = served.client.post("/predict", json=CONDOR | change).json()
    assert not answer["from_cache"]
    assert len(served.gate.calls) == 2


def test_two_strategies_in_one_minute_get_their_own_features(served):
    """Check 35, as it was found: an iron condor scored with a butterfly's features."""
    butterfly = served.client.post("/predict", json=BUTTERFLY).json()
    condor = served.client.post("/predict", json=CONDOR).json()
    assert butterfly["features_hash"] != condor["features_hash"]
    assert (butterfly["win_probability"], condor["win_probability"]) == (0.4, 0.9)


def test_the_same_order_again_is_answered_from_the_cache_with_its_own_record(served):
    """Check 36: threshold and all else are those of the first answer; id, trade and age are its own."""
    first = served.client.post("/predict", json=CONDOR | {"trade_id": "a"}).json()
    served.clock.go(10)
    again = served.client.post("/predict", json=CONDOR | {"trade_id": "b"}).json()
    assert (first["from_cache"], again["from_cache"], len(served.gate.calls)) == (False, True, 1)
    own = {"prediction_id", "trade_id", "timestamp", "data_age_seconds", "from_cache"}
    assert {k: v for k, v in first.items() if k not in own} == {k: v for k, v in again.items() if k not in own}
    assert (again["trade_id"], again["data_age_seconds"]) == ("b", 12.0)
    assert {row.prediction.trade_id for row in served.logged()} == {"a", "b"}


def test_features_and_answers_are_forgotten_in_time(served):
    """60 s for features, which an answer stands on; 300 s for a market, whose age says so."""
    served.client.post("/predict", json=CONDOR)
    served.clock.go(61)
    answer = served.client.post("/predict", json=CONDOR).json()
    assert not answer["from_cache"]
    assert served.markets.asked == ["SPX"]
    served.clock.go(240)
    served.client.post("/predict", json=CONDOR)
    assert served.markets.asked == ["SPX", "SPX"]


def test_another_market_or_another_model_is_another_answer(served):
    served.client.post("/predict", json=CONDOR)
    served.service.markets._kept.clear()
    served.app.state.parts.market_cache.close()
    served.markets.age_seconds = 1.0
    assert not served.client.post("/predict", json=CONDOR).json()["from_cache"]
    served.service.gate.gates._current = (served.gate, "made-of-2")
    assert not served.client.post("/predict", json=CONDOR).json()["from_cache"]


def test_the_arm_of_a_trade_is_in_the_key_and_on_record(tmp_path: Path):
    """The same order under two trade ids may meet two arms; each is asked, and each has its arm in the log."""

    class Both:
        def assigned(self, trade_ids):
            return {each: Assignment("gate", 1, each, "test" if each == "b" else "control") for each in trade_ids}

        def standing(self, wanted):
            return wanted

    with Served(tmp_path, parts_={"arms": Both()}) as served:
        Experiments(served.log.database).begin(
            Definition("gate", "salt", 0.5, Arm("simple", "1"), Arm("hierarchy", "1")), at=AT
        )
        answers = [served.client.post("/predict", json=CONDOR | {"trade_id": each}).json() for each in ("a", "b", "a")]
        assert [each["arm"] for each in answers] == ["control", "test", "control"]
        assert [each["from_cache"] for each in answers] == [False, False, True]
        assert {row.prediction.arm for row in served.logged()} == {"control", "test"}


def test_a_trade_that_another_arm_answers_already_is_asked_of_that_arm(tmp_path: Path):
    """Two workers may think differently of a trade for a moment; the arm that is stored answers."""

    class Wrong:
        def __init__(self):
            self.standing_of = None

        def assigned(self, trade_ids):
            return {each: Assignment("gate", 1, each, "test") for each in trade_ids}

        def standing(self, wanted):
            return dataclasses.replace(wanted, arm="control")

    with Served(tmp_path, parts_={"arms": Wrong()}) as served:
        tests = Experiments(served.log.database)
        tests.begin(Definition("gate", "salt", 0.5, Arm("simple", "1"), Arm("hierarchy", "1")), at=AT)
        tests.keep([Assignment("gate", 1, "a", "control")], at=AT)
        answer = served.client.post("/predict", json=CONDOR | {"trade_id": "a"}).json()
        (row,) = served.logged()
        assert (answer["arm"], row.prediction.arm) == ("control", "control")
        assert answer["prediction_id"] == row.prediction.id


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_answers_in_order_by_one_look_and_one_call(served):
    bodies = [CONDOR, BUTTERFLY, CONDOR | {"symbol": "XSP"}, CONDOR]
    answer = served.client.post("/predict/batch", json={"requests": bodies, "share_market_data": True}).json()
    shapes.BatchPrediction.model_validate(answer)
    assert [each["win_probability"] for each in answer["predictions"]] == [0.9, 0.4, 0.9, 0.9]
    assert [each["symbol"] for each in answer["predictions"]] == ["SPX", "SPX", "XSP", "SPX"]
    assert sorted(served.markets.asked) == ["SPX", "XSP"]
    assert len(served.gate.calls) == 1
    assert served.service.recorder.commits == 1
    again = served.client.post("/predict/batch", json={"requests": bodies}).json()["batch_metrics"]
    assert again == {"feature_hits": 4, "feature_misses": 0, "prediction_hits": 4, "prediction_misses": 0}


def test_a_batch_of_a_hundred_is_answered_and_one_more_is_refused(served):
    """Check 41: 413, and nothing of it is answered or logged."""
    full = served.client.post("/predict/batch", json={"requests": [CONDOR] * 100})
    assert (full.status_code, len(full.json()["predictions"])) == (200, 100)
    over = served.client.post("/predict/batch", json={"requests": [CONDOR] * 101})
    assert over.status_code == 413
    assert "101 were sent" in over.json()["detail"]
    assert len(served.logged()) == 100


def test_a_batch_with_one_impossible_order_names_it_and_logs_nothing(served):
    bad = served.client.post("/predict/batch", json={"requests": [CONDOR, CONDOR | {"premium": 5.0}]})
    assert bad.status_code == 422
    assert bad.json()["detail"].startswith("Request 2 of 2: ")
    unknown = served.client.post("/predict/batch", json={"requests": [CONDOR | {"strategy": "Lizard"}, CONDOR]})
    assert (unknown.status_code, unknown.json()["detail"][:16]) == (400, "Request 1 of 2: ")
    assert served.client.post("/predict/batch", json={"requests": []}).status_code == 422
    assert served.logged() == []


# --- at the same time -------------------------------------------------------------------------------------------------


def test_many_callers_at_once_get_each_his_own_answer(served):
    """Issue 5: two orders in the same minute never share an answer. Questions that wait share a call, not an answer."""
    served.gate.hold = threading.Event()

    def ask(quantity: int) -> dict:
        return served.client.post("/predict", json=CONDOR | {"quantity": quantity, "trade_id": f"t{quantity}"}).json()

    with ThreadPoolExecutor(24) as pool:
        jobs = [pool.submit(ask, quantity) for quantity in range(1, 25)]
        threading.Timer(0.2, served.gate.hold.set).start()
        answers = [job.result() for job in jobs]
    assert [each["requested_quantity"] for each in answers] == list(range(1, 25))
    assert [each["risk"] for each in answers] == [pytest.approx(437.0 * n) for n in range(1, 25)]
    assert [each["trade_id"] for each in answers] == [f"t{n}" for n in range(1, 25)]
    assert len({each["prediction_id"] for each in answers}) == 24
    assert len(served.logged()) == 24
    assert len(served.gate.calls) < 24


# --- what was said before ---------------------------------------------------------------------------------------------


def test_an_outcome_is_joined_once_and_shows_in_history_and_trends(served):
    told = served.client.post("/predict", json=CONDOR | {"trade_id": "a"}).json()
    served.client.post("/predict", json=BUTTERFLY)
    served.clock.go(6 * 3600)
    joined = served.client.post("/outcomes", json={"trade_id": "a", "profit": 63.0})
    assert joined.json() == {"joined": 1}
    assert served.client.post("/outcomes", json={"trade_id": "a", "profit": 63.0}).json() == {"joined": 0}
    page = served.client.get("/confidence/history", params={"strategy": "Iron Condor"}).json()
    shapes.History.model_validate(page)
    (row,) = page["predictions"]
    assert (row["prediction_id"], row["win"], row["profit"]) == (told["prediction_id"], True, 63.0)
    trends = served.client.get("/confidence/trends").json()
    shapes.Trends.model_validate(trends)
    (day,) = trends["days"]
    assert (day["n"], day["judged"], day["win_rate"]) == (2, 1, 1.0)
    (pair,) = trends["accuracy"]
    assert (pair["n"], pair["accuracy"]) == (1, None)  # too few to be told from luck


def test_history_goes_on_where_a_page_ended(served):
    for _ in range(3):
        served.client.post("/predict", json=CONDOR)
        served.clock.go(1)
    first = served.client.get("/confidence/history", params={"limit": 2}).json()
    rest = served.client.get("/confidence/history", params={"limit": 2, "cursor": first["cursor"]}).json()
    ids = [row["prediction_id"] for page in (first, rest) for row in page["predictions"]]
    assert ids == [row.prediction.id for row in served.logged()]
    assert rest["cursor"] is None


def test_the_market_is_told_with_its_age(served):
    served.client.get("/market/spx")
    served.clock.go(30)
    answer = served.client.get("/market/SPX").json()
    shapes.Market.model_validate(answer)
    assert (answer["price"], answer["source"], answer["data_age_seconds"]) == (5860.0, "made", 32.0)
    assert dt.datetime.fromisoformat(answer["timestamp"]) == AT - dt.timedelta(seconds=2)


def test_parse_tells_orders_and_refusals(served):
    answer = served.client.post("/parse", json={"text": "BUY +1 Butterfly", "at": "2025-05-22T10:35:00-04:00"}).json()
    shapes.Parsed.model_validate(answer)
    (trade,) = answer["trades"]
    assert (trade["risk"], trade["reward"], trade["option_type"]) == (2482.0, 2518.0, "CALL")
    nothing = served.client.post("/parse", json={"text": "nothing here"}).json()
    assert (nothing["trades"], nothing["refusals"][0]["why"]) == ([], "It says nothing.")
