"""Modelled chains: real contracts only, prices without an edge, activity that follows its facts, and their mark."""

import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.core.quotes import QUOTES
from openbell.market.calendars import sessions
from openbell.market.modelled import DayFacts, day_facts, listed_contracts, modelled_chain, modelled_chains
from openbell.market.surface_scalars import FITTED
from openbell.quant.edgeless import edgeless_surfaces
from openbell.quant.listing import strike_increment
from openbell.quant.surfaces import Surfaces

CALENDAR = sessions(start=2019, end=2021)
DAYS = np.array(CALENDAR.between(dt.date(2019, 3, 1), dt.date(2019, 4, 30)), dtype="datetime64[D]")
N = len(DAYS)


def surfaces(kind: str = "SPX", spot: float = 2800.0) -> Surfaces:
    one = np.ones(N)
    level = spot * (1 + 0.02 * np.sin(np.arange(N)))
    return Surfaces(
        sessions=DAYS,
        spot=level,
        settle=level,
        rate=0.02 * one,
        dividend_yield=0.01 * one,
        parameters=np.tile([0.015, 0.03, 4.0, -0.6, 1.25, 0.4], (N, 1)),
        spread=FITTED.spread(kind),
        increment=strike_increment(level, 30.0, kind),
        modelled=one > 0,
    )


def facts(change: float = 0.0, relative: float = 1.0, anchor: float = 2800.0) -> DayFacts:
    return DayFacts(np.full(N, relative), np.full(N, change), np.full(N, anchor))


def chain(
    rows: list[int], made: Surfaces | None = None, told: DayFacts | None = None, name: str = "SPX"
) -> pl.DataFrame:
    return modelled_chain(made or surfaces(), rows, told or facts(), name, calendar=CALENDAR)


@pytest.fixture(scope="module")
def usual() -> pl.DataFrame:
    return chain([0, 7])


def test_it_is_the_quote_table_and_every_row_says_modelled(usual: pl.DataFrame) -> None:
    assert dict(usual.schema) == {name: kind for name, kind in QUOTES.items() if name != "known_at"}
    assert usual["modelled"].all()
    assert usual["source"].str.starts_with("modelled").all()
    assert usual["vendor_iv"].null_count() == usual["vendor_delta"].null_count() == usual.height
    assert usual["session"].unique().sort().to_list() == [DAYS[0].item(), DAYS[7].item()]
    assert usual.filter(pl.col("session") == DAYS[0].item())["quote_at"].unique().to_list() == [CALENDAR.closes[40]]
    assert usual["root"].unique().to_list() == ["SPXW"]
    assert usual["exercise"].unique().to_list() == ["EUROPEAN"]
    assert not usual.select("session", "expiry", "strike", "right", "root").is_duplicated().any()


def test_contracts_are_listed_ones(usual: pl.DataFrame) -> None:
    known = set(CALENDAR.dates)
    assert set(usual["expiry"].to_list()) <= known
    assert (usual["expiry"] > usual["session"]).all()
    ahead = (usual["expiry"] - usual["session"]).dt.total_days()
    assert ahead.max() <= 400
    assert ahead.filter(ahead > 120).len() > 0
    increment = strike_increment(usual["spot"].to_numpy(), ahead.to_numpy(), "SPX")
    assert np.allclose(usual["strike"].to_numpy() / increment % 1, 0)
    # Around a month: each strike within 10 %, each fifth to 25 % on both sides.
    month = usual.filter(
        (pl.col("session") == DAYS[0].item()) & (ahead > 25) & (ahead < 35) & (pl.col("right") == "PUT")
    )
    one = month.filter(pl.col("expiry") == month["expiry"].min())
    spot, strikes = one["spot"][0], one["strike"].to_numpy()
    dense = strikes[(strikes > 0.9 * spot) & (strikes < 1.1 * spot)]
    assert (np.diff(dense) == 5.0).all()
    assert strikes.min() < 0.78 * spot
    assert strikes.max() > 1.22 * spot
    assert (np.diff(strikes[strikes < 0.89 * spot]) == 25.0).all()


def test_quotes_stand_around_a_value_that_keeps_parity(usual: pl.DataFrame) -> None:
    live = usual.filter(pl.col("bid") > 0)
    assert (live["ask"] > live["bid"]).all()
    assert live["mid"].to_numpy() == pytest.approx(((live["bid"] + live["ask"]) / 2).to_numpy())
    dead = usual.filter(pl.col("bid") == 0)
    assert dead.height > 0
    assert (usual["bid"] >= 0).all()
    for name in ("mid", "last", "iv", "delta", "gamma", "theta", "vega", "rho"):
        assert dead[name].null_count() == dead.height
        assert live[name].null_count() == 0
    sides = [live.filter(pl.col("right") == right) for right in ("CALL", "PUT")]
    pairs = sides[0].join(sides[1], on=["session", "expiry", "strike"], suffix="_put")
    gap = pairs["discount"] * (pairs["forward"] - pairs["strike"])
    assert (pairs["mid"] - pairs["mid_put"]).to_numpy() == pytest.approx(gap.to_numpy(), abs=1e-8)
    assert (pairs["iv"] - pairs["iv_put"]).abs().max() < 1e-12  # type: ignore[operator]


def test_a_day_is_the_same_alone_in_a_batch_and_in_parts(usual: pl.DataFrame) -> None:
    """Check 27's ground: the same input gives the same bytes, whatever is asked for beside it."""
    alone = [chain([row]) for row in (0, 7)]
    assert pl.concat(alone).equals(usual)
    parts = list(modelled_chains(surfaces(), [0, 7], facts(), "SPX", sessions_each=1, calendar=CALENDAR))
    assert [part.height for part in parts] == [each.height for each in alone]
    assert pl.concat(parts).equals(usual)


def test_volume_follows_the_day_and_open_interest_does_not(usual: pl.DataFrame) -> None:
    busy = chain([0, 7], told=facts(relative=3.0))
    assert busy["volume"].sum() == pytest.approx(3 * usual["volume"].sum(), rel=0.02)
    assert busy["open_interest"].equals(usual["open_interest"])
    assert (usual["volume"] == usual["volume"].round()).all()

    def put_call(frame: pl.DataFrame) -> float:
        sums = [frame.filter(pl.col("right") == right)["volume"].sum() for right in ("PUT", "CALL")]
        return float(sums[0] / sums[1])

    fallen, risen = chain([0], told=facts(change=-0.03)), chain([0], told=facts(change=0.03))
    assert put_call(fallen) > put_call(usual) > put_call(risen)
    quiet = chain([0], told=facts(change=0.0))
    assert fallen["volume"].sum() + risen["volume"].sum() > 2 * quiet["volume"].sum()


def test_open_interest_stands_where_the_spot_has_stood() -> None:
    def centre(anchor: float) -> float:
        frame = chain([0], told=facts(anchor=anchor)).filter((pl.col("strike") / pl.col("spot") - 1).abs() < 0.1)
        return float((frame["strike"] * frame["open_interest"]).sum() / frame["open_interest"].sum())

    assert centre(2700.0) < centre(2800.0) < centre(2900.0)


def test_an_unknown_volume_is_no_volume() -> None:
    frame = chain([0], told=facts(relative=float("nan")))
    assert frame["volume"].null_count() == frame.height
    assert frame["open_interest"].null_count() == 0


def test_facts_are_of_their_day_and_look_back_only() -> None:
    """Check 4."""
    rng = np.random.default_rng(0)
    bars = pl.DataFrame({"session": DAYS, "close": rng.uniform(2700, 2900, N), "volume": rng.uniform(1e9, 2e9, N)})
    found = day_facts(surfaces(), bars)
    close, volume = bars["close"].to_numpy(), bars["volume"].to_numpy()
    assert found.change[1:] == pytest.approx(np.diff(np.log(close)))
    assert np.isnan(found.change[0])
    assert np.isnan(found.relative_volume[:9]).all()
    assert found.relative_volume[25] == pytest.approx(volume[25] / volume[6:26].mean())
    weights = 0.5 ** (np.arange(26)[::-1] / FITTED.anchor)
    assert found.anchor[25] == pytest.approx(np.average(close[:26], weights=weights))
    later = bars.with_columns(
        pl.when(pl.int_range(pl.len()) > 25).then(1.0).otherwise(pl.col(n)).alias(n) for n in ("close", "volume")
    )
    burnt = day_facts(surfaces(), later)
    for name in ("relative_volume", "change", "anchor"):
        assert getattr(burnt, name)[:26].tobytes() == getattr(found, name)[:26].tobytes()
    assert np.isnan(day_facts(surfaces(), bars.drop("volume")).relative_volume).all()


def test_a_session_without_a_surface_has_no_contracts() -> None:
    made = surfaces()
    made.parameters[3] = np.nan
    assert set(chain([2, 3, 4], made)["session"].to_list()) == {DAYS[2].item(), DAYS[4].item()}
    none = chain([3], made)
    assert none.is_empty()
    assert dict(none.schema) == {name: kind for name, kind in QUOTES.items() if name != "known_at"}


def test_stocks_are_american_and_early_years_settle_on_the_open() -> None:
    stock = chain([0], surfaces("STOCK", 150.0), facts(anchor=150.0), "SMH")
    assert stock["exercise"].unique().to_list() == ["AMERICAN"]
    assert stock["root"].unique().to_list() == ["SMH"]
    assert stock["settlement"].unique().to_list() == ["PM"]
    old = sessions(start=2008, end=2010)
    days = np.array(old.between(dt.date(2009, 3, 2), dt.date(2009, 3, 6)), dtype="datetime64[D]")
    five = {f.name: getattr(surfaces(), f.name) for f in dataclasses.fields(Surfaces)}
    cut = {k: v[:5] if isinstance(v, np.ndarray) and len(v) == N else v for k, v in five.items()}
    early = Surfaces(**{**cut, "sessions": days})
    told = DayFacts(np.ones(5), np.zeros(5), np.full(5, 2800.0))
    frame = modelled_chain(early, [0], told, "SPX", calendar=old)
    monthly = frame.filter(pl.col("root") == "SPX")
    assert monthly["settlement"].unique().to_list() == ["AM"]
    assert dt.date(2009, 3, 20) in monthly["expiry"].to_list()
    assert frame.filter(pl.col("root") == "SPXW")["settlement"].unique().to_list() == ["PM"]


def test_a_market_without_an_edge_has_chains_too() -> None:
    later = np.array([each for each in CALENDAR.dates if each > DAYS[-1].item()], dtype="datetime64[D]")
    market = edgeless_surfaces(DAYS, 5, later=later, start=2800.0, spread=FITTED.spread("SPX"))
    made = market.surfaces
    frame = modelled_chain(made, [12], day_facts(made, market.bars), "SPX", calendar=CALENDAR)
    live = frame.filter(pl.col("bid") > 0)
    assert live["iv"].null_count() == 0
    sides = [live.filter(pl.col("right") == right) for right in ("CALL", "PUT")]
    pairs = sides[0].join(sides[1], on=["session", "expiry", "strike"], suffix="_put")
    gap = pairs["spot"] - pairs["strike"]
    assert (pairs["mid"] - pairs["mid_put"]).to_numpy() == pytest.approx(gap.to_numpy(), abs=1e-8)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(BadInput, match="The facts are of 3 sessions"):
        chain([0], told=DayFacts(np.ones(3), np.ones(3), np.ones(3)))
    moved = dataclasses.replace(surfaces(), sessions=DAYS + 1)
    with pytest.raises(BadInput, match="is not a session of XNYS"):
        chain([0], moved)


def test_contracts_are_ordered_and_in_pairs() -> None:
    made = listed_contracts(surfaces(), [4], "SPX", calendar=CALENDAR)
    assert made.right[::2].tolist() == [1.0] * (len(made.right) // 2)
    assert made.strike[::2].tolist() == made.strike[1::2].tolist()
    assert (np.diff(made.expiry) >= np.timedelta64(0, "D")).all()
