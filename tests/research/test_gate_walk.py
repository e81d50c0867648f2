"""The walk of the gate's models: no day on both sides, no outcome before it was known, and the rule that takes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import joblib
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.research import walked_worlds as worlds

from openbell.core.errors import BadInput
from openbell.research.gate_walk import checked, folds, running_base_rate, walk

NAMES = ["knowing", "price"]


class Spy:
    """A fit that keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[pl.DataFrame] = []
        self.asked: list[pl.DataFrame] = []

    def __call__(
        self, rows: pl.DataFrame, features: Sequence[str], names: Sequence[str], *, fit_at: dt.datetime
    ) -> Spy:
        assert rows["outcome_known_at"].max() <= fit_at
        self.seen.append(rows)
        return self

    def forecast(self, name: str, rows: pl.DataFrame) -> worlds.Said:
        self.asked.append(rows)
        return worlds.Said(worlds.RULES[name](rows))

    def threshold(self, name: str, rows: pl.DataFrame) -> np.ndarray:
        return np.full(rows.height, 0.5)


@settings(max_examples=30, deadline=None)
@given(
    open_days=st.integers(0, 6),
    refit=st.integers(1, 9),
    least=st.integers(1, 12),
    newest=st.none() | st.integers(1, 8),
    seed=st.integers(0, 99),
)
def test_no_day_is_on_both_sides_and_no_outcome_is_early(
    open_days: int, refit: int, least: int, newest: int | None, seed: int
) -> None:
    """Check 3, however long trades stay open: what trains was known before the first trade of the fold's first day."""
    rows = checked(
        worlds.trades(24, 2, seed=seed, open_days=open_days).sample(fraction=1.0, shuffle=True, seed=seed), []
    )
    found = folds(rows, min_train_days=least, train_days=newest, refit_days=refit)
    tested = []
    for fold in found:
        train, test = rows[fold.train], rows[fold.test]
        assert not set(train["session"]) & set(test["session"])
        assert train["outcome_known_at"].max() <= test["known_at"].min() == fold.at
        assert test["session"].n_unique() <= refit
        assert train["session"].n_unique() >= min(least, newest or least)
        known = rows.filter((pl.col("outcome_known_at") <= fold.at) & (pl.col("session") < fold.first))
        if newest is None:
            assert train["trade"].to_list() == known["trade"].to_list()
        else:
            assert train["session"].unique().sort().to_list() == known["session"].unique().sort().to_list()[-newest:]
        tested += test["session"].unique().sort().to_list()
    # Every day from the first forecast on is forecast once.
    days = rows["session"].unique().sort().to_list()
    assert tested == days[len(days) - len(tested) :]
    assert len(tested) == max(0, 24 - least - max(open_days, 0))


def test_a_trade_still_open_is_in_no_training() -> None:
    """The mutant that goes by the day of the trade, not of its outcome, trains on three days more."""
    rows = checked(worlds.trades(20, 1, open_days=3), [])
    fold = folds(rows, min_train_days=5, refit_days=100)[0]
    last = rows[fold.train]["session"].max()
    between = [each for each in worlds.weekdays(40) if last < each < fold.first]
    assert len(between) == 3


def test_models_are_not_shown_what_they_forecast() -> None:
    spy = Spy()
    walk(worlds.trades(20, 1), ["edge"], NAMES, fit=spy, min_train_days=10, refit_days=4)
    assert len(spy.seen) == 3
    assert len(spy.asked) == 6
    assert all({"win", "profit_usd", "outcome_known_at"}.isdisjoint(each.columns) for each in spy.asked)
    assert all("win" in each.columns for each in spy.seen)


def test_every_trade_is_forecast_once_by_every_model_and_jobs_change_nothing() -> None:
    rows = worlds.trades(30, 2, seed=4)
    how = {"min_train_days": 10, "refit_days": 7}
    one = walk(rows, ["edge"], NAMES, fit=worlds.ruled(), **how)
    with joblib.parallel_config("threading"):
        assert one.equals(walk(rows, ["edge"], NAMES, fit=worlds.ruled(), jobs=2, **how))
    assert one.group_by("trade").len()["len"].unique().to_list() == [2]
    assert one["trade"].n_unique() == 20 * 2 * len(worlds.CELLS)
    assert one["session"].is_sorted()
    assert one["fold"].n_unique() == 3
    assert one.filter(pl.col("model") == "price")["probability"].equals(
        one.filter(pl.col("model") == "price")["price_probability"]
    )


def test_the_rule_wants_the_odds_and_the_worth() -> None:
    """By hand: 0.6 x 40 - 0.4 x 50 = +4 is worth it, 0.6 x 30 - 0.4 x 50 = -2 is not, and 0.45 is under one half."""
    rows = checked(worlds.trades(2, 1), []).drop("trade")
    rows = rows[:7].with_columns(win_usd=pl.Series([40.0, 40.0, 40.0, 40.0, 40.0, 30.0, 90.0]), loss_usd=pl.lit(-50.0))

    class Fixed(Spy):
        def forecast(self, name: str, rows: pl.DataFrame) -> worlds.Said:
            return worlds.Said(np.array([0.6, 0.6, 0.45]))

    found = walk(rows, [], ["x"], fit=Fixed(), min_train_days=1, refit_days=9)
    assert found["expected_usd"].to_list() == pytest.approx([4.0, -2.0, 0.45 * 90.0 - 0.55 * 50.0])
    assert found["take"].to_list() == [True, False, False]


def test_a_fair_price_is_no_edge_and_without_worth_the_odds_must_beat_it() -> None:
    """What rounding leaves of a fair price is not taken: the clone of the price takes nothing, either way."""
    rows = worlds.trades(20, 3)
    how = {"min_train_days": 5, "refit_days": 20}
    for given_rows in (rows, rows.drop("win_usd", "loss_usd")):
        found = walk(given_rows, ["edge"], ["clone", "knowing"], fit=worlds.ruled(0.0), **how)
        assert not found.filter(pl.col("model") == "clone")["take"].any()
        own = found.filter(pl.col("model") == "knowing")
        assert own["take"].equals((own["probability"] > own["price_probability"]).alias("take"))
    assert found["expected_usd"].null_count() == found.height


def test_the_running_base_rate_knows_what_was_known() -> None:
    """Against a loop over all rows, with outcomes that take four days."""
    rows = worlds.trades(25, 2, seed=3, open_days=4).sample(fraction=1.0, shuffle=True, seed=1)
    found = running_base_rate(rows)
    opens = dict(rows.group_by("session").agg(pl.col("known_at").min()).iter_rows())
    table = list(rows.select("session", "strategy", "outcome_known_at", "win").iter_rows())
    for place, (session, strategy, _, _) in enumerate(table):
        known = [win for _, other, at, win in table if other == strategy and at <= opens[session]]
        assert found[place] == pytest.approx((sum(known) + 1) / (len(known) + 2))


def test_what_cannot_be_walked_is_refused() -> None:
    rows = worlds.trades(20, 1)
    how = {"fit": worlds.ruled(), "min_train_days": 5, "refit_days": 5}
    with pytest.raises(BadInput, match="lack `nowhere`"):
        walk(rows, ["nowhere"], NAMES, **how)
    with pytest.raises(BadInput, match="no loss"):
        walk(rows.with_columns(win=pl.when(pl.col("edge") > 0).then(pl.col("win"))), [], NAMES, **how)
    with pytest.raises(BadInput, match="80 of 80 trades know their outcome before"):
        walk(rows.with_columns(outcome_known_at=pl.col("known_at")), [], NAMES, **how)
    with pytest.raises(BadInput, match=r"outside \[0, 1\]"):
        walk(rows.with_columns(price_probability=pl.lit(1.5)), [], NAMES, **how)
    with pytest.raises(BadInput, match="20 days of trades"):
        walk(rows, [], NAMES, fit=worlds.ruled(), min_train_days=20, refit_days=5)
    with pytest.raises(BadInput, match="`refit_days`"):
        folds(rows, min_train_days=5, refit_days=0)


def test_a_model_that_gives_no_number_is_named() -> None:
    class Silent(Spy):
        def forecast(self, name: str, rows: pl.DataFrame) -> worlds.Said:
            return worlds.Said(np.full(rows.height, np.nan))

    with pytest.raises(BadInput, match="`knowing`"):
        walk(worlds.trades(20, 1), [], NAMES, fit=Silent(), min_train_days=5, refit_days=5)


def test_progress_counts_folds() -> None:
    told: list[tuple[int, int, str]] = []
    walk(worlds.trades(12, 1), [], ["price"], fit=worlds.ruled(), min_train_days=4, refit_days=3,
         progress=lambda *each: told.append(each))  # fmt: skip
    assert [each[:2] for each in told] == [(1, 3), (2, 3), (3, 3)]
    assert str(dt.date(2023, 1, 6)) in told[0][2]
