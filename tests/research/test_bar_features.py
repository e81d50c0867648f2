"""Features of bars: history is what was said live to the bit, over restarts, early closes and bars that go wrong."""

import datetime as dt
import json
import os
import time

import polars as pl
import pytest
from tests.research.minute_markets import CALENDAR, DAYS, FEATURES, QUOTED, market

from openbell.core.errors import BadInput, IntegrityBroken
from openbell.core.time import MOMENT
from openbell.quant.bar_frames import frames_of
from openbell.quant.expressions import SHARED
from openbell.research.bar_features import KEYS, BarFeatures
from openbell.research.compute import stages

BARS = market()


@pytest.fixture(scope="module")
def engine():
    return BarFeatures(FEATURES, "1m", CALENDAR)


@pytest.fixture(scope="module")
def history(engine):
    return engine.history(BARS, ends=True)


def by_moment(bars):
    return bars.partition_by("at", maintain_order=True)


def said(live, bars, **words):
    """What the engine says of `bars`, moment by moment, sorted as a history."""
    return pl.concat([live.advance(each, **words) for each in by_moment(bars)]).sort("symbol", "as_of")


def test_history_is_what_was_said_live(engine, history):
    """Issue, proof 1: two symbols bar by bar over an early close and both clock changes; to the bit."""
    live = engine.live()
    monday, friday = dt.date(2022, 11, 7), dt.date(2022, 11, 25)
    until = CALENDAR.open(monday) + dt.timedelta(minutes=70)
    told = [live.advance(BARS.filter(pl.col("at") <= CALENDAR.open(monday)), ends=True)]
    told.append(said(live, BARS.filter(pl.col("at").is_between(CALENDAR.open(monday), until)), ends=True))
    told.append(live.advance(BARS.filter(pl.col("at").is_between(until, CALENDAR.open(friday), "none")), ends=True))
    told.append(said(live, BARS.filter(pl.col("at") > CALENDAR.open(friday)), ends=True))
    assert pl.concat(told).sort("symbol", "as_of").equals(history)
    assert live.reports == ()
    assert history.height == BARS.height
    assert history.columns[:5] == list(KEYS)


@pytest.mark.parametrize("frame", ["1m", "5m", "1h"])
def test_equal_to_polars_own_evaluation(engine, history, frame):
    """The expressions on the bars of each frame, joined where they are complete: to 1e-9 of the spread, same nulls."""
    bars = frames_of(BARS, "1m", CALENDAR)[frame]
    for stage in stages([each.expression for each in FEATURES], SHARED):
        bars = bars.with_columns(each.over("symbol") for each in stage)
    bars = bars.with_columns(each.expression.over("symbol").alias(each.name) for each in FEATURES)
    bars = bars.sort("complete_at", "at").unique(["symbol", "complete_at"], keep="last", maintain_order=True)
    names = [each.name for each in FEATURES]
    beside = history.sort("as_of").join_asof(
        bars.select("symbol", "complete_at", "at", *names), left_on="as_of", right_on="complete_at", by="symbol"
    )
    assert beside[f"as_of_{frame}"].equals(beside["at"].alias(f"as_of_{frame}"))
    for name in names:
        ours, theirs = beside[f"{name}_{frame}"], beside[name].fill_nan(None)
        assert (ours.is_null() == theirs.is_null()).all(), name
        assert (ours - theirs).abs().max() <= 1e-9 * max(float(theirs.std()), 1e-12), name


def test_the_first_bars_do_not_know_the_later_ones(engine, history):
    """Check 4: the history of the first bars is the beginning of the history of all, to the bit."""
    for share in (0.11, 0.5, 0.93):
        cut = BARS["at"].sort()[int(BARS.height * share)]
        early = engine.history(BARS.filter(pl.col("at") <= cut), ends=True)
        assert early.equals(history.filter(pl.col("as_of") <= cut))


def test_a_longer_frame_is_carried_until_its_next_bar(engine, history):
    """Kills: a longer bar used before its end. An early close ends the day at 13:00."""
    rows = history.filter(pl.col("symbol") == "AAA")
    for frame, minutes in (("5m", 5), ("15m", 15), ("1h", 60)):
        ends = rows[f"as_of_{frame}"].drop_nulls()
        assert (rows[f"as_of_{frame}"] <= rows["as_of"]).all()
        age = (rows["as_of"] - rows[f"as_of_{frame}"]).dt.total_minutes()
        within = rows["as_of"] - rows["as_of"].first() > dt.timedelta(minutes=minutes)
        same = rows["as_of"].dt.date() == rows[f"as_of_{frame}"].dt.date()
        assert age.filter(within & same).max() <= 2 * minutes
        assert ends.is_sorted()
    days = rows["as_of_1d"].drop_nulls().unique().sort()
    assert days.to_list() == [CALENDAR.close(day) for day in DAYS][: len(days)]


def test_sigma_is_the_volatility_of_the_base_bars(history):
    rows = history.filter(pl.col("symbol") == "BBB")
    expected = rows["close"].log().diff().rolling_std(20)
    assert (rows["sigma"] - expected).abs().max() < 1e-12
    assert rows["sigma"].null_count() == 20


def test_nothing_depends_on_the_machines_zone(engine, history, monkeypatch):
    """Check 40: the same history where the machine stands in Tokyo, and from moments told in New York's clock."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        again = engine.history(BARS.with_columns(pl.col("at").dt.convert_time_zone("America/New_York")), ends=True)
    finally:
        monkeypatch.delenv("TZ")
        os.environ.pop("TZ", None)
        time.tzset()
    assert again.equals(history)


def one(symbol="AAA", minute=1, day=DAYS[0], **changed):
    at = CALENDAR.open(day) + dt.timedelta(minutes=minute)
    bar = {
        "symbol": symbol,
        "at": at,
        "open": 50.0,
        "high": 50.2,
        "low": 49.8,
        "close": 50.1,
        "volume": 10.0,
        **changed,
    }
    return pl.DataFrame([bar], schema_overrides={"at": MOMENT, "volume": pl.Float64})


BAD = {
    "missing_field": one(minute=3, close=None),
    "bad_price": one(minute=3, low=-1.0),
    "bad_volume": one(minute=3, volume=-5.0),
    "ohlc_order": one(minute=3, high=50.0),
    "jump": one(minute=3, open=5_000.0, high=5_000.0, low=5_000.0, close=5_000.0),
    "off_grid": one(minute=3).with_columns(pl.col("at") + pl.duration(seconds=20)),
    "outside_session": one(minute=-3),
    "naive_time": one(minute=3).with_columns(pl.col("at").dt.replace_time_zone(None)),
    "no_symbol": one(minute=3).with_columns(pl.lit(None, dtype=pl.String).alias("symbol")),
    "twice": one(minute=2),
    "contradictory": one(minute=2, close=50.05),
    "late": one(minute=1, close=50.0),
    "too_many_symbols": one("CCC", minute=3),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_bar_is_reported_and_leaves_no_trace(engine, reason):
    """Issue, proof 7: each with its sentence; what follows is as if it had never come."""
    bars = [one(minute=1), pl.concat([one(minute=2), one("BBB", minute=2)]), one(minute=3, close=50.15)]
    clean, marred = engine.live(max_symbols=2), engine.live(max_symbols=2)
    expected = [clean.advance(each) for each in bars]
    first = [marred.advance(each) for each in bars[:2]]
    nothing = marred.advance(BAD[reason])
    assert nothing.height == 0
    assert nothing.schema == expected[0].schema
    (refused,) = marred.refused["reason"].to_list()
    (report,) = marred.reports
    assert (refused, report.reason, report.bars) == (reason, reason, 1)
    assert report.sentence.endswith(".")
    assert pl.concat([*first, marred.advance(bars[2])]).equals(pl.concat(expected))
    assert marred.refused.height == 0


def test_out_of_order_within_a_call(engine):
    """The later bar came first and stands; the earlier one behind it is told, and does not go on."""
    live = engine.live()
    rows = live.advance(pl.concat([one(minute=2), one(minute=1), one("BBB", minute=1)]))
    assert rows.select("symbol", "close").rows() == [("AAA", 50.1), ("BBB", 50.1)]
    assert [(each.reason, each.bars) for each in live.reports] == [("out_of_order", 1)]


def test_symbols_join_at_any_time(engine, history):
    """Kills: a state that grows and loses or shares what it held."""
    live = engine.live()
    live.advance(one("ZZZ"))
    late = said(live, BARS.filter((pl.col("symbol") == "BBB") & (pl.col("at") < CALENDAR.close(DAYS[0]))).head(80))
    both = history.filter(pl.col("symbol") == "BBB").head(80)
    assert late.equals(both.select(late.columns))
    assert live.symbols == ("ZZZ", "BBB")
    assert live.last_at("BBB") == both["as_of"][-1]
    assert live.last_at("YYY") is None


def test_restart_in_mid_session(engine, history, tmp_path):
    """Kills: a half-built hour lost, a repeat not recognised, and a snapshot that shares memory with the state."""
    cut = CALENDAR.open(DAYS[3]) + dt.timedelta(minutes=100)
    live = engine.live()
    live.advance(BARS.filter(pl.col("at") < cut))
    live.snapshot(tmp_path / "kept")
    moved_on = live.advance(BARS.filter(pl.col("at") >= cut))
    again = BarFeatures(FEATURES, "1m", CALENDAR).restore(tmp_path / "kept")
    assert again.symbols == live.symbols
    again.advance(BARS.filter(pl.col("at") < cut).tail(1))
    assert [each.reason for each in again.reports] == ["twice"]
    rest = again.advance(BARS.filter(pl.col("at") >= cut))
    assert rest.equals(moved_on)
    after = history.filter(pl.col("as_of") >= cut).select(rest.columns)
    assert rest.sort("symbol", "as_of").equals(after)
    again.snapshot(tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*.npz"))) == 1


def test_a_torn_or_foreign_snapshot_is_refused(engine, tmp_path):
    live = engine.live()
    live.advance(BARS.head(50))
    live.snapshot(tmp_path)
    (arrays,) = tmp_path.glob("*.npz")
    other = BarFeatures(FEATURES[:2], "1m", CALENDAR)
    with pytest.raises(BadInput, match="other features, frames or fields"):
        other.restore(tmp_path)
    with pytest.raises(BadInput, match="holds 2 symbols, and `max_symbols` is 1"):
        engine.restore(tmp_path, max_symbols=1)
    with pytest.raises(BadInput, match="There is no snapshot"):
        engine.restore(tmp_path / "elsewhere")
    content, manifest = arrays.read_bytes(), (tmp_path / "features.json").read_text()
    arrays.write_bytes(content[: len(content) // 2])
    with pytest.raises(IntegrityBroken, match="was changed or is torn"):
        engine.restore(tmp_path)
    arrays.write_bytes(content)
    (tmp_path / "features.json").write_text(manifest[: len(manifest) // 2])
    with pytest.raises(IntegrityBroken, match="is torn"):
        engine.restore(tmp_path)
    (tmp_path / "features.json").write_text(json.dumps({**json.loads(manifest), "symbols": ["BBB", "AAA"]}))
    with pytest.raises(IntegrityBroken, match="was changed"):
        engine.restore(tmp_path)
    (tmp_path / "features.json").write_text(manifest)
    arrays.unlink()
    with pytest.raises(IntegrityBroken, match="lacks its arrays"):
        engine.restore(tmp_path)


def test_longer_frames_are_computed_with_their_bars_alone(engine):
    """Kills: every frame computed at every bar. A full session of minutes has 390, 78, 26, 7 and 1 bars."""
    live = engine.live()
    live.advance(market(("AAA",), days=DAYS[:1], missing=0.0))
    assert live.cached_share == pytest.approx(1 - (390 + 78 + 26 + 7 + 1) / (5 * 390))
    assert engine.live().cached_share == 0.0


def test_a_feature_without_its_inputs_is_switched_off_and_said_so(engine):
    """Check 15: nothing stands in for a bid. With quotes the same feature is there."""
    without = BarFeatures((*FEATURES, QUOTED), "1m", CALENDAR)
    off = without.lineage().filter(pl.col("off").is_not_null())
    assert off["column"].to_list() == [f"quoted_spread_{frame}" for frame in ("1m", "5m", "15m", "1h", "1d")]
    assert off["off"].unique().to_list() == ["The data have no bid and no ask."]
    assert without.columns == engine.columns
    fields = ("open", "high", "low", "close", "volume", "bid", "ask")
    quoted = BarFeatures((QUOTED,), "1m", CALENDAR, fields=fields, frames=("5m",))
    assert quoted.columns == ("quoted_spread_1m", "quoted_spread_5m")
    bars = BARS.head(40).with_columns((pl.col("close") - 0.01).alias("bid"), (pl.col("close") + 0.02).alias("ask"))
    assert quoted.history(bars)["quoted_spread_1m"].to_list() == pytest.approx([0.03] * 40)
    with pytest.raises(BadInput, match="The bars have no bid, ask"):
        quoted.history(BARS.head(40))
    told = without.lineage().filter(pl.col("column") == "vwap_deviation_5m").row(0, named=True)
    assert told["source"] == "minutes of 1m: close, session_value_usd, session_volume"
    assert (told["lookback"], told["off"]) == (1, None)


def test_hours_outside_the_session_do_not_count(engine, history):
    outside = pl.concat([one("AAA", minute=k, day=day) for day in DAYS for k in (-30, 0)])
    outside = pl.concat([outside, one("AAA", minute=211, day=DAYS[-1])])
    assert engine.history(pl.concat([outside, BARS]), ends=True).equals(history)


@pytest.mark.parametrize(
    ("bars", "why"),
    [
        (pl.concat([BARS, BARS.head(1)]), "comes twice"),
        (
            pl.concat([BARS, BAD["ohlc_order"].with_columns(pl.lit("CCC").alias("symbol"))]),
            "the high lies below|The high",
        ),
        (pl.concat([BARS, BAD["off_grid"]]), "off the grid of 1m"),
        (BARS.with_columns(pl.col("at").dt.replace_time_zone(None)), "moments with a time zone"),
        (BARS.drop("low"), "The bars have no low"),
    ],
)
def test_a_history_of_bad_bars_is_refused(engine, bars, why):
    with pytest.raises(BadInput, match=why):
        engine.history(bars)


def daily():
    bars = frames_of(market(seed=3, days=CALENDAR.dates[:60], missing=0.4), "1m", CALENDAR)["1d"]
    names = ("open", "high", "low", "close", "volume")
    raw = [(pl.col(name) * (0.5 if name == "volume" else 2.0)).alias(f"raw_{name}") for name in names]
    return bars.select("symbol", "session", *names).with_columns(raw)


def test_daily_bars_have_the_daily_frame_alone():
    """Sessions instead of moments, raw prices read as such; live equal to history."""
    bars = daily()
    engine = BarFeatures(FEATURES[:2], "1d", CALENDAR)
    assert engine.columns == ("momentum_3_1d", "rsi_5_1d")
    whole = engine.history(bars)
    assert whole["as_of"].to_list() == [CALENDAR.close(day) for day in whole["session"]]
    live = engine.live()
    parts = [live.advance(each) for each in bars.partition_by("session", maintain_order=True)]
    assert pl.concat(parts).sort("symbol", "as_of").equals(whole)
    late = bars.tail(1).with_columns(pl.lit(CALENDAR.open(CALENDAR.dates[70])).cast(MOMENT).alias("at"))
    live.advance(late)
    assert [each.reason for each in live.reports] == ["outside_session"]


def test_what_makes_no_engine(engine):
    with pytest.raises(BadInput, match="There is no frame of bars `2m`"):
        BarFeatures(FEATURES, "2m", CALENDAR)
    with pytest.raises(BadInput, match="Bars of 5m cannot be made into bars of 1m"):
        BarFeatures(FEATURES, "5m", CALENDAR, frames=("1m",))
    with pytest.raises(BadInput, match="There is no field of bars `bit`"):
        BarFeatures(FEATURES, "1m", CALENDAR, fields=("close", "bit"))
    with pytest.raises(BadInput, match="`max_symbols` must be 1 or more; was 0"):
        engine.live(max_symbols=0)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["SPY", "stocks"])
def test_a_real_day_replayed(real_data, which):
    """Issue, proof 1 on real bars, all of the desk's features: a day of SPY and of 20 stocks; 0 apart."""
    from openbell.core.declare import discover

    catalogue = discover()
    families = catalogue.desks["signals"].families
    features = [each for each in catalogue.features.values() if each.family in families and each.reads == "bars"]
    engine = BarFeatures(features, "1m", CALENDAR if which == "stocks" else _calendar(2024))
    bars = _real(real_data, which)
    live, whole = engine.live(), engine.history(bars)
    day = whole["session"].max()
    starts = CALENDAR.open(day) if which == "stocks" else _calendar(2024).open(day)
    live.advance(bars.filter(pl.col("at") <= starts))
    told = said(live, bars.filter(pl.col("at") > starts))
    assert told.equals(whole.filter(pl.col("as_of") > starts))
    assert told.height > 350


def _calendar(year):
    from openbell.market.calendars import sessions

    return sessions("XNYS", year, year)


def _real(real_data, which):
    name = {"SPY": "SPY_1min_2024-02-20_2024-05-17", "stocks": "sp500_stocks_1min_2022-10-19_2022-10-25"}[which]
    bars = pl.read_parquet(real_data / "minute" / f"{name}.parquet").rename(str.lower)
    if which == "SPY":
        bars = bars.with_columns(pl.lit("SPY").alias("symbol")).filter(pl.col("ts") < dt.datetime(2024, 2, 28))
    else:
        bars = bars.filter(pl.col("symbol").is_in(bars["symbol"].unique().sort()[::25].implode()))
    at = pl.col("ts").dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC") + pl.duration(minutes=1)
    prices = pl.col("open", "high", "low", "close", "volume").cast(pl.Float64)
    bars = bars.select("symbol", at.cast(MOMENT).alias("at"), prices)
    opens, closes = dt.time(9, 30), dt.time(16, 0)
    clock = pl.col("at").dt.convert_time_zone("America/New_York").dt.time()
    return bars.filter((clock > opens) & (clock <= closes)).sort("at", "symbol")
