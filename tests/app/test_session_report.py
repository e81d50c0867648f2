"""The page of the session desk: whole and offline, large about the evidence, and honest where there is nothing."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from tests.app.pages import Page, assert_no_missing_words, assert_whole_and_offline
from tests.research.session_days import made_bars, made_forecasts

from openbell.app.reports.session import session_page, write_report
from openbell.app.reports.session_tables import confusion, headline
from openbell.core.errors import Refused
from openbell.core.session import CLASSES
from openbell.research.session_backtest import backtest
from openbell.research.session_drift import armed, rolling
from openbell.research.session_scores import scored

WHEN = "trained on what was known before the open of 2024-01-02"
FEATURES = ("gap<b>", "early_range")


def flat(bars, label="direction_from_cutoff"):
    """The base rates: the same share of each class in every session, and no call."""
    classes = CLASSES[label]
    even = [pl.lit(1 / len(classes)).alias(f"p_{name.lower()}") for name in classes]
    said = made_forecasts(bars, "base_rate", label=label)
    return said.with_columns(*even, confidence=pl.lit(1 / len(classes)), call=pl.lit(None, dtype=pl.String))


@pytest.fixture(scope="module")
def bars():
    return made_bars(180)


@pytest.fixture(scope="module")
def walk(bars):
    """A candidate that knows, one that does not, and the base rates; names that a page has to escape."""
    return pl.concat(
        [made_forecasts(bars, "knows<b>", knows=0.6), made_forecasts(bars, "logistic", seed=2), flat(bars)]
    )


@pytest.fixture(scope="module")
def scores(walk):
    return judged(walk, "direction_from_cutoff", min_sessions=100)


def judged(walk, label, **more):
    rows = walk.filter(pl.col("model") == "base_rate").select("session", "as_of", "symbol", "label", "label_known_at")
    return scored(walk, rows, CLASSES[label], replications=1000, made_up="generated", **more)


def of(walk, model):
    return walk.filter(pl.col("model") == model)


def explained():
    """What `research.session_reasons` says, made up."""
    rng = np.random.default_rng(0)
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=at) for at in range(40)]
    value, contribution = rng.normal(size=(2, 40))
    points = [
        pl.DataFrame({"session": days, "feature": name, "value": value, "contribution": contribution})
        for name in FEATURES
    ]
    moment = dt.datetime(2024, 2, 9, 15, 15, tzinfo=dt.UTC)
    lineage = {"feature": FEATURES, "reads": ["early", "session"], "source": ["bars", "bars, days"],
               "as_of": [moment] * 2, "lookback": [1, 15]}  # fmt: skip
    weights = {"feature": FEATURES, "importance": [0.2, 0.1], "direction": [0.9, None], "n": [40, 40]}
    return {"importance": pl.DataFrame(weights), "contributions": pl.concat(points), "unit": "log-odds",
            "lineage": pl.DataFrame(lineage), "families": {"early_range": "early_session"}}  # fmt: skip


def test_the_whole_page_says_what_was_measured(walk, scores, bars, tmp_path):
    found = backtest(of(walk, "knows<b>"), bars, stop_atr=0.5, tries=4, replications=30)
    watch = armed(of(walk, "knows<b>"), window=30, replications=200)
    given = {
        "when": WHEN, "product": "ES", "label": "direction_from_cutoff", "cutoff": "10:15", "found": found, "tries": 4,
        "watch": watch, "rolling": rolling(of(walk, "knows<b>"), watch), "notes": ["1 < 2"],
        "made_of": {"training": "ab" * 32}, **explained(),
    }  # fmt: skip
    path = write_report(tmp_path, scores, **given)
    html = path.read_text(encoding="utf-8")
    assert_whole_and_offline(html)
    words = Page(html).words
    assert_no_missing_words(words)
    assert "knows<b>" in words
    assert "knows<b>" not in html
    assert "gap<b>" not in html
    assert "<h1>Evidence.</h1>" in html
    assert found.verdict().replace("`", "") in words
    for text in (
        "generated", "4 tries", "ES at 10:15", "base rate", "Fit by fit", "always short", "Profit factor",
        "At other costs", "By regime of the days before", "2024-02-09 15:15", "early session", "bars, days",
        "rings where the log-loss of 30 sessions lies above", "chance of 5%", "is seen after",
    ):  # fmt: skip
        assert text in words, text
    for part in ("verdict", "models", "calls", "sure", "drift", "account", "trades", "features", "made-of"):
        assert f'id="{part}"' in html, part
    assert write_report(tmp_path, scores, **given).read_text(encoding="utf-8") == html


def test_too_little_is_said_in_the_largest_letters(walk):
    """Few sessions are no evidence, however well they went."""
    few = judged(walk, "direction_from_cutoff", min_sessions=250)
    html = session_page(few, when=WHEN, shown="knows<b>")
    assert "<h1>Not enough evidence.</h1>" in html
    words = Page(html).words
    assert "180 sessions are fewer than the 250 below which nothing counts" in words
    assert "not proven" in words
    assert headline("No colon here") == ("No colon here", "")


def test_without_a_back_test_or_a_watch_the_page_says_how_there_comes_to_be_one(scores):
    html = session_page(scores, when=WHEN, no_watch="The drift watch is not armed: too few.")
    assert_whole_and_offline(html)
    words = Page(html).words
    assert "openbell backtest session" in words
    assert "The drift watch is not armed: too few." in words
    assert "after costs" not in words.split("Every model")[0]
    assert 'id="features"' not in html


def test_a_desk_that_was_silent_has_no_figures_of_an_account(walk, scores, bars):
    silent = of(walk, "logistic").with_columns(pl.lit(None, dtype=pl.String).alias("call"))
    html = session_page(scores, when=WHEN, shown="logistic", found=backtest(silent, bars, replications=30))
    assert_whole_and_offline(html)
    words = Page(html).words
    assert_no_missing_words(words)
    assert words.count("Nothing was traded: none of 180 forecasts") == 2
    assert 'id="trades"' not in html
    assert "Its trades" not in words


def test_four_classes_have_their_own_tables(bars):
    label = "archetype_by_structure"
    walk = pl.concat([made_forecasts(bars, "logistic", label=label), flat(bars, label)])
    scores = judged(walk, label)
    html = session_page(scores, when=WHEN, found=backtest(of(walk, "logistic"), bars, replications=30))
    assert_whole_and_offline(html)
    words = Page(html).words
    assert_no_missing_words(words)
    assert "REVERSAL" in words
    assert "probability of the likeliest class, as said" in html
    table = confusion(scores, "logistic", "call")
    assert [row["actual"] for row in table] == list(CLASSES[label])
    assert sum(cell["n"] for row in table for cell in row["cells"]) == 180
    assert [len(row["cells"]) for row in table] == [5] * 4
    assert sum(cell["right"] for row in table for cell in row["cells"]) == 4
    assert not any(row["cells"][-1]["wrong"] for row in table), "no call is not a wrong one"


def test_nothing_measured_in_sample_is_shown(scores):
    with pytest.raises(Refused, match="in_sample"):
        session_page(scores, when=WHEN, split="in_sample")


def test_without_a_candidate_there_is_still_a_page(scores):
    bare = replace(scores, models=scores.models.filter(pl.col("kind") == "baseline"), evidence="There is no candidate.")
    html = session_page(bare, when=WHEN)
    assert_whole_and_offline(html)
    assert "There is no candidate." in Page(html).words
