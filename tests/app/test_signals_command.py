"""`openbell signals`: what it shows, what it changes, and its exit codes."""

from __future__ import annotations

import datetime as dt
import json
import sys

import pytest
from tests.app.made_signals import made
from tests.app.served import AT

from openbell.app import cli, clock
from openbell.core.signal import Call, Status
from openbell.store.signals import Signals


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    """Runs the command line in this process on a home of its own, at `AT`: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr(clock, "now", lambda: AT)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["openbell", "signals", *words, "--home", str(tmp_path / "home")])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        return left.value.code or 0, told.out, told.err

    return run


@pytest.fixture
def store(tmp_path):
    (tmp_path / "home").mkdir()
    with Signals.open(f"sqlite:///{tmp_path}/home/signals.db") as opened:
        yield opened


def test_looking_leaves_no_store_behind(say, tmp_path):
    for words in (("list",), ("show", "1"), ("cancel", "1", "--reason", "x"), ("analytics",), ("tidy",)):
        code, out, err = say(*words)
        assert (code, out) == (2, "")
        assert "There are no signals at" in err
    assert not (tmp_path / "home").exists()


def test_signals_are_listed_page_by_page(say, store):
    ids = [
        each.id
        for each in store.write([made("SPY"), made("QQQ", Call.HOLD, minutes=-2), made("SPY", minutes=-3)], at=AT)
    ]
    first = json.loads(say("list", "--limit", "2", "--json")[1])
    assert [each["id"] for each in first["signals"]] == ids[:2]
    then = json.loads(say("list", "--limit", "2", "--cursor", first["cursor"], "--json")[1])
    assert ([each["id"] for each in then["signals"]], then["cursor"]) == (ids[2:], None)
    out = say("list", "--limit", "2")[1]
    assert f"--cursor {first['cursor']}" in out
    assert [each["id"] for each in json.loads(say("list", "--symbol", "spy", "--json")[1])["signals"]] == [
        ids[0],
        ids[2],
    ]
    assert [each["id"] for each in json.loads(say("list", "--type", "hold,buy", "--json")[1])["signals"]] == ids
    assert "no such signal" in say("list", "--status", "executed")[1]


def test_a_date_takes_its_whole_day(say, store):
    """Kills: `--last 2025-05-21` that ends with its first moment."""
    moments = [dt.datetime(2025, 5, day, hour, tzinfo=dt.UTC) for day, hour in ((20, 23), (21, 0), (21, 23), (22, 0))]
    store.write([made(created_at=at) for at in moments], at=AT)
    listed = json.loads(say("list", "--first", "2025-05-21", "--last", "2025-05-21", "--json")[1])["signals"]
    assert [each["created_at"] for each in listed] == [at.isoformat() for at in (moments[2], moments[1])]
    listed = json.loads(say("list", "--first", "2025-05-21T20:00:00-03:00", "--json")[1])["signals"]
    assert [each["created_at"] for each in listed] == [at.isoformat() for at in (moments[3], moments[2])]


def test_one_signal_is_shown_with_everything(say, store):
    """What looks like a formula, markup or an emoji is text."""
    odd = "=SUM(A1) [/red] :smile:"
    (one,) = store.write([made(reasoning=(odd,))], at=AT)
    store.cancel(one.id, at=AT, by="somebody", why=f"News {odd}")
    code, out, _ = say("show", str(one.id))
    assert code == 0
    assert out.count(odd) == 2
    for said in ("BUY SPY, CANCELLED", "SELL 0.100", "lstm", "rsi_14_1d", "somebody", "model abc", "calm"):
        assert said in out
    told = json.loads(say("show", str(one.id), "--json")[1])
    assert [each["what"] for each in told["events"]] == ["made", "cancelled"]
    assert "The nearest is 1" in say("show", "9")[2]


def test_cancelling_is_kept_with_its_reason_and_refused_where_it_is_too_late(say, store):
    one, late = store.write([made(), made("QQQ", expires_at=AT + dt.timedelta(seconds=1))], at=AT)
    store.execute(late.id, at=AT, by="bot")
    assert say("cancel", str(one.id), "--reason", "News.")[0] == 0
    assert say("cancel", str(one.id), "--reason", "News.", "--json")[0] == 0
    assert store.get(one.id).why == "News."
    code, out, err = say("cancel", str(late.id), "--reason", "News.")
    assert (code, out, "was executed" in err) == (1, "", True)
    assert say("cancel", str(one.id))[0] == 2
    assert say("cancel", str(one.id), "--reason", " ")[0] == 2


def test_tidying_ends_and_archives(say, store):
    old = AT - dt.timedelta(days=40)
    kept, over, gone = store.write([made(), made("QQQ", minutes=-90), made(created_at=old)], at=old)
    assert json.loads(say("tidy", "--json")[1]) == {"expired": 2, "archived": 1}
    assert [store.get(each.id).status for each in (kept, over, gone)] == [Status.ACTIVE, Status.EXPIRED, Status.EXPIRED]
    assert store.get(gone.id).archived
    assert "0 signals expired" in say("tidy")[1]
    assert len(json.loads(say("list", "--json")[1])["signals"]) == 2
    assert len(json.loads(say("list", "--archived", "--json")[1])["signals"]) == 3


def test_what_signals_were_worth_is_told_with_what_is_missing(say, store):
    assert json.loads(say("analytics", "--json")[1])["groups"] == []
    store.write([made(minutes=-n) for n in (1, 2)], at=AT)
    code, out, _ = say("analytics", "--by", "band")
    assert code == 0
    assert "2 of 2 signals have no known outcome" in out
    assert "0.70 to 0.80" in out
    told = json.loads(say("analytics", "--by", "band", "--symbol", "SPY", "--json")[1])
    assert (told["by"], [each["signals"] for each in told["groups"]]) == ("band", [2])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list", "--type", "BYE"), "Did you mean `BUY`"), (("list", "--status", "ACTIV"), "Did you mean `ACTIVE`"),
        (("list", "--first", "yesterday"), "neither a date nor a moment"), (("list", "--cursor", "x"), "no cursor"),
        (("list", "--first", "2025-05-22T10:00:00"), "no time zone"), (("list", "--limit", "0"), "limit"),
        (("list", "--first", "2025-05-23", "--last", "2025-05-21"), "lies after the last"),
        (("analytics", "--by", "moon"), "grouping of signals"),
        (("show", "x"), "integer"), (("list", "--min-confidence", "2"), "min-confidence"),
    ],
)  # fmt: skip
def test_wrong_words_are_refused(say, store, words, said):
    code, out, err = say(*words)
    assert (code, out) == (2, "")
    assert said in err
