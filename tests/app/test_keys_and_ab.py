"""`openbell keys` and `openbell ab`: what they show, and what they never show."""

from __future__ import annotations

import datetime as dt
import json
import sys

import numpy as np
import polars as pl
import pytest

from openbell.app import ab, cli
from openbell.app.sections import Gate
from openbell.core.experiment import Arm, Definition
from openbell.store.api_keys import ApiKeys
from openbell.store.experiments import Experiments
from openbell.store.prediction_rows import Prediction
from openbell.store.predictions import Outcome, Predictions

AT = dt.datetime(2025, 6, 2, 14, tzinfo=dt.UTC)
DEFINED = Definition("gate", "salt", 0.5, Arm("simple", "v1"), Arm("hierarchy", "v2"))


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    """Runs the command line in this process on a home of its own: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["openbell", *words, "--home", str(tmp_path / "home")])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        return left.value.code or 0, told.out, told.err

    return run


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/home/predictions.db"


def test_a_key_is_made_listed_and_revoked(say, url):
    code, out, err = say("keys", "create", "bot", "--scope", "predict", "--scope", "outcomes")
    shown = out.strip()
    assert code == 0
    assert "not shown again" in err
    assert shown not in err
    with ApiKeys.open(url) as keys:
        made = keys.verify(shown, "outcomes")
    assert made is not None
    listed = say("keys", "list")[1]
    assert made.id in listed
    assert shown.split("_")[2] not in listed + say("keys", "list", "--json")[1]
    code, out, _ = say("keys", "revoke", made.id)
    assert (code, "refuses it within 5 seconds" in out) == (0, True)
    with ApiKeys.open(url) as keys:
        assert keys.verify(shown) is None
    (row,) = json.loads(say("keys", "list", "--json")[1])
    assert row["revoked_at"] is not None


def test_a_key_as_json_and_its_limits(say):
    made = json.loads(say("keys", "create", "bot", "--json", "--batch-per-minute", "3")[1])
    assert made["key"].startswith(f"ob_{made['id']}_")
    assert (made["scopes"], made["predict_per_minute"], made["batch_per_minute"]) == ("predict", None, 3)
    assert say("keys", "list", "--json")[1].count("ob_") == 0


@pytest.mark.parametrize(("words", "sentence"), [
    (("keys", "list"), "There is no log of predictions at"),
    (("keys", "revoke", "x"), "There is no log of predictions at"),
    (("keys", "create", "bot", "--scope", "predicts"), "Did you mean `predict`"),
    (("ab", "status"), "There is no log of predictions at"),
    (("ab", "stop"), "There is no log of predictions at"),
])  # fmt: skip
def test_what_is_refused_leaves_no_database_behind_by_looking(say, tmp_path, words, sentence):
    code, out, err = say(*words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert "create" in words or not (tmp_path / "home").exists()


def answers(url: str, days: int, skill: float) -> None:
    """Five trades a day; the test arm's odds know a part of the outcome, those of the control arm nothing."""
    rng = np.random.default_rng(3)
    rows, outcomes = [], []
    with Experiments.open(url) as tests, Predictions.open(url) as log:
        tests.begin(DEFINED, at=AT)
        for day in range(days):
            at = AT + dt.timedelta(days=day)
            for id, arm in tests.assigned("gate", [f"{day}-{n}" for n in range(5)]).items():
                won = bool(rng.random() < 0.5)
                probability = 0.5 + (skill if arm.arm == "test" else 0.0) * (1 if won else -1)
                rows.append(Prediction(
                    id, at, "SPX", "Vertical", "ACCEPT", 1, {"day": day}, trade_id=id, probability=probability,
                    experiment="gate", experiment_version=1, arm=arm.arm,
                ))  # fmt: skip
                outcomes.append(Outcome(100.0 if won else -100.0, at + dt.timedelta(hours=6), id=id))
        log.append(rows)
        log.outcomes(outcomes)


def test_status_tells_the_better_arm_and_stop_ends_it(say, url):
    answers(url, 100, skill=0.3)
    said = json.loads(say("ab", "status", "--json")[1])
    assert said["decision"].startswith("The test arm is better, told on day ")
    loss = said["differences"]["log_loss"]
    assert loss["high"] < 0
    assert loss["n"] + loss["one_armed_days"] == 100
    assert sum(said["arms"][arm]["trades"] for arm in ("control", "test")) == 500
    assert said["arms"]["control"]["log_loss"] == pytest.approx(np.log(2))
    assert said["arms"]["test"]["log_loss"] == pytest.approx(-np.log(0.8))
    out = say("ab", "status")[1]
    assert "version 1, 50% to the test arm; running" in out
    assert "The test arm is better" in out
    assert "is stopped (Enough.)" in say("ab", "stop", "--why", "Enough.")[1]
    assert json.loads(say("ab", "status", "--json")[1])["why_stopped"] == "Enough."
    assert say("ab", "status", "gatee")[0] == 2
    assert "There is no version of `gate` `7`" in say("ab", "status", "--version", "7")[2]


def test_status_without_a_difference_says_so(say, url):
    answers(url, 25, skill=0.0)
    said = json.loads(say("ab", "status", "--json")[1])
    assert said["decision"] == "The arms cannot be told apart yet."
    assert said["differences"]["log_loss"]["mean"] == pytest.approx(0.0)
    assert said["differences"]["profit_usd"]["low"] is None, "too few days"


def test_a_home_without_a_test_says_who_begins_one(say):
    say("keys", "create", "bot")
    code, _, err = say("ab", "status")
    assert code == 2
    assert "There is no A/B test yet" in err


def test_scores_are_worked_by_hand():
    """Kills: the profit of a refused trade for the arm that refused it; an infinite loss; null as lost."""
    trades = pl.DataFrame(
        {
            "probability": [0.8, 1.0, None, 0.6],
            "win": [True, False, True, None],
            "answer": ["ACCEPT", "REFUSE", "REDUCE", "ACCEPT"],
            "profit_usd": [50.0, -400.0, 30.0, None],
        }
    )
    scored = ab.scored(trades)
    assert scored["brier"].to_list() == pytest.approx([0.04, 1.0, None, None])
    assert scored["log_loss"].to_list() == pytest.approx([-np.log(0.8), -np.log(0.01), None, None])
    assert scored["made_usd"].to_list() == [50.0, 0.0, 30.0, None]


def test_the_settings_describe_the_test():
    made = ab.definition(Gate(ab_share=0.25), {"simple": "v1", "hierarchy": "v2"})
    assert made == Definition("gate", "openbell", 0.25, Arm("simple", "v1"), Arm("hierarchy", "v2"))
