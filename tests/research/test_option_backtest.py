"""The option back-test, worked by hand to the cent, and its books added up again from the trades."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.research.option_worlds import day, legs, modelled, spots, table

from openbell.core.errors import BadInput, DataMissing
from openbell.core.types import Instrument, Kind, Leg, Right, Settlement, Structure
from openbell.quant.margin import requirement
from openbell.quant.option_account import Contracts
from openbell.quant.option_paths import NAMES, Costs, Exits, simulate
from openbell.quant.option_positions import Positions
from openbell.quant.structures import BEAR_PUT_SPREAD, DIAGONAL_SPREAD, STRUCTURES
from openbell.research.option_backtest import Entry, NoTrade, Rules, decisions, option_backtest
from openbell.research.option_quotes import Spots, SurfaceQuotes, TableQuotes

CALL, PUT, SHARE = 1, -1, 0
NEVER = Exits(profit_target_credit=None, profit_target_debit=None, stop_credit=None, stop_debit=None)


def run(decided, quotes, world, **how):
    return option_backtest(decisions(decided), TableQuotes.of(quotes, world.sessions), world, **how)


def cents(frame, name):
    return [None if each is None else round(each, 2) for each in frame[name].to_list()]


# ---------------------------------------------------------------- three positions, worked by hand


def strangle_world():
    world = spots(
        [
            ("2024-03-04", 99.0, 100.0, 99.0),
            ("2024-03-05", 100.0, 100.0, 100.0),
            ("2024-03-06", 104.0, 108.0, 104.0),
            ("2024-03-07", 107.3, 107.0, 107.3),
            ("2024-03-08", 107.0, 107.0, 107.0),
        ],
        dividend={"2024-03-07": 0.75},
        calendar=["2024-03-15"],
    )
    quotes = table(
        [
            ("2024-03-05", "2024-03-15", 95, "PUT", 1.00, 1.20),
            ("2024-03-05", "2024-03-15", 105, "CALL", 1.50, 1.70),
            ("2024-03-06", "2024-03-15", 95, "PUT", 0.20, 0.30),
            ("2024-03-06", "2024-03-15", 105, "CALL", 3.10, 3.30),
            ("2024-03-07", "2024-03-15", 95, "PUT", 0.15, 0.25),
            ("2024-03-08", "2024-03-15", 95, "PUT", 0.05, 0.15),
        ]
    )
    strangle = Entry("SHORT_STRANGLE", legs((PUT, 95, -1, "2024-03-15"), (CALL, 105, -1, "2024-03-15")), contracts=2)
    return world, quotes, strangle


def test_short_strangle_through_an_early_assignment():
    """Two strangles sold at 2.50; the calls hold 0.20 of time value on the eve of a dividend of 0.75.

    ====================================================  ==========
    sold 2 x (1.00 + 1.50) x 100                             +500.00
    commission on 4 contracts                                  -2.60
    2 calls assigned at 105 after the close of the 6th    +21,000.00
    commission and 5.00 for each of 2 assignments             -11.30
    dividend of 0.75 owed on 200 short shares on the 7th     -150.00
    200 shares bought back at the open of 107.30          -21,460.00
    2 puts bought back at 0.25 at the close of the 7th        -50.00
    commission on 2 contracts                                  -1.30
    profit                                                   -175.20
    ====================================================  ==========
    """
    world, quotes, strangle = strangle_world()
    found = run(
        {1: strangle}, quotes, world, rules=Rules(american=True, delivered=True, assignment_fee_usd=5.0)
    )  # fmt: skip
    assert cents(found.daily, "equity_usd") == [100_000.00, 99_957.40, 99_836.10, 99_824.80, 99_824.80]
    assert cents(found.daily, "cash_usd") == [100_000.00, 100_497.40, 121_486.10, 99_824.80, 99_824.80]
    assert cents(found.daily, "shares_usd") == [0.0, 0.0, -21_600.0, 0.0, 0.0]
    assert found.trades["event"].to_list() == [
        "FILL", "FILL", "ASSIGNMENT", "DELIVERY", "DIVIDEND", "SHARES", "FILL",
    ]  # fmt: skip
    assert cents(found.trades, "cash_usd") == [198.70, 298.70, -11.30, 21_000.00, -150.00, -21_460.00, -51.30]
    assert found.trades["session"].to_list()[2:5] == [day("2024-03-06"), day("2024-03-06"), day("2024-03-07")]
    position = found.positions.row(0, named=True)
    assert round(position["pnl_usd"], 2) == -175.20
    assert (position["reason"], position["exit_session"]) == ("ASSIGNED", day("2024-03-07"))
    assert round(position["premium_usd"], 2) == -500.00


def test_european_contracts_are_not_assigned_early():
    """The mutant that forgets the exercise style would assign this one on the eve of the dividend."""
    world, quotes, strangle = strangle_world()
    more = table([(each, "2024-03-15", 105, "CALL", 2.9, 3.1) for each in ("2024-03-07", "2024-03-08")])
    found = run({1: strangle}, pl.concat([quotes, more]), world, rules=Rules(delivered=True), exits=NEVER)
    assert set(found.trades["event"]) == {"FILL"}
    assert found.positions["reason"].to_list() == ["OPEN"]


def test_what_is_left_after_an_assignment_can_be_kept():
    world, quotes, strangle = strangle_world()
    found = run(
        {1: strangle}, quotes, world, exits=NEVER, rules=Rules(american=True, delivered=True, remainder="HOLD")
    )  # fmt: skip
    assert found.positions["reason"].to_list() == ["OPEN"]
    assert cents(found.daily, "options_usd")[-1] == -20.00  # two puts at a mid of 0.10


def test_nobody_is_assigned_by_an_old_mark_and_nobody_exercises_what_we_hold():
    """Without a quote on the eve of the dividend the time value is unknown; a long call is ours to keep."""
    world, quotes, strangle = strangle_world()
    gap = quotes.filter((pl.col("strike") != 105) | (pl.col("session") != day("2024-03-06")))
    later = table([(each, "2024-03-15", 105, "CALL", 2.9, 3.1) for each in ("2024-03-07", "2024-03-08")])
    rules = Rules(american=True, delivered=True)
    found = run({1: strangle}, pl.concat([gap, later]), world, rules=rules, exits=NEVER)
    assert set(found.trades["event"]) == {"FILL"}
    bought = Entry("RISK_REVERSAL", legs((CALL, 105, 1, "2024-03-15"), (PUT, 95, -1, "2024-03-15")), contracts=1)
    found = run({1: bought}, pl.concat([quotes, later]), world, rules=rules, exits=NEVER)
    assert set(found.trades["event"]) == {"FILL"}


def test_puts_deliver_shares_the_other_way():
    """A put bought at 2.10 is exercised at 90: 100 shares sold at 100, bought back at 91 the next morning."""
    world = spots(
        [("2024-03-13", 100, 100, 100), ("2024-03-14", 100, 100, 100), ("2024-03-15", 95, 90, 95),
         ("2024-03-18", 91, 92, 91)],
    )  # fmt: skip
    quotes = table([(f"2024-03-{each}", "2024-03-15", 100, "PUT", 1.9, 2.1) for each in (13, 14)])
    for ratio, event, pnl in ((1, "EXERCISE", 900 - 210 - 1.30), (-1, "ASSIGNMENT", 190 - 900 - 1.30)):
        put = {1: Entry("X", legs((PUT, 100, ratio, "2024-03-15")), contracts=1)}
        found = run(put, quotes, world, rules=Rules(delivered=True))
        assert found.trades["event"].to_list() == ["FILL", event, "DELIVERY", "SHARES"]
        assert cents(found.positions, "pnl_usd") == [round(pnl, 2)]


def test_an_american_index_option_is_assigned_in_cash():
    """A put 20.00 in the money that holds 0.00 of time value: 20.00 x 100 are owed, and a commission."""
    world = spots([(f"2024-03-0{each}", 80.0, 80.0, 80.0) for each in (4, 5, 6)], rate=0.05, calendar=["2024-03-15"])
    quotes = table([(f"2024-03-0{each}", "2024-03-15", 100, "PUT", 19.9, 20.1) for each in (4, 5, 6)])
    sold = {1: Entry("SHORT_PUT", legs((PUT, 100, -1, "2024-03-15")), contracts=1)}
    found = run(sold, quotes, world, rules=Rules(american=True), exits=NEVER)
    assert found.trades["event"].to_list() == ["FILL", "ASSIGNMENT"]
    assert cents(found.trades, "cash_usd") == [1989.35, -2000.65]
    assert found.positions["reason"].to_list() == ["ASSIGNED"]
    assert run(sold, quotes, world, exits=NEVER).positions["reason"].to_list() == ["OPEN"]


def test_contracts_that_are_typed_say_when_they_settle():
    terms = {"underlying": "SPX", "strike": 5150.0, "expiry": day("2024-03-15")}
    call, put = (
        Instrument(key, Kind.OPTION, right=right, settlement=settlement, **terms)
        for key, right, settlement in (("C", Right.CALL, Settlement.AM), ("P", Right.PUT, Settlement.PM))
    )
    entry = Entry.of("X", Structure((Leg(call, 1), Leg(put, -2))), contracts=3)
    assert entry.morning.tolist() == [True, False]
    assert entry.legs.ratio.tolist() == [1, -2]


def calendar_world(near_close):
    world = spots(
        [
            ("2024-03-13", 99.0, 99.5, 99.0),
            ("2024-03-14", 100.0, 100.0, 100.0),
            ("2024-03-15", 101.0, near_close, 101.0),
            ("2024-03-18", 101.9, 102.0, 101.9),
        ],
        calendar=["2024-04-19"],
    )
    quotes = table(
        [
            ("2024-03-13", "2024-03-15", 100, "CALL", 0.50, 0.60),
            ("2024-03-13", "2024-04-19", 100, "CALL", 2.80, 2.90),
            ("2024-03-14", "2024-03-15", 100, "CALL", 0.80, 0.90),
            ("2024-03-14", "2024-04-19", 100, "CALL", 3.00, 3.10),
            ("2024-03-15", "2024-04-19", 100, "CALL", 3.40, 3.60),
        ]
    )
    legs_of = legs((CALL, 100, -1, "2024-03-15"), (CALL, 100, +1, "2024-04-19"))
    return world, quotes, legs_of


def test_calendar_through_its_near_expiry_in_the_money():
    """One calendar for 3.10 - 0.80; the near call ends 1.50 in the money and is assigned, the far one is sold.

    ==================================================  ==========
    bought at 3.10, sold at 0.80, times 100                -230.00
    commission on 2 contracts                                -1.30
    100 shares delivered at 100 at the close of the 15th +10,000.00
    commission on the assigned contract                      -0.65
    far call sold at 3.40 at the same close                +340.00
    commission on 1 contract                                 -0.65
    100 shares bought at the open of the 18th, 101.90   -10,190.00
    1 bp of that                                             -1.02
    profit                                                  -83.62
    ==================================================  ==========
    """
    world, quotes, structure = calendar_world(101.5)
    found = run(
        {1: Entry("CALENDAR_SPREAD", structure, contracts=1)}, quotes, world,
        rules=Rules(delivered=True, share_cost_bp=1.0),
    )  # fmt: skip
    # On the 15th 100 short shares are marked at 101.50: 100,000 - 231.30 + 9,999.35 + 339.35 - 10,150.
    assert cents(found.daily, "equity_usd") == [100_000.0, 99_988.70, 99_957.40, 99_916.38]
    assert round(found.positions["pnl_usd"][0], 2) == -83.62
    assert found.trades["event"].to_list() == ["FILL", "FILL", "ASSIGNMENT", "DELIVERY", "FILL", "SHARES"]
    assert found.positions["reason"].to_list() == ["EXPIRY"]
    assert found.positions["max_loss_usd"].to_list() == pytest.approx([231.30])
    assert found.positions["exit_session"].to_list() == [day("2024-03-18")]


def test_calendar_through_its_near_expiry_out_of_the_money():
    """The near call ends at 99.99 and expires worthless; the far one is sold at the same close: -231.30 + 339.35."""
    world, quotes, structure = calendar_world(99.99)
    found = run(
        {1: Entry("CALENDAR_SPREAD", structure, contracts=1)}, quotes, world, rules=Rules(delivered=True)
    )  # fmt: skip
    assert found.trades["event"].to_list() == ["FILL", "FILL", "EXPIRY", "FILL"]
    assert cents(found.daily, "equity_usd") == [100_000.0, 99_988.70, 100_108.05, 100_108.05]
    assert found.positions["exit_session"].to_list() == [day("2024-03-15")]


def condor_world():
    world = spots(
        [
            ("2024-03-12", 5100.0, 5110.0, 5100.0),
            ("2024-03-13", 5110.0, 5100.0, 5110.0),
            ("2024-03-14", 5105.0, 5120.0, 5105.0),
            ("2024-03-15", 5160.0, 5140.0, 5163.37),
        ]
    )
    strikes = [(4950, "PUT"), (5000, "PUT"), (5150, "CALL"), (5200, "CALL")]
    prices = {
        "2024-03-12": [(1.9, 2.1), (6.0, 6.4), (9.8, 10.2), (2.9, 3.1)],
        "2024-03-13": [(2.0, 2.2), (6.1, 6.5), (9.5, 9.9), (3.0, 3.2)],
        "2024-03-14": [(0.3, 0.5), (1.0, 1.3), (8.0, 8.6), (1.0, 1.3)],
    }
    quotes = table(
        [
            (session, "2024-03-15", strike, right, *quote)
            for session, row in prices.items()
            for (strike, right), quote in zip(strikes, row, strict=True)
        ],
        settlement="AM",
    )
    expiry = "2024-03-15"
    structure = legs(
        (PUT, 4950, +1, expiry), (PUT, 5000, -1, expiry), (CALL, 5150, -1, expiry), (CALL, 5200, +1, expiry)
    )
    return world, quotes, structure


def test_iron_condor_through_am_settlement():
    """Three condors for a credit of 10.20 settle on 5163.37 in the morning; the close of 5140 is worth nothing to them.

    ==============================================  ==========
    credit (6.10 + 9.50 - 2.20 - 3.20) x 3 x 100     +3,060.00
    commission on 12 contracts                           -7.80
    5150 calls settle: (5163.37 - 5150) x 3 x 100    -4,011.00
    commission on the 3 that settle with a value         -1.95
    profit                                             -960.75
    ==============================================  ==========
    """
    world, quotes, structure = condor_world()
    found = run(
        {1: Entry("IRON_CONDOR", structure, morning=True, contracts=3)}, quotes, world,
        exits=Exits(profit_target_credit=None, stop_credit=None),
    )  # fmt: skip
    # Marks are mids: -(6.3 + 9.7 - 2.1 - 3.1) = -10.80, then -(1.15 + 8.3 - 0.4 - 1.15) = -7.90, times 300.
    assert cents(found.daily, "equity_usd") == [100_000.0, 99_812.20, 100_682.20, 99_039.25]
    assert cents(found.trades, "cash_usd")[4:] == [0.0, 0.0, -4_012.95, 0.0]
    assert found.trades["event"].to_list()[4:] == ["EXPIRY", "EXPIRY", "SETTLEMENT", "EXPIRY"]
    position = found.positions.row(0, named=True)
    assert round(position["pnl_usd"], 2) == -960.75
    assert round(position["max_loss_usd"], 2) == (50 - 10.20) * 300 + 7.80
    assert (position["reason"], position["exit_session"]) == ("EXPIRY", day("2024-03-15"))


def test_a_condor_that_settles_on_the_close_keeps_its_credit():
    """The same condor with PM contracts: 5140 is below the short call, so nothing is paid."""
    world, quotes, structure = condor_world()
    pm = quotes.with_columns(pl.lit("PM").alias("settlement"))
    found = run({1: Entry("IRON_CONDOR", structure, contracts=3)}, pm, world, exits=NEVER)
    assert cents(found.positions, "pnl_usd") == [3_052.20]


def test_legs_of_one_day_settle_at_their_own_hour():
    """The call sold for the morning owes 13.37 at the open of 5163.37; the one for the close of 5140 is worth 0."""
    world, quotes, _ = condor_world()
    both = pl.concat([quotes, quotes.with_columns(pl.lit("PM").alias("settlement"))])
    mixed = legs((CALL, 5150, -1, "2024-03-15"), (CALL, 5200, 1, "2024-03-15"))
    found = run({1: Entry("X", mixed, np.array([True, False]), contracts=1)}, both, world, exits=NEVER)
    assert found.trades["event"].to_list() == ["FILL", "FILL", "SETTLEMENT", "EXPIRY"]
    assert cents(found.positions, "pnl_usd") == [630.0 - 1337.0 - 1.95]
    low = legs((CALL, 5150, -1, "2024-03-15"), (PUT, 5000, 1, "2024-03-15"))
    other = dataclasses.replace(world, close=np.array([5110.0, 5100.0, 5120.0, 4990.0]))
    found = run({1: Entry("X", low, np.array([True, False]), contracts=1)}, both, other, exits=NEVER)
    assert cents(found.trades, "cash_usd")[2:] == [-1337.65, 999.35]  # the put is worth 10.00 at the close alone


def test_a_crossed_quote_is_no_quote():
    world, quotes, structure = condor_world()
    crossed = quotes.with_columns(pl.when(pl.col("strike") == 5000).then(9.9).otherwise(pl.col("bid")).alias("bid"))
    found = run({1: Entry("IRON_CONDOR", structure, morning=True, contracts=1)}, crossed, world)
    assert found.counts == {"UNFILLED": 1}


# ---------------------------------------------------------------- exits, on the liquidation value


def exit_of(marks, exits, *, debit, commission=0.0):
    """Reason and session of a bought or sold 100 call that is quoted `marks` (bid, ask) from its fill on."""
    days = [f"2024-03-{each:02d}" for each in (4, 5, 6, 7, 8)]
    world = spots([(each, 100.0, 100.0, 100.0) for each in days], calendar=["2024-03-15"])
    quotes = table([(each, "2024-03-15", 100, "CALL", *mark) for each, mark in zip(days[1:], marks, strict=False)])
    sign = 1 if debit else -1
    decided = {1: Entry("X", legs((CALL, 100, sign, "2024-03-15")), contracts=1)}
    found = run(decided, quotes, world, exits=exits, costs=Costs(commission_usd=commission))
    return found.positions["reason"][0], found.positions["held_sessions"][0], round(found.positions["pnl_usd"][0], 2)


def test_exits_look_at_what_closing_would_bring_not_at_the_mid():
    sold = [(2.00, 2.20), (0.90, 1.10), (0.80, 1.00), (0.80, 1.00)]
    # Half of 2.00 is reached when buying back costs 1.00: on the 7th; the mid was there a day before.
    assert exit_of(sold, Exits(), debit=False) == ("TARGET", 2, 100.0)
    # Commissions are paid, but do not move the target.
    assert exit_of(sold, Exits(), debit=False, commission=0.65) == ("TARGET", 2, 98.70)
    assert exit_of([(2.0, 2.2), (3.7, 3.9), (3.8, 4.0), (3.0, 3.2)], Exits(), debit=False) == ("STOP", 2, -200.0)
    bought = [(2.00, 2.20), (4.30, 4.50), (4.40, 4.60), (4.0, 4.2)]
    assert exit_of(bought, Exits(), debit=True) == ("TARGET", 2, 220.0)
    assert exit_of([(2.0, 2.2), (1.2, 1.4), (1.0, 1.2), (2, 2.2)], Exits(stop_debit=0.5), debit=True) == (
        "STOP", 2, -120.0,
    )  # fmt: skip
    assert exit_of(bought, Exits(profit_target_debit=None, exit_days_before_expiry=8), debit=True)[:2] == ("TIME", 2)


def test_half_of_the_spread_is_paid_when_half_is_asked_for():
    """Check: fills at a stated fraction of the spread; 0 is the mid."""
    world = spots([(f"2024-03-0{each}", 100.0, 100.0, 100.0) for each in (4, 5, 6)], calendar=["2024-03-15"])
    quotes = table([(f"2024-03-0{each}", "2024-03-15", 100, "CALL", 2.0, 2.4) for each in (5, 6)])
    decided = {1: Entry("LONG_CALL", legs((CALL, 100, 1, "2024-03-15")), contracts=1)}
    exits = Exits(exit_days_before_expiry=9)
    for fraction, paid, lost in ((1.0, 240.0, -40.0), (0.5, 230.0, -20.0), (0.0, 220.0, 0.0)):
        costs = Costs(commission_usd=0.0, spread_fraction=fraction)
        found = run({**decided}, quotes, world, exits=exits, costs=costs)
        assert cents(found.positions, "premium_usd") == [paid]
        assert cents(found.positions, "pnl_usd") == [lost]


# ---------------------------------------------------------------- size, refusals, missing quotes


def sized(risk_fraction, ask=2.0, commission=0.0, **rules):
    world = spots([(f"2024-03-0{each}", 100.0, 100.0, 100.0) for each in (4, 5, 6)], calendar=["2024-03-15"])
    quotes = table(
        [
            ("2024-03-04", "2024-03-15", 100, "CALL", ask - 0.2, ask),
            ("2024-03-05", "2024-03-15", 100, "CALL", ask + 0.8, ask + 1.0),
            ("2024-03-06", "2024-03-15", 100, "CALL", ask, ask + 1.0),
        ]
    )
    decided = {1: Entry("LONG_CALL", legs((CALL, 100, 1, "2024-03-15")))}
    return run(
        decided, quotes, world, rules=Rules(risk_fraction=risk_fraction, **rules), exits=NEVER, costs=Costs(commission)
    )


def test_contracts_are_what_the_budget_divides_by_the_largest_loss_before_the_open():
    """2 % of 100,000 over 200 a contract is 10: by the quotes of the close before, not of the fill (check 21)."""
    assert sized(0.02).positions["contracts"].to_list() == [10]
    assert sized(0.02, max_contracts=3).positions["contracts"].to_list() == [3]
    assert sized(0.0199).positions["contracts"].to_list() == [9]
    assert sized(0.02, commission=0.65).positions["contracts"].to_list() == [9]  # 200.65 a contract
    found = sized(0.02)
    assert found.counts["exceeded"] == 1  # it cost 3.00 when it was filled
    assert any("risked more than the budget" in each for each in found.notes)


def test_one_contract_too_many_is_no_trade():
    """Check 21: zero contracts, never one."""
    found = sized(0.0019)
    assert found.positions.is_empty()
    assert found.counts == {"OVER_BUDGET": 1}
    assert found.refusals["why"].to_list() == ["One contract can lose 200.00 USD; the budget is 190.00 USD."]
    assert found.curve_usd.tolist() == [100_000.0] * 3


def test_every_refusal_is_counted_with_its_sentence():
    world, quotes, structure = condor_world()
    on = quotes.with_columns(pl.lit("PM").alias("settlement"))
    short_call = legs((CALL, 5150, -1, "2024-03-15"))
    decided = {
        1: Entry("NAKED", short_call),
        2: Entry("NO_SESSION", legs((CALL, 5150, 1, "2024-03-14"), (CALL, 5200, -1, "2024-03-10"))),
    }
    found = run(decided, on, world)
    assert found.refusals["kind"].to_list() == ["UNSIZED", "NO_CONTRACT"]
    assert "without limit" in found.refusals["why"][0]
    found = run(
        {1: NoTrade("Nothing beats its costs."), 2: Entry("LATE", legs((CALL, 5150, 1, "2024-03-14")))}, on, world
    )
    assert found.refusals["kind"].to_list() == ["NO_TRADE", "NO_CONTRACT"]
    assert found.notes[0] == "1 decisions were not to trade."
    found = run({1: Entry("UNKNOWN", legs((CALL, 5155, 1, "2024-03-15")))}, on, world)
    assert found.refusals["kind"].to_list() == ["UNQUOTED"]
    found = run({1: Entry("UNKNOWN", legs((CALL, 5155, 1, "2024-03-15")), contracts=1)}, on, world)
    assert found.refusals["kind"].to_list() == ["UNFILLED"]
    both = {each: Entry("IRON_CONDOR", structure, contracts=1) for each in (1, 2)}
    found = run(both, on, world, rules=Rules(max_open_positions=1), exits=NEVER)
    assert found.refusals["kind"].to_list() == ["FULL"]
    with pytest.raises(BadInput, match="1 contract or more"):
        run({1: Entry("IRON_CONDOR", structure, contracts=0)}, on, world)


def test_nothing_is_sold_to_nobody():
    """A leg with a bid of 0 cannot be sold to open (check 22)."""
    world, quotes, _ = condor_world()
    nobody = quotes.with_columns(
        pl.lit("PM").alias("settlement"),
        pl.when(pl.col("strike") == 5200).then(0.0).otherwise(pl.col("bid")).alias("bid"),
    )
    spread = legs((CALL, 5150, 1, "2024-03-15"), (CALL, 5200, -1, "2024-03-15"))
    found = run({1: Entry("BULL_CALL_SPREAD", spread, contracts=1)}, nobody, world)
    assert found.refusals["kind"].to_list() == ["UNFILLED"]
    assert "has no bid" in found.refusals["why"][0]


def test_an_order_that_cash_does_not_cover_is_refused():
    world, quotes, _ = condor_world()
    rich = run(
        {1: Entry("LONG", legs((CALL, 5150, 1, "2024-03-15")), morning=True, contracts=100)}, quotes, world
    )  # fmt: skip
    assert rich.positions["contracts"].to_list() == [100]  # 9.90 x 100 x 100 and the commission of 65 fit
    found = run(
        {1: Entry("LONG", legs((CALL, 5150, 1, "2024-03-15")), morning=True, contracts=101)}, quotes, world
    )  # fmt: skip
    assert found.counts == {"MARGIN": 1}
    assert "short of cash and margin" in found.refusals["why"][0]


def gap_world(quoted):
    days = [f"2024-03-{each:02d}" for each in (4, 5, 6, 7, 8, 11)]
    world = spots([(each, 100.0, 100.0, 100.0) for each in days], calendar=["2024-04-19"])
    quotes = table([(each, "2024-04-19", 100, "CALL", 2.0, 2.2) for each in quoted])
    return world, quotes, {1: Entry("LONG_CALL", legs((CALL, 100, 1, "2024-04-19")), contracts=1)}


def test_a_missing_quote_is_the_last_one_and_never_zero():
    """Check 46: the mark is carried, and every carried mark is counted."""
    world, quotes, decided = gap_world(["2024-03-05", "2024-03-08", "2024-03-11"])
    found = run(decided, quotes, world, exits=NEVER)
    assert cents(found.daily, "options_usd")[1:] == [210.0] * 5
    assert found.daily["stale_marks"].to_list() == [0, 0, 1, 1, 0, 0]
    assert found.counts == {"stale": 2, "unjudged": 2}


def test_a_quote_that_stays_away_stops_the_back_test():
    world, quotes, decided = gap_world(["2024-03-05"])
    with pytest.raises(DataMissing, match="no quote for 3 sessions on 2024-03-08"):
        run(decided, quotes, world, exits=NEVER, rules=Rules(staleness_sessions=2))


def test_a_closing_waits_for_a_quote():
    world, quotes, decided = gap_world(["2024-03-05", "2024-03-11"])
    found = run(decided, quotes, world, exits=Exits(exit_days_before_expiry=60))
    assert found.positions["exit_session"].to_list() == [day("2024-03-11")]


def test_a_model_fills_the_gaps_and_says_so():
    world, quotes, decided = gap_world(["2024-03-05"])
    model = TableQuotes.of(
        table([(str(each), "2024-04-19", 100, "CALL", 3.0, 3.2) for each in world.sessions], modelled=True),
        world.sessions,
    )
    both = TableQuotes.of(quotes, world.sessions, fallback=model)
    found = option_backtest(decisions(decided), both, world, exits=NEVER)
    assert cents(found.daily, "options_usd")[1:3] == [210.0, 310.0]
    assert found.daily["modelled_marks"].to_list() == [0, 0, 1, 1, 1, 1]
    assert found.modelled
    assert "modelled" in found.notes[-1]


def test_cash_earns_and_owes_its_rate_by_calendar_days():
    world, quotes, _ = gap_world(["2024-03-05"])
    found = run({}, quotes, world, cash_rate=0.0365)
    # One night each, and three over the weekend before the 11th.
    assert cents(found.daily, "interest_usd") == [0.0, 10.0, 10.0, 10.0, 10.0, 30.02]
    assert found.curve_usd[-1] == pytest.approx(100_000 * np.exp(0.0365 * 7 / 365))


def test_shares_are_a_leg_too():
    """Buy and hold through the same engine: 900 shares, a dividend, a cost of 3 bp."""
    world = spots(
        [("2024-03-04", 99, 100, 99), ("2024-03-05", 100, 100, 100), ("2024-03-06", 99, 101, 99)],
        dividend={"2024-03-06": 0.5},
    )
    held = {1: Entry("BUY_AND_HOLD", legs((SHARE, 0, 1, "NaT")), contracts=9)}
    empty = table([("2024-03-04", "2024-03-15", 100, "CALL", 2.0, 2.2)])
    found = run(held, empty, world, rules=Rules(share_cost_bp=3.0), exits=NEVER)
    assert cents(found.daily, "equity_usd") == [100_000.0, 99_973.0, 101_323.0]
    assert cents(found.daily, "delta_usd") == [0.0, 90_000.0, 90_900.0]


def test_shares_are_sized_at_the_close_before():
    """A lot can lose its 10,000 of the 5th: 20 % of 100,000 buys two of them, whatever the 6th brings."""
    world = spots([("2024-03-05", 100, 100, 100), ("2024-03-06", 60, 50, 60), ("2024-03-07", 50, 50, 50)])
    empty = table([("2024-03-05", "2024-03-15", 100, "CALL", 2.0, 2.2)])
    decided = {1: Entry("SHARES", legs((SHARE, 0, 1, "NaT")))}
    found = run(decided, empty, world, rules=Rules(risk_fraction=0.2), exits=NEVER)
    assert found.positions["contracts"].to_list() == [2]


# ---------------------------------------------------------------- the books, added up again


DAYS = [f"2024-03-{each:02d}" for each in (4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 18, 19)]
NEAR, FAR = "2024-03-13", "2024-03-19"
STRIKES = (95.0, 100.0, 105.0)


@st.composite
def random_world(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    close = 100 + np.cumsum(rng.normal(0, 2.5, len(DAYS)))
    open_ = close + rng.normal(0, 1, len(DAYS))
    dividend = {each: float(rng.choice([0.0, 0.0, 0.6])) for each in DAYS}
    world = spots(
        list(zip(DAYS, open_, close, open_, strict=True)), dividend=dividend, rate=0.05, calendar=["2024-04-19"]
    )
    rows = []
    for each in range(len(DAYS)):
        for expiry in (NEAR, FAR, "2024-04-19"):
            for strike in STRIKES:
                for right, sign in (("CALL", 1), ("PUT", -1)):
                    worth = max(sign * (close[each] - strike), 0) + rng.uniform(0.0, 2.0)
                    if rng.uniform() < 0.9:
                        rows.append((DAYS[each], expiry, strike, right, round(worth, 2), round(worth + 0.3, 2)))
    decided = {}
    for each in range(1, len(DAYS) - 1):
        count = int(rng.integers(1, 5))
        chosen = {
            (int(rng.choice([1, -1])), float(rng.choice(STRIKES)), str(rng.choice([NEAR, FAR, "2024-04-19"]))): int(
                rng.choice([-2, -1, 1, 2])
            )
            for _ in range(count)
        }
        decided[each] = Entry(
            "RANDOM",
            legs(*((r, k, ratio, e) for (r, k, e), ratio in chosen.items())),
            contracts=int(rng.integers(1, 4)),
        )
    delivered = draw(st.booleans())
    rules = Rules(
        american=draw(st.booleans()), delivered=delivered, shares_closed=draw(st.sampled_from(["OPEN", "CLOSE"])),
        remainder=draw(st.sampled_from(["CLOSE", "HOLD"])), assignment_fee_usd=1.0, share_cost_bp=2.0,
        staleness_sessions=12,
    )  # fmt: skip
    return world, table(rows), decided, rules


@settings(max_examples=40, deadline=None)
@given(random_world(), st.sampled_from([0.0, 0.5, 1.0]))
def test_the_books_add_up_to_the_cent_on_every_day(made, fraction):
    """Cash from the trades, equity from quantities and quotes, and P&L by position: three ways, one number.

    Kills: a change of cash without its row, a lot that outlives its expiry, a share that is forgotten, a mark of 0.
    """
    world, quotes, decided, rules = made
    found = run(decided, quotes, world, rules=rules, costs=Costs(spread_fraction=fraction), cash_rate=0.03)
    daily, trades = found.daily, found.trades
    sessions = daily["session"].to_list()
    by_day = dict(trades.group_by("session").agg(pl.col("cash_usd").sum()).iter_rows())
    cash = 100_000.0 + np.cumsum([by_day.get(each, 0.0) for each in sessions]) + np.cumsum(daily["interest_usd"])
    np.testing.assert_allclose(daily["cash_usd"].to_numpy(), cash, atol=0.005)
    np.testing.assert_allclose(daily["equity_usd"].to_numpy(), cash + _values(world, quotes, trades), atol=0.005)
    total = found.positions["pnl_usd"].sum() + daily["interest_usd"].sum()
    assert total == pytest.approx(daily["equity_usd"][-1] - 100_000.0, abs=0.005)
    moved = trades.filter(pl.col("right") != "UNDERLYING").group_by("expiry").agg(pl.col("quantity").sum())
    ended = moved.filter(pl.col("expiry") <= day(DAYS[-1]))
    assert (ended["quantity"] == 0).all()
    assert {"FILL"} <= set(trades["event"]) <= {
        "FILL", "EXPIRY", "SETTLEMENT", "ASSIGNMENT", "EXERCISE", "DELIVERY", "SHARES", "DIVIDEND",
    }  # fmt: skip


def _last_mids(world, quotes):
    """(contracts, sessions): the last mid of each contract up to each session, and where each contract stands."""
    place = {each: at for at, each in enumerate(quotes.select("expiry", "strike", "right").unique().iter_rows())}
    mids = np.full((len(place), len(world.sessions)), np.nan)
    at = {each: column for column, each in enumerate(world.sessions.tolist())}
    for session, expiry, strike, right, bid, ask, *_ in quotes.iter_rows():
        mids[place[expiry, strike, right], at[session]] = (bid + ask) / 2
    for column in range(1, mids.shape[1]):
        mids[:, column] = np.where(np.isnan(mids[:, column]), mids[:, column - 1], mids[:, column])
    return place, mids


def _values(world, quotes, trades):
    """Value at each close of the contracts, at their last mids, and of the shares that the trades left."""
    place, mids = _last_mids(world, quotes)
    held, shares = np.zeros(mids.shape), np.zeros(len(world.sessions))
    at = {each: column for column, each in enumerate(world.sessions.tolist())}
    for row in trades.iter_rows(named=True):
        if row["event"] in ("DELIVERY", "SHARES"):
            shares[at[row["session"]] :] += row["quantity"]
        elif row["right"] != "UNDERLYING":
            held[place[row["expiry"], row["strike"], row["right"]], at[row["session"]] :] += row["quantity"]
    return np.where(held != 0, held * mids, 0.0).sum(axis=0) * 100.0 + shares * world.close


# ---------------------------------------------------------------- a second engine


EXITS = (Exits(), NEVER, Exits(0.25, 0.4, 0.6, 0.3), Exits(exit_days_before_expiry=6))


@pytest.mark.parametrize("structure", list(STRUCTURES))
def test_one_position_makes_what_the_simulator_says(structure):
    """Oracle: `option_paths.simulate`, compiled and written by others, to the cent; exits, AM and PM, two spreads."""
    surfaces, calendar = modelled(48, seed=3)
    world, rng = Spots.of(surfaces, calendar=calendar), _rng(structure)
    for exits in EXITS:
        entry, fraction = int(rng.integers(2, 8)), float(rng.choice([1.0, 0.5]))
        costs = Costs(spread_fraction=fraction)
        strikes = dict.fromkeys(part.strike for part in STRUCTURES[structure])
        lowest = 5 * round(surfaces.spot[entry] * (1 - 0.02 * (len(strikes) - 1)) / 5)
        if structure in (BEAR_PUT_SPREAD, DIAGONAL_SPREAD):
            strikes = dict.fromkeys(reversed(strikes))
        at = {name: lowest + 5 * round(0.04 * surfaces.spot[entry] / 5) * each for each, name in enumerate(strikes)}
        near = entry + int(rng.integers(6, 14))
        rows = np.array([near + (12 if part.far else 0) for part in STRUCTURES[structure]])
        parts = [
            (part.right, at[part.strike], part.ratio, str(calendar[row]))
            for part, row in zip(STRUCTURES[structure], rows, strict=True)
        ]
        morning, american = bool(rng.integers(2)), bool(rng.integers(2))
        quotes = SurfaceQuotes(surfaces, american, calendar)
        found = option_backtest(
            decisions({entry: Entry(structure, legs(*parts), morning=morning, contracts=1)}), quotes, world,
            exits=exits, costs=costs,
        )  # fmt: skip
        right, strike, ratio, _ = (np.array([each]) for each in zip(*parts, strict=True))
        held = Positions(
            np.array([entry]), strike.astype(float), right, ratio, rows[None], calendar[rows][None],
            np.full((1, len(parts)), morning),
        )  # fmt: skip
        expected = simulate(surfaces, held, exits, costs, american=american)
        assert expected.reason[0] > 0, NAMES[int(expected.reason[0])]
        position = found.positions.row(0, named=True)
        assert position["pnl_usd"] == pytest.approx(expected.pnl_usd[0], abs=0.005)
        assert position["reason"] == NAMES[int(expected.reason[0])]
        assert position["held_sessions"] == expected.held_sessions[0]
        assert position["premium_usd"] == pytest.approx(100 * expected.premium[0])
        assert position["max_loss_usd"] == pytest.approx(expected.max_loss_usd[0])


def _rng(text):
    return np.random.default_rng(list(text.encode()))


def test_the_margin_of_a_covered_position_is_asked_once_and_stays_right():
    """The requirement that is remembered equals the one asked for anew on every day, naked or covered."""
    surfaces, calendar = modelled(30)
    quotes, world = SurfaceQuotes(surfaces, calendar=calendar), Spots.of(surfaces, calendar=calendar)
    near, far = str(calendar[20]), str(calendar[45])
    parts = (
        legs((PUT, 870, 1, near), (PUT, 940, -1, near), (CALL, 1060, -1, near), (CALL, 1130, 1, near)),
        legs((CALL, 1060, -1, near), (CALL, 1060, 1, far)),
        legs((CALL, 1130, -1, far), (CALL, 1000, 1, far)),
        legs((PUT, 950, -1, far)),
        legs((PUT, 830, 1, far), (PUT, 950, -1, far)),
    )
    for each in parts:
        for count in (1, 3):
            decided = decisions({2: Entry("X", each, contracts=count)})
            found = option_backtest(decided, quotes, world, exits=NEVER, rules=Rules(capital_usd=1e7))
            assert found.positions.height == 1
            for row in range(2, 19):
                quoted = quotes.quote(
                    row, Contracts(each.right, each.strike, each.expiry, np.zeros(len(each.right), bool))
                )
                asked = requirement(each, float(surfaces.spot[row]), quoted.mid).held_usd * count
                assert found.daily["margin_usd"][row] == pytest.approx(asked), (row, each.strike)


def test_exposures_are_those_of_the_greeks():
    """One long call of delta D moves like 100 D S dollars of the index; its vega is of one point of volatility."""
    surfaces, calendar = modelled(10)
    quotes, world = SurfaceQuotes(surfaces, calendar=calendar), Spots.of(surfaces, calendar=calendar)
    call = legs((CALL, 1000, 1, str(calendar[40])))
    found = option_backtest(decisions({1: Entry("LONG_CALL", call, contracts=2)}), quotes, world, exits=NEVER)
    one = quotes.quote(5, Contracts(call.right, call.strike, call.expiry, np.array([False])))
    delta, gamma, theta, vega = one.greeks[0]
    spot = surfaces.spot[5]
    row = found.daily.row(5, named=True)
    assert row["delta_usd"] == pytest.approx(200 * delta * spot)
    assert row["gamma_usd"] == pytest.approx(200 * gamma * spot * spot / 100)
    assert row["theta_usd"] == pytest.approx(200 * theta)
    assert row["vega_usd"] == pytest.approx(200 * vega / 100)
    # A second way: the value of two calls when the index moves by a hundredth of a percent.
    moved = dataclasses.replace(surfaces, spot=surfaces.spot * 1.0001)
    up = SurfaceQuotes(moved, calendar=calendar).quote(
        5, Contracts(call.right, call.strike, call.expiry, np.array([False]))
    )
    assert 200 * (up.mid[0] - one.mid[0]) / 1e-4 == pytest.approx(row["delta_usd"], rel=0.15)  # the smile moves along


def test_an_american_value_is_never_under_its_intrinsic_one():
    surfaces, calendar = modelled(5)
    deep = Contracts(np.array([PUT], np.int8), np.array([1500.0]), calendar[[60]], np.array([False]))
    assert SurfaceQuotes(surfaces, calendar=calendar).quote(1, deep).mid[0] < 1500 - surfaces.spot[1]
    american = SurfaceQuotes(surfaces, american=True, calendar=calendar).quote(1, deep)
    assert american.mid[0] == pytest.approx(1500 - surfaces.spot[1])
    clocked = dataclasses.replace(surfaces, displacement=0.0, clock=np.arange(len(calendar)) * 1e-4)
    late = Contracts(deep.right, deep.strike, calendar[[-1]] + 7, deep.morning)
    assert np.isnan(SurfaceQuotes(clocked, calendar=calendar).quote(1, late).mid[0])
    assert np.isfinite(SurfaceQuotes(clocked, calendar=calendar).quote(1, deep).mid[0])
    after = Contracts(deep.right, deep.strike, calendar[[0]], deep.morning)
    assert np.isnan(SurfaceQuotes(surfaces, calendar=calendar).quote(1, after).mid[0])


def test_the_curve_is_what_performance_and_the_tear_sheet_take():
    world, quotes, structure = condor_world()
    found = run({1: Entry("IRON_CONDOR", structure, morning=True, contracts=3)}, quotes, world, exits=NEVER)
    measured = found.performance(replications=50)
    assert measured.n == 3
    assert measured.first == day("2024-03-12")
    assert measured.total_return == pytest.approx(-0.0096075)


def test_the_same_run_twice_is_the_same_to_the_byte():
    """Check 27."""
    world, quotes, structure = condor_world()
    one, two = (run({1: Entry("IRON_CONDOR", structure, morning=True, contracts=3)}, quotes, world) for _ in range(2))
    for name in ("daily", "trades", "positions", "refusals"):
        assert getattr(one, name).equals(getattr(two, name))


def test_a_decision_cannot_be_changed_by_what_comes_after_its_open():
    """Sizes and refusals before the open of a session are the same whatever its own quotes turn out to be."""
    base = sized(0.02)
    world = spots([(f"2024-03-0{each}", 100.0, 100.0, 100.0) for each in (4, 5)], calendar=["2024-03-15"])
    quotes = table(
        [
            ("2024-03-04", "2024-03-15", 100, "CALL", 1.8, 2.0),
            ("2024-03-05", "2024-03-15", 100, "CALL", 0.1, 0.2),
        ]
    )
    decided = {1: Entry("LONG_CALL", legs((CALL, 100, 1, "2024-03-15")))}
    found = run(decided, quotes, world, costs=Costs(0.0))
    assert found.positions["contracts"].to_list() == base.positions["contracts"].to_list()


def test_quotes_of_a_contract_twice_are_refused():
    world, quotes, _ = condor_world()
    with pytest.raises(BadInput, match="more than once"):
        TableQuotes.of(pl.concat([quotes, quotes[:1]]), world.sessions)
    with pytest.raises(BadInput, match="does not have"):
        TableQuotes.of(quotes, world.sessions[:2])
