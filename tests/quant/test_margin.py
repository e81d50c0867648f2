"""Margin of every strategy worked by hand from the rules of the exchanges, and what it must not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant.legs import CALL, PUT, UNDERLYING, Legs
from openbell.quant.margin import reg_t, requirement
from openbell.quant.payoffs import profile

FAR, NEAR = "2024-03-15", "2024-01-19"


def legs_of(*legs: tuple) -> Legs:
    return Legs(
        np.array([leg[0] for leg in legs], dtype=np.int8),
        np.array([leg[1] for leg in legs], dtype=np.float64),
        np.array([leg[2] for leg in legs], dtype=np.int64),
        np.array([leg[3] if len(leg) > 3 else NEAR for leg in legs], dtype="datetime64[D]"),
    )


def margin(spot: float, *legs: tuple, prices: list[float], **words) -> float:
    return reg_t(legs_of(*legs), spot, np.array(prices), **words)


def test_naked_options_by_hand() -> None:
    """Price plus 20 % of the underlying less out of the money, at least price plus 10 %; 15 % for a broad index."""
    # 2.50 + 20 % of 128.50 (25.70) - 1.50 out of the money = 26.70
    assert margin(128.5, (CALL, 130, -1), prices=[2.5]) == pytest.approx(2670.0)
    # far out of the money: 0.25 + 10 % of 128.50
    assert margin(128.5, (CALL, 160, -1), prices=[0.25]) == pytest.approx(1310.0)
    # a put in the money by 11.50: 12 + 25.70
    assert margin(128.5, (PUT, 140, -1), prices=[12.0]) == pytest.approx(3770.0)
    # a put far out of the money: 0.50 + 10 % of the strike 95
    assert margin(128.5, (PUT, 95, -1), prices=[0.5]) == pytest.approx(1000.0)
    # a broad index: 30 + 15 % of 4500 (675) - 100 = 605 points
    assert margin(4500.0, (CALL, 4600, -1), prices=[30.0], broad_index=True) == pytest.approx(60_500.0)
    assert margin(4500.0, (CALL, 4600, -2), prices=[30.0], broad_index=True) == pytest.approx(121_000.0)


def test_bought_options_are_paid_in_full() -> None:
    assert margin(100.0, (CALL, 105, 2), (PUT, 95, 1), prices=[3.0, 2.0]) == pytest.approx(800.0)
    found = requirement(legs_of((CALL, 105, 2)), 100.0, np.array([3.0]))
    assert (found.held_usd, found.premium_usd, found.deposit_usd) == (0.0, 600.0, 600.0)


def test_spreads_by_hand() -> None:
    """A credit spread holds its width, a debit spread its price."""
    credit = requirement(legs_of((CALL, 105, -1), (CALL, 110, 1)), 100.0, np.array([2.0, 0.8]))
    assert (credit.total_usd, credit.deposit_usd) == (pytest.approx(500.0), pytest.approx(380.0))
    assert margin(100.0, (PUT, 95, -1), (PUT, 85, 1), prices=[2.0, 0.5]) == pytest.approx(1000.0)
    assert margin(100.0, (CALL, 105, 1), (CALL, 110, -1), prices=[2.0, 0.8]) == pytest.approx(120.0)


def test_condors_and_butterflies_hold_their_larger_wing() -> None:
    condor = ((PUT, 80, 1), (PUT, 90, -1), (CALL, 110, -1), (CALL, 115, 1))
    assert margin(100.0, *condor, prices=[0.2, 1.0, 0.9, 0.3]) == pytest.approx(1000.0)
    iron = ((PUT, 95, 1), (PUT, 100, -1), (CALL, 100, -1), (CALL, 105, 1))
    assert margin(100.0, *iron, prices=[1.0, 3.0, 3.0, 1.0]) == pytest.approx(500.0)
    # A long butterfly costs what was paid: its two spreads make good for each other.
    butterfly = ((CALL, 95, 1), (CALL, 100, -2), (CALL, 105, 1))
    assert margin(100.0, *butterfly, prices=[6.0, 3.0, 1.2]) == pytest.approx(120.0)
    # A broken wing holds what is lost beyond it, 10, and the 1.50 that was paid.
    broken = ((CALL, 6000, 1), (CALL, 6010, -2), (CALL, 6030, 1))
    assert margin(6000.0, *broken, prices=[30.0, 25.0, 21.5]) == pytest.approx(1150.0)


def test_straddles_and_strangles_hold_the_dearer_side_and_the_other_price() -> None:
    # call: 4 + 20 = 24 ; put: 3.50 + 20 = 23.50 ; so 24 + 3.50
    assert margin(100.0, (CALL, 100, -1), (PUT, 100, -1), prices=[4.0, 3.5]) == pytest.approx(2750.0)
    # call: 1 + 20 - 8 = 13 ; put: 0.90 + 20 - 5 = 15.90 ; so 15.90 + 1
    assert margin(100.0, (CALL, 108, -1), (PUT, 95, -1), prices=[1.0, 0.9]) == pytest.approx(1690.0)
    # two calls and one put: one strangle, and one call by itself
    assert margin(100.0, (CALL, 108, -2), (PUT, 95, -1), prices=[1.0, 0.9]) == pytest.approx(1690.0 + 1300.0)
    # the two sides of a straddle may expire on different days
    assert margin(100.0, (CALL, 100, -1, FAR), (PUT, 100, -1), prices=[4.0, 3.5]) == pytest.approx(2750.0)


def test_a_later_option_covers_and_an_earlier_one_does_not() -> None:
    # calendar: 1.50 paid. A diagonal that is 5 worse at the strikes, for a debit of 1.
    assert margin(100.0, (CALL, 100, -1), (CALL, 100, 1, FAR), prices=[3.0, 4.5]) == pytest.approx(150.0)
    assert margin(100.0, (CALL, 100, -1), (CALL, 105, 1, FAR), prices=[3.0, 4.0]) == pytest.approx(600.0)
    assert margin(100.0, (CALL, 105, -1), (CALL, 100, 1, FAR), prices=[2.0, 6.0]) == pytest.approx(400.0)
    # the bought one dies first: the sold one is naked, 4.50 + 20
    assert margin(100.0, (CALL, 100, 1), (CALL, 100, -1, FAR), prices=[3.0, 4.5]) == pytest.approx(2450.0)
    # spreads of two expiries do not share a wing: 5 + 10
    wings = ((PUT, 85, 1), (PUT, 95, -1), (CALL, 105, -1, FAR), (CALL, 110, 1, FAR))
    assert margin(100.0, *wings, prices=[0.5, 1.5, 2.0, 0.9]) == pytest.approx(1500.0)


def test_ratio_spreads_are_paired_where_they_can_be() -> None:
    # one of two sold calls is covered, the other naked: 1 + 20 - 10 ; 3 paid, 2 received
    assert margin(100.0, (CALL, 100, 1), (CALL, 110, -2), prices=[3.0, 1.0]) == pytest.approx(1100.0 + 100.0)
    # a backspread: the second bought call covers nothing
    assert margin(100.0, (CALL, 100, -1), (CALL, 105, 2), prices=[4.0, 2.0]) == pytest.approx(500.0)
    # the dearer naked call is the one that gets the cover
    dear = margin(100.0, (CALL, 100, -1), (CALL, 130, -1), (CALL, 131, 1), prices=[4.0, 0.1, 0.1])
    assert dear == pytest.approx(100.0 * (24.0 + 1.0))


def test_stock_covers_and_lends() -> None:
    stock = (UNDERLYING, 0, 1, "NaT")
    assert margin(100.0, stock, prices=[100.0]) == pytest.approx(5000.0)
    assert margin(100.0, stock, (CALL, 110, -1), prices=[100.0, 2.0]) == pytest.approx(4800.0)
    # the call is 10 in the money: the stock lends on its strike only, and 12 came in
    assert margin(100.0, stock, (CALL, 90, -1), prices=[100.0, 12.0]) == pytest.approx(100 * (100 - 12 - 45.0))
    short = requirement(legs_of((UNDERLYING, 0, -1, "NaT"), (PUT, 95, -1)), 100.0, np.array([100.0, 1.5]))
    assert (short.held_usd, short.deposit_usd) == (pytest.approx(15_000.0), pytest.approx(4850.0))


def test_a_put_never_holds_more_than_its_strike() -> None:
    """In cash it is secured: 60 + 10 % of the strike would be more than a strike of 62 can cost."""
    assert margin(2.0, (PUT, 62, -1), prices=[60.0]) == pytest.approx(6200.0)


LEG = st.tuples(
    st.sampled_from([CALL, PUT]),
    st.sampled_from([90.0, 95.0, 100.0, 105.0, 110.0]),
    st.sampled_from([-2, -1, 1, 2]),
    st.sampled_from([NEAR, FAR]),
)


def _priced(leg: tuple) -> float:
    right, strike, _, expiry = leg
    return max(right * (100.0 - strike), 0.0) + (1.5 if expiry == NEAR else 3.0)


def _nothing_left(legs: list[tuple]) -> bool:
    left: dict[tuple, int] = {}
    for right, strike, ratio, day in legs:
        left[right, strike, day] = left.get((right, strike, day), 0) + ratio
    return not any(left.values())


@settings(max_examples=80, deadline=None)
@given(st.lists(LEG, min_size=1, max_size=5), st.randoms(use_true_random=False), st.integers(2, 7))
def test_order_and_size_leave_no_trace(legs: list[tuple], random, times: int) -> None:
    """Check 18: any order of the legs; so many times the position asks for so many times the money."""
    shuffled = list(legs)
    random.shuffle(shuffled)
    try:
        one = margin(100.0, *legs, prices=[_priced(leg) for leg in legs])
    except BadInput:  # the legs cancel
        assert _nothing_left(legs)
        return
    assert margin(100.0, *shuffled, prices=[_priced(leg) for leg in shuffled]) == pytest.approx(one, abs=1e-9)
    many = [(right, strike, ratio * times, day) for right, strike, ratio, day in legs]
    assert margin(100.0, *many, prices=[_priced(leg) for leg in legs]) == pytest.approx(times * one, rel=1e-12)


@settings(max_examples=80, deadline=None)
@given(st.lists(LEG.map(lambda leg: (*leg[:3], NEAR)), min_size=1, max_size=5))
def test_bounded_positions_ask_for_what_they_can_lose(legs: list[tuple]) -> None:
    """With one expiry and covered calls: never above the largest loss, and never below what a broker's pairs allow."""
    prices = np.array([_priced(leg) for leg in legs])
    position = legs_of(*legs)
    try:
        asked = requirement(position, 100.0, prices)
    except BadInput:  # the legs cancel
        assert _nothing_left(legs)
        return
    worst = profile(position, asked.premium_usd / 100.0)
    assert asked.held_usd >= 0.0
    if not worst.max_loss_unlimited:
        assert asked.deposit_usd <= max(100.0 * worst.max_loss, asked.premium_usd) + 1e-9


def test_prices_must_be_whole_and_one_per_contract() -> None:
    with pytest.raises(BadInput, match="a price of 0 or more for each of the 1 legs"):
        margin(100.0, (CALL, 100, 1), prices=[float("nan")])
    with pytest.raises(BadInput, match="cannot have two prices"):
        margin(100.0, (CALL, 100, 1), (CALL, 100, 1), prices=[3.0, 4.0])
    with pytest.raises(BadInput, match="spot and a multiplier above 0"):
        margin(0.0, (CALL, 100, 1), prices=[3.0])
    with pytest.raises(BadInput, match=r"5,001 contracts in uneven ratios"):
        margin(100.0, (CALL, 100, -2500), (PUT, 90, -2501), prices=[3.0, 1.0])
