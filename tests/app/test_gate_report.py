"""The report of the gate: what it says of skill and of luck, whole and offline; and the prediction log as a walk."""

from __future__ import annotations

import datetime as dt
import json
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.app.pages import Page, assert_no_missing_words, assert_whole_and_offline
from tests.research import walked_worlds as worlds

from openbell.app.cli import main
from openbell.app.gate_live import live_walk, log_frame
from openbell.app.gate_report import gate_report, report_of
from openbell.app.home import Home
from openbell.app.reports.gate import gate_page, heat_map, hopes, verdict
from openbell.core.errors import DataMissing, Refused
from openbell.research.gate_drift import feature_drift
from openbell.research.gate_scores import GateScores, scored
from openbell.research.gate_walk import walk
from openbell.store.prediction_rows import Prediction
from openbell.store.predictions import Predictions

DAYS, FIRST = 60, 20


@cache
def of(*names: str, modelled: str = "") -> GateScores:
    rows = worlds.trades(DAYS + FIRST, 2, seed=3)
    walked = walk(rows, ["edge"], [*names, "price"], fit=worlds.ruled(), min_train_days=FIRST, refit_days=30)
    return scored(walked, replications=100, modelled=modelled)


def test_the_page_is_whole_opens_offline_and_says_no_missing_word() -> None:
    drift = feature_drift(worlds.trades(80, 1), ["edge", "logit_price"], recent_days=20)
    counts = pl.DataFrame({"what": ["outcome"], "reason": ["computed"], "trades": [9], "share": [1.0]})
    html = gate_page(of("knowing", "wrong"), when="2024", drift=drift, computed=counts, notes=["Of `x`."],
                     made_of={"training": "abc"})  # fmt: skip
    assert_whole_and_offline(html)
    assert_no_missing_words(Page(html).words)
    again = gate_page(GateScores.from_record(json.loads(json.dumps(of("knowing", "wrong").record))), when="2024",
                      drift=drift, computed=counts, notes=["Of `x`."], made_of={"training": "abc"})  # fmt: skip
    assert again == html


def test_skill_is_a_yes_and_luck_is_a_no() -> None:
    yes, no = (Page(gate_page(of(name), when="2024")).words for name in ("knowing", "clone"))
    assert "Yes. knowing knew more" in yes
    assert "No. No candidate has been shown to know more" in no
    assert "which holds 0" in no
    assert "not proven" in no


def test_the_answer_is_told_in_odds_nats_and_dollars() -> None:
    """exp(skill) - 1 is by how much the odds were higher."""
    found = of("knowing")
    row = found.models.row(0, named=True)
    told = verdict(found, "knowing")
    assert f"{np.exp(row['skill_nats']) - 1:.2%} higher" in told[1]
    assert f"{row['skill_nats_low']:+.5f} to {row['skill_nats_high']:+.5f}" in told[1]
    assert f"taking all made {row['usd_per_day'] - row['usd_over_all']:+,.2f} USD" in told[2]
    assert "no candidate" in verdict(of(), None)[0]


def test_made_up_trades_say_so_beside_every_figure() -> None:
    html = gate_page(of("clone", modelled="generated"), when="2024")
    headings = [part.split("</h2>")[0] for part in html.split("<h2 ")[1:]]
    assert headings
    assert all("generated" in each for each in headings if "made-of" not in each)
    assert html.count("· generated") == 4
    assert "generated" not in gate_page(of("clone"), when="2024")


def test_a_page_without_candidates_or_with_few_days_still_answers() -> None:
    assert_whole_and_offline(gate_page(of(), when="2024"))
    rows = worlds.trades(12, 1)
    walked = walk(rows, [], ["knowing", "price"], fit=worlds.ruled(), min_train_days=5, refit_days=30)
    html = gate_page(scored(walked, replications=100), when="2024")
    assert_whole_and_offline(html)
    words = Page(html).words
    assert "too few for an interval" in words
    assert_no_missing_words(words)


def test_names_from_the_data_are_escaped_and_nothing_in_sample_is_shown() -> None:
    html = gate_page(of("clone"), when="<script>1</script>", notes=["<script>2</script>"])
    assert "<script" not in html
    with pytest.raises(Refused, match="in_sample"):
        gate_page(of("clone"), when="2024", split="in_sample")


def test_the_heat_map_has_every_pair_and_a_hole_where_nothing_was_traded() -> None:
    cells = of("knowing").cells.filter(~((pl.col("symbol") == "NDX") & (pl.col("strategy") == "Vertical")))
    found = heat_map(cells, "knowing")
    assert found["strategies"] == ["Butterfly", "Vertical"]
    assert [(symbol, [cell and cell["n"] for cell in row]) for symbol, row in found["rows"]] == [
        ("NDX", [120, None]), ("SPX", [120, 120]),
    ]  # fmt: skip


def test_hoped_accuracy_stands_beside_what_the_commoner_outcome_reaches() -> None:
    """A pair that wins ten times of eleven reaches the hope without any knowledge, and the page says that."""
    rows = worlds.trades(100, 2, seed=5).with_columns(win=pl.int_range(pl.len()) % 11 != 0)
    rows = rows.with_columns(price_probability=pl.lit(0.9), logit_price=pl.lit(np.log(9.0)))
    walked = walk(rows, [], ["clone", "price"], fit=worlds.ruled(), min_train_days=20, refit_days=90)
    hope, measured, beside = hopes(scored(walked, replications=100), "clone")[0]
    assert "85%" in hope
    assert "90.9% over all; 4 of 4 pairs" in measured
    assert "alone reaches it in 4 of those 4" in beside


def prediction(id: str, at: dt.datetime, **about: object) -> Prediction:
    known = {
        "symbol": "SPX", "strategy": "Vertical", "answer": "ACCEPT", "quantity": 2, "inputs": {"id": id},
        "trade_id": id, "model_level": "symbol", "probability": 0.7, "price_probability": 0.6, "threshold": 0.5,
        "risk_usd": 400.0, "reward_usd": 100.0,
    }  # fmt: skip
    return Prediction(id=id, at=at, **{**known, **about})


AT = dt.datetime(2024, 3, 8, 15, 0, tzinfo=dt.UTC)
LATER = AT + dt.timedelta(hours=6)


def logged(path: Path) -> Predictions:
    """Seven rows: two that can be judged, one asked twice, and one for each reason that a row cannot be."""
    log = Predictions.open(f"sqlite:///{path}")
    log.append(
        [
            prediction("won", AT),
            prediction("won again", AT + dt.timedelta(minutes=1), trade_id="won", probability=0.1),
            prediction("lost", AT + dt.timedelta(days=3), answer="REFUSE", probability=0.4),
            prediction("open", AT),
            prediction("silent", AT, probability=None),
            prediction("without odds", AT, price_probability=None),
            prediction("unbounded", AT, risk_usd=None, reward_usd=None),
        ]
    )
    log.outcome(100.0, known_at=LATER, trade_id="won")
    log.outcome(-400.0, known_at=LATER + dt.timedelta(days=3), trade_id="lost")
    for each in ("silent", "without odds", "unbounded"):
        log.outcome(-1.0, known_at=LATER, trade_id=each)
    return log


def test_the_log_is_a_walk_of_what_was_said_first(tmp_path: Path) -> None:
    walked, counts = live_walk(log_frame(logged(tmp_path / "log.db")))
    served = walked.filter(pl.col("model") == "served")
    told = served.select("session", "probability", "win", "profit_usd", "take", "level", "base_rate", "ratio").rows()
    assert told == [
        (dt.date(2024, 3, 8), 0.7, True, 100.0, True, "symbol", 0.5, 0.25),
        (dt.date(2024, 3, 11), 0.4, False, -400.0, False, "symbol", pytest.approx(2 / 3), 0.25),
    ]
    assert walked.filter(pl.col("model") == "price")["probability"].to_list() == [0.6, 0.6]
    assert dict(counts.select("reason", "trades").iter_rows()) == {
        "judged": 2, "the trade was asked about before": 1, "no model spoke": 1, "its price gave no odds": 1,
        "its outcome is not known": 1, "its loss has no bound": 1,
    }  # fmt: skip
    html = report_of(scored(walked, replications=100), when="2024", source="prediction log", computed=counts).page
    assert_whole_and_offline(html)
    assert_no_missing_words(Page(html).words)


def test_a_log_without_outcomes_says_what_to_do(tmp_path: Path) -> None:
    log = Predictions.open(f"sqlite:///{tmp_path / 'log.db'}")
    log.append([prediction("open", AT)])
    with pytest.raises(DataMissing, match="None of 1 predictions"):
        live_walk(log_frame(log))


def test_the_command_reports_on_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    home = Home.open(tmp_path)
    logged(Path(home.settings.store.predictions.removeprefix("sqlite:///")))
    out = tmp_path / "page.html"
    words = ["openbell", "gate", "report", "--live", "--home", str(tmp_path), "--out", str(out)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert "served" in said
    assert str(out) in said
    assert_whole_and_offline(out.read_text())
    record = json.loads(json.dumps(gate_report(home, live=True).record, allow_nan=False))
    assert record["scores"]["trades"] == 2
