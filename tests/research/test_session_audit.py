"""The proofs of the features of a session: they pass what is causal, and catch planted leaks and a leaking engine."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "features"))

from session_made_days import OWN, planted

from openbell.market.calendars import sessions
from openbell.quant import session_expressions as s
from openbell.research import session_audit as audit
from openbell.research import session_early
from openbell.research.audit import CAUSALITY, LOOKBACK, OFF, STATIC
from openbell.research.session_audit import audit_session_features
from openbell.research.session_audit_market import made_up_sessions

CALENDAR = sessions("XNYS", 2019, 2022)
SMALL = made_up_sessions(CALENDAR, count=60, seed=5)
_price = s.price

LEAKS = {
    "tomorrow": _price.shift(-1) / _price - 1,
    "whole_column": (_price - _price.mean()) / _price.std(),
    "centred": _price / _price.rolling_mean(5, center=True),
    # The later path of the session itself, by way of the day before of the next one.
    "later_path": (pl.col("prev_close").shift(-1) > _price).cast(pl.Float64),
}


def proofs(features, inputs=SMALL, cutoffs=("10:15", "12:30"), cuts=3, seed=1):
    found = audit_session_features(inputs, features, cutoffs, cuts=cuts, seed=seed)
    return {(each.feature, each.proof): each for each in found}


@pytest.fixture(scope="module")
def caught():
    honest = planted("honest", _price / pl.col("prev_close") - 1)
    return proofs([*(planted(name, each) for name, each in LEAKS.items()), honest])


@pytest.mark.parametrize("name", sorted(LEAKS))
def test_each_planted_leak_is_caught_by_its_values_and_by_its_tree(caught, name):
    """A feature that equals the later path is caught by what changes when the later bars go, without its tree too."""
    by_value = caught[name, CAUSALITY]
    assert not by_value.passed
    assert f"`{name}` sees the future" in by_value.detail
    assert not caught[name, STATIC].passed
    assert (name, LOOKBACK) not in caught


def test_the_honest_one_beside_them_passes(caught):
    assert all(caught["honest", proof].passed for proof in (STATIC, CAUSALITY, LOOKBACK))
    assert caught["honest", CAUSALITY].compared > 50


def test_every_declared_feature_of_a_session_is_proven():
    """Checks 3 and 4: all that stand in the room, found by discovery; removed and replaced, at two cut-offs."""
    found = proofs(list(OWN.values()), made_up_sessions(CALENDAR, count=600, seed=6), cuts=1)
    failed = [each for each in found.values() if not each.passed]
    assert not failed, failed[0].detail
    assert {(name, proof) for name in OWN for proof in (STATIC, CAUSALITY, LOOKBACK)} == set(found)


def test_an_engine_that_sees_past_the_cut_off_is_caught(monkeypatch):
    """The mutant: bars that end within the hour after the cut-off enter. What stands on the bars fails."""
    honest = session_early.placed

    def generous(*about):
        found = honest(*about)
        later = pl.col("as_of") + pl.duration(hours=1)
        return dataclasses.replace(
            found, bars=found.bars.with_columns(later), sessions=found.sessions.with_columns(later)
        )

    honest_draw = audit._drawn

    def at_the_cut_off(full, cuts, rng):
        return honest_draw(full.with_columns(pl.col("as_of") - pl.duration(hours=1)), cuts, rng)

    monkeypatch.setattr(audit, "placed", generous)
    monkeypatch.setattr(audit, "_drawn", at_the_cut_off)
    found = proofs([OWN["early_return_pct"], OWN["early_range_atr_pct"]])
    assert not found["early_return_pct", CAUSALITY].passed
    assert not found["early_range_atr_pct", CAUSALITY].passed


def test_removing_alone_is_not_enough():
    """A feature of which bars come later only by their number: wild values prove what removal alone would pass."""
    inputs = SMALL.wild(SMALL.bars["known_at"][1000], np.random.default_rng(0))
    changed = inputs.bars["close"] != SMALL.bars["close"]
    assert not changed[:1001].any()
    assert changed[1001:].all()
    assert inputs.bars["at"].equals(SMALL.bars["at"])
    gone = SMALL.until(SMALL.bars["known_at"][1000])
    assert gone.bars.height == 1001
    assert all((each["known_at"] <= SMALL.bars["known_at"][1000]).all() for each in gone.markets.values())


@pytest.mark.parametrize(("lookback", "enough"), [(11, False), (12, True)])
def test_a_lookback_that_is_too_short_is_caught(lookback, enough):
    """The volume ratio needs its own session, ten before, and the day before the first of them."""
    volume = s.window_volume
    feature = planted(
        "ratio", volume / volume.shift(1).rolling_mean(10) + pl.col("prev_close").shift(10) * 0, lookback=lookback
    )
    assert proofs([feature])["ratio", LOOKBACK].passed == enough


def test_what_the_data_lack_is_not_called_proven():
    bare = dataclasses.replace(SMALL, markets={})
    found = proofs([OWN["vix_early_level"], OWN["early_return_pct"]], bare)
    assert found["vix_early_level", OFF].detail.startswith("Not proven")
    assert ("vix_early_level", CAUSALITY) not in found


def test_the_same_seed_gives_the_same_audit():
    chosen = [OWN["early_delta_share"], OWN["overnight_gap_pct"]]
    one, two = (audit_session_features(SMALL, chosen, ("10:15",), cuts=2, seed=9) for _ in range(2))
    assert one == two


def test_rows_whose_daily_bars_break_their_scale_are_causal_too():
    """Daily bars that go wrong in the middle are refused from then on; no row before that knows of it."""
    half = SMALL.hours["session"][30]
    broken = SMALL.daily.with_columns(
        pl.when(pl.col("session") >= half).then(pl.col("close") / 4).otherwise("close").alias("close")
    )
    found = proofs(
        [OWN["overnight_gap_pct"], OWN["regime_return_5_pct"]], dataclasses.replace(SMALL, daily=broken), cuts=4
    )
    assert all(each.passed for (_, proof), each in found.items() if proof == CAUSALITY)
