"""Chains priced by our own numbers, and the smiles and the surface fitted to them."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.core.quotes import DERIVED, RECEIVED
from openbell.market import chain_pricing, chain_smiles
from openbell.quant import black, ssvi
from openbell.quant.american import american_prices
from openbell.quant.density import Density
from openbell.quant.svi import Svi

AT = dt.datetime(2023, 9, 14, 20, tzinfo=dt.UTC)
SURFACE = np.array([0.015, 0.04, 3.0, -0.6, 1.1, 0.4])
RATE, YIELD, SPOT = 0.05, 0.015, 4500.0
EXPIRIES = (("SPXW", "PM", dt.date(2023, 9, 22)), ("SPX", "AM", dt.date(2023, 10, 20)),
            ("SPXW", "PM", dt.date(2023, 12, 29)), ("SPX", "AM", dt.date(2024, 6, 21)))  # fmt: skip


def years_of(expiry, settlement, at=AT):
    """09:30 or 16:00 New York, by hand: 4 hours from UTC in summer, 5 in winter."""
    winter = not dt.date(2023, 3, 12) <= expiry < dt.date(2023, 11, 5) and not dt.date(2024, 3, 10) <= expiry
    hour, minute = (13, 30) if settlement == "AM" else (20, 0)
    moment = dt.datetime(expiry.year, expiry.month, expiry.day, hour + winter, minute, tzinfo=dt.UTC)
    return (moment - at).total_seconds() / (365 * 86_400)


def frame(rows):
    """Rows of ``RECEIVED`` from dicts, with what they do not say."""
    usual = {
        "underlying": "SPX", "session": AT.date(), "quote_at": AT, "exercise": "EUROPEAN", "multiplier": 100.0,
        "spot": 4000.0, "modelled": False, "source": "made",
    }  # fmt: skip
    full = [{name: {**usual, **row}.get(name) for name in RECEIVED} for row in rows]
    return pl.DataFrame(full, schema=dict(RECEIVED))


def european(expiries=EXPIRIES, at=AT, underlying="SPX", spot=SPOT, half=0.02, rate=RATE):
    """Quotes around the exact values of the surface; bids that would not be above 0 are 0."""
    rows = []
    for root, settlement, expiry in expiries:
        years = years_of(expiry, settlement, at)
        forward = spot * math.exp((rate - YIELD) * years)
        reach = 3 * math.sqrt(float(ssvi.at_the_money_variance(SURFACE, years)))
        strikes = np.round(forward * np.exp(np.linspace(-reach, 0.8 * reach, 33)))
        sigma = np.sqrt(ssvi.total_variance(SURFACE, np.log(strikes / forward), years) / years)
        for right, name in ((1, "CALL"), (-1, "PUT")):
            value = black.prices(right, forward, strikes, years, sigma, math.exp(-rate * years))
            rows += [
                {"underlying": underlying, "root": root, "settlement": settlement, "expiry": expiry, "strike": k,
                 "right": name, "bid": max(v - half, 0.0), "ask": v + half, "quote_at": at, "session": at.date(),
                 "exercise": "EUROPEAN"}
                for k, v in zip(strikes, value, strict=True)
            ]  # fmt: skip
    return frame(rows)


@pytest.fixture(scope="module")
def made():
    quotes = european()
    return quotes, chain_pricing.price(quotes)


def test_what_went_in_comes_out(made):
    """Forward, discount, volatility and spot of the surface the quotes were made of; the stated spot (of another day)
    moves nothing; the order of the rows is kept.
    """
    quotes, found = made
    rows = found.quotes
    assert rows.columns == [*RECEIVED, *DERIVED]
    assert dict(rows.schema) == {**RECEIVED, **DERIVED}
    assert rows.select(*RECEIVED).equals(quotes)
    years = np.array([years_of(e, s) for e, s in rows.select("expiry", "settlement").iter_rows()])
    np.testing.assert_allclose(rows["years"].to_numpy(), years, rtol=1e-12)
    np.testing.assert_allclose(rows["forward"].to_numpy(), SPOT * np.exp((RATE - YIELD) * years), rtol=1e-6)
    np.testing.assert_allclose(rows["discount"].to_numpy(), np.exp(-RATE * years), rtol=2e-3)
    good = rows.filter(pl.col("iv").is_not_null(), pl.col("vega") > 20)
    assert good.height > 0.6 * rows.height
    k = np.log(good["strike"] / good["forward"]).to_numpy()
    sigma = np.sqrt(ssvi.total_variance(SURFACE, k, good["years"].to_numpy()) / good["years"].to_numpy())
    np.testing.assert_allclose(good["iv"].to_numpy(), sigma, atol=2e-3)
    np.testing.assert_allclose(found.expiries["implied_spot"].to_numpy(), SPOT, rtol=1e-4)
    assert found.expiries["rate_source"].unique().to_list() == ["PARITY"]
    assert found.expiries["reason"].null_count() == len(EXPIRIES)
    assert found.expiries["volatilities"].sum() == rows["iv"].count()


def test_the_greeks_are_those_of_black_at_our_own_forward(made):
    rows = made[1].quotes.filter(pl.col("iv").is_not_null())
    spot = made[1].expiries["implied_spot"][0]
    right = np.where(rows["right"] == "CALL", 1, -1)
    expected = black.forward_greeks(
        right, *(rows[name].to_numpy() for name in ("forward", "strike", "years", "iv", "discount")), spot
    )
    for name in ("delta", "gamma", "theta", "vega", "rho"):
        np.testing.assert_allclose(rows[name].to_numpy(), getattr(expected, name), rtol=1e-12)


def test_a_quote_without_a_market_has_no_number_and_none_is_nan():
    """Zero bid, crossed, missing ask, a put under intrinsic: null, never NaN, never 0."""
    quotes = european(expiries=EXPIRIES[1:2]).with_row_index("row")
    deep = pl.col("row") == 65
    quotes = quotes.with_columns(
        bid=pl.when(pl.col("row") == 20).then(0.0).when(deep).then(100.0).otherwise("bid"),
        ask=pl.when(pl.col("row") == 21).then(pl.col("bid") - 0.01).when(pl.col("row") == 22).then(None)
        .when(deep).then(100.5).otherwise("ask"),
    )  # fmt: skip
    assert quotes["right"][65] == "PUT"
    assert quotes["strike"][65] > 4700
    rows = chain_pricing.priced(quotes)
    assert rows["row"].to_list() == list(range(66))
    assert rows["mid"].is_null().to_numpy()[[20, 21, 22]].all()
    assert rows["mid"][65] == 100.25
    for name in ("iv", "delta", "gamma", "theta", "vega", "rho"):
        assert rows[name].is_null().to_numpy()[[20, 21, 22, 65]].all()
        assert rows[name][19] is not None
    assert not any(rows[name].is_nan().any() for name in DERIVED)


def test_an_expiry_that_cannot_be_priced_says_why():
    """One strike; over at the moment of the quotes; nothing quoted. Their rows stay, with nulls."""
    quotes = european()
    single = quotes.filter(pl.col("expiry") == EXPIRIES[2][2]).filter(pl.col("strike") == pl.col("strike").median())
    over = quotes.filter(pl.col("expiry") == EXPIRIES[0][2]).with_columns(expiry=AT.date())
    silent = quotes.filter(pl.col("expiry") == EXPIRIES[3][2]).with_columns(bid=0.0)
    found = chain_pricing.price(pl.concat([single, over, silent, quotes.filter(pl.col("expiry") == EXPIRIES[1][2])]))
    reasons = {row["expiry"]: row["reason"] for row in found.expiries.iter_rows(named=True)}
    assert "this expiry has 1" in reasons[EXPIRIES[2][2]]
    assert "was over" in reasons[AT.date()]
    assert "this expiry has 0" in reasons[EXPIRIES[3][2]]
    assert reasons[EXPIRIES[1][2]] is None
    lost = found.quotes.filter(pl.col("expiry") != EXPIRIES[1][2])
    assert lost.height == single.height + over.height + silent.height
    assert lost["iv"].is_null().all()
    assert lost["forward"].is_null().all()
    assert found.quotes.filter(pl.col("expiry") == EXPIRIES[1][2])["iv"].count() > 50
    table = chain_pricing.smiles(found.quotes)
    assert table.filter(pl.col("reason").is_null())["expiry"].to_list() == [EXPIRIES[1][2]]
    assert table.filter(pl.col("expiry") == AT.date())["reason"][0] == (
        "The expiry was over at the moment of the quotes."
    )
    assert table.filter(pl.col("expiry") == EXPIRIES[2][2])["reason"][0] == "Parity gives this expiry no forward."


def test_contracts_that_stand_there_twice_say_nothing_and_are_counted():
    quotes = european(expiries=EXPIRIES[1:2])
    wrong = quotes[10:12].with_columns(bid=pl.col("bid") + 500, ask=pl.col("ask") + 500)
    found = chain_pricing.price(pl.concat([quotes, wrong]))
    clean = chain_pricing.price(quotes)
    assert found.expiries["doubled"].to_list() == [4]
    assert found.expiries["rejected"].to_list() == [0]
    assert found.expiries["forward"][0] == pytest.approx(clean.expiries["forward"][0], rel=1e-7)
    assert found.quotes.height == quotes.height + 2


def test_moments_and_underlyings_do_not_see_each_other():
    later = dt.datetime(2023, 9, 15, 20, tzinfo=dt.UTC)
    parts = [
        european(),
        european(at=later, spot=4600.0, rate=0.01),
        european(underlying="XSP", spot=450.0, half=0.005),
    ]
    alone = pl.concat([chain_pricing.priced(part) for part in parts])
    together = chain_pricing.priced(pl.concat(parts))
    assert together.equals(alone)
    mixed = pl.concat(parts).with_row_index("row").sample(fraction=1.0, shuffle=True, seed=5)
    assert chain_pricing.priced(mixed).sort("row").drop("row").equals(alone)


@pytest.mark.parametrize(
    ("expiry", "settlement", "moment"),
    [
        (dt.date(2023, 11, 24), "PM", dt.datetime(2023, 11, 24, 18, tzinfo=dt.UTC)),  # closes at 13:00
        (dt.date(2023, 11, 17), "AM", dt.datetime(2023, 11, 17, 14, 30, tzinfo=dt.UTC)),
        (dt.date(2023, 11, 3), "PM", dt.datetime(2023, 11, 3, 20, tzinfo=dt.UTC)),  # daylight saving
        (dt.date(2023, 11, 6), "PM", dt.datetime(2023, 11, 6, 21, tzinfo=dt.UTC)),
    ],
)
def test_years_end_at_the_moment_of_expiry(expiry, settlement, moment):
    row = frame([{"root": "SPXW", "settlement": settlement, "expiry": expiry, "strike": 4500.0, "right": "CALL"}])
    expected = (moment - AT).total_seconds() / (365 * 86_400)
    assert chain_pricing.priced(row)["years"][0] == pytest.approx(expected, rel=1e-12)


def test_nothing_in_nothing_out_and_a_missing_column_is_named():
    found = chain_pricing.price(frame([]))
    assert (found.quotes.height, found.expiries.height) == (0, 0)
    assert chain_pricing.smiles(found.quotes).is_empty()
    with pytest.raises(BadInput, match="column `settlement`"):
        chain_pricing.priced(european().drop("settlement"))
    again = chain_pricing.priced(chain_pricing.priced(european()))
    assert again.columns == [*RECEIVED, *DERIVED]


def test_a_surface_is_found_again(made):
    fit = chain_pricing.fitted_surface(made[1].quotes)
    assert fit.error < 2e-3
    assert (fit.underlying, fit.quote_at, fit.modelled) == ("SPX", AT, False)
    assert fit.spot == pytest.approx(SPOT, rel=1e-4)
    assert fit.rate == pytest.approx(RATE, abs=2e-3)
    assert fit.dividend_yield == pytest.approx(YIELD, abs=2e-3)
    k = np.linspace(-0.08, 0.05, 27)
    for years in (0.1, 0.29):
        found = np.sqrt(ssvi.total_variance(fit.parameters, k, years) / years)
        np.testing.assert_allclose(found, np.sqrt(ssvi.total_variance(SURFACE, k, years) / years), atol=3e-3)
    modelled = chain_pricing.fitted_surface(made[1].quotes.with_columns(modelled=True))
    assert modelled.modelled


def test_a_surface_needs_one_moment_with_volatilities(made):
    rows = made[1].quotes
    with pytest.raises(BadInput, match="the quotes were of 2"):
        chain_pricing.fitted_surface(pl.concat([rows, rows.with_columns(underlying=pl.lit("XSP"))]))
    with pytest.raises(DataMissing, match="there is no surface"):
        chain_pricing.fitted_surface(rows.with_columns(iv=pl.lit(None, dtype=pl.Float64)))


def test_smiles_are_free_of_arbitrage_and_inside_the_quotes(made):
    table = chain_pricing.smiles(made[1].quotes)
    assert table["root"].to_list() == ["SPXW", "SPX", "SPXW", "SPX"]
    assert table["inside"].min() > 0.9
    assert table["error"].max() < 1e-3
    assert table["least_butterfly"].min() >= 0
    assert table["calendar_gap"].max() < 1e-4
    row = table.row(1, named=True)
    density = Density(row["forward"], Svi(row["a"], row["b"], row["rho"], row["m"], row["sigma"]))
    assert float(density.cdf(row["forward"])) == pytest.approx(0.45, abs=0.1)


def test_few_strikes_are_no_smile(made):
    few = made[1].quotes.filter(pl.col("strike").is_in(made[1].quotes["strike"].unique()[:3].implode()))
    table = chain_pricing.smiles(few)
    assert table["a"].null_count() == table.height
    assert "at least 5 strikes with a volatility" in " ".join(table["reason"])


def test_half_widths_are_those_of_the_quotes_in_volatility(made):
    rows = chain_smiles.out_of_the_money(made[1].quotes)
    assert rows.filter((pl.col("k") < 0) & (pl.col("right") == "CALL")).is_empty()
    one = rows.filter(pl.col("half_width").is_not_null()).row(5, named=True)
    assert one["half_width"] == pytest.approx((one["ask"] - one["bid"]) / 2 / one["vega"])


def american(expiries=(dt.date(2023, 10, 20), dt.date(2023, 12, 15), dt.date(2024, 3, 15)), half=0.01):
    """SPY quotes around exact American values at one volatility."""
    rows = []
    for expiry in expiries:
        years = years_of(expiry, "PM")
        strikes = np.arange(430.0, 472.0, 2.0)
        for right, name in ((1, "CALL"), (-1, "PUT")):
            value = american_prices(right, 450.0, strikes, years, 0.16, RATE, YIELD)
            rows += [
                {"underlying": "SPY", "root": "SPY", "settlement": "PM", "expiry": expiry, "strike": k, "right": name,
                 "bid": v - half, "ask": v + half, "exercise": "AMERICAN"}
                for k, v in zip(strikes, value, strict=True)
            ]  # fmt: skip
    return frame(rows)


def test_american_quotes_get_american_volatilities_and_greeks():
    """With the rate known: the volatility they were made at, and Greeks that are differences of American values."""
    found = chain_pricing.price(american(), rate=RATE)
    assert found.expiries["rate_source"].unique().to_list() == ["GIVEN"]
    rows = found.quotes
    np.testing.assert_allclose(
        rows["forward"].to_numpy(), 450 * np.exp((RATE - YIELD) * rows["years"].to_numpy()), rtol=2e-5
    )
    np.testing.assert_allclose(rows["iv"].to_numpy(), 0.16, atol=3e-4)
    puts = rows.filter(pl.col("right") == "PUT")
    terms = (puts["strike"].to_numpy(), puts["years"].to_numpy(), 0.16)

    def value(spot=450.0, sigma=0.16, rate=RATE, days=0.0):
        return american_prices(-1, spot, terms[0], terms[1] - days / 365, sigma, rate, YIELD)

    np.testing.assert_allclose(puts["delta"].to_numpy(), (value(451.0) - value(449.0)) / 2, atol=3e-3)
    np.testing.assert_allclose(puts["vega"].to_numpy(), (value(sigma=0.165) - value(sigma=0.155)) / 0.01, rtol=0.02)
    np.testing.assert_allclose(puts["theta"].to_numpy(), value(days=0.5) - value(days=-0.5), atol=2e-3)
    np.testing.assert_allclose(
        puts["rho"].to_numpy(), (value(rate=0.051) - value(rate=0.049)) / 0.002, rtol=0.05, atol=1
    )
    curved = (value(452.0) - 2 * value() + value(448.0)) / 4
    np.testing.assert_allclose(puts["gamma"].to_numpy(), curved, rtol=0.15, atol=1e-3)


def test_american_quotes_take_the_rates_of_the_index_of_the_same_moment():
    both = chain_pricing.price(pl.concat([american(), european(expiries=EXPIRIES[1:])]))
    mine = both.expiries.filter(pl.col("underlying") == "SPY")
    assert mine["rate_source"].unique().to_list() == ["GIVEN"]
    np.testing.assert_allclose(mine["rate"].to_numpy(), RATE, atol=3e-3)
    alone = chain_pricing.price(american())
    assert alone.expiries["rate_source"].unique().to_list() == ["AMERICAN"]
    np.testing.assert_allclose(alone.expiries["forward"].to_numpy(), mine["forward"].to_numpy(), rtol=1e-4)
    later = american().with_columns(quote_at=AT + dt.timedelta(minutes=1))
    apart = chain_pricing.price(pl.concat([later, european(expiries=EXPIRIES[1:])]))
    assert "AMERICAN" in apart.expiries["rate_source"].to_list()


def real(folder, name):
    """A CBOE file as its importer reads it."""
    from openbell.market.providers.cboe_chain import cboe_chain

    return cboe_chain(folder / "chains" / "cboe" / name).quotes


@pytest.fixture(scope="module")
def september(real_data):
    return chain_pricing.price(real(real_data, "spx_2023-09-14.csv.gz"))


def test_forwards_of_a_real_chain_lie_within_its_own_quotes(september):
    """The issue: within 0.3 index points of the quotes' own bounds for every expiry; and before the bounds moved it."""
    table = september.expiries.filter(pl.col("reason").is_null())
    assert table.height == 58
    assert table["rejected"].sum() == 0
    assert (table["forward"] >= table["forward_low"]).all()
    assert (table["forward"] <= table["forward_high"]).all()
    assert table["moved"].abs().max() < 0.3
    over = september.expiries.filter(pl.col("reason").is_not_null())
    assert over["expiry"].to_list() == [dt.date(2023, 9, 14)]
    # AM and PM of one day agree on the forward to within both their bounds.
    both = table.filter(pl.col("expiry").is_duplicated()).group_by("expiry").agg(
        (pl.col("forward").max() - pl.col("forward").min()).alias("gap")
    )  # fmt: skip
    assert both.height == 6
    assert both["gap"].max() < 0.3


def test_smiles_and_densities_of_a_real_chain(september):
    """Every slice is free of butterflies; the density of each tenth one integrates to 1 and has the forward as mean."""
    table = chain_pricing.smiles(september.quotes).filter(pl.col("reason").is_null())
    assert table.height == 58
    assert table["least_butterfly"].min() >= 0
    for row in table[::10].iter_rows(named=True):
        density = Density(row["forward"], Svi(row["a"], row["b"], row["rho"], row["m"], row["sigma"]))
        pdf = density.pdf(density.grid)
        assert pdf.min() >= 0
        assert np.trapezoid(pdf * density.grid, np.log(density.grid)) == pytest.approx(1.0, abs=1e-6)
        mean = np.trapezoid(pdf * density.grid**2, np.log(density.grid))
        assert mean == pytest.approx(row["forward"], rel=1e-6)
    fit = chain_pricing.fitted_surface(september.quotes)
    assert ssvi.why_not_free(fit.parameters) is None
    near = fit.expiry_error[(fit.expiry_years > 20 / 365) & (fit.expiry_years < 0.5)]
    assert near.max() < 0.015


def test_a_real_american_chain_has_forwards(real_data):
    """SPY: all but the expiry that is over have a forward, and it rises; a rate from outside hardly moves it."""
    near = (pl.col("strike") - 450).abs() < 25, pl.col("expiry") < dt.date(2024, 4, 1)
    quotes = real(real_data, "spy_2023-09-14.csv.gz").filter(near)
    found = chain_pricing.price(quotes)
    table = found.expiries.filter(pl.col("reason").is_null()).sort("years")
    assert (found.expiries.height, table.height) == (22, 21)
    assert table["forward"].filter(table["years"] > 0.02).is_sorted()
    assert set(table["rate_source"]) == {"AMERICAN"}
    known = chain_pricing.price(quotes, rate=0.055).expiries.sort("years")
    moved = known.join(table, on=["expiry"], suffix="_own").filter(pl.col("years") < 0.3)
    assert (moved["forward"] / moved["forward_own"] - 1).abs().max() < 5e-4
