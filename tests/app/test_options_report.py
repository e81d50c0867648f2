"""The report of the options desk: every part there, the decision's own numbers, modelled said, nothing fetched."""

import re
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.app.options_output import decision_json
from openbell.app.reports.options import headline, options_report, training_report
from openbell.app.reports.options_backtest import backtest_report
from openbell.app.reports.options_board import board
from openbell.app.reports.options_curves import profit_curves, smile, state_map
from openbell.app.reports.options_tables import figures, grouped, parameter_rows
from openbell.app.reports.page import number, percent, usd
from openbell.core.errors import BadInput, Refused
from openbell.quant.similar import STATE
from openbell.research.option_backtest import Entry, NoTrade, Rules, option_backtest
from openbell.research.option_quotes import Spots, SurfaceQuotes

sys.path.insert(0, str(Path(__file__).parents[1] / "research"))
sys.path.insert(0, str(Path(__file__).parent))
import option_days as days
import option_worlds as worlds
from pages import Page, assert_no_missing_words, assert_whole_and_offline

SECTIONS = [
    "decision", "because", "legs", "payoff", "smile", "similar", "sets", "structures", "safety", "worth", "data",
    "made-of",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return days.training(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def condor(trained):
    """A condor on a modelled chain, traded."""
    return days.decided(trained, remarks=(f"Remarked {days.NASTY}",), why=(f"Said {days.NASTY}",))


@pytest.fixture(scope="module")
def calendar(trained):
    """A calendar on a quoted chain, blocked, of a model that is not proven."""
    return days.decided(trained, "CALENDAR_SPREAD", modelled=False, proven=False, blocked=True)


@pytest.fixture(scope="module")
def condor_page(condor):
    return options_report(condor, True)


@pytest.fixture(scope="module")
def calendar_page(calendar):
    return options_report(calendar, False)


def section(html, name):
    """The part of a page from the heading `name` to the next one."""
    found = re.search(rf'<h2 id="{name}">.*?(?=<h2 id=|</main>)', html, flags=re.S)
    assert found, name
    return found[0]


def words(html):
    return Page(html).words


def test_every_section_is_there_and_nothing_is_fetched(condor_page, calendar_page):
    for html in (condor_page, calendar_page):
        assert_whole_and_offline(html)
        page = Page(html)
        assert [name for name in SECTIONS if name not in page.ids] == []
        assert_no_missing_words(page.words)
        assert html.count('class="chart"') == 4  # payoff, smile, map, worth


def test_the_first_words_are_what_to_do(condor, calendar, condor_page, calendar_page):
    contracts = condor.decision.details["contracts"]
    assert contracts > 0
    assert headline(condor) == (f"Trade {contracts} × iron condor", "act")
    assert "ordered on paper" in condor_page
    assert headline(calendar) == ("No trade: safety blocked this decision", "stop")
    assert "dry run: nothing was ordered" in calendar_page
    assert "It risks &lt;too&gt; much." in calendar_page
    for each in calendar.decision.details["against"]:
        assert each in words(calendar_page)


def test_numbers_are_those_of_the_decision(condor, condor_page):
    output, said = decision_json(condor), words(condor_page)
    wanted = output["expected_performance"]
    for text in (
        percent(wanted["expected_return"], 2, sign=True), percent(wanted["win_probability"]),
        usd(wanted["max_loss"], 2), usd(wanted["max_profit"], 2), number(wanted["risk_reward_ratio"]),
        number(wanted["avg_days_to_exit"], 1),
    ):  # fmt: skip
        assert text.replace("\xa0", " ") in said
    for leg in output["legs"]:
        row = f"{leg['strike']:,.2f} {leg['expiry']} PM {leg['bid']:,.2f} {leg['ask']:,.2f}"
        assert row in said
        assert " ".join(leg["contract"].split()) in said
    for name, probability in output["strategy"]["top3"]:
        assert f"{name.replace('_', ' ').lower()} {probability:.0%}".replace("%", " %") in said
    part = words(section(condor_page, "structures"))
    for row in output["structures"]:
        assert number(row["expected_utility"], 4, sign=True) in part
    part = words(section(condor_page, "sets"))
    for row in output["stage_two"]["tested"]:
        if row["score_low"] is not None:
            assert f"{number(row['score_low'], 3, sign=True)} to {number(row['score_high'], 3, sign=True)}" in part
    assert output["decision"] in said


def test_the_interval_of_the_account_is_that_of_the_score(condor):
    """Return on risk times what is at risk over the account, for both bounds and the middle alike."""
    contracts = condor.decision.details["contracts"]
    found = figures(condor, condor.proposal, contracts)
    share = condor.proposal.max_loss_usd * contracts / 3_000_000.0
    assert found["account_low"] == pytest.approx(condor.proposal.statistics["low"] * share)
    assert found["account_high"] == pytest.approx(condor.proposal.statistics["high"] * share)
    middle = decision_json(condor)["expected_performance"]["expected_return"]
    assert found["account_low"] < middle < found["account_high"]
    assert found["win_low"] < condor.proposal.statistics["win_rate"] < found["win_high"]
    assert found["alone"] == round(condor.proposal.statistics["effective_n"]) < found["n"]


def test_modelled_is_said_beside_everything_that_is(condor_page, calendar_page):
    """On a quoted chain only what the past rests on says it."""
    for name in ("because", "legs", "payoff", "similar", "sets", "structures", "worth", "data"):
        assert re.search(rf'<h2 id="{name}">[^\n]*pill modelled', condor_page), name
    assert len(re.findall(r'class="name">[^\n]*pill modelled', condor_page)) == len(
        re.findall(r'class="card tile"', condor_page)
    )
    for name in ("because", "legs", "payoff", "similar", "sets", "structures"):
        assert "pill modelled" not in section(calendar_page, name), name
    assert "pill modelled" in section(calendar_page, "worth")


def test_what_was_said_is_escaped(condor_page):
    assert "<script" not in condor_page
    assert condor_page.count("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;") == 2


def test_the_curve_at_expiry_is_the_payoff(condor):
    """Its extremes are the decision's, commissions aside; 0 at the breakevens; today costs half of every spread."""
    proposal, contracts = condor.proposal, 7
    curves = profit_curves(condor.now, proposal, contracts)
    fees = 4 * 0.65
    assert curves.expiry_usd.max() == pytest.approx((proposal.max_profit_usd + fees) * contracts)
    assert curves.expiry_usd.min() == pytest.approx(-(proposal.max_loss_usd - fees) * contracts)
    assert curves.breakevens == pytest.approx(proposal.breakevens)
    at = np.searchsorted(curves.prices, proposal.breakevens)
    assert curves.expiry_usd[at] == pytest.approx(np.zeros(2), abs=1e-6)
    quoted = proposal.quotes
    signed = np.array([leg.ratio for leg in proposal.structure_legs.legs])
    half = (np.abs(signed) * (quoted["ask"] - quoted["bid"]).to_numpy() / 2).sum() * 100 * contracts
    now = curves.today_usd[np.searchsorted(curves.prices, curves.spot)]
    assert now == pytest.approx(-half, rel=1e-6)
    assert curves.low < curves.spot < curves.high
    assert curves.low * curves.high == pytest.approx(curves.spot**2)


def test_a_calendar_is_valued_at_its_near_expiry(calendar):
    """The far call at the volatility of its own quote, by Black's formula written down a second time."""
    from scipy.special import ndtr

    proposal = calendar.proposal
    curves = profit_curves(calendar.now, proposal, 1)
    near, far = (leg.instrument for leg in proposal.structure_legs.legs)
    assert near.expiry < far.expiry
    years = (far.expiry - near.expiry).days / 365
    assert curves.days == (near.expiry - days.KNOWN_ON).days
    rate, paid = days.SURFACES.rate[days.ROW], days.SURFACES.dividend_yield[days.ROW]
    sigma, strike = proposal.quotes["iv"][1], near.strike
    forward = curves.prices * np.exp((rate - paid) * years)
    d1 = np.log(forward / strike) / (sigma * np.sqrt(years)) + sigma * np.sqrt(years) / 2
    call = np.exp(-rate * years) * (forward * ndtr(d1) - strike * ndtr(d1 - sigma * np.sqrt(years)))
    expected = (call - np.maximum(curves.prices - strike, 0.0) - proposal.premium) * 100
    np.testing.assert_allclose(curves.expiry_usd, expected, atol=0.2)
    assert curves.valued == "each leg at the volatility of its own quote"
    assert len(curves.breakevens) == 2
    shown = smile(calendar.now, proposal)
    assert set(shown["expiry"]) == {near.expiry, far.expiry}
    assert shown.group_by("expiry", "strike").len()["len"].max() <= 2


def test_the_map_keeps_the_states(condor):
    """Each axis carries its share of the variance of eight standardised features; similar days lie where they are."""
    found = state_map(condor.now, None)
    table = condor.data.table.select(STATE).to_numpy()[: days.ROW]
    assert found.past.shape == (days.ROW, 2)
    np.testing.assert_allclose(found.past.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(found.past.var(axis=0) / table.shape[1], found.share)
    assert found.past[:, 0] @ found.past[:, 1] == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(found.similar, found.past[condor.now.similar.rows])
    assert found.axes[0].startswith("+")


def test_what_the_chosen_set_made_is_told_by_day(condor, condor_page):
    """The mean over the days is the expected return of the chosen set."""
    similar = condor.proposal.similar
    assert similar["return_on_risk"].mean() == pytest.approx(condor.proposal.statistics["expected_return"])
    part = words(section(condor_page, "similar"))
    for row in similar.head(10).iter_rows(named=True):
        assert f"{row['session']} {row['distance']:.2f}" in part
    assert f"Of {similar['return_on_risk'].drop_nulls().len()} with a closed outcome" in part


def test_sets_stand_by_their_lower_bound_and_reasons_in_groups(condor):
    found = parameter_rows(condor.proposal)
    able = [row for row in found["rows"] if not row["refused"]]
    bounds = [row["score_low"] for row in able]
    assert bounds == sorted(bounds, reverse=True)
    chosen = [row for row in found["rows"] if row["chosen"]]
    assert len(chosen) == 1
    assert chosen[0]["score_low"] == condor.proposal.statistics["score_low"]
    assert len(found["rows"]) == condor.proposal.tested.height
    table = pl.DataFrame(
        {
            "refused": ["Too wide.", None, None, "Too wide."],
            "objection": [None, "One risks 12.50 USD.", "One risks 1,300 USD.", "never read"],
        }
    )
    assert grouped(table) == [
        (2, "would not be traded", "One risks 12.50 USD."),
        (2, "cannot be had", "Too wide."),
    ]


def test_an_abstention_says_what_is_missing_and_shows_the_scoreboard(trained):
    found = days.abstained(trained)
    html = options_report(found, False)
    assert_whole_and_offline(html)
    page = Page(html)
    assert headline(found) == ("No call", "rest")
    assert {"missing", "worth", "data", "safety"} <= set(page.ids)
    assert not {"legs", "payoff", "sets", "structures"} & set(page.ids)
    assert "needs bars of VIX" in words(section(html, "missing"))
    assert "<script" not in html
    assert_no_missing_words(page.words)
    assert options_report(found, False) == html


def test_where_nothing_can_be_traded_the_reasons_stand(trained):
    """Without a bid there are no legs and no pictures of them, and every set says why."""
    found = days.decided(trained, live=False)
    html = options_report(found, False)
    assert_whole_and_offline(html)
    page = Page(html)
    assert_no_missing_words(page.words)
    assert headline(found) == ("No trade", "rest")
    assert not {"legs", "payoff", "smile"} & set(page.ids)
    assert {"similar", "sets", "structures", "worth"} <= set(page.ids)
    rows = found.proposal.tested.height
    assert f"{rows} of {rows} cannot be had" in words(section(html, "sets"))
    assert found.proposal.refused in page.words


def test_the_scoreboard_shows_every_strategy_with_its_doubt(trained):
    html = training_report(trained)
    assert_whole_and_offline(html)
    said = words(html)
    assert_no_missing_words(said)
    for row in trained.frame("strategies").iter_rows(named=True):
        assert row["strategy"] in said
        assert number(row["mean_utility"], 4, sign=True) in said
        assert f"{number(row['utility_low'], 4, sign=True)} to {number(row['utility_high'], 4, sign=True)}" in said
    for row in trained.frame("classification").iter_rows(named=True):
        assert percent(row["base_accuracy"]).replace("\xa0", " ") in said
        assert number(row["base_log_loss"], 3) in said
    few = trained.frame("structures").filter(pl.col("utility_low").is_null())
    assert few.height == 1
    assert said.count("too few for an interval") == 1
    for phrase in ("out of sample", "after costs", "2 tries", "modelled", "hindsight"):
        assert phrase in said


def test_nothing_in_sample_and_nothing_untried_is_shown(trained):
    with pytest.raises(Refused, match="in_sample"):
        board(trained, split="in_sample")
    untried = type(trained)({**trained.payload, "tries": 0}, trained.folder)
    with pytest.raises(Refused, match="how many candidates were tried"):
        board(untried)


@pytest.fixture(scope="module")
def accounts():
    """Condors of a made market, and an account that never trades."""
    surfaces, dates = worlds.modelled(60)
    spots = Spots(
        surfaces.sessions, surfaces.settle, surfaces.spot, surfaces.settle, surfaces.rate, np.zeros(60), dates
    )

    def condors(row):
        middle, expiry = round(surfaces.spot[row - 1] / 5) * 5, dates[row + 16]
        if row % 4:
            return NoTrade("Not today.")
        wings = ((-1, -60, 1), (-1, -30, -1), (1, 30, -1), (1, 60, 1))
        return Entry("IRON_CONDOR", worlds.legs(*((right, middle + off, ratio, expiry) for right, off, ratio in wings)))

    how = {"rules": Rules(capital_usd=200_000.0, risk_fraction=0.03)}
    quotes = SurfaceQuotes(surfaces, False, dates)
    never = option_backtest(lambda row: NoTrade("Never."), quotes, spots, **how)
    return {"desk": option_backtest(condors, quotes, spots, **how), "idle <b>": never}, surfaces.spot


def test_the_account_is_told_with_what_it_risked_and_was_refused(accounts):
    results, spot = accounts
    desk = results["desk"]
    html = backtest_report(
        results, desk.sessions[1], desk.sessions[-1], "SPX", spot, tries=3, notes=("One `note` & more.",)
    )
    assert_whole_and_offline(html)
    said = words(html)
    assert_no_missing_words(said)
    earned = desk.curve_usd[-1] - desk.curve_usd[0]
    assert f"{'Earned' if earned >= 0 else 'Lost'} {usd(abs(earned))} on $200,000" in said
    assert "3 tries" in said
    assert "One note & more." in said
    assert "idle <b>" in said
    assert html.count('class="chart"') == 2 + 6
    for row in desk.positions.iter_rows(named=True):
        assert f"{row['entry_session']} iron condor {row['contracts']}" in said
    assert "decisions were not to trade" in words(section(html, "refused"))
    for name in ("curves", "strategies", "measures", "exposures", "months", "positions"):
        assert re.search(rf'<h2 id="{name}">[^\n]*pill modelled', html), name


def test_accounts_of_different_sessions_are_refused(accounts):
    results, spot = accounts
    with pytest.raises(BadInput, match="value for each of the"):
        backtest_report(results, None, None, "SPX", spot[:-1])
    with pytest.raises(Refused, match="how many candidates"):
        backtest_report(results, None, None, "SPX", tries=0)
    with pytest.raises(BadInput, match="at least one strategy"):
        backtest_report({}, None, None, "SPX")
