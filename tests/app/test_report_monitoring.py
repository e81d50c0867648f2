"""The monitoring log: every number with its n, what is unknown null, and all of it plain JSON."""

import datetime as dt
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.app.reports.monitoring import monitoring

sys.path.insert(0, str(Path(__file__).parent))
import report_of_a_day as day


def coefficients(values: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {"session": day.weekdays(len(values)), "rank_ic": values}, schema_overrides={"rank_ic": pl.Float64}
    )


def test_it_is_json_without_nan() -> None:
    ics = coefficients([0.05, None, *np.random.default_rng(0).normal(0.04, 0.1, 300).tolist()])
    got = monitoring(
        session=day.SESSION,
        model="ridge@1",
        ics=ics,
        regimes=day.proof(sessions=120).regimes,
        decision=day.decision(),
        history=day.report().history,
        quality={"stale_price": 3},
        notes=("one",),
    )
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    assert got["date"] == "2020-03-16"
    assert got["ic"]["measured_on"] == "out_of_sample"
    assert len(got["ic"]["last"]) == 20
    assert got["ic"]["out_of_sample"]["n"] == 301
    assert got["ic"]["out_of_sample"]["dates_without"] == 1
    assert got["ic"]["out_of_sample"]["low"] < got["ic"]["out_of_sample"]["mean_rank_ic"]
    assert [each["n_days"] for each in got["regime_performance"]] == [35, 0, 85]
    assert got["safety"][4]["available"] is False
    assert got["account"]["n_sessions"] == 24
    assert got["account"]["drawdown"] <= 0


def test_live_coefficients_come_before_the_past() -> None:
    past, live = coefficients([0.05] * 300), coefficients([-0.05] * 20)
    calm = monitoring(session=day.SESSION, model="m", ics=past)
    assert calm["drift"]["action"] == "continue"
    worse = monitoring(session=day.SESSION, model="m", ics=past, recent=live)
    assert worse["ic"]["measured_on"] == "live"
    assert worse["drift"]["action"] == "review_model"
    assert worse["drift"]["avg_ic"] == pytest.approx(-0.05)
    assert worse["drift"]["alarm_rate"] == 0.0, "measured on the history, not on the window that rings"
    few = monitoring(session=day.SESSION, model="m", ics=past, recent=live.head(5), lookback_days=20)
    assert few["drift"]["reason"] == "insufficient_history"


def test_thresholds_are_the_settings() -> None:
    ics = coefficients([0.03] * 50)
    assert monitoring(session=day.SESSION, model="m", ics=ics, threshold=0.04)["drift"]["degraded"] is True
    assert monitoring(session=day.SESSION, model="m", ics=ics, lookback_days=5)["drift"]["lookback"] == 5


def test_without_anything_it_says_so_and_invents_nothing() -> None:
    got = monitoring(session=dt.date(2020, 1, 2), model=None, ics=None)
    assert got["ic"] == {"measured_on": None, "lookback_days": 20, "last": [], "out_of_sample": None}
    assert got["drift"]["reason"] == "insufficient_history"
    assert (got["account"], got["regime_performance"], got["safety"]) == (None, [], [])
    one = monitoring(session=dt.date(2020, 1, 2), model=None, ics=None, history=day.report().history.head(1))
    assert one["account"]["last_return"] is None
