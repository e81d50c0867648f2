"""The signals desk from bars to lineage, on one small made-up market: what each command does is there for the next."""

import datetime as dt
import json
import sys

import pytest

from openbell.app import cli
from openbell.app.data import take_in
from openbell.app.home import Home
from openbell.app.model_registry import against, data_hashes, found, lineage, listed, promoted, rolled_back, shown
from openbell.app.report_summary import summary_text
from openbell.app.signals_backtest import backtest_signals
from openbell.app.signals_daily import run_signals
from openbell.app.signals_outcomes import track
from openbell.app.signals_training import train_signals
from openbell.core.errors import BadInput, Refused
from openbell.core.signal import Call
from openbell.market.providers.generated import generated

pytestmark = pytest.mark.xdist_group("signals desk")

SETTINGS = """\
[signals]
keep_holds = true
candidates = ["xgboost_classifier", "random_forest_classifier"]
label = "direction_1"
min_train_sessions = 200
refit_sessions = 300
[models.xgboost_classifier]
n_estimators = 8
max_depth = 2
[models.random_forest_classifier]
n_estimators = 8
max_depth = 3
[train]
replications = 1000
jobs = 1
[desks.signals]
min_confidence = 0.0
require_single = false
"""
TRAINED = dt.date(2012, 5, 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    path = tmp_path_factory.mktemp("signals")
    (path / "openbell.toml").write_text(SETTINGS, encoding="utf-8")
    opened = Home.open(path)
    take_in(opened, generated(names=5, years=2.5, edge=0.0, seed=3))
    return opened


@pytest.fixture(scope="module")
def training(home):
    return train_signals(home, TRAINED)


def said(monkeypatch, home, *words):
    """Exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["openbell", *words, "--home", str(home.path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_a_training_says_what_it_found_and_is_done_once(home, training):
    payload = training.payload
    assert payload["made_up"] == "generated"
    assert payload["tries"] == 2
    assert "base rates" in payload["why"][0]
    assert (training.folder / "report.html").is_file()
    again = train_signals(home, TRAINED)
    assert again.payload == payload
    walked = training.evidence("walk")
    assert walked["as_of"].min() > training.evidence("bars")["at"].min()
    assert set(walked["model"].unique()) == {"xgboost_classifier", "random_forest_classifier", "base_rate"}
    assert not training.evidence("importance").is_empty()


def test_a_forecast_of_the_walk_was_fitted_before_its_day(training):
    folds, walked = training.evidence("folds"), training.evidence("walk")
    for row in folds.iter_rows(named=True):
        own = walked.filter((walked["fold"] == row["fold"]) & (walked["model"] == row["model"]))
        assert own["as_of"].min() >= row["fit_at"]


def test_a_run_is_dry_unless_it_is_told_to_store(home, training):
    before = home.signals.counts()
    dry = run_signals(home, TRAINED)
    assert dry.dry
    assert home.signals.counts() == before
    assert {each.symbol for each in dry.decided.signals} == {f"GEN00{number}" for number in range(5)}
    first = run_signals(home, TRAINED, store=True)
    again = run_signals(home, TRAINED, store=True)
    assert [each.id for each in first.written] == [each.id for each in again.written]
    assert len(first.written) == len(dry.decided.signals) == 5
    assert all(each.position_size == 0.0 for each in dry.decided.signals if each.call is not Call.HOLD), "not proven"


def test_a_signal_leads_back_to_its_data(home, training):
    written = run_signals(home, TRAINED, store=True).written
    told = lineage(home, str(written[0].id))
    assert told["version"]["version"] == training.version(training.leader)
    assert told["training"]["id"] == training.payload["training"]
    assert told["data"]["data"] == training.payload["data"] == told["signal"]["made_of"]["data"]
    with pytest.raises(BadInput):
        lineage(home, "999999")


def test_outcomes_come_from_the_bars_after_the_signal_and_once(home, training):
    run_signals(home, TRAINED, store=True)
    assert track(home, home.as_of(TRAINED)) == 0, "nothing is known before the next open"
    later = home.sessions.shift(TRAINED, 5)
    known = track(home, home.as_of(later))
    assert track(home, home.as_of(later)) == 0
    from openbell.store.signal_pages import ALL

    table = home.signals.table(ALL)
    assert known == table.filter(table["known_at"].is_not_null()).height


def test_what_was_not_recorded_is_not_promoted(home, training):
    versions = listed(home, "signals")
    assert {each["candidate"] for each in versions} == {"xgboost_classifier", "random_forest_classifier"}
    version = found(home, training.version("xgboost_classifier"))
    assert against(home, version) == []
    assert "ece" in shown(home, version.label)["metrics"]
    assert set(data_hashes(training.payload)) > {"data"}
    office = promoted(home, version.label, reason="for the test")
    assert office.payload["by"] == "hand"
    assert any(each["alias"] == "champion" for each in listed(home, "signals"))
    with pytest.raises(Refused, match="no previous one"):
        rolled_back(home, "signals", reason="back")


def test_files_that_are_not_those_of_the_manifest_are_refused(home, training):
    version = found(home, training.version("random_forest_classifier"))
    files = sorted(
        each for each in (home.models / version.folder).rglob("*") if each.is_file() and each.name != "manifest.json"
    )
    kept = files[0].read_bytes()
    try:
        files[0].write_bytes(kept + b" ")
        assert any("manifest" in why for why in against(home, version))
        with pytest.raises(Refused, match="cannot be promoted"):
            promoted(home, version.label, reason="x")
    finally:
        files[0].write_bytes(kept)


def test_a_back_test_is_kept_and_compared(home, training, capsys, monkeypatch):
    first = backtest_signals(home, TRAINED, candidate="xgboost_classifier")
    again = backtest_signals(home, TRAINED, candidate="xgboost_classifier")
    assert again.kept.key == first.kept.key
    second = backtest_signals(home, TRAINED, candidate="random_forest_classifier")
    assert first.kept.key != second.kept.key
    assert said(monkeypatch, home, "backtest", "compare", first.kept.key, second.kept.key, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["backtests"]) == 2
    with pytest.raises(BadInput, match="xgboost"):
        backtest_signals(home, TRAINED, candidate="xgboost")


def test_the_summary_holds_what_was_measured(home, training):
    backtest_signals(home, TRAINED, candidate="xgboost_classifier")
    text = summary_text(home)
    assert f"{training.payload['decisions']:,}" in text
    assert "openbell stream" in text or "95th percentile" in text
    assert "xgboost_classifier" in text


def test_an_unknown_candidate_label_or_symbol_is_refused_with_the_nearest(home):
    with pytest.raises(BadInput, match="xgboost_classifier"):
        train_signals(home, TRAINED, ["xgboost_clasifier"])
    other = Home.open(home.path, sets=("signals.label=direction_3",))
    with pytest.raises(BadInput, match="direction_1"):
        train_signals(other, TRAINED)
    third = Home.open(home.path, sets=('signals.symbols=["GEN00"]',))
    with pytest.raises(BadInput, match="GEN00"):
        train_signals(third, TRAINED)
    minutes = Home.open(home.path, sets=("signals.base=1m",))
    with pytest.raises(BadInput, match="data import minutes"):
        train_signals(minutes, TRAINED)
