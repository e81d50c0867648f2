"""The page Signals: what stands now, one life, what all were worth, and ending one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.app.made_signals import made
from tests.app.served import AT

from openbell.app.home import Home
from openbell.app.lab.figures import signals as figures
from openbell.app.lab.looks import signals as looks
from openbell.app.lab.page import Lab
from openbell.app.lab.pages.signals import PAGE, life, worth
from openbell.core.errors import BadInput, DataMissing, Refused
from openbell.core.signal import Call


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Signals of three symbols: two that stand, one whose hour is over and nobody was told, one cancelled."""
    home = Home.open(tmp_path)
    given = [made("SPY", Call.BUY), made("QQQ", Call.SELL), made("AAPL", Call.BUY, minutes=-90), made("IWM", Call.BUY)]
    for each in given:
        home.signals.write([each], at=each.created_at)
    home.signals.cancel(4, at=AT, by="somebody", why="It was wrong.")
    return home


def texts(component: Any) -> str:
    if component is None:
        return ""
    if isinstance(component, (list, tuple)):
        return " ".join(texts(each) for each in component)
    return texts(component.children) if hasattr(component, "children") else str(component)


def statuses(home: Home, *wanted: str, **more: Any) -> dict[str, str]:
    rows = looks.live(home, AT, statuses=wanted, **more).rows
    return dict(rows.select("symbol", "status").iter_rows())


def test_a_signal_whose_time_is_over_is_expired_whatever_is_stored(home: Home) -> None:
    """Kills showing a stale signal as active (nobody tidied), and losing it where EXPIRED is asked for."""
    assert statuses(home) == {"SPY": "ACTIVE", "QQQ": "ACTIVE", "AAPL": "EXPIRED", "IWM": "CANCELLED"}
    assert statuses(home, "ACTIVE") == {"SPY": "ACTIVE", "QQQ": "ACTIVE"}
    assert statuses(home, "EXPIRED") == {"AAPL": "EXPIRED"}
    assert statuses(home, "EXPIRED", "CANCELLED") == {"AAPL": "EXPIRED", "IWM": "CANCELLED"}


def test_filters_by_symbol_in_either_case_and_says_when_there_are_more(home: Home) -> None:
    """Kills a filter that is case-sensitive, and a list that ends silently."""
    assert statuses(home, symbols=(" spy", "iwm")) == {"SPY": "ACTIVE", "IWM": "CANCELLED"}
    assert looks.live(home, AT, limit=2).more
    assert not looks.live(home, AT).more
    with pytest.raises(BadInput, match="status of a signal"):
        looks.live(home, AT, statuses=("DEAD",))


def test_the_life_of_a_signal_with_everything_that_happened(home: Home) -> None:
    """Kills leaving out who ended it and why; only what is active can be cancelled."""
    told = texts(life(looks.life(home, 4, AT)))
    for words in ("It was wrong.", "somebody", "The average of 5 bars is above that of 20.", "lstm", "model abc"):
        assert words in told
    assert "Cancel this signal" not in told
    assert "Cancel this signal" in texts(life(looks.life(home, 1, AT)))


def test_a_cancelled_signal_says_by_whom_and_stays_cancelled(home: Home) -> None:
    """Kills an act without a reason, and a second way to cancel that the audit does not see."""
    with pytest.raises(BadInput, match="for a reason"):
        looks.cancel(home, 1, "  ", AT, by="lab: ann")
    assert "Signal 1 (BUY SPY) is cancelled" in looks.cancel(home, 1, "News.", AT, by="lab: ann")
    assert home.signals.events(1)[-1].acted_by == "lab: ann"
    with pytest.raises(Refused):
        looks.cancel(home, 3, "Late.", AT, by="lab: ann")  # it expired


def test_without_outcomes_nothing_is_drawn_and_it_is_said(home: Home) -> None:
    """Kills a hit rate of nothing."""
    shown = worth(looks.analytics(home, AT), "symbol")
    assert "no known outcome" in texts(shown)
    assert not any(getattr(each, "className", "") == "figure" for each in shown)


def with_outcomes(home: Home) -> None:
    rows = pl.DataFrame(
        {
            "id": [1, 2], "outcome": ["BUY", "BUY"], "entry_price": [500.0, 500.0], "exit_price": [510.0, 505.0],
            "exit_at": [AT, AT], "exit_reason": ["target", "time"], "return_fraction": [0.02, -0.01],
            "max_favourable": [0.02, 0.0], "max_adverse": [0.0, -0.01], "seconds_to_target": [60.0, None],
            "hit": [True, False], "known_at": [AT, AT],
        }
    )  # fmt: skip
    home.signals.record_outcomes(rows)


def test_shares_stand_beside_chance_and_their_n(home: Home) -> None:
    """Kills a hit rate without n, interval and base rate, and the mean over all where groups were asked for."""
    with_outcomes(home)
    found = looks.analytics(home, AT + dt.timedelta(hours=1))
    rows = looks.groups(found, "call")
    buy = rows.filter(pl.col("value") == "BUY").row(0, named=True)
    assert (buy["known"], buy["accuracy"]) == (1, 1.0)
    assert buy["accuracy_low"] < 1.0
    drawn = figures.shares(rows)
    assert [trace.name for trace in drawn.data] == ["came true", "by chance", "as said"]
    assert drawn.data[0].x == ("BUY (n 1)", "SELL (n 1)")
    assert tuple(drawn.data[0].y) == (1.0, 0.0)
    assert "n too small" in texts(worth(found, "call"))


def test_an_outcome_that_is_not_known_yet_is_not_looked_at(home: Home) -> None:
    """Kills analytics that know more than their moment."""
    with_outcomes(home)
    assert looks.analytics(home, AT - dt.timedelta(minutes=1)).rows["known"].max() == 0


def test_without_signals_or_training_the_page_says_what_to_run(tmp_path: Path) -> None:
    """Kills making a store by looking, and a half-life where nothing was trained."""
    home = Home.open(tmp_path)
    shown = PAGE.layout(Lab(lambda: home, None, None, lambda: AT), {})  # type: ignore[arg-type]
    assert "openbell run signals" in texts(shown)
    assert not (tmp_path / "signals.db").exists()
    home.journal.append("data", {"name": "a"}, at=AT)
    with pytest.raises(DataMissing, match="not trained yet"):
        looks.decay(home, AT)
