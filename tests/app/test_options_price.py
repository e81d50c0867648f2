"""`openbell options price` on stated numbers, on a stored chain, and on the modelled surface; and what it refuses."""

from __future__ import annotations

import datetime as dt
import json
import math

import numpy as np
import polars as pl
import pytest

from openbell.app.cli import options_price as command
from openbell.app.data import import_file
from openbell.app.home import Home
from openbell.app.options_price import Asked, price
from openbell.app.options_price_market import bars_of
from openbell.app.options_price_words import json_of, lines_of, table_of
from openbell.core.errors import BadInput, DataMissing
from openbell.core.quotes import QUOTES
from openbell.market.calendars import sessions
from openbell.quant import black

CALENDAR = sessions("XNYS", 2022, 2024)
AS_OF, BEFORE = dt.date(2023, 9, 15), dt.date(2023, 9, 14)
NEAR, FAR = dt.date(2023, 10, 20), dt.date(2023, 11, 17)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    """400 sessions of a made-up index and of its VIX; the last close is the one before the decision."""
    path = tmp_path_factory.mktemp("priced")
    days = CALENDAR.between(dt.date(2022, 1, 3), BEFORE)[-400:]
    rng = np.random.default_rng(11)
    level = 4500 * np.exp(np.cumsum(rng.normal(0, 0.008, len(days))))
    level = np.round(level / level[-1] * 4500, 2)
    opened = Home.open(path)
    for name, closes in (("SPX", level), ("VIX", np.round(16 + 3 * np.sin(np.arange(len(days)) / 20), 2))):
        bars = {"date": days, "open": closes, "high": closes + 1, "low": closes - 1, "close": closes}
        pl.DataFrame(bars).write_csv(path / f"{name}.csv")
        import_file(opened, path / f"{name}.csv", symbol=name, kind="INDEX")
    return opened


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Home:
    return Home.open(tmp_path_factory.mktemp("empty"))


def condor(**words) -> Asked:
    return Asked("SPX", "IRON_CONDOR", (4650.0, 4300.0, 4350.0, 4700.0), (NEAR,), as_of=AS_OF, **words)


def test_stated_numbers_are_black_s(empty: Home) -> None:
    """Without any table: four Black values, their sum the credit, nothing expected to be won, no past."""
    found = price(condor(spot=4505.0, iv=0.14, rate=0.05, dividend_yield=0.015), empty)
    years = (dt.datetime(2023, 10, 20, 20) - dt.datetime(2023, 9, 14, 20)).total_seconds() / (365 * 86_400)
    theirs = black.greeks(
        np.array([-1, -1, 1, 1]), 4505.0, np.array([4300.0, 4350, 4650, 4700]), years, 0.14, 0.05, 0.015
    )
    ratio = np.array([1, -1, -1, 1])
    assert found.premium == pytest.approx(float(ratio @ theirs.price), rel=1e-12)
    told = json_of(found)
    assert told["position"]["delta"] == pytest.approx(float(ratio @ theirs.delta), rel=1e-12)
    assert told["payoff"]["max_profit"] == pytest.approx(-found.premium)
    assert told["payoff"]["max_loss"] == pytest.approx(50.0 + found.premium)
    assert told["payoff"]["breakevens"] == pytest.approx([4350 + found.premium, 4650 - found.premium])
    assert told["odds"]["surface"]["expected_value"] == pytest.approx(0.0, abs=1e-9)
    assert "no bars of SPX" in told["odds"]["historical"]["reason"]
    assert told["modelled"] is False
    assert told["margin_usd"] == pytest.approx(5000.0)
    json.dumps(told, allow_nan=False)
    assert not any("modelled" in line or "early" in line for line in lines_of(found))
    stock = Asked("AAPL", "LONG_PUT", (180.0,), (NEAR,), as_of=AS_OF, spot=175.0, iv=0.3, rate=0.0, dividend_yield=0.0)
    assert price(stock, empty).notes == (
        "Options on AAPL may be exercised early; the values and Greeks here leave that right out.",
    )


def test_a_calendar_is_valued_at_its_near_expiry(empty: Home) -> None:
    """Check 23: every number is a number; bought at its value nothing is expected, clocks set back included."""
    asked = Asked("SPX", "CALENDAR_SPREAD", (4500.0,), (FAR, NEAR), as_of=AS_OF, spot=4505.0, iv=0.14, rate=0.05)
    told = json_of(price(asked, empty))
    assert told["payoff"]["by_valuation"] is True
    assert told["odds"]["surface"]["expected_value"] == pytest.approx(0.0, abs=1e-3)
    assert told["payoff"]["max_profit"] > 0
    assert told["payoff"]["max_loss"] == pytest.approx(told["premium"], abs=1e-3)
    assert len(told["payoff"]["breakevens"]) == 2
    assert [leg["expiry"] for leg in told["legs"]] == [str(NEAR), str(FAR)]


def test_the_modelled_surface_says_so_everywhere(home: Home) -> None:
    found = price(condor(), home)
    told = json_of(found)
    assert told["modelled"] is True
    assert told["source"] == "modelled surface"
    assert told["odds"]["surface"]["modelled"] is True
    assert sum("modelled" in line for line in lines_of(found)) >= 2
    legs = told["legs"]
    assert legs[0]["volatility"] > legs[3]["volatility"]
    assert all(leg["bid"] < leg["value"] < leg["ask"] for leg in legs)
    crossed = sum(leg["ratio"] * (leg["ask"] if leg["ratio"] > 0 else leg["bid"]) for leg in legs)
    assert told["premium"] == pytest.approx(crossed)
    assert told["odds"]["surface"]["expected_value"] < 0  # the spread is paid
    past = told["odds"]["historical"]
    closes = bars_of(home.view(AS_OF), "SPX")["close"].to_numpy()
    ratios = closes[26:] / closes[:-26]
    inside = np.abs(ratios * 4500 - 4500) <= 150 - told["premium"]
    assert (past["n"], past["sessions"]) == (374, 26)
    assert past["effective_n"] == pytest.approx(374 / 26, rel=0.05)
    assert past["probability_of_profit"] == pytest.approx(inside.mean())
    assert table_of(found).height == 5


def test_the_missing_day_of_the_vix_is_said(home: Home) -> None:
    """A decision for a session without yesterday's bars has no surface; nothing is carried over."""
    later = Asked("SPX", "LONG_CALL", (4500.0,), (NEAR,), as_of=dt.date(2023, 9, 20))
    with pytest.raises(DataMissing, match="There is no modelled surface of SPX on 2023-09-19"):
        price(later, home)
    with pytest.raises(DataMissing, match="There is no close of SPX on 2023-09-19"):
        price(Asked("SPX", "LONG_CALL", (4500.0,), (NEAR,), as_of=dt.date(2023, 9, 20), iv=0.2), home)


def _chain(spot: float = 4510.0, iv: float = 0.15) -> pl.DataFrame:
    """Two expiries of Black's quotes, half a point on each side."""
    at = CALENDAR.close(BEFORE)
    rows = []
    for expiry in (NEAR, FAR):
        years = (CALENDAR.close(expiry) - at).total_seconds() / (365 * 86_400)
        for strike in np.arange(4000.0, 5001.0, 50.0):
            for right, sign in (("CALL", 1), ("PUT", -1)):
                g = black.greeks(sign, spot, strike, years, iv, 0.05)
                mid = float(g.price)
                rows.append(
                    dict.fromkeys(QUOTES)
                    | {
                        "underlying": "SPX", "root": "SPXW", "session": BEFORE, "quote_at": at, "expiry": expiry,
                        "strike": strike, "right": right, "settlement": "PM", "exercise": "EUROPEAN",
                        "multiplier": 100.0, "bid": max(mid - 0.5, 0.0), "ask": mid + 0.5, "modelled": False,
                        "source": "hand", "years": years, "forward": spot * math.exp(0.05 * years),
                        "discount": math.exp(-0.05 * years), "mid": mid, "iv": iv, "delta": float(g.delta),
                        "gamma": float(g.gamma), "theta": float(g.theta), "vega": float(g.vega),
                        "rho": float(g.rho), "known_at": at,
                    }
                )  # fmt: skip
    return pl.DataFrame(rows, schema=dict(QUOTES))


class _WithChain:
    """A home whose tables also hold `quotes`."""

    def __init__(self, home: Home, quotes: pl.DataFrame) -> None:
        self._tables, self._quotes = home.tables, quotes

    def exists(self, name: str) -> bool:
        return name == "quotes" or self._tables.exists(name)

    def scan(self, name: str) -> pl.LazyFrame:
        return self._quotes.lazy() if name == "quotes" else self._tables.scan(name)


@pytest.fixture(scope="module")
def quoted(home: Home) -> Home:
    with_chain = Home.open(home.path)
    with_chain.__dict__["tables"] = _WithChain(home, _chain())
    return with_chain


def test_a_stored_chain_goes_before_the_model(quoted: Home) -> None:
    """Spot by its forwards, volatilities and prices of its quotes; odds by its own smile, flat here."""
    told = json_of(price(condor(), quoted))
    assert (told["source"], told["modelled"]) == ("chain", False)
    assert told["spot"] == pytest.approx(4510.0, abs=1e-6)
    assert [leg["volatility"] for leg in told["legs"]] == pytest.approx([0.15] * 4)
    half = [0.5 * (leg["ask"] - leg["bid"]) for leg in told["legs"]]
    assert half == pytest.approx([0.5] * 4)
    mid = sum(leg["ratio"] * (leg["bid"] + leg["ask"]) / 2 for leg in told["legs"])
    assert told["premium"] == pytest.approx(mid + 2.0)  # half a point on each of four legs
    assert told["odds"]["surface"]["expected_value"] == pytest.approx(-2.0, abs=0.1)


def test_a_contract_that_is_not_in_the_chain_is_refused(quoted: Home) -> None:
    """Check 22: no other strike and no other expiry stands in for it."""
    with pytest.raises(DataMissing, match="no quote to trade the 4325 put of 2023-10-20"):
        price(Asked("SPX", "LONG_PUT", (4325.0,), (NEAR,), as_of=AS_OF), quoted)
    with pytest.raises(DataMissing, match="no quote to trade the 4500 call of 2023-10-27"):
        price(Asked("SPX", "LONG_CALL", (4500.0,), (dt.date(2023, 10, 27),), as_of=AS_OF), quoted)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"strikes": (4300.0, 4350.0, 4650.0)}, r"IRON_CONDOR has 4 strikes \(long_put, short_put, short_call"),
        ({"expiries": (NEAR, FAR)}, "IRON_CONDOR has 1 expiry; 2 were given"),
        ({"expiries": (dt.date(2023, 10, 21),)}, r"2023-10-21 \(Saturday\) is not a session"),
        ({"expiries": (dt.date(2023, 9, 14),)}, "is not after 2023-09-14, the session of the prices: it is over"),
        ({"as_of": dt.date(2023, 9, 4)}, r"2023-09-04 \(Monday\) is not a session"),
        ({"spot": 81.9}, "strike 4300 is more than 3 times away from the spot 81.9"),
        ({"spot": -1.0}, "spot must be above 0; was -1"),
        ({"iv": 14.0}, r"volatility must lie above 0 .* was 14\. Write 0\.14 for 14 %"),
        ({"iv": 0.0}, "was 0"),
        ({"premium": 2.0}, "sold for a credit"),
        ({"premium": -50.0}, "cost at most 50 points"),
        ({"strikes": (4300.0, 4300.0, 4650.0, 4700.0)}, "width of 0"),
        ({"structure": "IRON_CONDORS"}, "Did you mean `IRON_CONDOR`"),
        ({"settlement": "NOON"}, "is no settlement"),
        ({"as_of": None}, "Say it with --as-of DATE"),
    ],
)
def test_refusals_are_sentences(empty: Home, words: dict, sentence: str) -> None:
    asked = {"spot": 4505.0, "iv": 0.14, "underlying": "SPX", "structure": "IRON_CONDOR"}
    asked |= {"strikes": (4300.0, 4350.0, 4650.0, 4700.0), "expiries": (NEAR,), "as_of": AS_OF}
    with pytest.raises(BadInput, match=sentence) as refused:
        price(Asked(**(asked | words)), empty)
    assert refused.value.exit_code == 2


def test_the_command_prints_a_table_or_json(empty: Home, capsys) -> None:
    words = {"strikes": "4300/4350,4650,4700", "expiries": "2023-10-20", "as_of": "2023-09-15"}
    words |= {"structure": "iron_condor", "spot": 4505.0, "iv": 0.14, "home": empty.path}
    command.price(**words, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["structure"] == "IRON_CONDOR"
    command.price(**words)
    shown = capsys.readouterr().out
    assert "Credit" in shown
    assert "position" in shown
    with pytest.raises(BadInput, match="`a,b` are no strikes"):
        command.price(**(words | {"strikes": "a,b"}))


def test_a_premium_and_a_spot_that_were_stated_replace_the_quotes(quoted: Home) -> None:
    found = price(Asked("SPX", "LONG_CALL", (4500.0,), (NEAR,), as_of=AS_OF, premium=90.0, spot=4400.0), quoted)
    assert (found.premium, found.premium_from, found.market.spot) == (90.0, "stated", 4400.0)
    assert found.quotes is None
    assert any("spot 4400" in line for line in lines_of(found))
    assert found.margin.deposit_usd == 9000.0
