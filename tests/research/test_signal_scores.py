"""Figures of a walk of signals: by hand, against scikit-learn, and in worlds whose truth is known."""

import datetime as dt
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import precision_recall_fscore_support

sys.path.insert(0, str(Path(__file__).parent))
from signal_worlds import decisions

from openbell.core.errors import BadInput
from openbell.core.signal import FORECASTS
from openbell.quant.signal_rule import called
from openbell.research.signal_scores import SignalScores, running_base_rates, scored

CODES = {"SELL": -1, "HOLD": 0, "BUY": 1}


def forecasts(rows, probabilities, model="m", in_set=None):
    """A walk in which `model` said `probabilities` (n, 3) of every decision."""
    p = np.asarray(probabilities, dtype=np.float64)
    inside = p > 0.3 if in_set is None else in_set
    frame = rows.select(list(FORECASTS)[:7]).with_columns(
        pl.lit(model).alias("model"),
        pl.lit(0, pl.Int32).alias("fold"),
        *(pl.Series(name, p[:, at]) for at, name in enumerate(("p_sell", "p_hold", "p_buy"))),
        *(pl.Series(name, inside[:, at]) for at, name in enumerate(("in_sell", "in_hold", "in_buy"))),
    )
    return called(frame, min_confidence=0.5).select(list(FORECASTS)).cast(dict(FORECASTS))


def sure(rows, share, seed=0):
    """Probabilities that are true: the class that happened is one of three with the probability `share`."""
    rng = np.random.default_rng(seed)
    label = rows["label"].fill_null(0).to_numpy() + 1
    n = len(label)
    named = np.where(rng.random(n) < share, label, (label + rng.integers(1, 3, n)) % 3)
    p = np.full((n, 3), (1 - share) / 2)
    p[np.arange(n), named] = share
    return p


ROWS = decisions(sessions=300, symbols=3)
KNOWN = ROWS.filter(pl.col("label").is_not_null())


@pytest.fixture(scope="module")
def found():
    frames = [
        forecasts(ROWS, sure(ROWS, 0.7), "knows"),
        forecasts(ROWS, np.tile([0.35, 0.3, 0.35], (ROWS.height, 1)), "base_rate"),
        forecasts(ROWS, sure(ROWS.with_columns(pl.col("label").shuffle(seed=4)), 0.7, 1), "boasts"),
    ]
    return scored(pl.concat(frames), ROWS, alpha=0.01, replications=1000)


def row_of(found, model):
    return found.models.row(by_predicate=pl.col("model") == model, named=True)


def test_every_figure_of_a_model_against_scikit_learn(found):
    own = forecasts(ROWS, sure(ROWS, 0.7)).filter(pl.col("label").is_not_null())
    p, label = own.select("p_sell", "p_hold", "p_buy").to_numpy(), own["label"].to_numpy()
    row = row_of(found, "knows")
    assert row["n"] == KNOWN.height
    assert row["log_loss"] == pytest.approx(sklearn_log_loss(label, p, labels=[-1, 0, 1]))
    assert row["accuracy"] == pytest.approx((p.argmax(axis=1) - 1 == label).mean())
    assert row["commonest"] == pytest.approx(KNOWN["label"].value_counts()["count"].max() / KNOWN.height)
    assert row["brier"] == pytest.approx(((p - np.eye(3)[label + 1]) ** 2).sum(axis=1).mean())
    likeliest = found.classes.filter((pl.col("model") == "knows") & (pl.col("rule") == "likeliest"))
    precision, recall, _, support = precision_recall_fscore_support(label, p.argmax(axis=1) - 1, labels=[-1, 0, 1])
    np.testing.assert_allclose(likeliest["precision"], precision)
    np.testing.assert_allclose(likeliest["recall"], recall)
    np.testing.assert_allclose(likeliest["base_rate"], support / KNOWN.height)


def test_calibration_and_coverage_stand_with_their_intervals(found):
    """Check 60: true probabilities have an error within noise; those of one who boasts do not."""
    knows, boasts = row_of(found, "knows"), row_of(found, "boasts")
    assert knows["ece_low"] <= 0.03
    assert boasts["ece_low"] > 0.2
    assert knows["ece"] == pytest.approx(abs(0.7 - knows["accuracy"]))
    inside = forecasts(ROWS, sure(ROWS, 0.7)).filter(pl.col("label").is_not_null())
    assert knows["coverage"] == pytest.approx(knows["accuracy"])
    assert knows["coverage_low"] < knows["coverage"] < knows["coverage_high"]
    assert knows["set_size"] == pytest.approx(inside.select("in_sell", "in_hold", "in_buy").to_numpy().sum(1).mean())
    assert (knows["single"], knows["empty"]) == (1.0, 0.0)


def test_only_who_knows_more_than_the_base_rates_is_proven(found):
    """Check 5, check 2: n, base rate and interval with every figure; the one who is sure of noise loses by it."""
    assert found.proven == ("knows",)
    assert row_of(found, "knows")["skill_nats_low"] > 0
    assert row_of(found, "boasts")["skill_nats_high"] < 0
    assert row_of(found, "base_rate")["kind"] == "baseline"
    assert row_of(found, "base_rate")["p_value"] is None
    assert not row_of(found, "base_rate")["proven"]
    assert found.best == "knows"
    assert found.why[0].startswith("StepM against the base rates at 1.0%, one-sided: 2 candidates on 298 days")


def test_bands_of_confidence_count_what_came_true(found):
    bands = found.bands.filter((pl.col("model") == "knows") & (pl.col("rule") == "likeliest"))
    assert bands["band"].to_list() == ["< 0.5", "0.5-0.6", "0.6-0.7", "0.7-0.8", ">= 0.8"]
    assert bands["n"].to_list() == [0, 0, 0, KNOWN.height, 0]
    assert bands["accuracy"][3] == pytest.approx(row_of(found, "knows")["accuracy"])
    calls = found.bands.filter((pl.col("model") == "knows") & (pl.col("rule") == "call"))
    assert calls["n"].sum() == row_of(found, "knows")["calls"]
    own = forecasts(ROWS, sure(ROWS, 0.7)).filter(pl.col("label").is_not_null() & (pl.col("call") != "HOLD"))
    right = own.select((pl.col("call").replace_strict(CODES) == pl.col("label")).mean()).item()
    assert row_of(found, "knows")["calls_right"] == pytest.approx(right)


def test_symbols_add_up(found):
    own = found.symbols.filter(pl.col("model") == "knows")
    assert own["symbol"].to_list() == ["S0", "S1", "S2"]
    assert own["n"].sum() == KNOWN.height
    assert np.average(own["accuracy"], weights=own["n"]) == pytest.approx(row_of(found, "knows")["accuracy"])


def test_it_is_told_as_json_and_read_back(found):
    told = json.loads(json.dumps(found.record, allow_nan=False))
    again = SignalScores.from_record(told)
    assert again.record == found.record
    assert again.proven == found.proven


def test_base_rates_are_those_known_at_the_first_decision_of_the_session():
    """By hand: labels +1, +1, -1 become known on days 2, 3 and 4; nothing of the own day counts."""
    at = [dt.datetime(2024, 1, day, 21, tzinfo=dt.UTC) for day in range(1, 7)]
    rows = pl.DataFrame(
        {
            "session": [each.date() for each in at[:5]],
            "as_of": at[:5],
            "label": [1, 1, -1, None, None],
            "label_known_at": [at[1], at[2] + dt.timedelta(minutes=1), at[3], None, None],
        }
    )
    told = running_base_rates(rows).sort("session")
    assert told["base_buy"].to_list() == pytest.approx([1 / 3, 2 / 4, 2 / 4, 3 / 6, 3 / 6])
    assert told["base_sell"].to_list() == pytest.approx([1 / 3, 1 / 4, 1 / 4, 2 / 6, 2 / 6])


def test_few_days_prove_nothing_and_none_are_refused():
    short = decisions(sessions=20, symbols=2)
    found = scored(forecasts(short, sure(short, 0.9)), short, replications=1000)
    assert found.proven == ()
    assert "days are too few" in found.why[0]
    with pytest.raises(BadInput, match="no forecast with a known outcome"):
        scored(forecasts(short, sure(short, 0.9)).filter(pl.col("label").is_null()), short)


def test_decisions_on_which_one_abstains_are_left_out_of_the_test_and_told():
    whole, part = forecasts(ROWS, sure(ROWS, 0.7), "a"), forecasts(ROWS, sure(ROWS, 0.7), "b").tail(-30)
    found = scored(pl.concat([whole, part]), ROWS, replications=1000)
    assert "30 decisions of which not all candidates speak are left out of the test." in found.why
    assert found.models["n"].to_list() == [KNOWN.height, KNOWN.height - 30]
