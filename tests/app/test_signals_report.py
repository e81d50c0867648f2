"""The page of the signals desk: whole and offline, its verdict what was measured, and honest where there is nothing."""

import datetime as dt

import polars as pl
import pytest
from tests.app.pages import Page, assert_no_missing_words, assert_whole_and_offline
from tests.research.signal_forecasts import made_bars, made_forecasts

from openbell.app.reports.signals import signals_page, verdict, write_report
from openbell.core.errors import Refused
from openbell.quant.signal_account import Rules
from openbell.research.signal_backtest import Policy, backtest
from openbell.research.signal_scores import scored
from openbell.research.signal_search import search
from openbell.research.signal_votes import BASE_RATE
from openbell.store.trials import Trials

WHEN = "trained on what was known before the open of 2024-01-02"
QUICK = {"replications": 60}


@pytest.fixture(scope="module")
def bars():
    return made_bars(symbols=3, sessions=140)


@pytest.fixture(scope="module")
def walk(bars):
    """A candidate that knows, one that does not, and the base rates; names that a page has to escape."""
    flat = made_forecasts(bars, BASE_RATE, seed=5).with_columns(
        p_sell=pl.lit(0.3), p_hold=pl.lit(0.4), p_buy=pl.lit(0.3), in_sell=True, in_hold=True, in_buy=True,
        call=pl.lit("HOLD"), confidence=pl.lit(0.4),
    )  # fmt: skip
    knowing, none = made_forecasts(bars, "knows<b>", knows=1.0), made_forecasts(bars, "voting", seed=2)
    return pl.concat([knowing, none, flat])


@pytest.fixture(scope="module")
def scores(walk):
    rows = walk.filter(pl.col("model") == "voting").select("session", "as_of", "symbol", "label", "label_known_at")
    return scored(walk, rows, replications=1000, made_up="generated")


def of(walk, model):
    return walk.filter(pl.col("model") == model)


def test_the_whole_page_says_what_was_measured(walk, scores, bars, tmp_path):
    policy = Policy(Rules(horizon_bars=5))
    found = backtest(of(walk, "knows<b>"), bars, policy, tries=4, **QUICK)
    with Trials.open(f"sqlite:///{tmp_path}/trials.db") as ledger:
        searched = search(
            of(walk, "knows<b>"), bars, policy, ledger=ledger, at=dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
            grid={"min_confidence": (0.5, 0.6)}, least_trades=5, **QUICK,
        )  # fmt: skip
    given = {
        "when": WHEN, "label": "direction_5", "base": "1d", "found": found, "searched": searched, "tries": 4,
        "notes": ["1 < 2"], "made_of": {"training": "ab" * 32},
    }  # fmt: skip
    path = write_report(tmp_path, scores, **given)
    html = path.read_text(encoding="utf-8")
    assert_whole_and_offline(html)
    words = Page(html).words
    assert_no_missing_words(words)
    assert "knows<b>" in words
    assert "knows<b>" not in html
    assert "Yes. knows<b> knew more of what came" in words
    assert "It is shown to earn something: following" in words
    assert "generated" in words
    assert "4 tries" in words
    for part in ("calls", "models", "sure", "account", "trades", "search", "hopes", "made-of"):
        assert f'id="{part}"' in html, part
    total = found.trades.filter(pl.col("reason") != "open").height
    assert f"{(found.trades.filter(pl.col('reason') != 'open')['return'] > 0).mean():.1%} of {total:,}" in words
    assert write_report(tmp_path, scores, **given).read_text(encoding="utf-8") == html


def test_without_a_back_test_the_page_says_how_to_make_one(scores):
    html = signals_page(scores, when=WHEN)
    assert_whole_and_offline(html)
    assert "openbell backtest signals" in Page(html).words
    assert "after costs" not in Page(html).words.split("Does the desk know")[0]


def test_a_desk_that_was_silent_has_no_figures_of_an_account(walk, scores, bars):
    silent = Policy(Rules(horizon_bars=5), min_confidence=1.0)
    html = signals_page(scores, when=WHEN, shown="voting", found=backtest(of(walk, "voting"), bars, silent, **QUICK))
    assert_whole_and_offline(html)
    words = Page(html).words
    assert_no_missing_words(words)
    assert words.count("No signal was issued") == 2
    assert 'id="trades"' not in html
    assert "Sharpe ratio above" not in words


def test_the_verdict_follows_the_test_and_not_the_point_estimate(scores):
    """A larger accuracy than the commonest class is no proof; only the survivor of the test is named in a yes."""
    from dataclasses import replace

    assert verdict(scores, "voting")[0].startswith("Yes.")
    assert verdict(replace(scores, proven=()), "knows<b>")[0].startswith("No.")
    assert verdict(scores, None) == ["There is no answer: no candidate was walked forward."]
    few = scores.models.with_columns(pl.lit(None, dtype=pl.Float64).alias("skill_nats_low"))
    assert "too few for an interval" in verdict(replace(scores, models=few, proven=()), "voting")[1]


def test_nothing_measured_in_sample_is_shown(scores):
    with pytest.raises(Refused, match="in_sample"):
        signals_page(scores, when=WHEN, split="in_sample")
