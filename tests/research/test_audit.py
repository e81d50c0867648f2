"""The two proofs: they pass what is causal, and catch four planted leaks by name, with and without the static check."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "features"))
sys.path.insert(0, str(Path(__file__).parents[1] / "research"))
from feature_bars import declared
from memory_tables import MemoryTables, market, view_of

from openbell.core.declare import feature
from openbell.core.errors import BadInput
from openbell.core.view import View
from openbell.quant.expressions import SHARED, close, ema, returns, sma, volume
from openbell.research.audit import CAUSALITY, LOOKBACK, OFF, STATIC, Replaced, audit_features
from openbell.research.compute import label_rows, roots
from openbell.research.sanity import constant_features, rule_label_accuracy

OF_THE_SESSION = {
    "bid", "ask", "session_open", "session_high", "session_low", "session_volume", "session_value_usd",
    "session_minutes",
}  # fmt: skip
TABLES, CALENDAR = market(symbols=3, sessions=760)


def planted(name, expression, lookback=None):
    def it():
        return expression

    it.__doc__ = "Planted."
    return feature(unit="x", name=name, lookback=lookback)(it)[0]


def with_holes(tables):
    """A tenth of the volumes missing, for a back-fill to fill."""
    rng = np.random.default_rng(0)
    bars = tables.frames["bars"]
    holes = pl.Series(rng.random(bars.height) < 0.1)
    return MemoryTables({"bars": bars.with_columns(pl.when(holes).then(None).otherwise("volume").alias("volume"))})


LEAKS = {
    "negative_shift": (close.shift(-1) / close - 1, "negative shift"),
    "full_sample_zscore": ((close - close.mean()) / close.std(), "whole column"),
    "centred_window": (close / close.rolling_mean(11, center=True), "centred window"),
    "back_fill": (volume.backward_fill() / 1e6, "backward_fill"),
}


def results(features, tables=TABLES, **about):
    found = audit_features(tables, CALENDAR, features, cuts=8, seed=3, **about)
    return {(each.feature, each.proof): each for each in found}


@pytest.fixture(scope="module")
def caught():
    honest = planted("honest", returns(5))
    return results([planted(name, leak) for name, (leak, _) in LEAKS.items()] + [honest], with_holes(TABLES))


@pytest.mark.parametrize("name", sorted(LEAKS))
def test_each_planted_leak_is_caught_by_name_by_its_values_alone(caught, name):
    """The causality proof does not need the tree: it sees the values change when the future goes."""
    proof = caught[name, CAUSALITY]
    assert not proof.passed
    assert f"`{name}` sees the future" in proof.detail
    assert proof.where.startswith("S")


@pytest.mark.parametrize("name", sorted(LEAKS))
def test_each_planted_leak_is_caught_by_name_by_its_tree(caught, name):
    proof = caught[name, STATIC]
    assert not proof.passed
    assert name in proof.detail
    assert LEAKS[name][1] in proof.detail
    assert (name, LOOKBACK) not in caught


def test_the_honest_one_beside_them_passes(caught):
    assert all(caught["honest", proof].passed for proof in (STATIC, CAUSALITY, LOOKBACK))
    assert caught["honest", CAUSALITY].compared > 1000


@pytest.mark.parametrize(
    ("expression", "short", "enough"),
    [(sma(close, 20), 19, 20), (close / close.shift(30), 30, 31), (ema(close, 10), 40, None)],
)
def test_a_lookback_that_is_too_short_is_caught(expression, short, enough):
    """One row too few shows as a null or another value; a recursion cut early shows as an error above 1e-6."""
    found = results([planted("short", expression, short), planted("enough", expression, enough)])
    assert not found["short", LOOKBACK].passed
    assert "needs more than its" in found["short", LOOKBACK].detail
    assert found["short", CAUSALITY].passed
    assert found["enough", LOOKBACK].passed


def test_every_declared_feature_is_proven():
    """Check 4 and DESIGN 4.7 for all that stands in the room, found by discovery."""
    every = [each for each in declared().values() if each.reads == "bars"]
    found = results(every)
    failed = [each for each in found.values() if not each.passed]
    assert not failed, failed[0].detail
    # Daily bars have no quotes and no running session; `tests/features/test_signal_families.py` proves those.
    off = {name for name, proof in found if proof == OFF}
    assert off == {each.name for each in every if set(roots(each.expression, SHARED)) & OF_THE_SESSION}
    for each in every:
        if each.name not in off:
            assert {(each.name, proof) for proof in (STATIC, CAUSALITY, LOOKBACK)} <= set(found)


def test_what_is_switched_off_is_not_called_proven():
    bare = TABLES.frames["bars"].with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("high", "low"))
    found = results([declared()["stochastic_k"]], MemoryTables({"bars": bare}))
    assert found["stochastic_k", OFF].detail.startswith("Not proven")
    assert ("stochastic_k", CAUSALITY) not in found


def test_the_same_seed_gives_the_same_audit():
    chosen = [declared()["rsi_14"]]
    one, two = (audit_features(TABLES, CALENDAR, chosen, cuts=4, seed=5) for _ in range(2))
    assert one == two


def test_a_restated_bar_does_not_look_like_a_leak():
    """A correction known later marks the rows it touches as known later; they are not compared before that."""
    bars = TABLES.frames["bars"]
    fixed = bars.filter(pl.col("session").is_in(list(CALENDAR.dates[300:303]))).with_columns(
        pl.col("close") * 1.05, pl.lit(CALENDAR.closes[500]).cast(pl.Datetime("us", "UTC")).alias("known_at")
    )
    tables = MemoryTables({"bars": pl.concat([bars, fixed])})
    found = audit_features(tables, CALENDAR, [declared()["sma_20"], declared()["rsi_14"]], cuts=25, seed=1)
    assert all(each.passed for each in found), [each.detail for each in found if not each.passed]


def test_removing_the_future_removes_it_from_every_table():
    moment = dt.datetime(2010, 3, 1, tzinfo=dt.UTC)
    past = Replaced(TABLES, until=moment)
    assert past.exists("bars")
    assert not past.exists("nothing")
    assert past.scan("bars").select(pl.col("known_at").max()).collect().item() <= moment
    assert View(past, CALENDAR.closes[-1], CALENDAR).bars().collect()["session"].max() < moment.date()


def test_a_label_that_is_a_rule_is_told():
    """Check 1: an if/else over the model's own inputs is foretold by a small tree; an outcome is not."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 4))
    x[rng.random(x.shape) < 0.05] = np.nan
    rule = np.where(np.nan_to_num(x[:, 0]) > 0.3, "CALL", np.where(np.nan_to_num(x[:, 1]) < 0, "PUT", "CONDOR"))
    found = rule_label_accuracy(x, rule)
    assert found.is_rule
    assert found.n == 600
    outcome = np.where(0.3 * np.nan_to_num(x[:, 0]) + rng.normal(size=2000) > 0, 1, 0)
    assert not rule_label_accuracy(x, outcome).is_rule
    assert not rule_label_accuracy(x, np.zeros(2000)).is_rule, "one class alone is no rule"
    with pytest.raises(BadInput, match="at least 100 rows; there were 50"):
        rule_label_accuracy(x[:50], rule[:50])
    with pytest.raises(BadInput, match="must be"):
        rule_label_accuracy(x, rule[:-1])


def test_our_labels_are_no_rule_of_our_features():
    """Check 1 on what we declare: the sign of the forward return is not computed from the features."""
    from openbell.labels.forward import forward_return
    from openbell.research.compute import feature_rows

    view = view_of(TABLES, CALENDAR)
    chosen = [declared()[name] for name in ("return_5d", "rsi_14", "hv_20d", "macd_relative", "bb_position")]
    rows = feature_rows(view, chosen).frame.join(label_rows(view, forward_return), on=["symbol", "session"])
    rows = rows.drop_nulls("forward_return_5d").sort("session", "symbol")
    x = rows.select(each.name for each in chosen).to_numpy()
    assert not rule_label_accuracy(x, (rows["forward_return_5d"] > 0).to_numpy()).is_rule


def test_constant_features_are_told():
    """Check 13: one value for over 30 sessions is a placeholder; 30 sessions, or nulls, prove nothing."""
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=at) for at in range(31)]
    frame = pl.DataFrame({"session": days, "vix": [15.0] * 31, "real": np.arange(31.0), "none": [None] * 31})
    assert constant_features(frame, ["vix", "real", "none"]) == {
        "vix": "`vix` is 15.0 in all of 31 sessions: a placeholder, not a measurement."
    }
    assert constant_features(frame.head(30), ["vix"]) == {}
