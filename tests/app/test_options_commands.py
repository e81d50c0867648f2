"""The commands of the options desk, end to end on one small home: what they write, repeat, refuse and remember."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import option_homes as homes
import polars as pl
import pytest

from openbell.app import cli, options_export
from openbell.app.home import Home
from openbell.app.options_training import latest_options
from openbell.core.errors import DataMissing
from openbell.quant.feature_groups import EIGHTY_FOUR
from openbell.quant.structures import STRUCTURES


@dataclass(frozen=True)
class Said:
    """What a command left on the terminal, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """Its one JSON document; NaN and Infinity are none."""
        return json.loads(self.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> homes.Small:
    """A trained home. Never change it: copy it."""
    return homes.build(tmp_path_factory.mktemp("options") / "home")


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    """Runs the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["openbell", *(str(each) for each in words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        assert "Traceback" not in told.err + told.out
        assert left.value.code != 70, told.err
        return Said(left.value.code or 0, told.out, told.err)

    return run


def shifted(session: dt.date, sessions: int) -> dt.date:
    from openbell.market.calendars import sessions as calendar

    return calendar("XNYS", 2016, 2019).shift(session, sessions)


def orders(path: Path) -> list[dict]:
    """The payloads of the decisions that were executed."""
    home = Home.open(path)
    found = [each.payload for each in home.journal.records(kind="decision") if each.payload["execute"]]
    homes.close(home)
    return found


def test_features_are_84_numbers_or_reasons(small, say) -> None:
    """Exit 0 with all inputs; exit 3 and a reason each where the history is too short."""
    told = say("options", "features", "--as-of", small.session, "--home", small.path, "--json")
    assert told.code == 0
    assert list(told.json["features"]) == list(EIGHTY_FOUR)
    assert told.json["modelled"] is True
    young = shifted(small.session, -420)
    told = say("options", "features", "--as-of", young, "--home", small.path)
    assert told.code == 3
    assert "iv_rank" in told.out


def test_stage_two_alone_chooses_from_what_it_tested(small, say) -> None:
    told = say("options", "simulate", "--structure", "iron_condor", "--as-of", small.session, "--home", small.path)
    assert told.code == 0
    assert "Chosen (modelled quotes)" in told.out
    assert told.out.count("modelled") >= 1


def test_the_same_training_is_not_trained_again(small, say) -> None:
    """Mutant: a plan that depends on the clock, or a second record of the same training."""
    told = say("train", "options", "--as-of", small.session, "--home", small.path, "--json")
    assert told.code == 0
    assert told.json["training"] == small.trained.payload["training"]
    assert told.json["folder"] == str(small.trained.folder)
    home = Home.open(small.path)
    records = home.journal.records(kind="training")
    homes.close(home)
    assert len(records) == 1


def test_an_executed_decision_is_ordered_once_and_held_the_next_day(small, say, tmp_path) -> None:
    """A second run gives the same bytes and no second order; a later run shows the position (checks 12 and 19)."""
    path, out = homes.copied(small, tmp_path / "home"), tmp_path / "live"
    words = ("--home", path, "--out", out, "--json")
    first = say("run", "options", "--as-of", small.session, "--execute", *words)
    assert first.code == 0
    assert first.json["executed"] is True
    assert first.json["account"]["open_positions"] == 0
    folder = out / "SPX" / small.session.isoformat()
    written = {each.name: each.read_bytes() for each in sorted(folder.iterdir())}
    assert {"decision.json", "report.html"} <= set(written)
    again = say("run", "options", "--as-of", small.session, "--execute", *words)
    assert again.out == first.out
    assert {each.name: each.read_bytes() for each in sorted(folder.iterdir())} == written
    assert len(orders(path)) == 1
    later = say("run", "options", "--as-of", shifted(small.session, 1), *words)
    account = later.json["account"]
    assert account["open_positions"] == 1
    risk = orders(path)[0]["details"]["risk_usd"]
    assert account["open_risk_usd"] == pytest.approx(risk, rel=0.25)  # filled a day later than it was priced
    assert 0 < abs(account["value_usd"] - 1_000_000.0) < account["open_risk_usd"]
    assert later.json["executed"] is False
    assert len(orders(path)) == 1


def test_no_call_where_the_volatility_index_is_missing(small, say, tmp_path) -> None:
    """Nothing stands in for a VIX that is not there: no structure, no order, and the reason is told (check 9)."""
    path = homes.copied(small, tmp_path / "home")
    after = shifted(homes.LAST, 1)
    told = say("run", "options", "--as-of", after, "--execute", "--home", path, "--out", tmp_path / "live", "--json")
    assert told.code == 0
    assert told.json["abstained"] is True
    assert told.json["strategy"] is None
    assert told.json["trade"] is False
    assert "No call" in " ".join(told.json["why"])
    assert {"vix_level", "iv_atm", "iv_rank"} <= set(told.json["unavailable"])
    assert orders(path) == []


def test_the_back_test_makes_what_the_training_s_evidence_made(small, say, tmp_path) -> None:
    """Two independent walks agree: the account, day by day, and the table of counterfactuals behind the training.

    Mutants: a fill a session early or late, the forecast of another day, another parameter set, unpaid spread.
    """
    out = tmp_path / "back"
    words = ("backtest", "options", "--as-of", small.session, "--home", small.path, "--capital", 5_000_000)
    told = say(*words, "--years", 2, "--out", out, "--json")
    assert told.code == 0
    found = told.json
    assert [each["strategy"] for each in found["strategies"]] == [
        "desk", "rules ladder", "best constant so far", "random", "buy and hold",
    ]  # fmt: skip
    assert found["modelled"] is True
    assert any("modelled" in note for note in found["notes"])
    positions = pl.read_csv(out / "positions.csv", try_parse_dates=True).filter(pl.col("strategy") == "desk")
    chosen = small.trained.frame("chosen")
    made = chosen.unpivot(index="session", on=[f"return_{name}" for name in STRUCTURES], value_name="made")
    made = made.with_columns(pl.col("variable").str.strip_prefix("return_").alias("structure"))
    both = positions.join(made, left_on=["entry_session", "structure"], right_on=["session", "structure"], how="left")
    closed = both.filter(pl.col("reason") != "OPEN")
    assert closed.height >= 5
    assert np.abs(closed["pnl_per_max_loss"] - closed["made"]).max() < 0.002  # a commission at expiry apart
    desk = found["strategies"][0]
    assert desk["trades"] == positions.height
    assert desk["pnl_usd"] == pytest.approx(positions["pnl_usd"].sum(), abs=0.01)
    weeks = positions["entry_session"].dt.truncate("1w")
    assert weeks.n_unique() == len(weeks)
    assert b"modelled" in (out / "report.html").read_bytes()
    _entered_the_best_that_could_be_had(small, out)


def _entered_the_best_that_could_be_had(small: homes.Small, out: Path) -> None:
    """Walked again: the same bytes, and every entry has the largest forecast above 0 among what had parameters."""
    from openbell.app.options_backtest import backtest_options

    written = {each.name: each.read_bytes() for each in sorted(out.iterdir())}
    assert set(written) == {"daily.csv", "positions.csv", "report.html", "trades.csv"}
    home = Home.open(small.path)
    done = backtest_options(home, "SPX", small.session, years=2.0, capital_usd=5e6, out=out)
    homes.close(home)
    assert {each.name: each.read_bytes() for each in sorted(out.iterdir())} == written
    assert done.table()["strategy"][0] == "desk (modelled)"
    forecasts = small.trained.frame("forecasts").filter(pl.col("candidate") == small.trained.leader)
    sets = small.trained.frame("chosen")
    for session, structure in done.results["desk"].positions.select("entry_session", "structure").iter_rows():
        expected = forecasts.row(by_predicate=pl.col("session") == session, named=True)
        had = sets.row(by_predicate=pl.col("session") == session, named=True)
        open_to = {name: expected[f"utility_{name}"] for name in STRUCTURES if had[f"set_{name}"] >= 0}
        assert structure == max(open_to, key=open_to.__getitem__)
        assert open_to[structure] > 0


def test_exported_models_are_the_classifiers_of_stage_one(small, say, tmp_path) -> None:
    """The plain libraries load them and say what stage 1 says, to 1e-12; nothing is pickled."""
    import catboost
    import lightgbm

    out = tmp_path / "models"
    told = say("export", "model", "options", "--out", out, "--as-of", small.session, "--home", small.path)
    assert told.code == 0
    names = json.loads((out / "feature_names_clean.json").read_text())
    labels = json.loads((out / "label_encoder_clean.json").read_text())
    assert names == list(EIGHTY_FOUR)
    rows = np.random.default_rng(5).normal(size=(30, 84)) * 10
    theirs = {
        "lightgbm": lightgbm.Booster(model_file=str(out / "lightgbm_clean_model.txt")).predict(rows),
        "catboost": catboost.CatBoostClassifier().load_model(str(out / "catboost_clean_model.cbm")).predict_proba(rows),
    }
    for name, probabilities in theirs.items():
        stage = small.trained.stage(name)
        ours = stage.classifier.predict_proba(pl.DataFrame(rows, schema=names))
        assert np.abs(ours - probabilities).max() < 1e-12
        assert [labels[str(at)] for at in range(probabilities.shape[1])] == [
            stage.structures[int(each)] for each in stage.classifier.classes
        ]
    assert sorted(each.name for each in out.iterdir()) == [
        "catboost_clean_model.cbm", "feature_names_clean.json", "label_encoder_clean.json", "lightgbm_clean_model.txt",
    ]  # fmt: skip
    assert not any(each.read_bytes().startswith(b"\x80") for each in out.iterdir())


def test_a_candidate_that_was_not_trained_is_not_exported(small, tmp_path, monkeypatch) -> None:
    payload = dict(small.trained.payload)
    payload["manifests"] = {"lightgbm": payload["manifests"]["lightgbm"]}
    monkeypatch.setattr(options_export, "latest_options", lambda *_: replace(small.trained, payload=payload))
    home = Home.open(small.path)
    with pytest.raises(DataMissing, match=r"no `catboost`\. Run `openbell train options --underlying SPX") as refused:
        options_export.export_options(home, "SPX", tmp_path / "out", small.session)
    assert "options.candidates=" in str(refused.value)
    assert not (tmp_path / "out").exists()
    homes.close(home)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("options", "simulate", "--structure", "IRON_CONDR", "--as-of", "AS_OF"), "Did you mean `IRON_CONDOR`"),
        (("run", "options", "--as-of", "2018-01-15"), "2018-01-15 (Monday) is not a session of XNYS"),
        (("options", "features", "--as-of", "2018-01-13"), "The nearest sessions are 2018-01-12 and 2018-01-16"),
        (("options", "features", "--as-of", "yesterday"), "`yesterday` is not a date"),
        (("options", "features", "--as-of", "AS_OF", "--underlying", "NDX"), "There are no bars of NDX"),
        (("run", "options", "--as-of", "AS_OF", "--underlying", "NDX"), "train options --underlying NDX"),
        (("backtest", "options", "--as-of", "2018-01-10"), "Train it with `openbell train options --underlying SPX"),
        (("backtest", "options", "--as-of", "2018-03-01"), "The stored bars end on 2018-01-19"),
        (("export", "model", "options", "--out", "x", "--underlying", "NDX"), "train options --underlying NDX"),
        (
            ("train", "options", "--as-of", "AS_OF", "--set", 'options.candidates=["lightgbn"]'),
            "Did you mean `lightgbm",
        ),
        (("tournament", "options", "--as-of", "AS_OF", "--candidates", "catbost"), "Did you mean `catboost"),
    ],
)
def test_bad_input_is_a_sentence_with_its_cure(small, say, words, sentence) -> None:
    """Exit 2, the value that was received, and the nearest valid one or the command to run."""
    told = say(*(small.session if each == "AS_OF" else each for each in words), "--home", small.path)
    assert told.code == 2, told.err
    assert sentence in told.err
    assert told.out == ""


def test_models_are_fetched_from_the_place_that_is_set(small, tmp_path) -> None:
    """A training is pushed under its underlying; a home that lost its copy fetches it, and a changed byte is found."""
    path, kept = homes.copied(small, tmp_path / "home"), tmp_path / "kept"
    home = Home.open(path, sets=(f"store.models=file://{kept}",))
    from openbell.app.kept_models import keep
    from openbell.core.errors import IntegrityBroken

    keep(home, small.trained.payload)
    plan = small.trained.payload["training"]
    there = list((kept / "options" / "SPX" / plan).iterdir())
    assert len(there) == 1
    shutil.rmtree(path / "models")
    found = latest_options(home, "SPX", home.as_of(small.session))
    assert found.folder == path / "models" / "options" / "SPX" / plan
    rows = pl.DataFrame(np.random.default_rng(1).normal(size=(5, 84)), schema=list(EIGHTY_FOUR))
    expected = small.trained.stage().expected_utility(rows)
    assert (found.stage().expected_utility(rows) == expected).all()
    shutil.rmtree(path / "models")
    homes.close(home)
    alone = Home.open(path)
    with pytest.raises(IntegrityBroken, match=r"its folder .* is not there"):
        latest_options(alone, "SPX", alone.as_of(small.session))
    homes.close(alone)


def test_the_demo_s_options_are_not_dropped_where_they_stand_before_its_name(say, tmp_path) -> None:
    told = say("demo", "--home", tmp_path / "d", "options")
    assert told.code == 2
    assert f"`openbell demo options --home {tmp_path / 'd'}`" in told.err
    assert not (tmp_path / "d").exists()


@pytest.mark.slow
def test_the_demo_of_the_options_desk_ends_with_its_report(say, tmp_path) -> None:
    """Offline, from nothing to a decision; run again it gives the same bytes."""
    told = say("demo", "options", "--home", tmp_path / "d")
    assert told.code == 0
    report = tmp_path / "d" / "live" / "SPX" / "2019-01-02" / "report.html"
    assert f"Open the report: {report}" in told.out
    before = report.read_bytes()
    assert say("demo", "options", "--home", tmp_path / "d").out == told.out
    assert report.read_bytes() == before
