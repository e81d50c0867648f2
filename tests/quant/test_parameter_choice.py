"""Stage 2: what was tested, what it is worth, what is chosen, how much of it, and that nothing is left to chance."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from openbell.core.errors import BadInput
from openbell.quant.listing import expiries
from openbell.quant.option_paths import Costs, Exits
from openbell.quant.parameter_choice import ChoiceSettings, choose_parameters, sized
from openbell.quant.parameter_grids import grid
from openbell.quant.parameter_measures import measures
from openbell.quant.similar import similar_days
from openbell.quant.structures import STRUCTURES

sys.path.insert(0, str(Path(__file__).parent))
from option_toys import chain, surfaces, weekdays

HERE = Path(__file__).parent
TODAY = 260
LISTED = expiries(weekdays(500))
RICH = ChoiceSettings(capital_usd=5_000_000.0, minimum_risk_reward=0.0)


def desk():
    """A market, its chain of row `TODAY`, and the days like it, all of one year."""
    of = surfaces(320, seed=11)
    dates = LISTED.date[LISTED.listed_on(of.sessions[TODAY]) & (LISTED.date < of.sessions[TODAY] + 90)]
    quoted = chain(of, TODAY, dates[(dates - of.sessions[TODAY]).astype(int) > 3])
    change = np.r_[np.zeros(5), of.spot[5:] / of.spot[:-5] - 1]
    states = np.column_stack([of.parameters[:, 0], change])
    closed = np.arange(320) + 1 + 33 <= TODAY
    return of, quoted, similar_days(states, closed, states[TODAY])


@pytest.fixture(scope="module")
def market():
    return desk()


def chosen(market, structure, settings=RICH, **changed):
    of, quoted, similar = market
    arguments = {"surfaces": of, "listed": LISTED, "chain": quoted, "similar": similar, **changed}
    return choose_parameters(structure, settings=settings, **arguments)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_gets_parameters_with_everything_beside_them(structure, market):
    choice = chosen(market, structure)
    table = choice.table
    assert 15 <= table.height <= 20
    assert choice.refused is None
    row = table.row(choice.chosen, named=True)
    assert row["refused"] is None
    assert row["n"] + row["missing"] == 60
    assert row["effective_n"] <= row["n"]
    assert row["score_low"] <= row["score"] <= row["score_high"]
    assert 0 <= row["win_rate"] <= 1
    assert choice.outcomes.shape == (60, table.height)
    assert (choice.bid > 0).all()
    assert (choice.ask > choice.bid).all()
    assert choice.parameters["contracts"] == choice.contracts
    assert row["max_loss_usd"] > 0
    able = table.filter(table["refused"].is_null() & table["objection"].is_null())
    assert row["score_low"] == able["score_low"].max()


def test_the_chosen_set_costs_what_its_quotes_say(market):
    """The credit of a condor: the bids of its shorts less the asks of its wings, and the wing is what can be lost."""
    choice = chosen(market, "IRON_CONDOR")
    row = choice.table.row(choice.chosen, named=True)
    signed = np.where(choice.ratio > 0, choice.ask, choice.bid) * choice.ratio
    assert row["premium"] == pytest.approx(signed.sum())
    wings = np.diff(choice.strike)[[0, 2]]
    assert row["max_loss_usd"] == pytest.approx((wings.max() + signed.sum()) * 100 + 4 * 0.65)
    assert row["max_profit_usd"] == pytest.approx(-signed.sum() * 100 - 4 * 0.65)
    half = ChoiceSettings(capital_usd=5e6, minimum_risk_reward=0.0, costs=Costs(spread_fraction=0.0))
    middle = chosen(market, "IRON_CONDOR", half).table["premium"][choice.chosen]
    assert middle == pytest.approx(((choice.bid + choice.ask) / 2 * choice.ratio).sum())


def test_measures_by_hand():
    """Four days, two sets: one wins 75 % and scores its mean times 1.2; the other loses and has a gap."""
    returns = np.array([[0.5, -0.2], [0.5, np.nan], [0.5, 0.1], [-1.0, -0.3]])
    entry = np.tile(np.array([[0], [10], [20], [30]]), (1, 2))
    found = measures(returns, entry, entry + 5, np.tile([[7], [7], [9], [5]], (1, 2)), level=0.9)
    assert found.n.tolist() == [4, 3]
    assert found.missing.tolist() == [0, 1]
    assert found.effective_n == pytest.approx([4, 3])
    assert found.win_rate == pytest.approx([0.75, 1 / 3])
    assert found.expected_return == pytest.approx([0.125, -0.4 / 3])
    assert found.score == pytest.approx([0.125 * 1.2, -0.4 / 3 * 0.8])
    reach = student.ppf(0.95, 3) * np.std(returns[:, 0], ddof=1) / 2
    assert found.low[0] == pytest.approx(0.125 - reach)
    assert found.score_low[0] == pytest.approx((0.125 - reach) * 1.2)
    assert found.mean_days_held == pytest.approx([7.0, 7.0])


def test_neighbours_that_share_their_sessions_are_counted_once():
    """Kills an interval that takes sixty overlapping outcomes for sixty."""
    returns = np.random.default_rng(0).normal(0.05, 0.3, (60, 1))
    apart = np.arange(60)[:, None] * 30
    wide = measures(returns, np.arange(60)[:, None], np.arange(60)[:, None] + 20, np.ones((60, 1)))
    narrow = measures(returns, apart, apart + 20, np.ones((60, 1)))
    assert narrow.effective_n[0] == pytest.approx(60)
    assert wide.effective_n[0] == pytest.approx(79 / 20, rel=0.1)
    assert wide.low[0] < narrow.low[0]
    assert wide.expected_return[0] == narrow.expected_return[0]


def test_one_contract_too_many_is_none():
    """Check 21: the original clamped to one."""
    losses = np.array([200.0, 200.01, 66.0, 1.0, np.inf, np.nan])
    assert sized(losses, 200.0, 10).tolist() == [1, 0, 3, 10, 0, 0]


def test_what_is_too_big_or_pays_too_little_is_not_traded_and_said(market):
    small = chosen(market, "IRON_BUTTERFLY", ChoiceSettings(capital_usd=10_000.0))
    assert small.contracts == 0
    assert small.parameters["contracts"] == 0
    assert any("more than the budget of 200.00 USD" in each for each in small.why)
    poor = chosen(market, "IRON_CONDOR", ChoiceSettings(capital_usd=5e6, minimum_risk_reward=5.0))
    assert poor.contracts == 0
    assert any("it must be above 5.00" in each for each in poor.why)
    rich = chosen(market, "IRON_CONDOR")
    assert 1 <= rich.contracts <= 10


def test_a_set_without_an_objection_comes_before_a_better_one_with_one(market):
    """The budget pays for some sets only: the choice is the best of those."""
    all_ = chosen(market, "LONG_STRADDLE").table
    budget = float(np.median(all_["max_loss_usd"].drop_nulls()))
    choice = chosen(market, "LONG_STRADDLE", ChoiceSettings(capital_usd=budget / 0.02, minimum_risk_reward=0.0))
    table = choice.table
    assert table["objection"].is_null().any()
    assert not table["objection"].is_null().all()
    able = table.filter(table["objection"].is_null() & table["refused"].is_null())
    assert table["objection"][choice.chosen] is None
    assert table["score_low"][choice.chosen] == able["score_low"].max()
    assert choice.contracts >= 1


def test_sets_that_cannot_be_had_today_are_refused_with_the_reason(market):
    """Check 22: strikes without live quotes; the rest is chosen from."""
    _, quoted, _ = market
    calls = (quoted.right > 0) & (quoted.strike > 1.03 * quoted.spot)
    choice = chosen(market, "LONG_CALL", chain=dataclasses.replace(quoted, bid=np.where(calls, 0.0, quoted.bid)))
    far = choice.table["grid_moneyness"] == 1.05
    assert choice.table.filter(far)["refused"].str.starts_with("No strike with a quote").all()
    assert choice.table.filter(far)["strike"].is_null().all()
    assert choice.table["grid_moneyness"][choice.chosen] < 1.05
    nothing = chosen(market, "LONG_CALL", chain=dataclasses.replace(quoted, bid=np.zeros(len(quoted.bid))))
    assert nothing.chosen is None
    assert nothing.contracts == 0
    assert nothing.refused.startswith("No parameter set can be traded today. Of 20, 20: The chain has no contract")


def test_a_market_that_gives_no_credit_sells_nothing(market):
    """Check 20: a spread as wide as the quotes leaves a condor without a credit."""
    _, quoted, _ = market
    choice = chosen(market, "IRON_CONDOR", chain=dataclasses.replace(quoted, ask=quoted.ask * 40 + 100))
    assert choice.chosen is None
    quotable = choice.table.filter(choice.table["premium"].is_not_null())
    assert quotable.height > 5
    assert quotable["refused"].str.starts_with("It must bring a credit; at today's bid and ask it would cost").all()


def test_nothing_after_the_chain_is_seen(market):
    """Check 28, burnt: whatever the surfaces say after today's chain, the bytes of the choice stay."""
    of, _, similar = market
    burnt = {name: np.where(np.arange(320) > TODAY, 7.0, getattr(of, name)) for name in ("spot", "settle", "rate")}
    first = chosen(market, "CALENDAR_SPREAD")
    second = chosen(market, "CALENDAR_SPREAD", surfaces=dataclasses.replace(of, **burnt))
    assert first.table.equals(second.table)
    with pytest.raises(BadInput, match="must lie before the session of today's chain"):
        chosen(market, "LONG_CALL", similar=dataclasses.replace(similar, rows=similar.rows + TODAY))


def test_too_few_similar_days_are_refused(market):
    few = similar_days(np.arange(320.0)[:, None], np.arange(320) < 7, np.array([3.0]))
    choice = chosen(market, "LONG_PUT", similar=few)
    assert choice.chosen is None
    assert choice.refused == few.refused


def test_a_calendar_that_does_not_fit_is_refused(market):
    with pytest.raises(BadInput, match="must begin with the sessions of the surfaces"):
        chosen(market, "LONG_CALL", listed=expiries(weekdays(500, "2023-01-03")))
    _, quoted, _ = market
    with pytest.raises(BadInput, match="have no row for 2030-01-01"):
        chosen(market, "LONG_CALL", chain=dataclasses.replace(quoted, session=np.datetime64("2030-01-01")))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(BadInput, match="risk fraction"):
        ChoiceSettings(risk_fraction=0.0)
    with pytest.raises(BadInput, match="between 0 and 1; was 1"):
        ChoiceSettings(level=1.0)


def fingerprint() -> str:
    """Everything that is chosen for two structures, to the last bit."""
    parts = []
    for structure in ("DIAGONAL_SPREAD", "IRON_CONDOR"):
        choice = chosen(desk(), structure, dataclasses.replace(RICH, exits=Exits(0.4, 0.8, 1.0, 0.5, 3)), jobs=2)
        parts.append([structure, dict(choice.parameters), choice.chosen, choice.table.write_json()])
    parts.append([grid(each).moneyness.tolist() for each in STRUCTURES])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def test_two_processes_choose_the_same():
    """Check 27: no seed, no clock, no order of a hash."""
    code = "import test_parameter_choice as t; print(t.fingerprint())"
    path = ":".join([str(HERE), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": path, "PYTHONHASHSEED": "123"},
    )  # fmt: skip
    assert run.stdout.strip() == fingerprint()
