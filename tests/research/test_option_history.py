"""Stage 2 on past days: the same as stage 2 today, and blind for what was not closed."""

import datetime as dt
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.market.calendars import sessions
from openbell.quant.edgeless import edgeless_surfaces
from openbell.quant.listing import expiries
from openbell.quant.option_paths import Costs
from openbell.quant.parameter_choice import ChoiceSettings, choose_parameters
from openbell.quant.similar import similar_days
from openbell.quant.snapping import Chain
from openbell.quant.structures import BULL_CALL_SPREAD, CALENDAR_SPREAD, IRON_BUTTERFLY
from openbell.research.counterfactuals import CounterfactualSettings, counterfactuals
from openbell.research.option_history import CLOSED_AFTER, closed_by, cube, stage_two

NAMES = (IRON_BUTTERFLY, BULL_CALL_SPREAD, CALENDAR_SPREAD)
SPREAD = np.array([-6.3, 0.35, 0.1, 0.7, -7.5, 0.9, 0.0, 0.0, 3.0])
FIRST, LAST = dt.date(2018, 1, 2), dt.date(2019, 3, 29)


@cache
def world():
    """A market of 313 sessions, its table for three structures as arrays, and made-up states."""
    calendar = sessions("XNYS")
    days = calendar.between(FIRST, LAST)
    later = [day for day in calendar.dates if day > LAST][:100]
    market = edgeless_surfaces(days, 3, start=3000.0, later=later, spread=SPREAD)
    settings = CounterfactualSettings(structures=NAMES)
    table = counterfactuals(market.surfaces, calendar, settings)
    as_of = (market.surfaces.sessions[1:].astype("datetime64[us]") + np.timedelta64(13, "h")).astype("datetime64[us]")
    made = cube(table, as_of, NAMES)
    states = np.random.default_rng(0).normal(size=(len(made.sessions), 4)).cumsum(axis=0)
    return market, table, made, states


def test_the_arrays_hold_the_table() -> None:
    """Kills: rows, structures or sets that are exchanged on the way."""
    _, table, made, _ = world()
    assert made.sets.tolist() == table.group_by("structure").agg(pl.col("parameter_set").n_unique()).sort(
        pl.col("structure").replace_strict({name: at for at, name in enumerate(NAMES)}, return_dtype=pl.Int64)
    )["parameter_set"].to_list()  # fmt: skip
    for row in table.sample(50, seed=1).iter_rows(named=True):
        day = int(np.searchsorted(made.sessions, np.datetime64(row["chain_session"])))
        place = (day, NAMES.index(row["structure"]), row["parameter_set"])
        expected = np.nan if row["return_on_risk"] is None else row["return_on_risk"]
        assert made.returns[place] == pytest.approx(expected, nan_ok=True)
        if row["exit_session"] is not None and row["exit_session"] <= made.sessions[-1].item():
            assert made.sessions[made.exit[place]].item() == row["exit_session"]


def test_a_row_is_known_when_its_last_set_is() -> None:
    _, table, made, _ = world()
    day = 100
    rows = table.filter(pl.col("chain_session") == made.sessions[day].item())
    assert made.known_at[day] == np.datetime64(rows["known_at"].max().replace(tzinfo=None), "us")
    assert np.isnat(made.known_at[-1])
    assert np.isnan(made.outcomes.utility[-1]).all()


def test_every_position_has_ended_when_its_day_counts_as_closed() -> None:
    """check 28: the date alone says that a day is closed, so no outcome may come later than that."""
    _, _, made, _ = world()
    known = ~np.isnat(made.known_at)
    taken = made.known_at[known].astype("datetime64[D]") - made.sessions[known].astype("datetime64[D]")
    assert taken.max() <= CLOSED_AFTER
    assert closed_by(made.sessions[:1], made.sessions[0] + CLOSED_AFTER).tolist() == [True]
    assert closed_by(made.sessions[:1], made.sessions[0] + CLOSED_AFTER - 1).tolist() == [False]


def test_what_was_not_closed_changes_no_choice() -> None:
    """check 28. Kills: a similar day whose outcome was still open at the decision."""
    _, _, made, states = world()
    row = 200
    first = stage_two(made, states, np.array([row]))
    late = ~closed_by(made.sessions, made.sessions[row])
    assert late[row - 20]
    spoilt = replace(made, returns=np.where(late[:, None, None], 9.0, made.returns))
    again = stage_two(spoilt, np.where(late[:, None], states[row], states), np.array([row]))
    assert first.similar[row] == 60
    assert np.array_equal(first.which[row], again.which[row])


def test_past_days_are_chosen_as_today_is() -> None:
    """check 14: the outcomes that today's stage 2 simulates are those of the table, and so is the first set."""
    market, _, made, states = world()
    row = 200
    listed = expiries(market.calendar, "SPX")
    near = similar_days(states[:row], closed_by(made.sessions[:row], made.sessions[row]), states[row], count=60)
    settings, fill = ChoiceSettings(costs=Costs()), made.sessions[row + 1]
    nothing = Chain(
        made.sessions[row].astype("datetime64[D]"), float(market.surfaces.spot[row]), *(np.empty(0),) * 1,
        np.empty(0, dtype="datetime64[D]"), np.empty(0), np.empty(0), np.empty(0), np.empty(0, dtype=bool),
    )  # fmt: skip
    for at, name in enumerate(NAMES):
        today = choose_parameters(name, market.surfaces, listed, nothing, near, settings=settings, fill=fill)
        sets = int(made.sets[at])
        assert np.array_equal(today.outcomes, made.returns[near.rows, at, :sets], equal_nan=True)
        which = stage_two(made, states, np.array([row])).which[row, at]
        able = made.listed[row, at, :sets] & (today.table["n"].to_numpy() >= 10)
        low = np.where(able, today.table["score_low"].fill_null(-np.inf).to_numpy(), -np.inf)
        assert low[which] == low.max()


def test_a_day_without_a_state_has_no_similar_days() -> None:
    _, _, made, states = world()
    blind = states.copy()
    blind[200, 1] = np.nan
    found = stage_two(made, blind, np.array([200]))
    assert (found.which[200] == -1).all()
    assert np.isnan(found.returns[200]).all()


def test_moments_that_do_not_fit_are_refused() -> None:
    _, table, made, _ = world()
    with pytest.raises(BadInput, match="311 chain sessions and 3 moments"):
        cube(table, made.as_of[:3], NAMES)
