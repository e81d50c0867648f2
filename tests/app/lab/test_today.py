"""Today: what each desk said last, who speaks for it, what waits, and how the data stand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from openbell.app.home import Home
from openbell.app.lab.looks.data_health import data_health, sessions_behind
from openbell.app.lab.looks.today import champion, desks_today, headline, verdicts_of, what_is_open
from openbell.app.lab.page import Lab
from openbell.app.lab.pages.today import PAGE, data, desk, waiting
from openbell.core.errors import DataMissing

NOW = dt.datetime(2024, 6, 3, 14, tzinfo=dt.UTC)
ALLOW = ["turnover", "ALLOW", "Turnover is 4 %; the limit is 35 %."]
BLOCK = ["daily_loss", "BLOCK", "The account lost 4 %; a loss above 3 % stops trading."]


def decided(session: str, *verdicts: list[str], **more: Any) -> dict[str, Any]:
    """What the journal holds of a decision of the stocks desk."""
    return {
        "desk": "stocks", "session": session, "decision": session, "trades": [], "why": ["Because."],
        "verdicts": list(verdicts) or [ALLOW], "execute": False, **more,
    }  # fmt: skip


def promoted(version: str, at: dt.datetime) -> tuple[str, dict[str, Any], dt.datetime]:
    """A change of office."""
    told = {"desk": "stocks", "version": version, "by": "hand", "why": ["It is tried."], "previous": None}
    return "promotion", told, at


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path)


def texts(component: Any) -> str:
    """All text of a component, in order."""
    if component is None:
        return ""
    if isinstance(component, (list, tuple)):
        return " ".join(texts(each) for each in component)
    return texts(component.children) if hasattr(component, "children") else str(component)


def test_without_a_journal_the_page_names_the_first_command(home: Home) -> None:
    """Kills a page that makes a journal by looking for one, and one that shows a bare error."""
    shown = PAGE.layout(Lab(lambda: home, None, None, lambda: NOW), {})  # type: ignore[arg-type]
    assert "openbell demo" in texts(shown)
    assert not (home.path / "journal.db").exists()


def test_the_newest_record_of_each_desk_is_shown_and_silent_desks_say_how_to_begin(home: Home) -> None:
    """Kills taking the first record, mixing desks, and hiding a desk that never spoke."""
    for session in ("2024-05-30", "2024-05-31"):
        home.journal.append("decision", decided(session), at=NOW)
    spread = {"desk": "options.SPX", "session": "2024-05-31", "targets": {}, "why": [], "verdicts": [],
              "details": {"structure": "LONG_CALL", "contracts": 0, "underlying": "SPX"}}  # fmt: skip
    home.journal.append("decision", spread, at=NOW)
    found = {each.desk: each for each in desks_today(home, NOW)}
    assert list(found) == ["stocks", "options.SPX", "gate", "signals", "session"]
    assert found["stocks"].session == "2024-05-31"
    assert found["stocks"].record == 2
    assert found["options.SPX"].headline == "No trade; first choice long call"
    assert found["signals"].record is None
    assert "openbell run signals" in texts(desk(found["signals"]))


def test_the_session_desk_is_told_by_product(home: Home) -> None:
    """Kills a training and a decision of one product standing in two places, and one product hiding another."""
    for product, call in (("ES", "UP"), ("SPY", "DOWN"), ("ES", "NO CALL")):
        told = {"desk": "session", "product": product, "session": "2024-05-31", "call": call, "why": [], "verdicts": []}
        home.journal.append("decision", told, at=NOW)
    home.journal.append("training", {"desk": "session.ES", "session": "2024-05-30", "champion": None}, at=NOW)
    found = {each.desk: each for each in desks_today(home, NOW) if each.desk.startswith("session")}
    assert {desk: (each.record, each.headline) for desk, each in found.items()} == {
        "session.ES": (3, "No call for ES"), "session.SPY": (2, "DOWN for SPY, not traded"),
    }  # fmt: skip
    assert "2024-05-30" in found["session.ES"].training
    assert found["session.SPY"].training == "Nothing was trained yet."


@pytest.mark.parametrize(
    ("family", "payload", "said"),
    [
        ("stocks", {"trades": [["A", "SELL", 1, 2.0], ["B", "BUY", 3, 4.0], ["C", "BUY", 1, 1.0]]}, "Sell 1, buy 2"),
        ("stocks", {"trades": []}, "Nothing to trade"),
        ("options", {"details": {"abstained": True, "structure": None}}, "No call"),
        ("options", {"targets": {"X": 0.1}, "details": {"structure": "IRON_CONDOR", "contracts": 2}},
         "Trade 2 × iron condor"),
        ("signals", {"signals": [{"call": "BUY"}, {"call": "SELL"}, {"call": "BUY"}]}, "2 BUY, 1 SELL"),
        ("signals", {"signals": []}, "No signal"),
        ("session", {"product": "ES", "call": "UP", "confidence": 0.62, "targets": {"ES": 0.1}},
         "UP for ES, 62% sure, 10.0% of the account"),
        ("session", {"product": "ES", "call": "UP", "confidence": 0.62, "targets": {}},
         "UP for ES, 62% sure, not traded"),
        ("session", {"product": "ES", "call": "NO CALL", "confidence": 0.41}, "No call for ES"),
    ],
)  # fmt: skip
def test_a_decision_in_a_few_words(family: str, payload: dict[str, Any], said: str) -> None:
    """Kills a headline that names a call where there was none, or a trade that is not in the targets."""
    assert headline(family, payload) == said


def test_a_block_is_the_headline_whatever_was_wanted(home: Home) -> None:
    """Kills showing the trades of a decision that safety stopped; the kill switch stands on top of the page."""
    home.journal.append("decision", decided("2024-05-31", ALLOW, BLOCK, trades=[["A", "BUY", 1, 2.0]]), at=NOW)
    desks = desks_today(home, NOW)
    assert desks[0].headline == "Blocked by safety: nothing is traded"
    assert desks[0].verdicts["verdict"].to_list() == ["BLOCK", "ALLOW"]
    found = what_is_open(home, desks, NOW)
    assert found.switches == (f"stocks: {BLOCK[2]}",)
    told = texts(waiting(found))
    assert told.count(BLOCK[2]) == 1
    assert "kill switch" in told


def test_verdicts_of_both_shapes_of_record() -> None:
    """Kills reading only lists: the session desk records mappings."""
    rows = verdicts_of({"verdicts": [ALLOW, {"check": "daily_loss", "outcome": "BLOCK", "why": "Lost."}]})
    assert rows.rows() == [("daily loss", "BLOCK", "Lost."), ("turnover", "ALLOW", ALLOW[2])]


def test_a_champion_is_in_office_from_its_moment_on(home: Home) -> None:
    """Kills showing a champion of the future, or the first one for ever."""
    home.journal.append(*promoted("ridge@1", NOW)[:2], at=NOW)
    home.journal.append(*promoted("lightgbm@2", NOW)[:2], at=NOW + dt.timedelta(days=1))
    assert champion(home, "stocks", NOW - dt.timedelta(seconds=1)) == "Nobody is in office."
    assert champion(home, "stocks", NOW).startswith("ridge@1")
    assert champion(home, "stocks", NOW + dt.timedelta(days=1)).startswith("lightgbm@2")


def test_nothing_is_open_and_the_page_says_so(home: Home) -> None:
    """Kills an empty box in place of a sentence; alerts and signals are not made up."""
    home.journal.append("decision", decided("2024-05-31"), at=NOW)
    found = what_is_open(home, desks_today(home, NOW), NOW)
    assert (found.blocked, found.switches, found.alerts, found.orders, found.active_signals) == ((), (), (), 0, None)
    assert "Nothing waits" in texts(waiting(found))


def test_an_alert_and_an_order_before_its_open_wait(home: Home) -> None:
    """Kills counting orders that filled, and dropping alerts."""
    alert = {"desk": "stocks", "session": "2024-05-31", "what": "champion", "why": ["Its files are broken."]}
    home.journal.append("alert", alert, at=NOW)
    for number in range(3):
        order = {"desk": "stocks", "session": "2024-06-03", "decision": "d", "side": "BUY", "symbol": "A", "shares": 1}
        home.journal.append("order", order, at=NOW, key=f"order {number}")
    home.journal.append("fill", {"desk": "stocks", "order": "order 1", "symbol": "A"}, at=NOW)
    found = what_is_open(home, desks_today(home, NOW), NOW)
    assert found.orders == 2
    assert found.alerts == ("2024-05-31: Its files are broken.",)


def bars(symbol: str, *days: int) -> pl.DataFrame:
    """Bars of some days of May 2024."""
    sessions = [dt.date(2024, 5, each) for each in days]
    known = [dt.datetime(2024, 5, each, 20, tzinfo=dt.UTC) for each in days]
    return pl.DataFrame({"symbol": symbol, "session": sessions, "freq": "1d", "close": 1.0, "known_at": known}).cast(
        {"known_at": pl.Datetime("us", "UTC")}
    )


def test_how_old_the_data_are_is_counted_in_sessions_of_the_calendar(home: Home) -> None:
    """Kills counting days (a weekend and Memorial Day lie between), and calling old splits a lack."""
    home.tables.append("bars", pl.concat([bars("A", 22, 23), bars("B", 22, 23, 24), bars("C", 24)]))
    home.tables.append("actions", bars("A", 1).select("symbol", "session", "known_at"))
    known = bars("A", 24).with_columns(rule=pl.lit("ohlc_order"))
    home.tables.append("quarantine", pl.concat([known, known.with_columns(rule=pl.lit("missing_close"))]))
    home.journal.append("data", {"name": "a.csv", "stored": 6, "commit": "c" * 64, "notes": ["No opens."]}, at=NOW)
    found = data_health(home, NOW)
    rows = {row["table"]: row for row in found.tables.to_dicts()}
    assert found.last_closed == dt.date(2024, 5, 31)
    assert (rows["bars"]["rows"], rows["bars"]["symbols"], rows["bars"]["last"]) == (6, 3, dt.date(2024, 5, 24))
    assert rows["bars"]["behind"] == 4  # 28, 29, 30 and 31 May; the 27th was a holiday
    assert rows["bars"]["symbols_behind"] == 1
    assert rows["actions"]["behind"] is None
    assert "quarantine" not in rows
    assert sorted(found.quarantine["rule"].to_list()) == ["missing_close", "ohlc_order"]
    assert found.imports["name"].to_list() == ["a.csv"]
    assert found.notes == ("No opens.",)
    assert "4 sessions" in texts(data(found))


@pytest.mark.parametrize(("last", "behind"), [((2024, 5, 31), 0), ((2024, 6, 3), 0), ((2024, 5, 30), 1)])
def test_sessions_behind_is_never_below_zero(home: Home, last: tuple[int, int, int], behind: int) -> None:
    """Kills a negative age where a product trades on after the calendar's last close."""
    assert sessions_behind(home.sessions, dt.date(*last), dt.date(2024, 5, 31)) == behind


def test_an_empty_home_with_a_journal_says_what_to_import(home: Home) -> None:
    """Kills an exception where no table is there yet."""
    home.journal.append("decision", decided("2024-05-31"), at=NOW)
    assert "openbell data import bars FILE" in texts(data(data_health(home, NOW)))


def test_a_look_at_health_makes_no_journal(home: Home) -> None:
    """Kills opening the journal for writing by looking."""
    with pytest.raises(DataMissing):
        data_health(home, NOW)
    assert not (home.path / "journal.db").exists()
