"""`openbell backtest session` on a small made-up market: followed, kept once, listed, compared, reported."""

import json
import sys

import polars as pl
import pytest

from openbell.app import cli
from openbell.app.backtests import backtests, compare
from openbell.app.home import Home
from openbell.app.minutes import take_in_minutes
from openbell.app.session_backtest import backtest_session
from openbell.app.session_drift import drift_since
from openbell.app.session_training import train_session
from openbell.core.errors import BadInput, DataMissing
from openbell.market.providers.generated_minutes import generated_minutes

pytestmark = pytest.mark.xdist_group("session back-test")

SETTINGS = """\
[session]
base = "15m"
candidates = ["logistic"]
min_train_sessions = 60
refit_sessions = 60
drift_window = 20
[train]
jobs = 1
replications = 1000
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    path = tmp_path_factory.mktemp("session")
    (path / "openbell.toml").write_text(SETTINGS, encoding="utf-8")
    opened = Home.open(path)
    take_in_minutes(opened, generated_minutes(days=150, freq="15m", edge=0.5, seed=5), 0)
    return opened


@pytest.fixture(scope="module")
def training(home):
    """As of the eighth session before the last, so that there are sessions since."""
    return train_session(home, home.tables.scan("minutes").select("session").unique().collect()["session"].sort()[-8])


@pytest.fixture(scope="module")
def done(home, training):
    return backtest_session(home)


def run(capsys, *words):
    sys.argv = ["openbell", *words]
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code, capsys.readouterr().out


def test_it_follows_the_walk_and_is_kept_once(home, training, done):
    walked = training.evidence("walk").filter(pl.col("model") == training.leader)
    assert done.found.daily["session"].to_list() == walked.drop_nulls(["entry", "exit"])["session"].to_list()
    again = backtest_session(home)
    assert again.kept.key == done.kept.key
    assert [each.key for each in backtests(home, "session")] == [done.kept.key]
    payload = done.kept.payload
    assert payload["desk"] == "session"
    assert payload["made_of"]["training"] == training.payload["training"]
    assert payload["sessions"] == done.found.daily.height
    assert payload["sharpe"] == done.found.performance.sharpe.value
    kept = {"trades": "trades", "daily": "daily", "curves": "equity", "regimes": "regimes", "by_costs": "costs"}
    for name, own in kept.items():
        assert done.kept.frame(name).equals(getattr(done.found, own)), name
    assert done.kept.equity["value"].to_list() == done.found.equity["calls"].to_list()


def test_another_way_of_following_is_another_try_and_can_be_compared(home, done):
    sure = backtest_session(home, min_confidence=0.9, stop_atr=0.3)
    assert sure.found.tries == done.found.tries + 1
    assert sure.found.calls["no call"] > done.found.calls["no call"]
    assert (sure.found.trades["confidence"] >= 0.9).all()
    assert sure.found.parameters["stop_atr"] == 0.3
    beside = compare(home, [done.kept.key[:10], sure.kept.key[:10]])
    assert beside.differences["sessions"].to_list() == [done.found.daily.height]


def test_the_report_has_the_account_the_drift_and_what_it_stands_on(home, training, done):
    html = done.report.read_text(encoding="utf-8")
    assert done.report == training.folder / "report.html"
    for part in ("account", "drift", "features", "made-of"):
        assert f'id="{part}"' in html, part
    assert "rings where the log-loss of 20 sessions lies above" in html
    assert "What moved it, session by session" in html
    assert "made up (generated)" in html


def test_the_drift_watch_looks_at_the_sessions_since_the_training_alone(home, training):
    watch, since = drift_since(home, training)
    assert watch.alarm.asked == home.settings.session.drift_false_alarms
    assert watch.alarm.window == 20
    assert str(since["session"][0]) == training.payload["session"]
    assert since.height == 8
    assert since["log_loss"].is_not_null().all()
    other = Home.open(home.path, sets=("session.cutoff=10:30",))
    with pytest.raises(BadInput, match=r"trained with session.cutoff 10:15; the settings name 10:30"):
        drift_since(other, training)


def test_the_command_prints_what_was_found_and_json_holds_it(home, done, capsys):
    code, out = run(capsys, "backtest", "session", "--home", str(home.path))
    assert code in (0, None)
    words = " ".join(out.split())
    assert done.found.verdict()[:40] in words
    assert "The bars were made up: this says nothing about any real market." in words
    told = json.loads(json.dumps(done.as_json(), default=str))
    assert told["id"] == done.kept.key
    assert len(told["costs"]) == 6
    assert told["symbol"] == "GENDAYS"


def test_an_unknown_model_and_a_missing_training_are_refused(home, done, tmp_path):
    with pytest.raises(BadInput, match="model of the training"):
        backtest_session(home, candidate="oracle")
    with pytest.raises((BadInput, DataMissing), match="openbell"):
        backtest_session(Home.open(tmp_path))


def test_a_training_of_later_days_is_no_answer_and_the_cure_names_the_day(home, training):
    """Mutant: a cure that names the training that was just made, for ever."""
    early = home.tables.scan("minutes").select("session").unique().collect()["session"].sort()[-9]
    with pytest.raises(BadInput, match=f"--as-of {early}`; that of {training.payload['session']} has seen that day"):
        backtest_session(home, early)
