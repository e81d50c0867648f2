"""The champion, or the reason why there is none."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from openbell.core.errors import BadInput
from openbell.research.champion import choose, rank_ics


def sessions(n: int) -> list[dt.date]:
    return [dt.date(2015, 1, 1) + dt.timedelta(days=at) for at in range(n)]


def ics(n: int = 600, seed: int = 0, **means: float) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    noise = {name: mean + 0.13 * rng.standard_normal(n) for name, mean in means.items()}
    return pl.DataFrame({"session": sessions(n), **noise})


def test_rank_ics_are_per_date_and_by_spearman():
    """Check 55: per date, not pooled; the oracle is scipy."""
    rng = np.random.default_rng(0)
    days = sessions(4)
    frame = pl.DataFrame(
        {
            "session": [day for day in days for _ in range(20)],
            "label": rng.standard_normal(80) + np.repeat([0, 5, -5, 9], 20),
            "a": rng.standard_normal(80).round(1),
        }
    )
    table = rank_ics(frame, "label", ["a"])
    for day in days:
        own = frame.filter(pl.col("session") == day)
        expected = spearmanr(own["a"].to_numpy(), own["label"].to_numpy()).statistic
        assert table.filter(pl.col("session") == day)["a"].item() == pytest.approx(expected, abs=1e-12)


def test_a_thin_date_has_no_ic():
    frame = pl.DataFrame(
        {
            "session": [dt.date(2020, 1, 2)] * 12 + [dt.date(2020, 1, 3)] * 12,
            "label": [float(at) for at in range(12)] * 2,
            "a": [float(at) for at in range(12)] + [float(at) if at < 9 else None for at in range(12)],
        }
    )
    assert rank_ics(frame, "label", ["a"], min_names=10)["a"].to_list() == [pytest.approx(1.0), None]


def test_the_champion_is_the_most_significant_survivor():
    choice = choose(ics(weak=0.03, strong=0.06, none=0.0), horizon=5)
    assert choice.champion == "strong"
    assert choice.why[0].startswith("The champion is `strong`")
    assert "3 candidates tried on 600 common dates" in choice.why[1]
    assert choice.evidence.filter(pl.col("candidate") == "none")["survives"].item() is False


def test_no_view_says_why_with_numbers():
    """Check 5: n, tries, interval and statistic stand beside every figure."""
    choice = choose(ics(a=0.001, b=-0.001), horizon=5)
    assert choice.champion is None
    text = " ".join(choice.why)
    for part in (
        "No view",
        "2 candidates",
        "600 common dates",
        "mean block of 10",
        "critical value",
        "95 %",
        "`a`",
        "`b`",
    ):
        assert part in text


def test_only_common_dates_count():
    """Kills a comparison of candidates on different dates: `late` has its good dates where the other has none."""
    table = ics(early=0.0, late=0.0).with_columns(
        pl.when(pl.int_range(pl.len()) < 300).then(None).otherwise("early").alias("early"),
        pl.when(pl.int_range(pl.len()) < 300).then(pl.lit(0.5) + pl.col("late")).otherwise("late").alias("late"),
    )
    choice = choose(table, horizon=5)
    assert choice.dates == 300
    assert choice.champion is None


def test_an_abstaining_candidate_does_not_stop_the_others():
    table = ics(good=0.06).with_columns(naive=pl.lit(None, dtype=pl.Float64))
    choice = choose(table, horizon=5, abstained={"naive": "The naive model abstains."})
    assert choice.champion == "good"
    assert choice.tries == 1
    assert "The naive model abstains." in choice.why
    assert choice.evidence.filter(pl.col("candidate") == "naive")["abstains"].item() == "The naive model abstains."


def test_too_few_dates_is_no_view():
    choice = choose(ics(n=80, a=0.5), horizon=5)
    assert choice.champion is None
    assert "80 dates" in choice.why[0]
    assert "100" in choice.why[0]


def test_all_abstain_is_no_view_and_no_candidates_is_an_error():
    choice = choose(ics().with_columns(a=pl.lit(None, dtype=pl.Float64)), horizon=5)
    assert choice.champion is None
    assert "`a` has no date" in " ".join(choice.why)
    with pytest.raises(BadInput, match="no candidate"):
        choose(ics(), horizon=5)


def test_the_order_of_the_rows_does_not_matter():
    table = ics(a=0.03, b=0.02)
    one, two = choose(table, horizon=5), choose(table.sample(fraction=1.0, shuffle=True, seed=1), horizon=5)
    assert one.why == two.why
