"""A market without an edge: possible bars, prices that are expectations, and no expected profit in anything at mid."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.market.surface_scalars import FITTED
from openbell.quant.black import prices
from openbell.quant.edgeless import EdgelessMarket, edgeless_surfaces
from openbell.quant.surface_values import at_the_money_volatility, surface_values

DAYS = np.arange("2018-01-01", "2019-12-31", dtype="datetime64[D]")
DAYS = DAYS[np.is_busday(DAYS)]
ENTRY, EARLY, NEAR, FAR = 2, 12, 22, 40
#: Legs of fixed structures: right, moneyness, ratio, whether the far expiry.
STRUCTURES = {
    "straddle": [(1, 1.0, 1, 0), (-1, 1.0, 1, 0)],
    "condor": [(-1, 0.9, 1, 0), (-1, 0.95, -1, 0), (1, 1.05, -1, 0), (1, 1.1, 1, 0)],
    "put": [(-1, 0.97, 1, 0)],
    "calendar": [(1, 1.0, -1, 0), (1, 1.0, 1, 1)],
}


def worth(market: EdgelessMarket, row: int, name: str, spot: float) -> tuple[float, float]:
    """Value at mid and the sum of half-spreads of a structure laid around `spot`, at the close of session `row`."""
    legs = np.array(STRUCTURES[name])
    expiry = market.calendar[np.where(legs[:, 3] > 0, FAR, NEAR)]
    found = surface_values(
        market.surfaces, row, legs[:, 0], np.round(spot * legs[:, 1]), expiry, calendar=market.calendar
    )
    return float(found.value @ legs[:, 2]), float(found.half_spread @ np.abs(legs[:, 2]))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 60), volatility=st.floats(0.05, 0.6), tilt=st.floats(0.0, 0.4))
def test_every_bar_is_possible(seed: int, count: int, volatility: float, tilt: float) -> None:
    """Check 62."""
    market = edgeless_surfaces(DAYS[:count], seed, volatility=volatility, tilt=tilt)
    for bars in (market.bars, market.benchmark):
        o, h, low, c, v = (bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
        assert (h >= np.maximum(o, c)).all()
        assert (np.minimum(o, c) >= low).all()
        assert (low > 0).all()
        assert (v >= 1).all()
        assert len(o) == count
    assert market.surfaces.settle.tolist() == market.bars["open"].to_list()
    assert market.surfaces.spot.tolist() == market.bars["close"].to_list()
    assert len(market.surfaces.clock) == len(market.calendar) == count + 420
    assert (np.diff(market.surfaces.clock) > 0).all()


def test_a_seed_is_a_market() -> None:
    one, again, other = (edgeless_surfaces(DAYS[:80], seed) for seed in (3, 3, 4))
    assert one.bars.equals(again.bars)
    assert one.volatility_index.equals(again.volatility_index)
    assert one.surfaces.clock.tolist() == again.surfaces.clock.tolist()
    assert not one.bars.equals(other.bars)
    assert not one.bars.equals(one.benchmark)


def test_a_longer_future_changes_no_past() -> None:
    """Check 4: what later sessions there are is not in the earlier ones."""
    short, long = (edgeless_surfaces(DAYS[:60], 3, later=DAYS[60:stop]) for stop in (200, 300))
    assert short.bars.equals(long.bars)
    assert short.surfaces.clock.tolist() == long.surfaces.clock[:200].tolist()
    more = edgeless_surfaces(DAYS[:90], 3, later=DAYS[90:300])
    assert more.bars[:60].equals(short.bars)
    assert more.volatility_index[:60].equals(long.volatility_index)


@pytest.mark.parametrize("row", [0, 5, 15])
@pytest.mark.parametrize("tilt", [0.0, 0.5])
def test_today_s_value_is_the_expectation_of_tomorrow_s(row: int, tilt: float) -> None:
    """By the law of the path itself, integrated: any holding period is a chain of such days."""
    market = edgeless_surfaces(DAYS[:40], 11, volatility=0.4, tilt=tilt, rate=0.03)
    made = market.surfaces
    node, weight = np.polynomial.hermite_e.hermegauss(101)
    ahead = made.clock[row + 1] - made.clock[row]
    shifted = (made.spot[row] + made.displacement) * np.exp(np.sqrt(ahead) * node - 0.5 * ahead) - made.displacement
    years = float((made.sessions[row + 1] - made.sessions[row]).astype(int)) / 365
    for right, moneyness, last in ((1, 1.02, 22), (-1, 0.93, 30), (-1, 1.1, 35)):
        strike = made.spot[row] * moneyness
        today = surface_values(made, row, right, strike, made.sessions[last]).value[0]
        tomorrow = [
            surface_values(
                dataclasses.replace(made, spot=np.where(np.arange(40) == row + 1, level, made.spot)),
                row + 1, right, strike, made.sessions[last],
            ).value[0]
            for level in shifted
        ]  # fmt: skip
        expected = np.exp(-0.03 * years) * np.array(tomorrow) @ weight / weight.sum()
        assert today == pytest.approx(expected, rel=1e-7)


def test_the_path_follows_the_law_that_prices_it() -> None:
    """Standardised steps of many paths have mean 0, variance 1 and no memory, overnight and over the day alike."""
    steps, nights = [], []
    for seed in range(20):
        market = edgeless_surfaces(DAYS[:400], seed, volatility=1.2, tilt=0.0, later=DAYS[400:410])
        close, opened = (np.log(market.bars[name].to_numpy()) for name in ("close", "open"))
        variance = np.diff(market.surfaces.clock[:400])
        steps.append((np.diff(close) + 0.5 * variance) / np.sqrt(variance))
        nights.append((opened[1:] - close[:-1] + 0.125 * variance) / np.sqrt(0.25 * variance))
    for z in (np.concatenate(steps), np.concatenate(nights)):
        n = len(z)
        assert abs(z.mean()) < 3 / np.sqrt(n)
        assert abs(z.var() - 1) < 3 * np.sqrt(2 / n)
        assert abs(np.mean(z[1:] * z[:-1])) < 3 / np.sqrt(n)


def test_nothing_has_an_edge_at_mid_and_after_costs_all_of_it_loses() -> None:
    """Check 2: over many markets, held or closed early, mean profits are within three standard errors of 0."""
    profit: dict[tuple[str, int], list[float]] = {(name, exit_): [] for name in STRUCTURES for exit_ in (EARLY, NEAR)}
    paid: dict[str, list[float]] = {name: [] for name in STRUCTURES}
    for seed in range(120):
        market = edgeless_surfaces(
            DAYS[:24], seed, volatility=0.3, later=DAYS[24:70], spread=FITTED.spread("SPX"), start=4000.0
        )
        spot = float(market.surfaces.spot[ENTRY])
        for name in STRUCTURES:
            entry, half = worth(market, ENTRY, name, spot)
            for exit_ in (EARLY, NEAR):
                value, later = worth(market, exit_, name, spot)
                profit[name, exit_].append(value - entry)
                if exit_ == EARLY:
                    paid[name].append(half + later)
    for (name, exit_), told in profit.items():
        error = np.std(told) / np.sqrt(len(told))
        assert abs(np.mean(told)) < 3 * error, (name, exit_, np.mean(told) / error)
    for name, costs in paid.items():
        # Expected: nothing but the costs, which take the mean below what is expected at mid by exactly as much.
        assert np.min(costs) > 0, name
        assert np.mean(costs) > 0.002 * 4000 * 0.03, name


def test_the_index_is_the_variance_that_is_to_come() -> None:
    market = edgeless_surfaces(DAYS[:60], 5, tilt=0.0)
    number = market.calendar.astype(np.int64)
    for frame, span in ((market.volatility_index, 30), (market.volatility_index_3m, 93)):
        ahead = np.interp(number[:60] + span, number, market.surfaces.clock) - market.surfaces.clock[:60]
        assert frame["close"].to_numpy() == pytest.approx(100 * np.sqrt(ahead / (span / 365)), rel=1e-4)
    assert market.volatility_index["session"].to_list() == market.bars["session"].to_list()


def test_the_displacement_tilts_the_smile_and_the_index_stands_above_the_money() -> None:
    market = edgeless_surfaces(DAYS[:60], 5, tilt=0.5)
    made = market.surfaces
    strikes = made.spot[10] * np.array([0.9, 1.0, 1.1])
    smile = surface_values(made, 10, -1.0, strikes, market.calendar[31], calendar=market.calendar).volatility
    assert (np.diff(smile) < 0).all()
    level = at_the_money_volatility(made, np.arange(60), 30, calendar=market.calendar)
    assert level == pytest.approx(market.volatility_index["close"].to_numpy() / 100, rel=0.15)
    displaced = prices(-1, made.spot[10] + 500.0, strikes + 500.0, 1.0, np.sqrt(made.clock[31] - made.clock[10]))
    priced = surface_values(made, 10, -1.0, strikes, market.calendar[31], calendar=market.calendar).value
    assert priced == pytest.approx(displaced, rel=1e-12)


def test_volatility_comes_in_clusters() -> None:
    calm = np.diff(edgeless_surfaces(DAYS[:500], 8).surfaces.clock)
    log = np.log(calm)
    assert np.corrcoef(log[1:], log[:-1])[0, 1] > 0.8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sessions": DAYS[:1]}, "two sessions or more"),
        ({"sessions": DAYS[:5][::-1]}, "rise strictly"),
        ({"later": DAYS[:3]}, "begin after"),
        ({"volatility": 0.0}, "had 1000.0, 0.0"),
        ({"start": -1.0}, "had -1.0"),
        ({"volatility": 3.0, "tilt": 2.0, "sessions": DAYS}, "falls to 0"),
    ],
)
def test_what_makes_no_market_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        edgeless_surfaces(**{"sessions": DAYS[:20], "seed": 1, **change})  # type: ignore[arg-type]


def test_the_bars_are_frames_that_features_read() -> None:
    bars = edgeless_surfaces(DAYS[:20], 1).bars
    assert bars.columns == ["session", "open", "high", "low", "close", "volume"]
    assert bars.schema["session"] == pl.Date
