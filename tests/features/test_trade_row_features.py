"""Every feature of proposed trades: one row alone, null in and null out, no outcome, and the formulas by hand."""

import datetime as dt
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from feature_bars import declared

sys.path.insert(0, str(Path(__file__).parents[1] / "research"))

from made_up_days import CALENDAR, made, made_facts

from openbell.core.declare import Feature, collect, feature
from openbell.core.errors import DeclarationError
from openbell.core.trade_rows import OUTCOME
from openbell.features.trade_market import VIX_EDGES
from openbell.quant.row_programs import program
from openbell.research.trade_facts import facts
from openbell.research.trade_features import FEW_ROWS, trade_features

FEATURES = {name: each for name, each in declared().items() if each.reads == "trades"}
#: Features that say whether something is there, or need one of several columns: a null of one need not be a null.
ANY_OF = {
    "has_delta_data": ("short_term",),
    "lean": ("breakeven_low", "breakeven_high"),
    "strike_width_ratio": tuple(f"strike{i}" for i in range(1, 5)),
    "strike_distance_pct": tuple(f"strike{i}" for i in range(1, 5)),
    "avg_strike": tuple(f"strike{i}" for i in range(1, 5)),
    **dict.fromkeys(("price_margin", "short_term_margin", "long_term_margin", "predicted_margin",
                     "short_term_tilt", "long_term_tilt", "predicted_tilt"), ("breakeven_low", "breakeven_high")),
}  # fmt: skip
#: Delta columns as sheets have them in other years: levels of calls and puts, scores for the terms.
AS_LEVELS = (pl.col("price") * 1.01).alias("call_delta"), (pl.col("price") * 0.99).alias("put_delta")
AS_SCORES = pl.lit(0.65).alias("short_term"), pl.lit(-0.2).alias("long_term")


def values(rows, *names):
    return trade_features(rows, {name: FEATURES[name] for name in names} if names else FEATURES)


@pytest.fixture(scope="module")
def rows():
    plain = made_facts()
    return pl.concat([plain, plain[:200].with_columns(AS_LEVELS), plain[:200].with_columns(AS_SCORES)])


def test_there_are_features_of_every_group():
    assert {each.family for each in FEATURES.values()} == {
        "trade_prices",
        "trade_predictions",
        "trade_times",
        "trade_market",
    }
    assert len(FEATURES) >= 60
    asked = {
        "has_delta_data", "short_long_spread", "short_long_ratio", "price_vs_short", "price_vs_long",
        "predicted_vs_short", "predicted_vs_long", "delta_convergence", "predictions_aligned", "distance_to_target1",
        "distance_to_target2", "targets_spread", "predicted_vs_price", "call_put_delta_spread", "delta_skew",
        "short_term_bias", "long_term_bias", "term_structure", "strike_width_ratio", "strike_distance_pct",
        "avg_strike", "spread1", "spread2",
    }  # fmt: skip
    assert asked <= set(FEATURES), "S1.13 and S1.14 by their names"
    assert "predicted_vs_closing" not in FEATURES


def test_rows_have_no_neighbours(rows):
    """Burn the future: in any order and with any rows removed, before or after, each row has the same bits."""
    full = values(rows)
    order = np.random.default_rng(0).permutation(rows.height)
    assert values(rows[order]).equals(full[order])
    kept = np.sort(order[:150])
    assert values(rows[kept]).equals(full[kept])
    assert values(rows[700:701]).equals(full[700:701])


def test_one_by_one_and_by_query_are_equal(rows):
    """Check 14, for every feature by itself: the program of a request against the query of a batch, with numbers
    missing at random, some of them 0 or no number at all. Kills: a null that counts as false, a division by 0."""
    assert set(program({name: each.expression for name, each in FEATURES.items()}).results) == set(FEATURES)
    rng = np.random.default_rng(4)
    odd = rows[rng.permutation(rows.height)[:160]]
    columns = {name for each in FEATURES.values() for name in each.expression.meta.root_names()}
    for name in sorted(columns):
        draw = pl.Series(rng.random(odd.height))
        value = pl.when(draw < 0.15).then(None)
        if odd.schema[name] == pl.Float64:
            value = (
                value.when(draw < 0.2)
                .then(0.0)
                .when(draw < 0.22)
                .then(float("nan"))
                .when(draw < 0.25)
                .then(-pl.col(name))
            )
        odd = odd.with_columns(value.otherwise(pl.col(name)).alias(name))
    whole = values(odd)
    few = pl.concat([values(odd[i : i + 8]) for i in range(0, odd.height, 8)])
    assert odd.height > FEW_ROWS > 8
    assert whole.null_count().sum_horizontal().item() > 1_000
    for name in whole.columns:
        assert whole[name].is_null().equals(few[name].is_null()), name
        np.testing.assert_allclose(
            few[name].drop_nulls(), whole[name].drop_nulls(), rtol=1e-9, atol=1e-12, err_msg=name
        )


def test_the_outcome_changes_nothing(rows):
    """Whatever the ending says. Kills: a feature that reads it behind the declaration's back."""
    told = [name for name in (*sorted(OUTCOME), "profit_usd") if name in rows.columns]
    blind = rows.with_columns(pl.lit(None, rows.schema[name]).alias(name) for name in told)
    assert values(blind).equals(values(rows))
    again = facts(made().with_columns(pl.lit(None, made().schema[x]).alias(x) for x in OUTCOME), commission_usd=0.65,
                  sessions=CALENDAR)  # fmt: skip
    assert again["price_probability"].equals(facts(made(), commission_usd=0.65, sessions=CALENDAR)["price_probability"])


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_null_in_null_out(rows, name):
    """Check 33: a column that is missing makes what stands on it missing, and no other value. Kills: fill_null(0)."""
    expression = FEATURES[name].expression
    assert values(rows, name)[name].drop_nulls().len() > 0, "the rows here must give it a value"
    loose = ANY_OF.get(name, ())
    for column in set(expression.meta.root_names()) - set(loose):
        gone = rows.with_columns(pl.lit(None, rows.schema[column]).alias(column))
        assert values(gone, name)[name].null_count() == rows.height, column
    none = rows.with_columns(pl.lit(None, rows.schema[column]).alias(column) for column in loose)
    if loose and name not in ("has_delta_data", "lean"):
        assert values(none, name)[name].null_count() == rows.height


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_it_moves(rows, name):
    """Check 13: no constant. What is constant on these rows by their making is named."""
    constant = {"in_session", "short_term_score", "long_term_score", "call_level_distance", "put_level_distance"}
    if name not in constant:
        assert values(rows, name)[name].drop_nulls().n_unique() > 1


def planted(name, expression, reads="trades"):
    module = ModuleType("planted")

    def it():
        return expression

    it.__doc__, it.__module__ = "Planted.", "planted"
    module.it = feature(unit="x", name=name, reads=reads)(it)
    return module


@pytest.mark.parametrize("column", sorted(OUTCOME | {"profit_usd"}))
def test_a_feature_of_the_outcome_is_refused_where_features_are_collected(column):
    """S1.14: by what it reads, wherever in the expression."""
    expression = pl.when(pl.col("price") > 0).then(pl.col("price") - pl.col(column).cast(pl.Float64))
    with pytest.raises(DeclarationError, match=f"uses `{column}`, which is known only when the trade has ended"):
        collect([planted("innocent", expression)], Feature)


def test_predicted_vs_closing_is_refused_by_its_name():
    with pytest.raises(DeclarationError, match="`predicted_vs_closing`"):
        collect([planted("predicted_vs_closing", pl.col("predicted") - pl.col("price"))], Feature)


def test_other_features_may_be_called_win_and_read_closed():
    assert set(collect([planted("win", pl.col("closed"), reads="bars")], Feature)) == {"win"}


def by_hand(**more):
    """One condor in round numbers: price 5000, implied move 50, breakevens 4940 and 5080."""
    known = {
        "price": 5_000.0, "implied_move": 50.0, "short_term": 5_025.0, "long_term": 5_100.0, "predicted": 5_010.0,
        "target1": 5_040.0, "target2": 4_970.0, "low": 4_945.0, "high": 5_070.0, "call_delta": 0.6, "put_delta": -0.45,
        "breakeven_low": 4_940.0, "breakeven_high": 5_080.0, "wins_between": True,
        "strike1": 5_080.0, "strike2": 5_090.0, "strike3": 4_940.0, "strike4": 4_930.0,
        "bid1": 0.9, "ask1": 1.1, "bid2": 0.5, "ask2": 0.7, "paid": -1.0, "width": 10.0, "max_profit": 1.0,
        "max_loss": 9.0, "cost_points": 0.026, "fair_probability": 0.9, "logit_price": 1.5, "atm_iv": 0.15,
        "price_probability": 0.8, "deviation": 0.01, "smile_slope": -0.01, "market_volatility": 0.12,
        "years": 100.0 / (252 * 390),
        "known_at": dt.datetime(2018, 7, 3, 16, 40, tzinfo=dt.UTC),
        "open_at": dt.datetime(2018, 7, 3, 13, 30, tzinfo=dt.UTC),
        "close_at": dt.datetime(2018, 7, 3, 17, 0, tzinfo=dt.UTC),
        "session": dt.date(2018, 7, 3), "previous_close": 4_950.0, "sma20": 5_000.0, "momentum5": 0.01,
        "volatility20": 0.10, "rsi14": 61.0, "price_position": 0.4, "vix": 20.0, "vix_sma20": 16.0, "vix_change": -1.5,
        **more,
    }  # fmt: skip
    kinds = {name: pl.Float64 for name, value in known.items() if value is None}
    return values(pl.DataFrame({name: [value] for name, value in known.items()}, schema_overrides=kinds)).row(
        0, named=True
    )


#: (n(-1.2023) - n(1.5923)) / (0.8 x 0.2): the densities at ln(4940 / 5000) and ln(5080 / 5000) over 0.01, plus 0.005.
SLOPE = (0.193660078223369 - 0.1122862600672435) / 0.16
BY_HAND = {
    "has_delta_data": 1.0, "short_long_spread": -1.5, "short_long_ratio": 5_025 / 5_100, "price_vs_short": -0.5,
    "price_vs_long": -2.0, "predicted_vs_short": -0.3, "predicted_vs_long": -1.8, "delta_convergence": 1.5,
    "predictions_aligned": 1.0, "short_term_bias": 0.5, "long_term_bias": 2.0, "term_structure": 1.5,
    "short_term_score": None, "long_term_score": None, "short_term_margin": 1.1, "long_term_margin": -0.4,
    "short_term_tilt": 0.5 * SLOPE, "long_term_tilt": 2.0 * SLOPE, "predicted_tilt": 0.2 * SLOPE,
    "predicted_margin": 1.4, "predicted_vs_price": 0.2, "distance_to_target1": 0.8, "distance_to_target2": -0.6,
    "targets_spread": 1.4, "range_ratio": 2.5, "call_put_delta_spread": 1.05, "delta_skew": 0.15,
    "call_level_distance": None, "put_level_distance": None,
    "implied_log_odds": 1.5, "fair_log_odds": np.log(9.0), "premium_to_width": -0.1, "reward_to_risk": 1 / 9,
    "costs_to_reward": 0.026 / 1.026, "is_credit": 1.0, "lean": 0.0, "price_margin": 1.2,
    "breakeven_low_distance": -1.2, "breakeven_high_distance": 1.6, "strike_width_ratio": 3.2,
    "strike_distance_pct": 1.2, "avg_strike": 0.2, "spread1": 0.2, "spread2": 1 / 3, "iv_at_the_money": 0.15,
    "skew_at_strikes": -0.01, "iv_vs_market": 0.25, "implied_move_pct": 1.0,
    "minutes_since_open": 190.0, "minutes_to_close": 20.0, "minutes_to_expiry": 100.0, "in_session": 1.0,
    "in_opening_half_hour": 0.0, "in_closing_half_hour": 1.0, "day_of_week": 2.0,
    "price_vs_previous_close": 5_000 / 4_950 - 1, "close_vs_sma20_at_open": -0.01, "momentum5_at_open": 0.01,
    "volatility20_at_open": 0.10, "rsi14_at_open": 61.0, "price_position_at_open": 0.4, "iv_vs_realised": 0.5,
    "vix_at_open": 20.0, "vix_vs_sma20_at_open": 0.25, "vix_change_at_open": -1.5, "vix_regime_at_open": 1.0,
}  # fmt: skip


def test_every_formula_by_hand():
    said = by_hand()
    assert set(said) == set(BY_HAND)
    for name, value in BY_HAND.items():
        assert said[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


@pytest.mark.parametrize(
    ("short", "long", "aligned"),
    [(5_010.0, 5_020.0, 1.0), (4_990.0, 4_980.0, 1.0), (5_010.0, 4_990.0, 0.0), (None, 5_010.0, None),
     (5_010.0, None, None), (None, None, None), (0.65, 0.7, None), (5_010.0, 0.7, None)],
)  # fmt: skip
def test_unknown_is_no_agreement(short, long, aligned):
    """Check 33: the original said 1 on 99.5 % of rows without delta."""
    assert by_hand(short_term=short, long_term=long)["predictions_aligned"] == aligned


def test_scores_are_not_levels():
    """S1.18: 5860 is a level, 0.65 a score; each row by itself, and a number that is neither gives neither."""
    said = by_hand(short_term=0.65, long_term=-0.2)
    assert (said["short_term_score"], said["long_term_score"]) == (0.65, -0.2)
    assert said["has_delta_data"] == 1.0
    of_levels = ("short_term_bias", "short_long_spread", "short_long_ratio", "price_vs_short", "predicted_vs_long",
                 "delta_convergence", "term_structure", "short_term_margin")  # fmt: skip
    assert {said[name] for name in of_levels} == {None}
    neither = by_hand(short_term=40.0)
    assert (neither["short_term_score"], neither["short_term_bias"], neither["has_delta_data"]) == (None, None, 1.0)
    levels = by_hand(call_delta=5_050.0, put_delta=4_900.0)
    assert (levels["call_level_distance"], levels["put_level_distance"]) == (1.0, -2.0)
    assert levels["call_put_delta_spread"] is None


def test_margins_of_one_sided_and_outside_winners():
    """A put credit wins above 4940, a call credit below 5080, a straddle outside of both."""
    put, call = by_hand(breakeven_high=None), by_hand(breakeven_low=None)
    assert (put["long_term_margin"], put["lean"]) == (pytest.approx(3.2), 1.0)
    assert (call["long_term_margin"], call["lean"]) == (pytest.approx(-0.4), -1.0)
    straddle = by_hand(wins_between=False)
    assert (straddle["price_margin"], straddle["long_term_margin"], straddle["lean"]) == (
        pytest.approx(-1.2), pytest.approx(0.4), 0.0)  # fmt: skip


@pytest.mark.parametrize(
    ("vix", "regime"),
    [(9.0, 0), (15.0, 0), (15.01, 1), (20.0, 1), (20.01, 2), (25.0, 2), (25.01, 3), (80.0, 3), (None, None)],
)
def test_regimes_of_the_volatility_index(vix, regime):
    assert VIX_EDGES == (15.0, 20.0, 25.0)
    assert by_hand(vix=vix)["vix_regime_at_open"] == regime


@pytest.mark.parametrize(
    ("minute", "opening", "closing", "inside"),
    [
        (-1, 0, 0, 0),
        (0, 1, 0, 1),
        (29, 1, 0, 1),
        (30, 0, 0, 1),
        (179, 0, 0, 1),
        (180, 0, 1, 1),
        (209, 0, 1, 1),
        (210, 0, 0, 0),
    ],
)
def test_edges_of_a_half_day(minute, opening, closing, inside):
    """13:00 is its close. Kills: 16:00 written in, an edge on the wrong side."""
    said = by_hand(known_at=dt.datetime(2018, 7, 3, 13, 30, tzinfo=dt.UTC) + dt.timedelta(minutes=minute))
    assert said["in_opening_half_hour"] == opening
    assert said["in_closing_half_hour"] == closing
    assert said["in_session"] == inside


def test_a_day_without_a_session_has_no_clock():
    nothing = made()[:1].with_columns(
        pl.lit(dt.datetime(2018, 7, 4, 15, tzinfo=dt.UTC)).dt.cast_time_unit("us").alias("known_at")
    )
    said = values(
        facts(nothing, commission_usd=0.65, sessions=CALENDAR), "minutes_since_open", "in_session", "day_of_week"
    )
    assert said.row(0) == (None, None, 3.0)


def test_a_tilt_is_the_change_of_the_log_odds_when_the_mean_moves(rows):
    """By the lognormal itself: the odds at a mean a hundredth of a move away. Kills: one breakeven left out, the sign
    of trades that win outside, a density in place of its slope in the log-odds."""
    from scipy.special import logit, ndtr

    part = rows.filter(
        pl.col("breakeven_low").is_not_null() | pl.col("breakeven_high").is_not_null(),
        pl.col("price_probability").is_between(0.02, 0.98),
    ).head(400)
    step = 0.01
    moved = part.with_columns(short_term=pl.col("price") + step * pl.col("implied_move"))
    found = trade_features(moved, {"short_term_tilt": FEATURES["short_term_tilt"]})["short_term_tilt"].to_numpy()
    low, high, price, deviation = (
        part[name].to_numpy() for name in ("breakeven_low", "breakeven_high", "price", "deviation")
    )
    wins = part["wins_between"].to_numpy()

    def odds(shift):
        below = [
            np.where(np.isnan(level), end, ndtr(np.log(level / price) / deviation + 0.5 * deviation - shift))
            for level, end in ((low, 0.0), (high, 1.0))
        ]
        inside = below[1] - below[0]
        return logit(np.where(wins, inside, 1.0 - inside))

    slope = (odds(step) - odds(-step)) / 2.0
    # Breakevens are those before costs, the odds those after them: the slope is that of slightly other odds.
    assert found == pytest.approx(slope, rel=0.35, abs=2e-3)
