"""The table of what everything would have made: against the simulator, known when it says, and no rule."""

import dataclasses
import datetime as dt
import math
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from openbell.core.declare import Label, collect
from openbell.core.errors import BadInput, DeclarationError
from openbell.core.time import Sessions
from openbell.labels import forward, structures
from openbell.quant.edgeless import edgeless_surfaces
from openbell.quant.option_paths import Costs, Exits, Positions, simulate
from openbell.quant.parameter_grids import grid
from openbell.quant.structures import STRUCTURES
from openbell.research.counterfactuals import (
    CounterfactualSettings,
    counterfactuals,
    hindsight,
    label_rows,
    utility,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "quant"))
from option_toys import surfaces, weekdays

LABELS = tuple(collect([structures], Label).values())
N = 110


DAYS = weekdays(400)


def calendar(days=DAYS) -> Sessions:
    dates = days.astype(object).tolist()
    opens = [dt.datetime.combine(day, dt.time(14, 30), dt.UTC) for day in dates]
    return Sessions("TOY", tuple(dates), tuple(opens), tuple(each + dt.timedelta(hours=6.5) for each in opens))


@pytest.fixture(scope="module")
def market():
    return surfaces(N, seed=21)


@pytest.fixture(scope="module")
def table(market):
    return counterfactuals(market, calendar())


def cut(of, n):
    names = ("sessions", "spot", "settle", "rate", "dividend_yield", "parameters", "increment", "modelled")
    return dataclasses.replace(of, **{name: getattr(of, name)[:n] for name in names})


def test_every_session_structure_and_set_has_its_row(table):
    assert table.height == (N - 1) * sum(len(grid(each)) for each in STRUCTURES)
    assert table.select("session", "structure", "parameter_set").is_unique().all()
    assert (table["session"] > table["chain_session"]).all()
    assert table.filter(pl.col("pnl_usd").is_not_null())["known_at"].is_not_null().all()
    assert table.filter(pl.col("pnl_usd").is_null() & pl.col("return_on_risk").is_not_null()).is_empty()
    assert table["modelled"].all()


def test_rows_are_what_the_simulator_says_of_strikes_set_the_day_before(market, table):
    """One row by hand: strikes from the close before, the fill at the close of the decision's session."""
    row = table.filter(pl.col("structure") == "BULL_CALL_SPREAD", pl.col("reason") == "EXPIRY").row(40, named=True)
    at = int(np.searchsorted(market.sessions, np.datetime64(row["chain_session"])))
    asked = grid("BULL_CALL_SPREAD")
    strike = np.round(asked.moneyness[row["parameter_set"]] * market.spot[at] / 5) * 5
    last = int(np.searchsorted(market.sessions, np.datetime64(row["exit_session"])))
    made = simulate(
        market,
        Positions(np.array([at + 1]), strike[None], asked.right[None], asked.ratio[None], np.array([[last, last]])),
    )
    assert made.pnl_usd[0] == pytest.approx(row["pnl_usd"])
    assert made.max_loss_usd[0] == pytest.approx(row["max_loss_usd"])
    assert row["return_on_risk"] == pytest.approx(row["pnl_usd"] / row["max_loss_usd"])
    assert row["utility"] == pytest.approx(math.log(1 + 0.02 * row["return_on_risk"]) / 0.02)
    assert row["held_sessions"] == last - at - 1
    wanted = int(asked.dte[row["parameter_set"], 0])
    assert abs((row["exit_session"] - row["chain_session"]).days - wanted) <= max(4, wanted / 3)


def test_an_outcome_is_known_at_the_close_of_its_exit(table):
    closed = table.filter(pl.col("exit_session").is_not_null())
    assert (closed["known_at"].dt.date() == closed["exit_session"]).all()
    assert (closed["known_at"].dt.hour() == 21).all()
    open_ = table.filter(pl.col("reason") == "OPEN")
    assert open_.height > 100
    assert open_["known_at"].is_null().all()
    assert open_["utility"].is_null().all()


@pytest.mark.parametrize("n", [60, 85])
def test_what_was_known_stays_when_later_sessions_arrive(market, table, n):
    """Truncation (check 4) of the labels: rows known by a session are bit-equal without the sessions after it."""
    part = counterfactuals(cut(market, n), calendar())
    last = calendar().closes[n - 1]
    known = table.filter(pl.col("known_at") <= last)
    again = part.filter(pl.col("known_at").is_not_null())
    keys = ["session", "structure", "parameter_set"]
    assert_frame_equal(known.select(*keys, "utility", "known_at"), again.select(*keys, "utility", "known_at"))


def test_the_best_in_hindsight_by_hand(table):
    """Mean of the sets that could be had, the best of ten, the margin to the second, when the last set closed."""
    best = hindsight(table, LABELS)
    assert best.height == N - 1
    day = best.filter(pl.col("hindsight_structure").is_not_null()).row(25, named=True)
    rows = table.filter(pl.col("session") == day["session"])
    means = {
        str(name): float(np.nanmean(group["utility"].to_numpy().astype(float)))
        for (name,), group in rows.group_by("structure")
        if group["utility"].is_not_null().any()
    }
    ranked = sorted(means.values(), reverse=True)
    assert day["hindsight_structure"] == max(means, key=means.get)
    assert day["hindsight_margin"] == pytest.approx(ranked[0] - ranked[1])
    assert day["known_at"] == rows["known_at"].max()
    for name, value in means.items():
        assert day[f"utility_{name}"] == pytest.approx(value)


def test_a_day_is_not_known_before_its_last_set_is_closed(table):
    """Kills a best structure taken over what happens to be closed: winners are closed early, by their target."""
    best = hindsight(table, LABELS)
    still = table.group_by("session").agg((pl.col("reason") == "OPEN").any().alias("open"))
    joined = best.join(still, on="session")
    assert joined.filter("open")["hindsight_structure"].is_null().all()
    assert joined.filter("open")["known_at"].is_null().all()
    assert joined.filter(~pl.col("open"))["hindsight_structure"].is_not_null().all()


def test_labels_of_a_day_do_not_see_another(table):
    days = table["session"].unique().sort()
    some = table.filter(pl.col("session").is_in(days[10:20].implode()))
    whole = label_rows(table, LABELS).filter(pl.col("session").is_in(days[10:20].implode()))
    assert_frame_equal(label_rows(some, LABELS), whole)


def test_the_state_of_the_entry_day_does_not_fix_the_label():
    """Check 1: two markets that are the same up to a day and differ after it have other labels on that day.

    A rule over features of the day would give both the same best structure with the same utilities.
    """
    first = surfaces(N, seed=21)
    step = np.maximum(np.arange(N) - 40, 0) * 0.004
    path = first.spot[np.minimum(np.arange(N), 40)]
    markets = [dataclasses.replace(first, spot=path * np.exp(sign * step), settle=path) for sign in (1, -1)]
    asked = CounterfactualSettings(structures=("LONG_CALL", "LONG_PUT"))
    one, two = (hindsight(counterfactuals(cut(each, 90), calendar(), asked), LABELS) for each in markets)
    day = pl.col("session") == first.sessions[40].item()
    assert one.filter(day)["hindsight_structure"].item() != two.filter(day)["hindsight_structure"].item()
    before = pl.col("known_at") <= calendar().closes[40]
    assert_frame_equal(one.filter(before), two.filter(before))


def test_settings_reach_the_simulation(market):
    """Kills settings that are read and not handed on."""
    asked = {"structures": ("IRON_CONDOR",), "sets": 15}
    base = counterfactuals(cut(market, 60), calendar(), CounterfactualSettings(**asked))
    assert base["parameter_set"].max() == 14
    free = counterfactuals(
        cut(market, 60),
        calendar(),
        CounterfactualSettings(**asked, costs=Costs(0.0, 0.0), exits=Exits(None, None, None)),
    )
    assert (free["reason"].cast(str) != "TARGET").all()
    both = base["premium"].is_not_null() & free["premium"].is_not_null()
    assert (free.filter(both)["premium"] < base.filter(both)["premium"]).all()
    assert counterfactuals(cut(market, 60), calendar(), CounterfactualSettings(**asked, jobs=2)).equals(base)


def test_real_and_modelled_days_are_told_apart(market):
    real = dataclasses.replace(market, modelled=np.arange(N) >= 60)
    made = counterfactuals(real, calendar(), CounterfactualSettings(structures=("LONG_CALL",)))
    closed = made.filter(pl.col("exit_session").is_not_null())
    boundary = market.sessions[60].item()
    assert (closed["modelled"] == (closed["exit_session"] >= boundary)).all()


def test_utility_is_the_growth_of_the_account():
    """``log(1 + f r) / f``: concave, 0 at 0, and never below a ruined account."""
    assert utility(np.array([0.0]), 0.02)[0] == 0.0
    assert utility(np.array([1.0, -1.0]), 0.02) == pytest.approx([math.log(1.02) / 0.02, math.log(0.98) / 0.02])
    assert np.isfinite(utility(np.array([-80.0]), 0.02))[0]
    assert np.isnan(utility(np.array([np.nan]), 0.02))[0]


def test_a_calendar_with_a_hole_is_refused(market):
    days = np.delete(weekdays(400), 7)
    with pytest.raises(BadInput, match="110 sessions of the surfaces in a row"):
        counterfactuals(market, calendar(days))


@pytest.mark.parametrize(
    ("bad", "match"),
    [({"structures": ("IRON_CONDO",)}, "IRON_CONDOR"), ({"structures": ()}, "at least one"),
     ({"risk_fraction": 0.0}, "between 0 and 1; was 0")],
)  # fmt: skip
def test_settings_that_make_no_table_are_refused(bad, match):
    with pytest.raises(BadInput, match=match):
        CounterfactualSettings(**bad)


def test_a_label_of_bars_is_no_label_of_outcomes(table):
    with pytest.raises(DeclarationError, match="reads `bars`"):
        label_rows(table, collect([forward], Label).values())


def test_nothing_has_an_edge_before_costs_and_everything_loses_after():
    """On exact martingales: kills a fill at another day's price, a settlement off the close, an exit that looks ahead.

    Sixteen markets are sixteen independent numbers; none strays four of their standard errors.
    """
    free, paid = [], []
    names = ("CALENDAR_SPREAD", "IRON_CONDOR", "LONG_CALL")
    for seed in range(16):
        made = edgeless_surfaces(DAYS[:60], seed, start=3000.0, later=DAYS[60:]).surfaces
        for costs, where in ((Costs(0.0, 0.0), free), (Costs(), paid)):
            asked = CounterfactualSettings(structures=names, sets=15, costs=costs)
            # Wide enough to cost something; the free fills cross none of it.
            spread = np.array([np.log(0.002), 0.5, 0.0, 0.0, np.log(1e-4), 1.0, 1e-9, 1e-9, 3.0])
            rows = counterfactuals(dataclasses.replace(made, spread=spread), calendar(), asked)
            mean = rows.group_by("structure").agg(pl.col("pnl_usd").mean()).sort("structure")["pnl_usd"].to_numpy()
            where.append(mean)
    error = np.std(free, axis=0, ddof=1) / np.sqrt(len(free))
    assert (np.abs(np.mean(free, axis=0)) < 4 * error).all()
    assert (np.mean(paid, axis=0) < np.mean(free, axis=0) - 10.0).all()
