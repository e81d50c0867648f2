"""What a walk of the gate was worth: other libraries' scores, tables worked by hand, luck that is not called skill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from tests.research import walked_worlds as worlds

from openbell.core.errors import BadInput
from openbell.research.gate_judged import judged, log_losses
from openbell.research.gate_scores import GateScores, scored
from openbell.research.gate_walk import walk

NAMES = ["knowing", "clone", "wrong", "price"]


@cache
def walked() -> pl.DataFrame:
    return walk(worlds.trades(150, 2, seed=11), ["edge"], NAMES, fit=worlds.ruled(), min_train_days=20, refit_days=60)


@cache
def scores() -> GateScores:
    return scored(walked(), replications=100)


def row(frame: pl.DataFrame, **keys: object) -> Mapping[str, Any]:
    return frame.row(by_predicate=pl.all_horizontal(pl.col(name) == value for name, value in keys.items()), named=True)


def test_scores_are_those_of_scikit_learn() -> None:
    for name in NAMES:
        part = walked().filter(pl.col("model") == name)
        p, y = part["probability"].to_numpy(), part["win"].to_numpy()
        found = row(scores().models, model=name)
        assert found["log_loss"] == pytest.approx(log_loss(y, p), abs=1e-12)
        assert found["brier"] == pytest.approx(brier_score_loss(y, p), abs=1e-12)
        assert found["auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
        assert found["accuracy"] == pytest.approx(((p >= 0.5) == y).mean())
        assert found["base_accuracy"] == max(y.mean(), 1 - y.mean())
        price = log_loss(y, part["price_probability"].to_numpy())
        assert found["skill_nats"] == pytest.approx(price - found["log_loss"], abs=1e-12)
        assert found["skill_over_base_nats"] == pytest.approx(
            log_loss(y, part["base_rate"].to_numpy()) - found["log_loss"], abs=1e-12
        )


def test_every_score_comes_with_trades_days_base_rate_and_interval() -> None:
    """Check 5, of the models, of the cells, and of what the report shows of them."""
    for frame in (scores().models, scores().cells):
        assert {"n", "days", "base_rate", "base_accuracy"} <= set(frame.columns)
        for name in ("accuracy", "auc", "brier", "log_loss", "ece", "skill_nats", "skill_over_base_nats"):
            assert (frame[f"{name}_low"] <= frame[name] + 1e-12).all()
            assert (frame[name] <= frame[f"{name}_high"] + 1e-12).all()
    assert scores().cells["n"].sum() == 4 * scores().trades


def test_cells_are_the_scores_of_their_own_trades() -> None:
    part = walked().filter(
        (pl.col("model") == "knowing") & (pl.col("symbol") == "NDX") & (pl.col("strategy") == "Vertical")
    )
    p, y = part["probability"].to_numpy(), part["win"].to_numpy()
    found = row(scores().cells, model="knowing", symbol="NDX", strategy="Vertical")
    assert (found["n"], found["log_loss"]) == (len(y), pytest.approx(log_loss(y, p)))
    assert found["auc"] == pytest.approx(roc_auc_score(y, p))
    assert found["usd_taken"] == pytest.approx(part.filter("take")["profit_usd"].sum())
    assert found["usd_taking_all"] == pytest.approx(part["profit_usd"].sum())


def test_skill_is_proven_and_a_copy_of_the_price_never_is() -> None:
    """Who knows the edge is proven, in nats and in dollars; who says what the price says gains exactly nothing."""
    found = {each["model"]: each for each in scores().models.to_dicts()}
    assert scores().proven == ("knowing",)
    assert found["knowing"]["earns"]
    assert found["clone"]["skill_nats"] == found["clone"]["skill_nats_high"] == 0.0
    assert not found["clone"]["proven"]
    assert found["wrong"]["skill_nats_high"] < 0
    assert (found["price"]["kind"], found["price"]["proven"], found["price"]["p_nats"]) == ("baseline", False, None)
    assert scores().shown == "knowing"
    assert "3 candidates" in scores().why[0]


def test_many_tries_raise_the_bar() -> None:
    """Candidates that are the price and noise: the p of one only grows when others are tried beside it."""
    rows = walked().filter(pl.col("model") == "price").drop("model")
    q = rows["price_probability"].to_numpy()

    def judged_of(count: int) -> GateScores:
        said = [rows.with_columns(model=pl.lit("price"))]
        for at in range(count):
            noise = np.random.default_rng(at).normal(0.0, 0.02, len(q))
            said.append(
                rows.with_columns(
                    model=pl.lit(f"m{at}"), probability=pl.Series(np.clip(q + noise, 0.01, 0.99)), take=pl.lit(False)
                )
            )
        return scored(pl.concat(said), replications=100)

    alone, among = judged_of(1), judged_of(8)
    assert row(among.models, model="m0")["p_nats"] >= row(alone.models, model="m0")["p_nats"]
    assert among.proven == ()


def test_copies_of_trades_are_no_evidence() -> None:
    """Each trade five times on its day leaves skill and interval where they were (check 3 and 5)."""
    fivefold = pl.concat([walked().with_columns(trade=pl.col("trade") * 5 + at) for at in range(5)]).sort(
        "session", "trade", maintain_order=True
    )
    found, once = (row(scored(each, replications=100).models, model="knowing") for each in (fivefold, walked()))
    for name in ("skill_nats", "skill_nats_low", "skill_nats_high", "accuracy_low", "accuracy_high"):
        assert found[name] == pytest.approx(once[name], rel=1e-9)


def by_hand() -> pl.DataFrame:
    """Two days, five trades of one unit; by hand: all make 10 - 20 + 30 | 40 - 50, the rule takes 10, 30 and -50."""
    profit = pl.Series([10.0, -20.0, 30.0, 40.0, -50.0])
    rows = checked_rows().with_columns(
        profit_usd=profit,
        win=profit > 0,
        risk_usd=pl.lit(100.0),
        ratio=pl.Series([1.0, 2.0, 3.0, 4.0, 5.0]),
        probability=pl.Series([0.7, 0.2, 0.6, 0.4, 0.55]),
        threshold=pl.lit(0.5),
        take=pl.Series([True, False, True, False, True]),
        price_probability=pl.Series([0.5, 0.4, 0.5, 0.3, 0.5]),
        base_rate=pl.lit(0.5),
    )
    return rows.with_columns(model=pl.lit("m"))


def checked_rows() -> pl.DataFrame:
    part = walked().filter((pl.col("model") == "knowing") & (pl.col("symbol") == "SPX"))
    days = part["session"].unique().sort()
    return pl.concat(
        [part.filter(pl.col("session") == days[0])[:3], part.filter(pl.col("session") == days[1])[:2]]
    ).drop("win_usd", "loss_usd", "model")


def test_money_and_errors_worked_by_hand() -> None:
    found = scored(by_hand(), replications=100)
    model = found.models.to_dicts()[0]
    assert model["usd_per_day"] == pytest.approx((10 + 30 - 50) / 2)
    assert model["usd_over_all"] == pytest.approx((-10 - 10) / 2)
    assert model["usd_over_price"] == pytest.approx(-5.0)
    assert model["profit_uplift"] == pytest.approx(-2.0)
    assert model["losers_fewer"] == pytest.approx(0.5)
    assert (model["days_won"], model["days_won_taking_all"]) == (0.5, 0.5)
    assert (model["taken"], model["skill_nats_low"], model["proven"]) == (3, None, False)
    assert "too few" in found.why[0]
    assert found.daily.select("take_all", "m").rows() == [(20.0, 40.0), (-10.0, -50.0)]
    wrong = found.errors.select(pl.col("false_positives", "false_negatives", "losers", "winners").sum()).row(0)
    assert wrong == (1, 1, 2, 3)
    shares = found.errors.row(0, named=True)
    assert (shares["losers_taken"], shares["winners_left"]) == (0.5, pytest.approx(1 / 3))


def test_thresholds_worked_by_hand() -> None:
    """All on two days; one half and the threshold 0.5 take 10, 30 and -50."""
    rows = by_hand().with_columns(strategy=pl.lit("Vertical"), threshold=pl.Series([0.5, 0.5, 0.65, 0.3, 0.5]))
    found = scored(rows, replications=100).thresholds.to_dicts()[0]
    assert (found["usd_all"], found["usd_half"]) == (5.0, -5.0)
    assert (found["usd_threshold"], found["taken_threshold"]) == (pytest.approx((10 + 40 - 50) / 2), 3)
    assert (found["uplift_half"], found["uplift_threshold"], found["uplift_rule"]) == (-10.0, -5.0, -10.0)
    assert (found["threshold_low"], found["threshold_high"]) == (0.3, 0.65)


def test_reward_over_risk_is_ranked_with_what_it_made() -> None:
    """SciPy's coefficient; a ratio that is not there is counted, and out of the fair odds it is (1 - f) / f."""
    part = walked().filter(pl.col("model") == "knowing")
    vertical = part.filter(pl.col("strategy") == "Vertical")
    found = row(scores().ratio, strategy="Vertical")
    assert found["with_profit"] == pytest.approx(spearmanr(vertical["ratio"], vertical["profit_usd"]).statistic)
    share = vertical["profit_usd"] / vertical["risk_usd"]
    assert found["with_return"] == pytest.approx(spearmanr(vertical["ratio"], share).statistic)
    holes = part.with_columns(ratio=pl.when(pl.col("trade") % 4 != 0).then("ratio"))
    without = scored(holes, replications=100).ratio
    assert without["without"].sum() == part.filter(pl.col("trade") % 4 == 0).height
    fair = part.with_columns(fair_probability=1.0 / (1.0 + pl.col("ratio"))).drop("ratio")
    assert row(scored(fair, replications=100).ratio, strategy="Vertical")["with_profit"] == pytest.approx(
        found["with_profit"]
    )


def test_reliability_and_quarters_add_up() -> None:
    bins = scores().reliability.filter(pl.col("model") == "knowing")
    part = walked().filter(pl.col("model") == "knowing")
    assert bins["n"].sum() == part.height
    third = part.filter(pl.col("probability").is_between(0.3, 0.4, closed="left"))
    found = row(bins, bin=3)
    assert (found["n"], found["observed"]) == (third.height, pytest.approx(third["win"].mean()))
    assert found["said"] == pytest.approx(third["probability"].mean())
    quarters = scores().quarters.filter(pl.col("model") == "wrong")
    assert quarters["n"].sum() == part.height
    first = walked().filter((pl.col("model") == "wrong") & (pl.col("session").dt.quarter() == 1))
    assert quarters["gap"][0] == pytest.approx(first["win"].mean() - first["probability"].mean())


def test_outcomes_that_take_days_lengthen_the_blocks() -> None:
    """Trades open for six days share outcomes: the mean block is two horizons."""
    rows = worlds.trades(120, 1, open_days=6)
    found = walk(rows, [], ["knowing"], fit=worlds.ruled(), min_train_days=10, refit_days=200)
    assert judged(found).horizon_days == 6
    assert judged(found).blocks.block == 12
    assert judged(walked()).horizon_days == 1


def test_the_record_tells_everything() -> None:
    """Through JSON and back: the same frames, and no word that JSON does not know."""
    text = json.dumps(scores().record, allow_nan=False)
    again = GateScores.from_record(json.loads(text))
    assert again.record == scores().record
    assert again.daily.schema["session"] == pl.Date
    assert again.proven == scores().proven


def test_models_asked_about_other_trades_are_not_compared() -> None:
    with pytest.raises(BadInput, match="`clone` was asked about others"):
        judged(walked().filter((pl.col("model") != "clone") | (pl.col("trade") % 2 == 0)))
    with pytest.raises(BadInput, match="no forecast"):
        judged(walked()[:0])


def test_what_was_called_impossible_costs_much_and_not_all() -> None:
    losses = log_losses(np.array([1.0, 0.0, 0.5]), np.array([False, True, True]))
    assert losses == pytest.approx([36.0436534, 36.0436534, np.log(2)])
