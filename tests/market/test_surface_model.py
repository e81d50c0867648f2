"""Modelled surfaces: nothing of the future in them, nothing filled, never an arbitrage."""

import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput, DataMissing
from openbell.market.surface_model import modelled, modelled_surfaces, realised_volatility, reverting
from openbell.market.surface_scalars import FITTED
from openbell.quant.ssvi import at_the_money_variance, why_not_free
from openbell.quant.surface_values import at_the_money_volatility

N = 200
SESSIONS = [dt.date(2019, 1, 1) + dt.timedelta(days=i) for i in range(N)]


def bars(seed: int = 1, spot: float = 4000.0, volatility: float = 0.01) -> pl.DataFrame:
    close = spot * np.exp(np.cumsum(volatility * np.random.default_rng(seed).standard_normal(N)))
    return pl.DataFrame({"session": SESSIONS, "open": close * 1.001, "close": close})


def index(seed: int = 2, level: float = 18.0) -> pl.DataFrame:
    return pl.DataFrame(
        {"session": SESSIONS, "close": level * np.exp(0.2 * np.random.default_rng(seed).standard_normal(N))}
    )


def far_index(seed: int = 3, ratio: float = 1.1) -> pl.DataFrame:
    """A VIX3M beside `index()`: some 10 % above it, more or less."""
    noise = np.random.default_rng(seed).uniform(0.9, 1.1, N)
    return index().with_columns(pl.col("close") * ratio * pl.Series(noise))


def rates() -> pl.DataFrame:
    return pl.DataFrame({"session": SESSIONS, "rate": np.linspace(0.01, 0.05, N)})


def burnt(frame: pl.DataFrame, after: int) -> pl.DataFrame:
    """Everything after row `after` made another world's."""
    numbers = [name for name in frame.columns if name != "session"]
    late = pl.int_range(pl.len()) > after
    return frame.with_columns(
        pl.when(late).then(pl.col(n) * 1.37 + 0.001).otherwise(pl.col(n)).alias(n) for n in numbers
    )


@pytest.mark.parametrize("name", ["SPX", "SMH"])
@pytest.mark.parametrize("with_far", [True, False])
def test_no_row_knows_what_comes_after_it(name: str, with_far: bool) -> None:
    """Check 4: bit for bit."""
    inputs = {"bars": bars(), "vix": index(), "rates": rates(), "market": bars(7)}
    if with_far:
        inputs["vix3m"] = far_index()
    whole = modelled_surfaces(name, **inputs)  # type: ignore[arg-type]
    for cut in (0, 130, 170, N - 2):
        past = modelled_surfaces(name, **{key: burnt(frame, cut) for key, frame in inputs.items()})  # type: ignore[arg-type]
        for field in ("parameters", "spot", "settle", "rate", "dividend_yield", "increment"):
            kept, other = getattr(whole, field), getattr(past, field)
            assert kept[: cut + 1].tobytes() == other[: cut + 1].tobytes(), field
        assert whole.parameters[cut + 1 :].tobytes() != past.parameters[cut + 1 :].tobytes()


def test_the_level_is_the_fitted_line_on_the_index_of_that_day() -> None:
    flat = [index(2).with_columns(pl.lit(level).alias("close")) for level in (20.0, 22.0)]
    made = modelled_surfaces("SPX", bars(), *flat)
    for days, level, (constant, slope) in ((30, 0.20, FITTED.level_30), (93, 0.22, FITTED.level_93)):
        found = at_the_money_volatility(made, np.arange(N), days)
        assert found == pytest.approx(np.full(N, constant + slope * level), rel=1e-12)
    assert made.parameters[0, 2] == FITTED.reversion
    assert made.modelled.all()


def test_a_day_without_a_vix_has_no_surface_and_a_sentence() -> None:
    """Check 15: never filled."""
    vix = index().with_columns(
        pl.when(pl.int_range(pl.len()) == 9).then(None).otherwise(pl.col("close")).alias("close")
    )
    made = modelled("SPX", bars(), vix.filter(pl.int_range(pl.len()) != 5), far_index())
    gaps = np.isnan(made.surfaces.parameters).all(axis=1)
    assert np.flatnonzero(gaps).tolist() == [5, 9]
    assert made.notes["session"].to_list() == [SESSIONS[5], SESSIONS[9]]
    assert made.notes["reason"].unique().to_list() == [
        "There is no VIX of that session; it is never carried over from another day."
    ]
    full = modelled("SPX", bars(), index(), far_index())
    assert made.surfaces.parameters[~gaps].tobytes() == full.surfaces.parameters[~gaps].tobytes()
    assert full.notes.is_empty()


def test_without_a_vix3m_the_slope_pulls_to_the_past_mean_and_says_so() -> None:
    vix = pl.DataFrame({"session": SESSIONS, "close": [20.0] * 150 + [40.0] * 50})
    made = modelled("SPX", bars(), vix)
    assert made.remarks[0] == "The term structure of 200 of 200 sessions is the fitted one, because there is no VIX3M."
    constant, pull, half_life = FITTED.term
    decay = 0.5 ** (1 / half_life)
    weights = decay ** np.arange(N)[::-1]
    for row, level in ((149, 20.0), (199, 40.0)):
        mean = np.average(np.log(vix["close"][: row + 1]), weights=weights[N - row - 1 :])
        far = level * np.exp(constant + pull * (mean - np.log(level))) / 100
        found = at_the_money_volatility(made.surfaces, row, 93)[0]
        assert found == pytest.approx(FITTED.level_93[0] + FITTED.level_93[1] * far, rel=1e-9)
    some = index(3, 20.0).with_columns(pl.when(pl.int_range(pl.len()) >= 40).then(pl.col("close")).alias("close"))
    told = modelled("SPX", bars(), vix, some).remarks[0]
    assert (
        told
        == "The term structure of 40 of 200 sessions is the fitted one, because the VIX3M has no value of that day."
    )


@pytest.mark.parametrize("name", ["SPX", "SMH"])
@pytest.mark.parametrize("seed", range(5))
def test_no_surface_has_an_arbitrage(seed: int, name: str) -> None:
    """Over nearly all that VIX and VIX3M have been beside each other, at levels beyond both ends."""
    rng = np.random.default_rng(seed)
    near = pl.DataFrame({"session": SESSIONS, "close": np.exp(rng.uniform(np.log(8.0), np.log(150.0), N))})
    far = near.with_columns(pl.col("close") * pl.Series(rng.uniform(0.75, 1.4, N)))
    made = modelled(name, bars(), near, far, market=bars(4))
    for row in made.surfaces.parameters[np.isfinite(made.surfaces.parameters).all(axis=1)]:
        assert row[4] * (1 + abs(row[3])) <= 2 + 1e-12
        assert 0 < row[5] <= 0.5
        assert why_not_free(row) is None
    assert np.isnan(made.surfaces.parameters).any(axis=1).sum() == made.notes.height
    if name == "SPX":
        assert made.notes.is_empty()


@settings(max_examples=60, deadline=None)
@given(near=st.floats(0.003, 2.0), ratio=st.floats(0.45, 2.6))
def test_the_two_variances_come_back(near: float, ratio: float) -> None:
    far = near * ratio
    short, long, pull = (each[0] for each in reverting(np.array([near]), np.array([far]), 4.0))
    assert short >= 0.09 * near
    assert long >= 0.24 * far
    for years, variance in ((30 / 365, near), (93 / 365, far)):
        total = at_the_money_variance([short, long, pull, 0.0, 1.0, 0.5], years)
        assert float(total) == pytest.approx(variance * years, rel=1e-9)


def test_a_slope_that_no_reversion_gives_has_no_surface() -> None:
    assert np.isnan(reverting(np.array([0.04]), np.array([0.04 * 0.3]), 4.0)[0]).all()
    assert np.isnan(reverting(np.array([0.04]), np.array([0.04 * 3.5]), 4.0)[2]).all()


def test_an_underlying_like_the_market_has_its_own_level_raised_by_the_premium() -> None:
    market = bars(5)
    vix = index(2).with_columns(pl.lit(25.0).alias("close"))
    made = modelled("SMH", market, vix, vix, market=market)
    realised = realised_volatility(market["close"].to_numpy(), FITTED.short_weight)
    implied = FITTED.level_30[0] + FITTED.level_30[1] * 0.25
    expected = realised ** (1 - FITTED.premium_share) * implied**FITTED.premium_share
    found = at_the_money_volatility(made.surfaces, np.arange(N), 30)
    assert np.isnan(found[:126]).all()
    assert found[126:] == pytest.approx(expected[126:], rel=1e-9)
    assert made.notes["reason"].unique().to_list() == ["Its realised volatility needs 126 returns up to that session."]
    assert "The dividend yield of SMH is taken as 0." not in made.remarks
    calm = modelled("SMH", bars(5, volatility=0.005), vix, vix, market=market)
    wild = modelled("SMH", bars(5, volatility=0.02), vix, vix, market=market)
    ratio = at_the_money_volatility(wild.surfaces, 199, 30) / at_the_money_volatility(calm.surfaces, 199, 30)
    assert ratio == pytest.approx([4.0], rel=1e-9)


def test_realised_volatility_by_hand() -> None:
    close = np.exp(np.cumsum(np.tile([0.01, -0.01], 100)))
    assert realised_volatility(close, 0.3)[-1] == pytest.approx(0.01 * np.sqrt(252))
    close[50] = np.nan
    found = realised_volatility(close, 0.3)
    assert np.isnan(found[50])
    assert found[-1] == pytest.approx(0.01 * np.sqrt(252))


def test_a_rate_is_known_the_day_after_it_is_of() -> None:
    made = modelled("SPX", bars(), index(), far_index(), rates())
    given_ = rates()["rate"].to_numpy()
    assert made.surfaces.rate[1:].tolist() == given_[:-1].tolist()
    assert made.surfaces.rate[0] == 0.0
    assert made.surfaces.dividend_yield[1:].tolist() == [FITTED.index_dividend_yield] * (N - 1)
    assert "1 sessions lie before the first rate; theirs is 0." in made.remarks
    none = modelled("SPX", bars(), index(), far_index())
    assert none.remarks == ("No rates were given: every forward is the spot and nothing is discounted.",)
    assert not none.surfaces.rate.any()
    assert not none.surfaces.dividend_yield.any()


def test_a_day_without_a_close_has_no_surface() -> None:
    some = bars().with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise(pl.col("close")).alias("close")
    )
    made = modelled("SPX", some, index(), far_index())
    assert np.isnan(made.surfaces.parameters[3]).all()
    assert made.notes.rows() == [(SESSIONS[3], "There is no close of that session.")]


def test_a_split_that_nobody_adjusted_is_told() -> None:
    split = bars().with_columns(pl.col("close") / pl.when(pl.int_range(pl.len()) >= 150).then(4).otherwise(1))
    told = modelled("SMH", split, index(), market=bars(4)).remarks
    assert any("jumps by more than 92% on 1 sessions, first on 2019-05-31" in each for each in told)
    mended = split.with_columns(bars()["close"].alias("adjusted"))
    assert not any("jumps" in each for each in modelled("SMH", mended, index(), market=bars(4)).remarks)


def test_what_makes_no_surface_is_refused() -> None:
    with pytest.raises(DataMissing, match="SMH has no volatility index of its own"):
        modelled("SMH", bars(), index())
    with pytest.raises(BadInput, match="need the column `open`"):
        modelled("SPX", bars().drop("open"), index())
    with pytest.raises(BadInput, match="must rise strictly"):
        modelled("SPX", bars().reverse(), index())
    with pytest.raises(BadInput, match="A price of SPX must be above 0"):
        modelled("SPX", bars().with_columns(-pl.col("close")), index())
    with pytest.raises(BadInput, match="two values of 2019-01-01"):
        modelled("SPX", bars(), pl.concat([index(), index()]))
    with pytest.raises(BadInput, match=r"The VIX must be above 0; that of 2019-01-01 was 0\.0"):
        modelled("SPX", bars(), index().with_columns(pl.col("close") * 0))


def test_fewer_than_fifty_numbers_were_fitted() -> None:
    values = dataclasses.astuple(FITTED)
    assert sum(len(each) if isinstance(each, tuple) else 1 for each in values) < 50


def test_every_session_with_a_vix_since_2006_has_a_surface(real_data: object) -> None:
    """Shown on what it will be used for: SPX, a crisis or two, and VIX3M only from 2006 on."""
    macro = real_data / "macro"  # type: ignore[operator]
    spx = pl.read_csv(macro / "SPX_daily.csv").select(
        pl.col("Date").str.to_date().alias("session"), pl.col("Open").alias("open"), pl.col("Close").alias("close")
    )
    terms = pl.read_csv(macro / "VIX_term_structure.csv", infer_schema_length=None).with_columns(
        pl.col("Date").str.to_date().alias("session"), pl.col("VIX", "VIX3M").cast(pl.Float64, strict=False)
    )
    made = modelled("SPX", spx, terms.select("session", close="VIX"), terms.select("session", close="VIX3M"))
    had = spx["session"].is_in(terms.drop_nulls("VIX")["session"].to_list()).to_numpy()
    assert np.isfinite(made.surfaces.parameters).all(axis=1).tolist() == had.tolist()
    assert all(why_not_free(row) is None for row in made.surfaces.parameters[had][::50])
