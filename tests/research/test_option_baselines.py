"""The rules ladder, the serving rules and the other baselines of the options desk."""

import datetime as dt
import itertools

import numpy as np
import polars as pl
import pytest
from tests.research.option_worlds import modelled, spots, table

from openbell.core.errors import BadInput, DataMissing
from openbell.quant import structures as s
from openbell.quant.legs import CALL, PUT
from openbell.quant.listing import expiries
from openbell.quant.option_paths import Costs, Exits
from openbell.research import option_baselines as base
from openbell.research import option_serving as serving
from openbell.research.option_backtest import Entry, NoTrade, Rules, option_backtest
from openbell.research.option_quotes import Spots, SurfaceQuotes


def features(**values):
    return pl.DataFrame({name: [float(values.get(name, np.nan))] for name in base.LADDER_INPUTS}).fill_nan(None)


def named(iv, adx, trend, rsi, distance):
    row = features(iv_rank=iv, adx_14=adx, trend_regime=trend, rsi_14=rsi, price_vs_sma_20=distance)
    return base.ladder(row)[0]


#: Typed from Annex C: one row inside each rule, and the nearest row that is outside of it.
INSIDE = [
    ((50, 14, 2, 50, 0.008), s.DIAGONAL_SPREAD),
    ((50, 14, 2, 50, -0.008), s.DIAGONAL_SPREAD),
    ((60, 14, 2, 50, 0.008), s.IRON_CONDOR),  # rank of 60 is not under 60: rule 2
    ((74, 24, 2, 50, 0.0), s.IRON_CONDOR),
    ((75, 19, 2, 50, 0.0), s.IRON_BUTTERFLY),
    ((69, 19, 2, 60, 0.0), s.IRON_BUTTERFLY),
    ((45, 22, 3, 55, 0.0), s.LONG_CALL),
    ((47, 21, 1, 50, 0.0), s.LONG_PUT),
    ((47, 21, 2, 41, 0.0), s.LONG_PUT),
    ((47, 21, 2, 50, -0.026), s.LONG_PUT),
    ((47, 15, 2, 37, 0.0), s.LONG_PUT),
    ((47, 15, 2, 50, -0.036), s.LONG_PUT),
    ((47, 5, 2, 32, 0.0), s.LONG_PUT),
    ((56, 27, 3, 63, 0.0), s.BULL_CALL_SPREAD),
    ((63, 27, 3, 63, 0.0), s.BULL_CALL_SPREAD),
    ((54, 23, 1, 44, 0.0), s.BEAR_PUT_SPREAD),
    ((65, 23, 1, 44, 0.0), s.BEAR_PUT_SPREAD),
    ((34, 16, 2, 50, 0.0), s.LONG_STRADDLE),
    ((34, 17, 2, 50, 0.0), s.LONG_STRANGLE),
    ((35.5, 16, 2, 44.5, 0.0), s.LONG_STRANGLE),
    ((40, 19, 2, 50, 0.021), s.CALENDAR_SPREAD),
    ((56, 27, 2, 60, 0.0), s.IRON_CONDOR),  # fallback of a high rank
    ((34, 30, 2, 58, 0.0), s.LONG_CALL),  # fallback of a low rank, by the RSI
    ((34, 14, 2, 41, 0.0), s.LONG_PUT),
    ((50, 19, 2, 59, 0.0), s.BULL_CALL_SPREAD),  # fallback of a middling rank
    ((50, 19, 2, 41, 0.0), s.BEAR_PUT_SPREAD),
    ((50, 18, 2, 59, 0.0), s.IRON_CONDOR),
    ((55, 30, 2, 50, 0.0), s.IRON_CONDOR),
]


@pytest.mark.parametrize(("row", "structure"), INSIDE)
def test_the_ladder_is_annex_c(row, structure):
    assert named(*row) == structure


def by_hand(iv, adx, trend, rsi, pvs):
    """The ladder once more, as nested ifs of plain numbers: a second formula."""
    if 45 < iv < 60 and trend == 2 and 0.005 < abs(pvs) < 0.012 and adx < 15:
        return s.DIAGONAL_SPREAD
    if 52 < iv < 75 and adx < 25 and 45 < rsi < 55:
        return s.IRON_CONDOR
    if iv > 68 and adx < 20:
        return s.IRON_BUTTERFLY
    if iv < 46 and adx > 21 and trend >= 3 and rsi > 54:
        return s.LONG_CALL
    bearish = (adx > 20 and (trend <= 1 or rsi < 42 or pvs < -0.025)) or (adx >= 15 and (rsi < 38 or pvs < -0.035))
    if iv < 48 and (bearish or rsi < 33):
        return s.LONG_PUT
    if 56 <= iv <= 63 and trend >= 3 and adx > 26 and rsi > 62:
        return s.BULL_CALL_SPREAD
    if 54 <= iv <= 65 and trend <= 1 and adx > 22 and rsi < 45:
        return s.BEAR_PUT_SPREAD
    if iv < 35 and 45 < rsi < 58 and adx < 17:
        return s.LONG_STRADDLE
    if iv < 36 and 44 < rsi < 59 and adx < 25:
        return s.LONG_STRANGLE
    if iv < 42 and adx < 20 and 42 < rsi < 58 and abs(pvs) < 0.022:
        return s.CALENDAR_SPREAD
    if iv > 55:
        return s.IRON_CONDOR
    if iv < 35:
        return s.LONG_CALL if rsi >= 50 else s.LONG_PUT
    if rsi > 58 and adx > 18:
        return s.BULL_CALL_SPREAD
    return s.BEAR_PUT_SPREAD if rsi < 42 and adx > 18 else s.IRON_CONDOR


def test_the_ladder_on_a_grid_of_edges_equals_nested_ifs():
    grid = list(
        itertools.product(
            (30, 34.9, 35, 36, 41, 46, 47, 50, 55, 56, 60, 68.5, 75, 80), (10, 15, 16.9, 18, 20, 22, 25, 27, 31),
            (0, 1, 2, 3), (30, 37, 42, 44.5, 50, 54, 55, 58, 60, 63), (-0.04, -0.026, -0.008, 0.0, 0.02, 0.03),
        )
    )  # fmt: skip
    frame = pl.DataFrame(grid, schema=dict.fromkeys(base.LADDER_INPUTS, pl.Float64), orient="row")
    found = base.ladder(frame).to_list()
    assert found == [by_hand(*row) for row in grid]
    assert set(found) == set(s.STRUCTURES)


def test_an_input_that_is_missing_is_no_structure():
    """Check 15: the original put 50, 20 and 0 in its place."""
    for name in base.LADDER_INPUTS:
        row = dict(iv_rank=50, adx_14=14, trend_regime=2, rsi_14=50, price_vs_sma_20=0.008)
        row.pop(name)
        assert base.ladder(features(**row))[0] is None
    with pytest.raises(BadInput, match="rsi_14"):
        base.ladder(pl.DataFrame({name: [1.0] for name in base.LADDER_INPUTS if name != "rsi_14"}))


# ---------------------------------------------------------------- the serving rules


@pytest.fixture(scope="module")
def market():
    surfaces, calendar = modelled(45)
    return SurfaceQuotes(surfaces, calendar=calendar), expiries(calendar, "SPX"), surfaces, calendar


def mood(**values):
    return {"iv_rank": 45.0, "adx_14": 15.0, "trend_regime": 2.0, "rsi_14": 50.0, **values}


@pytest.mark.parametrize(
    ("structure", "values", "days"),
    [
        (s.IRON_CONDOR, {"iv_rank": 71}, 7), (s.IRON_CONDOR, {"iv_rank": 70}, 14), (s.IRON_BUTTERFLY, {}, 21),
        (s.LONG_CALL, {"iv_rank": 29, "adx_14": 31, "rsi_14": 66, "trend_regime": 4}, 45),
        (s.LONG_CALL, {"iv_rank": 29}, 30), (s.LONG_PUT, {"iv_rank": 40}, 21),
        (s.LONG_PUT, {"iv_rank": 29, "adx_14": 31, "rsi_14": 34, "trend_regime": 0}, 45),
        (s.BULL_CALL_SPREAD, {"adx_14": 31, "rsi_14": 66, "trend_regime": 4}, 30), (s.BEAR_PUT_SPREAD, {}, 21),
        (s.LONG_STRADDLE, {}, 30), (s.LONG_STRANGLE, {}, 30), (s.CALENDAR_SPREAD, {}, 21),
        (s.DIAGONAL_SPREAD, {}, 21),
    ],
)  # fmt: skip
def test_the_days_of_annex_d(structure, values, days):
    assert serving.target_days(structure, mood(**values)) == days


def test_the_strength_of_a_trend():
    assert serving.trend_strength(mood(adx_14=31, rsi_14=66, trend_regime=4)) == serving.VERY_STRONG
    assert serving.trend_strength(mood(adx_14=31, rsi_14=64, trend_regime=4)) == serving.STRONG
    assert serving.trend_strength(mood(adx_14=26, rsi_14=39, trend_regime=1)) == serving.STRONG
    assert serving.trend_strength(mood(adx_14=21)) == serving.MODERATE
    assert serving.trend_strength(mood(adx_14=20)) == serving.WEAK


@pytest.mark.parametrize(
    ("structure", "values", "deltas"),
    [
        (s.IRON_CONDOR, {"iv_rank": 71}, (-0.10, -0.20, 0.20, 0.10)),
        (s.IRON_CONDOR, {"iv_rank": 60}, (-0.15, -0.25, 0.25, 0.15)),
        (s.LONG_CALL, {"iv_rank": 29}, (0.50,)), (s.LONG_CALL, {"iv_rank": 39}, (0.40,)),
        (s.LONG_PUT, {"iv_rank": 41}, (-0.30,)), (s.BULL_CALL_SPREAD, {"iv_rank": 49}, (0.50, 0.30)),
        (s.BEAR_PUT_SPREAD, {"iv_rank": 50}, (-0.60, -0.25)), (s.LONG_STRANGLE, {"iv_rank": 29}, (-0.35, 0.35)),
        (s.LONG_STRANGLE, {"iv_rank": 31}, (-0.25, 0.25)), (s.DIAGONAL_SPREAD, {"rsi_14": 56}, (0.30, 0.50)),
        (s.DIAGONAL_SPREAD, {"rsi_14": 55}, (-0.30, -0.50)),
    ],
)  # fmt: skip
def test_the_deltas_of_annex_d(market, structure, values, deltas):
    """No listed strike has a delta nearer to the one asked for."""
    quotes, listed, surfaces, _ = market
    chain = serving.ModelledChain(quotes, 20, listed)
    entry = serving.served(structure, mood(**values), chain, after=surfaces.sessions[21])
    assert isinstance(entry, Entry)
    for right, strike, expiry, delta in zip(
        entry.legs.right, entry.legs.strike, entry.legs.expiry, deltas, strict=True
    ):
        assert np.sign(delta) == right
        live = chain.strikes(expiry, int(right))
        gaps = np.abs(live.delta - delta)
        assert gaps[live.strike == strike][0] == gaps.min()


def test_strikes_at_the_money_and_their_wings(market):
    quotes, listed, surfaces, _ = market
    chain = serving.ModelledChain(quotes, 20, listed)
    at = surfaces.spot[20]
    for rank, wing in ((76, 0.07), (75, 0.05)):
        legs = serving.served(s.IRON_BUTTERFLY, mood(iv_rank=rank), chain, after=surfaces.sessions[21]).legs
        assert legs.strike[1] == legs.strike[2] == 5 * round(at / 5)
        np.testing.assert_allclose(legs.strike[[0, 3]] / at, [1 - wing, 1 + wing], atol=2.6 / at)
    for rsi, right in ((51, CALL), (50, PUT)):
        legs = serving.served(s.CALENDAR_SPREAD, mood(rsi_14=rsi), chain, after=surfaces.sessions[21]).legs
        assert legs.right.tolist() == [right, right]
        assert legs.ratio.tolist() == [-1, 1]
        assert legs.strike[0] == legs.strike[1]
        assert (legs.expiry[1] - legs.expiry[0]).astype(int) > 14


@pytest.mark.parametrize("structure", list(s.STRUCTURES))
def test_every_structure_is_served_after_the_fill_with_its_own_legs(market, structure):
    quotes, listed, surfaces, _ = market
    chain = serving.ModelledChain(quotes, 30, listed)
    entry = serving.served(structure, mood(rsi_14=60.0), chain, after=surfaces.sessions[31])
    assert [(int(r), int(q)) for r, q in zip(entry.legs.right, entry.legs.ratio, strict=True)] == [
        (part.right, part.ratio) for part in s.STRUCTURES[structure]
    ]
    assert (entry.legs.expiry > surfaces.sessions[31]).all()


def test_a_chain_without_the_legs_is_no_trade():
    """Checks 20 and 22: never another expiry, never a strike without a bid, never two legs on one strike."""
    columns = {"delta": [0.6, 0.5, 0.3]}
    quotes = table(
        [("2024-03-04", "2024-03-25", strike, "CALL", bid, 5.0) for strike, bid in ((95, 4), (100, 2), (105, 1))]
    )
    quotes = quotes.with_columns(pl.Series("delta", columns["delta"]))
    after = np.datetime64("2024-03-05")
    chain = serving.QuotedChain(quotes, 100.0)
    entry = serving.served(s.BULL_CALL_SPREAD, mood(), chain, after=after)
    assert entry.legs.strike.tolist() == [100.0, 105.0]
    dead = quotes.with_columns(pl.when(pl.col("strike") == 105).then(0.0).otherwise(pl.col("bid")).alias("bid"))
    entry = serving.served(s.BULL_CALL_SPREAD, mood(iv_rank=49), serving.QuotedChain(dead, 100.0), after=after)
    assert isinstance(entry, NoTrade)
    assert "fall together" in entry.why
    assert "no contract of 2024-03-25" in serving.served(s.LONG_PUT, mood(), chain, after=after).why
    assert "no listed expiry" in serving.served(s.LONG_CALL, mood(), chain, after=np.datetime64("2024-03-25")).why
    assert "no expiry more than 14 days" in serving.served(s.CALENDAR_SPREAD, mood(rsi_14=60), chain, after=after).why
    close = table([("2024-03-04", "2024-04-04", 100, "CALL", 2, 5.0)]).with_columns(pl.lit(0.5).alias("delta"))
    ten_days = serving.QuotedChain(pl.concat([quotes, close]), 100.0)
    assert (
        "no expiry more than 14 days" in serving.served(s.CALENDAR_SPREAD, mood(rsi_14=60), ten_days, after=after).why
    )
    sides = [(100, "CALL"), (105, "CALL"), (95, "PUT"), (105, "PUT")]
    apart = table([("2024-03-04", "2024-04-05", strike, right, 2, 5.0) for strike, right in sides])
    apart = serving.QuotedChain(apart.with_columns(pl.lit(0.5).alias("delta")), 101.0)
    assert serving.served(s.LONG_STRADDLE, mood(), apart, after=after).legs.strike.tolist() == [105.0, 105.0]
    with pytest.raises(BadInput, match="Did you mean"):
        serving.served("IRON_CONDORS", mood(), chain, after=after)


# ---------------------------------------------------------------- the strategies


def daily_features(surfaces, **values):
    rng = np.random.default_rng(1)
    n = len(surfaces.sessions)
    made = {
        "iv_rank": rng.uniform(20, 80, n), "adx_14": rng.uniform(10, 35, n),
        "trend_regime": rng.integers(0, 5, n).astype(float), "rsi_14": rng.uniform(30, 70, n),
        "price_vs_sma_20": rng.uniform(-0.04, 0.04, n), **values,
    }  # fmt: skip
    return pl.DataFrame({"session": pl.Series(surfaces.sessions).cast(pl.Date), **made})


def strategies(market, frame, seed=0):
    quotes, listed, surfaces, _ = market
    chain, sessions = serving.modelled_chains(quotes, listed), surfaces.sessions
    return {
        "ladder": base.rules_ladder(frame, sessions, chain),
        "constant": base.constant(s.IRON_CONDOR, frame, sessions, chain),
        "random": base.at_random(frame, sessions, chain, seed=seed),
    }


def shown(decided):
    if not isinstance(decided, Entry):
        return decided
    legs = decided.legs
    return decided.structure, legs.strike.tolist(), legs.expiry.tolist(), legs.ratio.tolist(), decided.morning.tolist()


def test_a_baseline_knows_only_the_close_before(market):
    """Everything of the session itself and after it is changed; the decision for it stays the same."""
    _, listed, surfaces, calendar = market
    frame, row = daily_features(surfaces), 22
    later = {
        name: np.concatenate([getattr(surfaces, name)[:row], 1.3 * getattr(surfaces, name)[row:]])
        for name in ("spot", "settle", "parameters")
    }
    names = ("rate", "dividend_yield", "spread", "increment", "modelled")
    changed = type(surfaces)(surfaces.sessions, **later, **{each: getattr(surfaces, each) for each in names})
    other = (SurfaceQuotes(changed, calendar=calendar), listed, changed, calendar)
    burnt = frame.with_columns(
        pl.when(pl.int_range(pl.len()) < row).then(pl.col(name)).otherwise(99.0 - pl.col(name)).alias(name)
        for name in base.LADDER_INPUTS
    )
    for name, decide in strategies(market, frame).items():
        assert shown(decide(row)) == shown(strategies(other, burnt)[name](row)), name
        assert isinstance(decide(row), Entry)


def test_a_missing_feature_is_no_trade_and_said(market):
    _, _, surfaces, _ = market
    frame = daily_features(surfaces).with_columns(
        pl.when(pl.int_range(pl.len()) == 21).then(None).otherwise(pl.col("rsi_14")).alias("rsi_14")
    )
    for name, decide in strategies(market, frame).items():
        found = decide(22)
        assert isinstance(found, NoTrade), name
        assert "rsi_14" in found.why
    assert isinstance(strategies(market, frame[5:])["ladder"](3), NoTrade)
    assert "no features" in strategies(market, frame[5:])["random"](3).why


class Empty:
    """A chain that lists nothing; what is refused for it still names the structure that was drawn."""

    spot = 1000.0

    def expiry(self, days, after):
        return None


def test_chance_is_the_same_for_the_same_seed_and_reaches_every_structure(market):
    surfaces = market[2]
    sessions, frame = surfaces.sessions, daily_features(surfaces)

    def drawn(first, seed):
        decide = base.at_random(frame[first:], sessions[first:], lambda row: Empty(), seed=seed)
        return [decide(row).why.split(":")[0] for row in range(1, 45 - first)]

    assert drawn(0, 4) == drawn(0, 4) != drawn(0, 5)
    assert drawn(0, 4)[7:] == drawn(7, 4)  # of the date, not of when the walk begins
    assert set(drawn(0, 4)) == set(s.STRUCTURES)


def outcomes():
    known = [dt.datetime(2023, 1, day, 21, tzinfo=dt.UTC) for day in (3, 4, 5)]
    rows = [
        (s.LONG_CALL, 0.9, known[2]), (s.LONG_CALL, -0.1, known[0]), (s.LONG_CALL, -0.1, known[0]),
        (s.IRON_CONDOR, 0.05, known[0]), (s.IRON_CONDOR, 0.05, known[1]), (s.LONG_PUT, 5.0, known[0]),
        (s.IRON_BUTTERFLY, None, known[0]),
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=["structure", "value", "known_at"], orient="row"), known


def test_the_best_constant_is_chosen_on_what_was_known():
    """The large gain of the call was known on the 5th; until then the condor is the best (check 28)."""
    table_of, known = outcomes()
    assert base.best_constant(table_of, known[1], minimum=2) == s.IRON_CONDOR
    assert base.best_constant(table_of, known[2], minimum=2) == s.LONG_CALL
    assert base.best_constant(table_of, known[0], minimum=3) is None
    assert base.best_constant(table_of, known[0], minimum=1) == s.LONG_PUT
    tied = table_of.with_columns(pl.lit(0.1).alias("value"))
    assert base.best_constant(tied, known[2], minimum=1) == s.IRON_CONDOR
    with pytest.raises(BadInput, match="no structure `NONE`"):
        base.best_constant(table_of.with_columns(pl.lit("NONE").alias("structure")), known[2])


def test_the_best_so_far_changes_when_an_outcome_becomes_known(market):
    quotes, listed, surfaces, _ = market
    table_of, known = outcomes()
    opens = [dt.datetime.combine(day, dt.time(14, 30), dt.UTC) for day in surfaces.sessions.tolist()]
    chain, frame = serving.modelled_chains(quotes, listed), daily_features(surfaces)
    decide = base.best_so_far(table_of, opens, frame, surfaces.sessions, chain, minimum=2)
    assert surfaces.sessions[3].item() == known[2].date()
    assert decide(3).structure == s.IRON_CONDOR
    assert decide(4).structure == s.LONG_CALL
    assert isinstance(decide(1), NoTrade)


def test_buy_and_hold_is_the_index_less_its_cost():
    world = spots([("2024-03-04", 99, 100, 99), ("2024-03-05", 100, 101, 100), ("2024-03-06", 102, 103, 102)])
    surfaces, calendar = modelled(5)
    found = option_backtest(
        base.buy_and_hold(990), SurfaceQuotes(surfaces, calendar=calendar), world, costs=Costs(multiplier=1.0),
        rules=Rules(share_cost_bp=3.0),
    )  # fmt: skip
    assert found.curve_usd == pytest.approx([100_000.0, 100_000 - 990 * 101 * 3e-4, 100_000 - 990 * 101 * 3e-4 + 1980])
    assert found.positions["structure"].to_list() == [base.BUY_AND_HOLD]
    with pytest.raises(BadInput, match="1 lot or more"):
        base.buy_and_hold(0)


def test_on_the_first_session_of_a_week_alone(market):
    _, _, surfaces, _ = market
    called = []
    decide = base.on_first_of_week(lambda row: called.append(row), surfaces.sessions)
    for row in range(1, 12):
        decide(row)
    assert [surfaces.sessions[row].item().isoweekday() for row in called] == [1, 1]


def test_baselines_go_through_the_same_back_test(market):
    """Each strategy trades, its books add up, and everything it rests on is said to be modelled."""
    quotes, _, surfaces, calendar = market
    spot = Spots.of(surfaces, calendar=calendar)
    for name, decide in strategies(market, daily_features(surfaces)).items():
        weekly = base.on_first_of_week(decide, surfaces.sessions)
        found = option_backtest(weekly, quotes, spot, rules=Rules(capital_usd=1e6), exits=Exits(), last=30)
        assert found.positions.height + found.refusals.height == 6, name
        assert found.positions.height > 2
        assert found.modelled
        total = found.positions["pnl_usd"].sum() + 1e6
        assert total == pytest.approx(found.curve_usd[-1], abs=0.005)
        assert found.daily["delta_usd"].null_count() == 0


def test_a_session_without_a_chain_is_said():
    world = spots([("2024-03-04", 99, 100, 99), ("2024-03-05", 100, 101, 100), ("2024-03-06", 102, 103, 102)])
    quotes = table([("2024-03-05", "2024-03-25", 100, "CALL", 2, 3)]).with_columns(pl.lit(0.5).alias("delta"))
    chain = serving.quoted_chains(quotes, world)
    assert chain(2).spot == 101.0
    with pytest.raises(DataMissing, match="no chain of 2024-03-04"):
        chain(1)
