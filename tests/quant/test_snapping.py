"""Parameter sets on listed and on quoted contracts: never moved in silence."""

import dataclasses
import gzip
import re
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.quant.listing import expiries
from openbell.quant.parameter_grids import grid
from openbell.quant.snapping import NO_EXPIRY, NO_QUOTE, NO_STRIKE, ZERO_WIDTH, Chain, snap_to_chain, snapped
from openbell.quant.structures import STRUCTURES

sys.path.insert(0, str(Path(__file__).parent))
from option_toys import chain, date, surfaces, weekdays

DAYS = weekdays(400)
LISTED = expiries(DAYS)


@pytest.fixture(scope="module")
def market():
    return surfaces(30)


@pytest.fixture(scope="module")
def quoted(market):
    today = market.sessions[20]
    dates = LISTED.date[LISTED.listed_on(today) & (LISTED.date < today + 80)]
    return chain(market, 20, dates[(dates - today).astype(int) > 3])


@pytest.mark.parametrize("structure", STRUCTURES)
def test_listed_strikes_keep_the_order_asked_for(structure, market):
    """Check 20: wings are wider than nothing; check 22: strikes lie on the listed grid, expiries are listed."""
    asked = grid(structure)
    rows = np.arange(0, 25)
    placed = snapped(asked, LISTED, market.sessions[rows], market.spot[rows], market.increment[rows],
                     market.sessions[rows + 1])  # fmt: skip
    fine = placed.reason == 0
    assert fine.mean() > 0.95
    strike = placed.strike[fine]
    assert np.allclose(strike / 5.0, np.round(strike / 5.0))
    wanted = np.broadcast_to(asked.moneyness, placed.strike.shape)[fine]
    spot = np.broadcast_to(market.spot[rows][:, None, None], placed.strike.shape)[fine]
    assert (np.abs(strike - wanted * spot) <= 2.5 + 1e-9).all()
    for i in range(strike.shape[1]):
        for j in range(i):
            order = np.sign(np.round(wanted[:, i] - wanted[:, j], 9))
            assert (np.sign(strike[:, i] - strike[:, j]) == order).all()
    fill = np.broadcast_to(market.sessions[rows + 1][:, None, None], placed.strike.shape)[fine]
    assert (placed.date[fine] > fill).all()
    assert np.array_equal(DAYS[placed.row[fine]], placed.date[fine])
    if len(set(asked.dte[0])) == 2:
        assert (placed.date[fine][:, 1] > placed.date[fine][:, 0]).all()


def test_wings_that_fall_on_one_strike_are_marked(market):
    """Kills a rounding that sells a condor of no width: a wing of 2 % of a spot of 100 on strikes 10 apart."""
    asked = grid("IRON_CONDOR")
    placed = snapped(asked, LISTED, market.sessions[:2], np.array([100.0, 100.0]), np.array([10.0, 0.5]))
    assert (placed.reason[0] == ZERO_WIDTH).any()
    assert np.isnan(placed.strike[0][placed.reason[0] == ZERO_WIDTH]).all()
    assert (placed.reason[1] == 0).all()


def test_a_missing_spot_or_a_calendar_that_ends_is_marked(market):
    asked = grid("LONG_CALL")
    placed = snapped(asked, LISTED, DAYS[[5, 398]], np.array([np.nan, 4000.0]), np.array([5.0, 5.0]))
    assert (placed.reason[0] != 0).all()
    assert (placed.reason[1] == NO_EXPIRY).all()
    assert (placed.row[placed.reason != 0] == -1).all()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_chosen_contracts_are_in_the_chain_with_live_quotes(structure, quoted, market):
    """Check 22."""
    asked = grid(structure)
    placed = snap_to_chain(asked, quoted, market.sessions[21])
    fine = np.flatnonzero(placed.reason == 0)
    assert len(fine) >= 10
    rows = {(k, e, r): (b, a) for k, e, r, b, a in zip(quoted.strike, quoted.expiry, quoted.right, quoted.bid,
                                                      quoted.ask, strict=True)}  # fmt: skip
    for c in fine:
        for leg, right in enumerate(asked.right):
            bid, ask = rows[placed.strike[c, leg], placed.date[c, leg], right]
            assert 0 < bid < ask
            assert (placed.bid[c, leg], placed.ask[c, leg]) == (bid, ask)
        days = (placed.date[c] - quoted.session).astype(int)
        assert (np.abs(days - asked.dte[c]) <= np.maximum(4, asked.dte[c] / 3)).all()
        assert np.array_equal(days, placed.dte[c])


def test_a_dead_strike_gives_way_to_a_near_one_and_never_to_a_far_one(quoted):
    """Kills a fallback to whatever is quoted: without quotes around the target the set is marked."""
    asked = grid("LONG_STRADDLE")
    target = asked.moneyness[:, 0, None] * quoted.spot
    dead = np.abs(quoted.strike - quoted.spot) < 15
    placed = snap_to_chain(asked, dataclasses.replace(quoted, bid=np.where(dead, 0.0, quoted.bid)))
    middle = asked.moneyness[:, 0] == 1.0
    assert (placed.reason == 0).all()
    assert (np.abs(placed.strike - target)[middle] >= 12).all()
    dead = np.abs(quoted.strike - quoted.spot) < 0.015 * quoted.spot
    placed = snap_to_chain(asked, dataclasses.replace(quoted, bid=np.where(dead, 0.0, quoted.bid)))
    assert (placed.reason[middle] == NO_STRIKE).all()
    assert (placed.reason[~middle] == 0).all()
    assert np.isnan(placed.strike[middle]).all()


def test_a_put_without_a_call_makes_no_straddle(quoted):
    """Both options of a straddle stand at one strike that is live in both."""
    asked = grid("LONG_STRADDLE")
    odd = (quoted.right > 0) & (np.round(quoted.strike / 5) % 2 == 1)
    placed = snap_to_chain(asked, dataclasses.replace(quoted, bid=np.where(odd, 0.0, quoted.bid)))
    assert (placed.reason == 0).all()
    assert (placed.strike[:, 0] == placed.strike[:, 1]).all()
    assert (np.round(placed.strike / 5) % 2 == 0).all()


def test_expiries_without_quotes_and_empty_chains_are_marked(quoted):
    asked = grid("CALENDAR_SPREAD")
    soon = quoted.expiry < quoted.session + 15
    near_only = dataclasses.replace(quoted, bid=np.where(soon, quoted.bid, 0.0))
    assert (snap_to_chain(asked, near_only).reason == NO_EXPIRY).all()
    crossed = dataclasses.replace(quoted, ask=quoted.bid.copy())
    assert (snap_to_chain(asked, crossed).reason == NO_QUOTE).all()


def test_contracts_settled_on_the_close_come_before_those_on_the_open(quoted):
    both = Chain(
        quoted.session, quoted.spot, *(np.r_[each, each] for each in (quoted.strike, quoted.expiry, quoted.right)),
        np.r_[quoted.bid * 0.9, quoted.bid], np.r_[quoted.ask, quoted.ask],
        np.r_[np.ones(len(quoted.bid), bool), quoted.am],
    )  # fmt: skip
    asked = grid("LONG_PUT")
    assert np.array_equal(snap_to_chain(asked, both).bid, snap_to_chain(asked, quoted).bid)
    only = dataclasses.replace(quoted, am=np.ones(len(quoted.bid), bool))
    assert snap_to_chain(asked, only).am.all()


def test_a_chain_from_the_quote_table():
    frame = pl.DataFrame(
        {
            "session": [date("2023-01-30"), date("2023-01-30"), date("2023-01-27")],
            "expiry": [date("2023-02-17")] * 3,
            "strike": [4000.0, 4000.0, 4000.0],
            "right": ["CALL", "PUT", "CALL"],
            "settlement": ["PM", "AM", "PM"],
            "bid": [10.0, None, 9.0],
            "ask": [11.0, 12.0, 10.0],
        }
    )
    made = Chain.of(frame, date("2023-01-30"), 4010.0)
    assert made.right.tolist() == [1, -1]
    assert made.bid.tolist() == [10.0, 0.0]
    assert made.am.tolist() == [False, True]


def test_a_chain_without_a_spot_is_refused(quoted):
    with pytest.raises(BadInput, match="spot of a chain must be above 0"):
        dataclasses.replace(quoted, spot=float("nan"))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_real_chains_offer_contracts_of_every_structure(structure, real_chain):
    """Check 22 on quotes of a real day: every contract is in the file, live, and as near as the rules say."""
    asked = grid(structure)
    placed = snap_to_chain(asked, real_chain, np.datetime64("2023-09-15"))
    fine = placed.reason == 0
    assert fine.sum() >= 10
    rows = set(zip(real_chain.strike, real_chain.expiry, real_chain.right, real_chain.bid, strict=True))
    for c in np.flatnonzero(fine):
        legs = zip(placed.strike[c], placed.date[c], asked.right, placed.bid[c], strict=True)
        assert all(leg in rows for leg in legs)
    away = np.abs(placed.strike[fine] / real_chain.spot - asked.moneyness[fine])
    assert np.median(away) < 0.005
    assert (placed.bid[fine] > 0).all()


@pytest.fixture(scope="module")
def real_chain(real_data):
    text = gzip.decompress((real_data / "chains" / "cboe" / "spx_2023-09-14.csv.gz").read_bytes()).decode()
    cells = [line.split(",") for line in text.splitlines() if ",SPX" in line]
    root = [re.match(r"(SPXW?)(\d\d)(\d\d)(\d\d)C", each[1]) for each in cells]
    expiry = np.array([f"20{m[2]}-{m[3]}-{m[4]}" for m in root], dtype="datetime64[D]")
    strike, am = np.array([float(each[11]) for each in cells]), np.array([m[1] == "SPX" for m in root])
    two = [np.array([[float(each[4]), float(each[5])] for each in cells]),
           np.array([[float(each[15]), float(each[16])] for each in cells])]  # fmt: skip
    quotes = np.concatenate(two)
    return Chain(
        np.datetime64("2023-09-14"), 4505.10, np.tile(strike, 2), np.tile(expiry, 2), np.repeat([1, -1], len(strike)),
        quotes[:, 0], quotes[:, 1], np.tile(am, 2),
    )  # fmt: skip
