"""One series of a future out of its contracts."""

import datetime as dt

import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.market import products
from openbell.market.continuous import ROLLS, continuous
from openbell.market.contract_months import contract_month, contract_symbol, last_trading_day, of_contract
from openbell.market.products import product

ES = product("ES")
#: Sessions of March 2024 around the expiry of the 15th.
DAYS = [dt.date(2024, 3, day) for day in (6, 7, 8, 11, 12, 13, 14, 15, 18, 19)]
#: The new contract trades more on the 11th, which is known on the 12th.
OLD_VOLUME = [90, 80, 70, 40, 30, 20, 10, 5, 0, 0]
NEW_VOLUME = [10, 20, 30, 60, 70, 80, 90, 95, 99, 99]


def contract_bars(days=DAYS, basis=50.0):
    """Two bars a session of ES_202403 and ES_202406, the later one `basis` points above."""
    rows = []
    sessions = products.sessions(ES)
    for place, day in enumerate(DAYS):
        if day not in days:
            continue
        for name, above, volumes in (("ES_202403", 0.0, OLD_VOLUME), ("ES_202406", basis, NEW_VOLUME)):
            if not volumes[place]:
                continue
            for half in (1, 2):
                close = 5_000.0 + 10 * place + half + above
                ends = sessions.close(day) - dt.timedelta(minutes=60 * (3 - half))
                rows.append((name, day, ends, close - 1, close + 2, close - 2, close, volumes[place] / 2))
    columns = ["symbol", "session", "at", "open", "high", "low", "close", "volume"]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    return frame.with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))


def in_force(series):
    return dict(series.bars.select("session", "contract").unique().sort("session").rows())


def test_rolled_by_volume_and_adjusted_by_difference():
    """Worked by hand: rolled into the 12th at 5032 against 5082, so every later price is 50 points lower."""
    series = continuous(contract_bars(), ES, "1m", adjust="difference")
    held = in_force(series)
    assert [held[day] for day in DAYS] == ["ES_202403"] * 4 + ["ES_202406"] * 6
    assert series.bars["close"].to_list() == [5_000.0 + 10 * place + half for place in range(10) for half in (1, 2)]
    raw = series.bars["raw_close"].to_list()
    assert raw[7:9] == [5_032.0, 5_091.0]
    roll = series.rolls.row(1, named=True)
    assert (roll["session"], roll["left"], roll["contract"]) == (dt.date(2024, 3, 12), "ES_202403", "ES_202406")
    assert (roll["old"], roll["new"], roll["factor"], roll["offset"], roll["joined"]) == (5_032, 5_082, 1.0, -50, True)
    # The close of the session before: 17:00 in New York's summer.
    assert roll["known_at"] == dt.datetime(2024, 3, 11, 21, tzinfo=dt.UTC)
    assert roll["priced_at"] < roll["known_at"]
    assert dict(series.rolls.schema) == ROLLS
    assert series.left_out == contract_bars().height - series.bars.height == 16
    assert "16 bars of contracts not in force" in series.notes[0]


def test_adjusted_by_ratio_keeps_returns_of_the_contract_held():
    series = continuous(contract_bars(), ES, "1m", adjust="ratio")
    moved = series.bars["close"].pct_change().to_list()
    raw = series.bars["raw_close"].to_list()
    assert moved[8] == pytest.approx(5_091.0 / 5_082.0 - 1)
    assert moved[12] == pytest.approx(raw[12] / raw[11] - 1)
    adjusted = series.bars.join(series.rolls.select("contract", "factor"), on="contract")
    assert (adjusted["close"] / adjusted["factor"]).to_list() == pytest.approx(raw)


def test_unadjusted():
    series = continuous(contract_bars(), ES, "1m", adjust="none")
    assert series.bars["close"].equals(series.bars["raw_close"].rename("close"))
    assert series.bars["close"].diff().max() > 50


def test_rolled_by_days_before_the_last_trading_day():
    """The last trading day is Friday the 15th; two sessions before it are the 13th."""
    series = continuous(contract_bars(), ES, "1m", by="days", days=2)
    assert series.rolls["session"].to_list() == [DAYS[0], dt.date(2024, 3, 14)]
    assert series.rolls["rule"].unique().to_list() == ["days 2"]


@pytest.mark.parametrize("by", ["volume", "days"])
@pytest.mark.parametrize("adjust", ["ratio", "difference", "none"])
def test_cutting_off_later_sessions_changes_nothing_before(by, adjust):
    """Burn the future: at each session the series up to it, and its rolls, are what they are with everything."""
    whole = continuous(contract_bars(), ES, "1m", by=by, days=2, adjust=adjust)
    for count in range(1, len(DAYS)):
        cut = continuous(contract_bars(DAYS[:count]), ES, "1m", by=by, days=2, adjust=adjust)
        last = DAYS[count - 1]
        assert cut.bars.equals(whole.bars.filter(pl.col("session") <= last))
        assert cut.rolls.equals(whole.rolls.filter(pl.col("session") <= last))


def test_contracts_that_never_traded_together():
    bars = contract_bars()
    apart = bars.filter(
        ((pl.col("symbol") == "ES_202403") & (pl.col("session") <= DAYS[3]))
        | ((pl.col("symbol") == "ES_202406") & (pl.col("session") >= DAYS[8]))
    )
    series = continuous(apart, ES, "1m", adjust="ratio")
    roll = series.rolls.row(1, named=True)
    # On the 18th the old contract has expired, so the new one is in force, and there is nothing to adjust by.
    assert (roll["session"], roll["joined"], roll["factor"], roll["old"]) == (DAYS[8], False, 1.0, None)
    assert "never traded together" in series.notes[1]


def test_bars_without_volume_count_as_one():
    """Two bars of the new contract against one of the old one on the 7th, where no volume is told."""
    bars = contract_bars().with_columns(pl.lit(None, dtype=pl.Float64).alias("volume"))
    morning = bars.filter((pl.col("symbol") == "ES_202403") & (pl.col("session") == DAYS[1]))["at"].min()
    fewer = bars.filter((pl.col("symbol") == "ES_202406") | (pl.col("at") != morning))
    assert continuous(bars, ES, "1m").rolls["session"].to_list()[1] == DAYS[8]
    assert continuous(fewer, ES, "1m").rolls["session"].to_list()[1] == DAYS[2]


def test_an_expired_contract_is_not_where_the_series_begins():
    """Bars of the last quarter's contract, labelled wrong or late, are left out, and counted."""
    late = contract_bars(DAYS[:1]).with_columns(pl.lit("ES_202312").alias("symbol")).head(2)
    bars = pl.concat([late, contract_bars(DAYS[1:])])
    series = continuous(bars, ES, "1m", adjust="difference")
    assert series.rolls["contract"].to_list() == ["ES_202403", "ES_202406"]
    assert series.rolls["session"][0] == DAYS[1]
    assert series.bars["session"].min() == DAYS[1]
    assert series.rolls["known_at"][0] == products.sessions(ES).open(DAYS[1])
    with pytest.raises(DataMissing, match="Are the delivery months right"):
        continuous(late, ES, "1m")


def test_refusals():
    with pytest.raises(DataMissing, match="--product ES"):
        continuous(contract_bars().clear(), ES, "1m")
    with pytest.raises(BadInput, match="`NQ_202403` is no contract of ES"):
        continuous(contract_bars().with_columns(pl.lit("NQ_202403").alias("symbol")), ES, "1m")


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("201312", (2013, 12)),
        ("2013-12", (2013, 12)),
        ("ESZ13", (2013, 12)),
        ("z2013", (2013, 12)),
        ("6EH99", (1999, 3)),
    ],
)
def test_how_contracts_are_written(text, month):
    assert contract_month(text) == month


@pytest.mark.parametrize("text", ["ESZ3", "201313", "front", "", "ES1!"])
def test_contracts_that_name_no_certain_month(text):
    with pytest.raises(BadInput, match="201312"):
        contract_month(text)


def test_symbols_of_contracts():
    assert contract_symbol("ES", "ESH24") == "ES_202403"
    assert of_contract("ES_202403") == ("ES", (2024, 3))
    assert of_contract("ES") is None


#: Last trading days as the exchange published them.
PUBLISHED = [
    ("ES", "202403", "2024-03-15"),
    ("ES", "202406", "2024-06-21"),
    ("EU", "202403", "2024-03-18"),
    ("CD", "202403", "2024-03-19"),
    ("C", "202403", "2024-03-14"),
    ("TY", "202403", "2024-03-19"),
    ("FV", "202403", "2024-03-28"),
    ("GC", "202404", "2024-04-26"),
    ("CL", "202005", "2020-04-21"),
    ("CL", "202404", "2024-03-20"),
    ("NG", "202404", "2024-03-26"),
]


@pytest.mark.parametrize(("code", "contract", "day"), PUBLISHED)
def test_last_trading_days(code, contract, day):
    assert str(last_trading_day(product(code), *contract_month(contract))) == day


def test_what_never_expires():
    with pytest.raises(BadInput, match="no contracts that expire"):
        last_trading_day(product("BTCUSD"), 2024, 3)
