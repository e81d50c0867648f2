"""Back-tests on record: kept once, found by the first letters of their id, and compared on what they share."""

import datetime as dt
import hashlib
import json
import sys

import numpy as np
import polars as pl
import pytest
from tests.research.signal_forecasts import made_bars, made_forecasts

from openbell.app import cli
from openbell.app.backtest_records import keep, keep_signals
from openbell.app.backtests import backtests, compare, difference, table
from openbell.app.home import Home
from openbell.core.errors import BadInput, IntegrityBroken
from openbell.quant.performance import performance
from openbell.quant.signal_account import Rules
from openbell.research.signal_backtest import Policy, backtest

AT = dt.datetime(2024, 1, 2, 14, tzinfo=dt.UTC)
DAYS = [day for day in (dt.date(2023, 1, 2) + dt.timedelta(days=at) for at in range(300)) if day.weekday() < 5]


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home")


def curve(drift, seed=0, days=DAYS):
    rng = np.random.default_rng(seed)
    logs = np.concatenate([[0.0], np.cumsum(rng.normal(drift, 0.01, len(days) - 1))])
    return pl.DataFrame({"session": days, "value": 1e5 * np.exp(logs)})


def kept(home, name, equity, **facts):
    told = {"trades": 7, "tries": 3, "costs": {"commission_bp": 1.0}, "made_of": {"recipe": name * 8}, **facts}
    measured = performance(equity["session"].to_list(), equity["value"].to_numpy(), replications=60)
    return keep(home, desk="signals", name=name, at=AT, equity=equity, measured=measured, facts=told)


def test_a_back_test_is_on_record_once_and_comes_back_as_it_was(home):
    first = kept(home, "a", curve(0.001))
    assert kept(home, "a", curve(0.001)).key == first.key
    assert kept(home, "a", curve(0.0011)).key != first.key
    found = backtests(home)
    assert len(found) == 2
    assert found[0].equity.equals(curve(0.001))
    assert home.journal.verify() == 2
    row = table(found).row(0, named=True)
    assert (row["desk"], row["trades"], row["tries"], row["sessions"]) == ("signals", 7, 3, len(DAYS) - 1)
    assert row["sharpe_low"] < row["sharpe"] < row["sharpe_high"]
    assert backtests(home, "gate") == []


def test_a_changed_curve_is_refused(home):
    found = kept(home, "a", curve(0.001))
    file = found.folder / "evidence" / "equity.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityBroken, match="was changed"):
        _ = found.equity


def test_the_difference_is_that_of_the_shared_sessions_and_knows_what_both_share(home):
    """A common market drops out: two curves that differ by a constant a day have an interval of no width."""
    one, shift = curve(0.0), 0.0004
    better = one.with_columns(pl.col("value") * np.exp(shift * np.arange(len(DAYS))))
    found, shared = difference(better[20:], one[:150])
    years = (DAYS[149] - DAYS[20]).days / 365.25
    assert (shared[0], shared[-1]) == (DAYS[20], DAYS[149])
    assert found.value == pytest.approx(shift * 129 / years, rel=1e-9)
    assert found.low == pytest.approx(found.high, rel=1e-6)
    back, _ = difference(one[:150], better[20:])
    assert back.value == pytest.approx(-found.value, rel=1e-9)


def test_marks_that_only_one_has_are_compounded_and_not_lost():
    one = curve(0.001, seed=4)
    sparse = one.filter(pl.Series([at % 3 == 0 for at in range(one.height)]))
    found, shared = difference(one, sparse)
    assert shared.len() == sparse.height
    assert found.value == pytest.approx(0.0, abs=1e-12)


def test_comparing_says_what_is_not_alike(home):
    kept(home, "a", curve(0.001))
    kept(home, "b", curve(0.001, seed=1), tries=9, costs={"commission_bp": 2.0})
    apart = kept(home, "c", curve(0.001, days=[day + dt.timedelta(days=3650) for day in DAYS]))
    ids = [each.key for each in backtests(home)]
    found = compare(home, [ids[0][:10], ids[1][:10]])
    assert found.differences["sessions"].to_list() == [len(DAYS) - 1]
    assert any("were not charged the same costs" in note for note in found.notes)
    assert any("chosen among 3 and 9 tries" in note for note in found.notes)
    assert found.made_of[ids[1]] == {"recipe": "b" * 8}
    nothing = compare(home, [ids[0], apart.key])
    assert nothing.differences["difference"].to_list() == [None]
    assert "share 0 marks: there is nothing to compare" in nothing.notes[0]
    assert json.loads(json.dumps(nothing.as_json()))["differences"][0]["sessions"] == 0
    for wanted, said in (
        (("zz", ids[0]), "no back-test `zz`"),
        ((ids[0],), "at least two"),
        (("", ids[0]), "begins 3"),
    ):
        with pytest.raises(BadInput, match=said):
            compare(home, wanted)


def test_signals_are_kept_with_their_trades_and_without_a_result_of_nothing(home):
    bars = made_bars(symbols=2, sessions=60)
    policy = Policy(Rules(horizon_bars=3))
    found = keep_signals(home, backtest(made_forecasts(bars, knows=1.0), bars, policy, replications=60), at=AT)
    assert found.frame("trades").height == found.payload["trades"] > 0
    assert found.payload["win_of"] == "trades"
    with pytest.raises(BadInput, match="`trials`"):
        found.frame("trials")
    silent = Policy(Rules(horizon_bars=3), min_confidence=1.0)
    none = keep_signals(home, backtest(made_forecasts(bars), bars, silent, replications=60), at=AT)
    row = table(backtests(home)).row(1, named=True)
    assert none.payload["verdict"].startswith("No signal was issued")
    assert row["sharpe"] is None
    assert row["win_rate"] is None
    assert row["trades"] == 0
    assert compare(home, [found.key, none.key]).differences["difference"][0] > 0


def test_what_the_stocks_desk_was_judged_on_stands_among_them(home):
    """A training keeps its back-test as evidence; it is read from there, checked, and has no second record."""
    from dataclasses import asdict

    from openbell.app.evidence import FRAMES
    from openbell.app.outputs import json_text

    equity = curve(0.0005).rename({"value": "policy"})
    measured = performance(equity["session"].to_list(), equity["policy"].to_numpy(), replications=60)
    frames = {name: pl.DataFrame({"a": [1]}) for name in FRAMES}
    frames |= {"equity": equity, "rebalances": pl.DataFrame({"cost_usd": [12.5, 7.5]})}
    folder, hashes = home.models / "plan" / "evidence", {}
    folder.mkdir(parents=True)
    for name, each in frames.items():
        each.write_parquet(folder / f"{name}.parquet")
    costs = {"commission_bp": 1.0, "slippage_bp": 2.0}
    figures = {"metrics": {"policy": asdict(measured)}, "parameters": costs}
    (folder / "figures.json").write_text(json_text(figures))
    for file in folder.iterdir():
        hashes[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    payload = {"desk": "stocks", "training": "plan", "champion": None, "tries": 4, "settings": "s", "notes": [],
               "evidence": hashes}  # fmt: skip
    home.journal.append("training", payload, at=AT)
    other = kept(home, "a", curve(0.001))
    stocks, signals = backtests(home)
    assert (signals.key, stocks.payload["cost_usd"], stocks.payload["trades"]) == (other.key, 20.0, 2)
    row = table([stocks]).row(0, named=True)
    assert row["sharpe"] == pytest.approx(measured.sharpe.value)
    assert (row["desk"], row["name"], row["win_of"]) == ("stocks", "no view (training)", "sessions")
    assert stocks.equity["value"].to_list() == equity["policy"].to_list()
    assert [each.key for each in backtests(home, "stocks")] == [stocks.key]
    assert compare(home, [stocks.key, signals.key]).differences["difference"][0] < 0
    (folder / "equity.parquet").write_bytes(b"else")
    with pytest.raises(IntegrityBroken, match="is not what was recorded"):
        backtests(home)


def test_the_commands(home, capsys, monkeypatch):
    def said(*words):
        monkeypatch.setattr(sys, "argv", ["openbell", "backtest", *map(str, words), "--home", str(home.path)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    code, _, wrong = said("list")
    assert code == 2
    assert "There is no journal at" in wrong
    keys = [kept(home, name, curve(0.001, seed=at)).key for at, name in enumerate("ab")]
    code, out, _ = said("list", "--json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)] == keys
    assert said("list", "--desk", "signals")[0] == 0
    assert "no desk `signal`" in said("list", "--desk", "signal")[2]
    assert "on record" in said("list", "--desk", "gate")[2]
    code, out, _ = said("compare", *keys, "--json")
    assert code == 0
    assert json.loads(out)["differences"][0]["id"] == keys[1]
    code, out, _ = said("compare", keys[0][:12], keys[1][:12])
    assert code == 0
    assert "is not told from 0" in " ".join(out.split())
