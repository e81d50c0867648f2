"""Drift held against the past, and trades counted by what is known of them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from scipy.stats import ks_2samp

from openbell.core.errors import BadInput
from openbell.research.gate_drift import feature_drift
from openbell.research.gate_reasons import COMPUTED, computed


def rows(days: int, per_day: int, late: float = 0.0, seed: int = 0) -> pl.DataFrame:
    """A feature that jumps by `late` in the last 40 days, one that does not, one that is not there."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), per_day)
    return pl.DataFrame(
        {
            "session": [dt.date(2024, 1, 1) + dt.timedelta(days=int(each)) for each in day],
            "jumps": rng.normal(size=len(day)) + late * (day >= days - 40),
            "stays": rng.normal(size=len(day)),
            "absent": pl.Series([None] * len(day), dtype=pl.Float64),
        }
    )


def found(frame: pl.DataFrame, name: str) -> dict[str, object]:
    return feature_drift(frame, ["jumps", "stays", "absent"], recent_days=40).row(
        by_predicate=pl.col("feature") == name, named=True
    )


def test_a_jump_drifts_and_noise_does_not_however_many_rows_there_are() -> None:
    """The alarm does not ring for few rows, whose distance is large by chance, nor is it deaf to many."""
    for per_day in (1, 25):
        frame = rows(500, per_day, late=1.0)
        assert found(frame, "jumps")["drifts"] is True
        assert found(frame, "stays")["drifts"] is False
    assert found(rows(500, 1), "stays")["distance"] > 2 * found(rows(500, 25), "stays")["distance"]


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    frame = rows(300, 4, late=0.7)
    late = frame["session"] > frame["session"].unique().sort()[-41]
    theirs = ks_2samp(frame["jumps"].filter(late), frame["jumps"].filter(~late)).statistic
    assert found(frame, "jumps")["distance"] == pytest.approx(theirs, abs=1.5 / 64)
    assert found(frame, "jumps")["distance"] <= theirs + 1e-12
    assert found(frame, "jumps")["psi"] > 0.25 > 0.1 > found(frame, "stays")["psi"]


def test_what_is_missing_is_counted_and_never_compared() -> None:
    holes = rows(300, 2).with_columns(
        stays=pl.when(pl.col("session") < dt.date(2024, 2, 1)).then(None).otherwise(pl.col("stays"))
    )
    assert found(holes, "stays")["missing_before"] == pytest.approx(31 / 260)
    assert found(holes, "stays")["missing"] == 0.0
    nothing = found(holes, "absent")
    assert (nothing["distance"], nothing["drifts"], nothing["missing"]) == (None, None, 1.0)


def test_a_short_past_says_nothing() -> None:
    """No alarm, and no silence that looks like one: null."""
    assert found(rows(100, 3, late=3.0), "jumps")["drifts"] is None
    alone = found(rows(40, 3), "jumps")
    assert (alone["distance"], alone["drifts"], alone["missing_before"], alone["n"]) == (None, None, None, 120)
    with pytest.raises(BadInput, match="`recent_days`"):
        feature_drift(rows(40, 3), ["jumps"], recent_days=0)


def test_every_trade_is_counted_once_with_the_first_reason() -> None:
    """Seven trades, each with its own fault; the counts of each thing add up to all (S1.20)."""
    facts = pl.DataFrame(
        {
            "strike1": [None, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
            "premium": [None, None, 1.0, 1.0, 1.0, 1.0, 1.0],
            "max_loss": [None, None, None, None, 0.0, 2.0, 2.0],
            "max_profit": [None, None, 1.0, 1.0, 1.0, 1.0, 1.0],
            "type1": ["CALL", "CALL", None, "CALL", "CALL", "CALL", "CALL"],
            "direction1": [1, 1, 1, 1, 1, 1, 1],
            "price": [1.0, 1.0, 1.0, 1.0, 1.0, None, 1.0],
            "price_probability": [0.5, 0.5, 0.5, 0.5, None, None, 0.5],
            "profit_usd": [1.0, 1.0, 1.0, 1.0, 1.0, None, -1.0],
            **{f"{each}{i}": [None] * 7 for each in ("strike", "type", "direction") for i in (2, 3, 4)},
        }
    )
    found = computed(facts)
    assert found.group_by("what", maintain_order=True).agg(pl.col("trades").sum())["trades"].to_list() == [7, 7, 7]
    told = {(what, reason): trades for what, reason, trades, _ in found.iter_rows()}
    assert told["risk and reward", COMPUTED] == 2
    assert sum(trades for (what, _), trades in told.items() if what == "risk and reward") == 7
    assert [trades for (what, reason), trades in told.items() if what == "risk and reward" and reason != COMPUTED] == [
        1, 1, 1, 1, 1,
    ]  # fmt: skip
    assert told["odds of the price", COMPUTED] == 5
    assert told["outcome", "its profit is missing; that is no loss"] == 1
    assert found["share"].sum() == pytest.approx(3.0)
