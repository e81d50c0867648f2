"""The page Options: chains, fits and payoffs by hand-worked numbers, proposals out of the journal."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.app.chain_by_hand import AT, DAY, EXPIRY, SPOT, STRIKES, YEARS, decision, quotes, skew

from openbell.app.home import Home
from openbell.app.lab.figures import options as figures
from openbell.app.lab.looks import options as looks
from openbell.app.lab.looks.journal import whole_record
from openbell.app.lab.page import Lab
from openbell.app.lab.pages.options import PAGE, chain_grid, priced, proposal
from openbell.app.options_price import Asked, price
from openbell.core.errors import BadInput, DataMissing
from openbell.quant.black import prices

NOW = dt.datetime(2024, 6, 3, 14, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with one chain of two moments: three strikes early, all of them at the close."""
    home = Home.open(tmp_path_factory.mktemp("chain"))
    home.tables.append("quotes", pl.concat([quotes(AT - dt.timedelta(hours=1), STRIKES[:3] - 5.0), quotes()]))
    return home


@pytest.fixture(scope="module")
def chain(stored: Home) -> looks.DayChain:
    return looks.day_chain(stored, "SPX", DAY, NOW)


def texts(component: Any) -> str:
    if component is None:
        return ""
    if isinstance(component, (list, tuple)):
        return " ".join(texts(each) for each in component)
    return texts(component.children) if hasattr(component, "children") else str(component)


def test_the_moment_with_most_quotes_is_shown_and_the_rest_is_counted(chain: looks.DayChain) -> None:
    """Kills mixing moments in one chain (trap 14) and dropping quotes without a word."""
    assert chain.quote_at == AT
    assert chain.rows.height == 2 * len(STRIKES)
    assert chain.notes == (f"6 of {6 + 2 * len(STRIKES)} quotes are of another moment and left out.",)


def test_a_chain_is_known_only_from_its_moment_on(stored: Home) -> None:
    """Kills showing what was not known yet."""
    early = looks.day_chain(stored, "SPX", DAY, AT - dt.timedelta(minutes=1))
    assert early.rows.height == 6
    with pytest.raises(DataMissing, match="No chain of SPX"):
        looks.day_chain(stored, "SPX", DAY, AT - dt.timedelta(hours=2))


def test_calls_and_puts_stand_beside_their_strike(chain: looks.DayChain) -> None:
    """Kills a join that shifts one side or takes the put's bid for the call's."""
    rows = looks.by_strike(chain.rows, EXPIRY, "SPXW", "PM")
    assert rows["strike"].to_list() == STRIKES.tolist()
    row = rows.filter(pl.col("strike") == 5200.0).row(0, named=True)
    call, put = (prices(np.array([right]), SPOT, 5200.0, YEARS, skew(np.array([5200.0])))[0] for right in (1.0, -1.0))
    assert row["call_ask"] == pytest.approx(call + 0.5)
    assert row["put_bid"] == pytest.approx(put - 0.5)
    assert row["call_delta"] > 0 > row["put_delta"]
    shown = chain_grid(chain, EXPIRY, "SPXW", "PM")
    assert "another moment" in texts(shown)


def test_a_strike_with_one_side_keeps_its_row(chain: looks.DayChain) -> None:
    """Kills an inner join."""
    lone = chain.rows.filter(~((pl.col("right") == "PUT") & (pl.col("strike") == 5000.0)))
    rows = looks.by_strike(lone, EXPIRY, "SPXW", "PM").filter(pl.col("strike") == 5000.0)
    assert rows["put_bid"].to_list() == [None]
    assert rows["call_bid"][0] is not None


def test_the_drawn_fit_is_the_smile_that_the_quotes_were_made_with(stored: Home, chain: looks.DayChain) -> None:
    """Kills variance drawn for volatility, and log-moneyness with the wrong sign; quotes lie between bid and ask."""
    found = looks.fits(stored, chain)
    points = looks.smile_points(chain, EXPIRY, "SPXW", "PM")
    curves = looks.smile_curves(found, EXPIRY, "SPXW", "PM", points["strike"])
    missed = np.abs(curves["svi"].to_numpy() - skew(curves["strike"].to_numpy()))
    assert missed.max() < 0.01
    assert (points["low"] <= points["iv"]).all()
    assert (points["high"] >= points["iv"]).all()
    assert points.filter(pl.col("right") == "PUT")["strike"].max() <= SPOT + 1
    assert looks.fits(stored, chain) is found  # kept for the next look
    drawn = figures.smile(points, curves, SPOT)
    assert [trace.name for trace in drawn.data] == [
        "puts, mid",
        "calls, mid",
        "SVI of this expiry",
        "SSVI surface of all",
    ]


def test_no_curve_where_nothing_was_fitted(stored: Home, chain: looks.DayChain) -> None:
    """Kills a line through nothing."""
    found = looks.fits(stored, chain)
    assert looks.smile_curves(found, dt.date(2025, 1, 17), "SPX", "AM", pl.Series([1.0, 2.0])).is_empty()


def butterfly(home: Home) -> Any:
    asked = Asked("XYZ", "LONG_CALL", (5000.0,), (EXPIRY,), as_of=dt.date(2024, 6, 3), spot=SPOT, iv=0.2, premium=40.0)
    return price(asked, home)


def test_the_payoff_is_what_the_legs_pay(tmp_path: Path) -> None:
    """Kills a payoff without its premium or multiplier, and a value today below what is left of it at expiry."""
    found = butterfly(Home.open(tmp_path))
    curves = looks.payoff_curves(found)
    at = curves["price"].to_numpy()
    assert curves["expiry_usd"].to_numpy() == pytest.approx(100.0 * (np.maximum(at - 5000.0, 0.0) - 40.0))
    assert (curves["today_usd"] >= curves["expiry_usd"] - 1e-6).all()
    assert 5040.0 in at
    drawn = figures.payoff(curves, SPOT, found.profile.breakevens, str(EXPIRY))
    assert drawn.data[2].x == (5040.0,)
    told = texts(priced(found))
    assert "no bound" in told
    assert "5,040.00" in told


def test_proposals_are_the_decisions_of_the_journal(tmp_path: Path) -> None:
    """Kills another order, another desk, and a decision without a call that breaks the table."""
    home = Home.open(tmp_path)
    home.journal.append("decision", decision(), at=NOW)
    home.journal.append("decision", {"desk": "stocks", "session": "x"}, at=NOW)
    home.journal.append("decision", decision(None), at=NOW)
    rows = looks.proposals(home)
    assert rows["record"].to_list() == [3, 1]
    assert rows["structure"].to_list() == [None, "IRON_CONDOR"]
    assert rows.row(1, named=True)["effective_n"] == 21.2
    shown = texts(PAGE.layout(Lab(lambda: home, None, None, lambda: NOW), {}))  # type: ignore[arg-type]
    assert "openbell data import chain FILE" in shown


def test_similar_days_belong_to_their_own_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills showing the days of a later run that wrote over the file."""
    monkeypatch.chdir(tmp_path)
    home = Home.open(tmp_path)
    record = home.journal.append("decision", decision(key="mine"), at=NOW)
    file = tmp_path / "live" / "SPX" / "2024-06-03" / "decision.json"
    with pytest.raises(DataMissing, match="are in no SPX"):
        looks.similar_days(home, record)
    days = [{"session": "2020-01-02", "distance": 0.1, "return_on_risk": 0.5},
            {"session": "2020-01-03", "distance": 0.2, "return_on_risk": -1.0},
            {"session": "2020-01-06", "distance": 0.3, "return_on_risk": None}]  # fmt: skip
    file.parent.mkdir(parents=True)
    for key, there in (("another", False), ("mine", True)):
        file.write_text(json.dumps({"decision": key, "stage_two": {"similar_days": days}}))
        told = texts(proposal(Lab(lambda: home, None, None, lambda: NOW), record.seq))  # type: ignore[arg-type]
        assert ("1 won" not in told) is not there
    found = looks.similar_days(home, whole_record(home, record.seq))
    drawn = figures.similar(found)
    assert [trace.name for trace in drawn.data] == ["won: 1", "lost or nothing: 1"]


def test_without_a_chain_the_cure_is_named(tmp_path: Path, stored: Home) -> None:
    """Kills a bare missing table; a wrong underlying names the nearest one."""
    with pytest.raises(DataMissing, match="openbell data import chain FILE"):
        looks.sessions_of(Home.open(tmp_path), "SPX")
    with pytest.raises(BadInput, match="SPX"):
        looks.sessions_of(stored, "SPY")
    assert looks.sessions_of(stored, "SPX") == [DAY]
