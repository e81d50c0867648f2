"""The market before a decision: the same alone and among many, and blind to everything later."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from openbell.core.errors import BadInput, DataMissing
from openbell.core.types import Market
from openbell.research.snapshot import BENCHMARK_SESSIONS, CLOSES_SESSIONS, prepared, snapshots

sys.path.insert(0, str(Path(__file__).parent))
from market_of_weekdays import Memory, calendar, memory, view

CAL = calendar()
LATE = CAL.dates[-1]
HOW = {"universe": "small", "benchmark": "SPY"}


@pytest.fixture(scope="module")
def tables() -> Memory:
    return memory(CAL)


def same(one: Market, other: Market) -> None:
    assert (one.as_of, one.session, one.last_session, one.notes) == (
        other.as_of,
        other.session,
        other.last_session,
        other.notes,
    )
    assert_frame_equal(one.names, other.names, check_exact=True)
    assert one.benchmark_name == other.benchmark_name
    assert np.array_equal(one.closes, other.closes, equal_nan=True)
    assert one.benchmark == pytest.approx(other.benchmark, rel=1e-13)


@pytest.mark.parametrize("against", ["SPY", "EQUAL_WEIGHT", "equal_weight"])
def test_one_session_alone_equals_that_session_among_many(tables: Memory, against: str) -> None:
    """Check 14: the daily run and the back-test see one market, to the last bit of every name."""
    days = CAL.dates[60:459:23]
    many = snapshots(view(tables, CAL, LATE), days, universe="small", benchmark=against)
    assert list(many) == list(days)
    for day in days[1::4]:
        alone = snapshots(view(tables, CAL, day), [day], universe="small", benchmark=against)[day]
        same(alone, many[day])


@pytest.mark.parametrize("against", ["SPY", "EQUAL_WEIGHT"])
def test_burning_the_future_changes_nothing(tables: Memory, against: str) -> None:
    """Check 4: rows known later are turned into nonsense; the market before stays bit by bit."""
    day = CAL.dates[400]
    now = CAL.open(day) - dt.timedelta(minutes=30)
    later = pl.col("known_at") > now
    burnt = Memory(
        {
            **tables.frames,
            "bars": tables.frames["bars"].with_columns(
                pl.when(later).then(pl.col(name) * 7 + 3).otherwise(pl.col(name)).alias(name)
                for name in ("open", "close", "volume")
            ),
        }
    )
    for source in (tables, burnt):
        got = snapshots(view(source, CAL, LATE), [day], universe="small", benchmark=against)[day]
        alone = snapshots(view(tables, CAL, day), [day], universe="small", benchmark=against)[day]
        same(got, alone)


def test_values_by_a_second_formula(tables: Memory) -> None:
    day = CAL.dates[300]
    got = snapshots(view(tables, CAL, day), [day], **HOW)[day]
    assert got.last_session == CAL.dates[299]
    assert got.session == day
    assert got.as_of == CAL.open(day) - dt.timedelta(minutes=30)
    assert got.names["symbol"].to_list() == [f"S{i:02d}" for i in range(12) if i != 10]
    for symbol in ("S00", "S07"):
        bars = tables.frames["bars"].filter(pl.col("symbol") == symbol, pl.col("session") < day).to_pandas()
        row = got.names.row(by_predicate=pl.col("symbol") == symbol, named=True)
        assert row["price_usd"] == bars["close"].iloc[-1]
        assert row["price_session"] == CAL.dates[299]
        assert row["volume_shares"] == pytest.approx(bars["volume"].iloc[-20:].mean())
        assert row["dollar_volume_usd"] == pytest.approx((bars["close"] * bars["volume"]).iloc[-20:].mean())
        assert row["volatility"] == pytest.approx(bars["close"].pct_change().iloc[-60:].std() * np.sqrt(252))
        assert row["sector"] == f"Sector {int(symbol[1:]) % 4}"
        assert row["market_value_usd"] is None
        assert row["member"] is True
    spy = tables.frames["bars"].filter(pl.col("symbol") == "SPY", pl.col("session") < day)["close"].to_numpy()
    assert got.benchmark == pytest.approx(spy[-BENCHMARK_SESSIONS:])


def test_closes_stand_under_their_names(tables: Memory) -> None:
    """253 sessions before the decision, the columns in the order of the rows; a held stranger is a column of NaN."""
    day = CAL.dates[400]
    ready = prepared(view(tables, CAL, day), [day], **HOW)
    got = ready.at(day, held=["GONE"])
    assert got.closes.shape == (CLOSES_SESSIONS, got.names.height)
    for at, symbol in enumerate(got.names["symbol"]):
        bars = tables.frames["bars"].filter(pl.col("symbol") == symbol, pl.col("session") < day).sort("session")
        if symbol == "GONE":
            assert np.isnan(got.closes[:, at]).all()
        else:
            assert got.closes[:, at] == pytest.approx(bars["close"].to_numpy()[-CLOSES_SESSIONS:])
    early = snapshots(view(tables, CAL, CAL.dates[60]), [CAL.dates[60]], **HOW)[CAL.dates[60]]
    assert early.closes.shape == (60, early.names.height)


def test_closes_are_total_returns_and_gaps_are_missing(tables: Memory) -> None:
    """A split moves no close; a session without a bar, or with one that came later, is NaN."""
    day, ex = CAL.dates[300], CAL.dates[290]
    bars = tables.frames["bars"]
    after = (pl.col("symbol") == "S05") & (pl.col("session") >= ex)
    split = bars.with_columns(
        pl.when(after).then(pl.col(name) / 2).otherwise(pl.col(name)).alias(name) for name in ("open", "close")
    ).filter((pl.col("symbol") != "S06") | (pl.col("session") != CAL.dates[280]))
    actions = pl.DataFrame(
        {"symbol": ["S05"], "session": [ex], "kind": ["split"], "factor": [2.0], "known_at": [CAL.open(ex)]},
        schema_overrides={"known_at": pl.Datetime("us", "UTC")},
    )
    plain = snapshots(view(tables, CAL, day), [day], **HOW)[day]
    got = snapshots(view(Memory({**tables.frames, "bars": split, "actions": actions}), CAL, day), [day], **HOW)[day]
    symbols = got.names["symbol"].to_list()
    one, other = (each.closes[:, symbols.index("S05")] for each in (plain, got))
    assert other[1:] / other[:-1] == pytest.approx(one[1:] / one[:-1])
    gap = got.closes[:, symbols.index("S06")]
    assert np.flatnonzero(np.isnan(gap)).tolist() == [CLOSES_SESSIONS - 20]


def test_membership_is_of_the_session(tables: Memory) -> None:
    """Check 10: S11 leaves at session 330, S10 joins at 350; a held name that left is there, but no member."""
    days = [CAL.dates[at] for at in (329, 330, 349, 350)]
    got = snapshots(view(tables, CAL, LATE), days, **HOW, held=["S11"])
    inside = [set(got[day].names.filter(pl.col("member"))["symbol"]) for day in days]
    assert ["S11" in each for each in inside] == [True, False, False, False]
    assert ["S10" in each for each in inside] == [False, False, False, True]
    assert "S11" in got[days[1]].names["symbol"].to_list()
    assert "SPY" not in got[days[1]].names["symbol"].to_list()


def test_a_bar_that_came_late_is_not_seen_by_earlier_decisions(tables: Memory) -> None:
    """A provider's delay beyond the next open: the back-test must not see what the live run could not."""
    day = CAL.dates[300]
    late = Memory(
        {
            **tables.frames,
            "bars": tables.frames["bars"].with_columns(
                pl.when((pl.col("symbol") == "S03") & (pl.col("session") == CAL.dates[299]))
                .then(pl.col("known_at") + dt.timedelta(days=3))
                .otherwise(pl.col("known_at"))
                .alias("known_at")
            ),
        }
    )
    for benchmark in ("SPY", "EQUAL_WEIGHT"):
        how = {"universe": "small", "benchmark": benchmark}
        replayed = snapshots(view(late, CAL, LATE), [day, CAL.dates[310]], **how)
        live = snapshots(view(late, CAL, day), [day], **how)[day]
        same(replayed[day], live)
        row = live.names.row(by_predicate=pl.col("symbol") == "S03", named=True)
        assert row["price_session"] == CAL.dates[298]
        same(replayed[CAL.dates[310]], snapshots(view(tables, CAL, LATE), [CAL.dates[310]], **how)[CAL.dates[310]])


def test_a_split_leaves_volume_in_todays_shares(tables: Memory) -> None:
    """Ten sessions before the decision S05 splits 2:1: its 20-session mean volume counts today's shares."""
    day, ex = CAL.dates[300], CAL.dates[290]
    bars = tables.frames["bars"]
    after = (pl.col("symbol") == "S05") & (pl.col("session") >= ex)
    split = bars.with_columns(
        *(pl.when(after).then(pl.col(name) / 2).otherwise(pl.col(name)).alias(name) for name in ("open", "close")),
        pl.when(after).then(pl.col("volume") * 2).otherwise(pl.col("volume")).alias("volume"),
    )
    actions = pl.DataFrame(
        {"symbol": ["S05"], "session": [ex], "kind": ["split"], "factor": [2.0], "known_at": [CAL.open(ex)]},
        schema_overrides={"known_at": pl.Datetime("us", "UTC")},
    )
    plain = snapshots(view(tables, CAL, day), [day], **HOW)[day].names
    got = snapshots(view(Memory({**tables.frames, "bars": split, "actions": actions}), CAL, day), [day], **HOW)[
        day
    ].names
    one, other = (frame.row(by_predicate=pl.col("symbol") == "S05", named=True) for frame in (plain, got))
    assert other["volume_shares"] == pytest.approx(2 * one["volume_shares"])
    assert other["price_usd"] == pytest.approx(one["price_usd"] / 2)
    assert other["dollar_volume_usd"] == pytest.approx(one["dollar_volume_usd"])
    assert other["volatility"] == pytest.approx(one["volatility"])


def test_a_missing_price_is_null_and_counted(tables: Memory) -> None:
    """Check 46: a name without a bar for a quarter has no price, and nobody writes 0 for it."""
    day = CAL.dates[300]
    gone = tables.frames["bars"].filter((pl.col("symbol") != "S02") | (pl.col("session") < CAL.dates[230]))
    got = snapshots(view(Memory({**tables.frames, "bars": gone}), CAL, day), [day], **HOW)[day]
    row = got.names.row(by_predicate=pl.col("symbol") == "S02", named=True)
    assert (row["price_usd"], row["volume_shares"], row["volatility"], row["member"]) == (None, None, None, True)
    assert any("1 names" in note for note in got.notes)
    recent = tables.frames["bars"].filter((pl.col("symbol") != "S02") | (pl.col("session") < CAL.dates[297]))
    stale = snapshots(view(Memory({**tables.frames, "bars": recent}), CAL, day), [day], **HOW)[day].names
    row = stale.row(by_predicate=pl.col("symbol") == "S02", named=True)
    assert row["price_session"] == CAL.dates[296]
    assert row["price_usd"] is not None


def test_fields_that_the_data_lack_are_null(tables: Memory) -> None:
    bare = Memory({"bars": tables.frames["bars"].with_columns(pl.lit(None, dtype=pl.Float64).alias("volume"))})
    day = CAL.dates[300]
    got = snapshots(view(bare, CAL, day), [day], universe=None, benchmark="SPY")[day].names
    assert got["volume_shares"].null_count() == got.height
    assert got["sector"].null_count() == got.height
    assert got["volatility"].null_count() == 0


def test_equal_weight_index_by_hand() -> None:
    """Three names over four sessions; one has a gap, whose return is earned when it is back; one is no member."""
    cal = calendar(8)
    closes = {"A": [10.0, 11.0, 11.0, 12.1], "B": [20.0, 20.0, None, 24.0], "C": [5.0, 50.0, 500.0, 5000.0]}
    rows = [
        (name, "1d", cal.dates[at], price, price, price, price, 1.0, cal.closes[at])
        for name, prices in closes.items()
        for at, price in enumerate(prices)
        if price is not None
    ]
    names = ("symbol", "freq", "session", "open", "high", "low", "close", "volume", "known_at")
    start = dt.datetime(2017, 1, 1, tzinfo=dt.UTC)
    tables = Memory(
        {
            "bars": pl.DataFrame(rows, schema=list(names), orient="row").with_columns(
                pl.col("known_at").cast(pl.Datetime("us", "UTC"))
            ),
            "membership": pl.DataFrame(
                {
                    "universe": "u",
                    "symbol": ["A", "B"],
                    "session": [cal.dates[0]] * 2,
                    "member": True,
                    "known_at": start,
                }
            ).with_columns(pl.col("known_at").cast(pl.Datetime("us", "UTC"))),
        }
    )
    got = snapshots(view(tables, cal, cal.dates[4]), [cal.dates[4]], universe="u", benchmark="EQUAL_WEIGHT")
    expected = np.cumprod([1.0, 1 + (0.1 + 0.0) / 2, 1 + 0.0, 1 + (0.1 + 0.2) / 2])
    assert got[cal.dates[4]].benchmark == pytest.approx(expected)
    assert got[cal.dates[4]].benchmark_name == "EQUAL_WEIGHT"


def test_a_missing_benchmark_names_its_cure(tables: Memory) -> None:
    day = CAL.dates[300]
    with pytest.raises(DataMissing, match=r"benchmark `QQQ`.*openbell data import bars.*data\.benchmark=equal_weight"):
        snapshots(view(tables, CAL, day), [day], universe="small", benchmark="QQQ")
    ended = tables.frames["bars"].filter((pl.col("symbol") != "SPY") | (pl.col("session") < CAL.dates[290]))
    with pytest.raises(DataMissing, match="benchmark `SPY`"):
        snapshots(view(Memory({**tables.frames, "bars": ended}), CAL, day), [day], **HOW)


def test_a_gap_in_the_benchmark_is_counted(tables: Memory) -> None:
    day = CAL.dates[300]
    holed = tables.frames["bars"].filter((pl.col("symbol") != "SPY") | (pl.col("session") != CAL.dates[250]))
    got = snapshots(view(Memory({**tables.frames, "bars": holed}), CAL, day), [day], **HOW)[day]
    assert any(note.startswith("1 of the last 300 sessions have no bar of the benchmark SPY") for note in got.notes)
    assert len(got.benchmark) == 299


def test_what_cannot_be_asked_is_refused(tables: Memory) -> None:
    day = CAL.dates[300]
    with pytest.raises(BadInput, match="there was none"):
        snapshots(view(tables, CAL, day), [], **HOW)
    with pytest.raises(BadInput, match="after the view's own moment"):
        snapshots(view(tables, CAL, day), [CAL.dates[301]], **HOW)
    with pytest.raises(BadInput, match="not a session"):
        snapshots(view(tables, CAL, day), [dt.date(2018, 1, 6)], **HOW)
    with pytest.raises(DataMissing, match="no session before"):
        snapshots(view(tables, CAL, day), [CAL.dates[0]], **HOW)


def test_bars_that_ended_long_ago_are_no_market(tables: Memory) -> None:
    only = tables.frames["bars"].filter((pl.col("symbol") == "SPY") | (pl.col("session") < CAL.dates[200]))
    day = CAL.dates[300]
    got = snapshots(view(Memory({**tables.frames, "bars": only}), CAL, day), [day], **HOW)[day]
    assert got.names["price_usd"].null_count() == 11
    gone = tables.frames["bars"].filter(pl.col("session") < CAL.dates[200])
    with pytest.raises(DataMissing, match=r"Import newer bars|equal-weight index"):
        snapshots(
            view(Memory({**tables.frames, "bars": gone}), CAL, LATE), [LATE], universe="small", benchmark="equal_weight"
        )


def test_dated_market_values_and_sectors(tables: Memory) -> None:
    """Check 10: a market value counts from when it was known, and a later sector does not reach back."""
    known = [CAL.open(CAL.dates[at]) for at in (100, 320)]
    facts = pl.DataFrame(
        {"symbol": ["S00", "S00"], "shares_outstanding": [1e6, 3e6], "known_at": known},
        schema_overrides={"known_at": pl.Datetime("us", "UTC")},
    )
    moved = pl.concat(
        [
            tables.frames["instruments"],
            pl.DataFrame(
                {"symbol": "S00", "kind": "STOCK", "sector": "Elsewhere", "known_at": known[1], "source": "made up"}
            ).with_columns(pl.col("known_at").cast(pl.Datetime("us", "UTC"))),
        ],
        how="vertical_relaxed",
    )
    source = Memory({**tables.frames, "fundamentals": facts, "instruments": moved})
    days = [CAL.dates[at] for at in (320, 321)]
    got = snapshots(view(source, CAL, LATE), days, **HOW)
    rows = [got[day].names.row(by_predicate=pl.col("symbol") == "S00", named=True) for day in days]
    assert [row["market_value_usd"] / row["price_usd"] for row in rows] == pytest.approx([1e6, 3e6])
    assert [row["sector"] for row in rows] == ["Sector 0", "Elsewhere"]
    assert got[days[0]].names.height == 11, "a joined fact never adds a row"


def test_only_the_last_sessions_are_read(tables: Memory) -> None:
    day = CAL.dates[450]
    ready = prepared(view(tables, CAL, day), [day], **HOW)
    assert len(ready.wide.close) == 305
    assert ready.wide.sessions[-1] == CAL.dates[449]
