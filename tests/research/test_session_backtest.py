"""The account of the session desk: after the cut-off, at a price that was there, never where nothing was said."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.research.session_days import days_of, made_bars, made_forecasts

from openbell.core.errors import BadInput, DataMissing
from openbell.core.session import NO_CALL
from openbell.core.time import MOMENT
from openbell.research.session_backtest import CURVES, OURS, backtest, with_costs
from openbell.research.session_trades import commonest_calls, entry_checked, followed, sides_of

QUICK = {"replications": 20}
FREE = {"commission_bp": 0.0, "slippage_bp": 0.0}
SIDE = {"UP": 1, "DOWN": -1, "TREND_UP": 1, "TREND_DOWN": -1, "RANGE": 0, "REVERSAL": 0}


@pytest.fixture(scope="module")
def bars():
    return made_bars(120)


@pytest.fixture(scope="module")
def forecasts(bars):
    return made_forecasts(bars, knows=0.2)


@pytest.fixture(scope="module")
def found(forecasts, bars):
    return backtest(forecasts, bars, stop_atr=0.5, tries=3, **QUICK)


# --- a world of whole numbers, and the plainest account of it ---


def day_bars(day, prices):
    """Bars of 30 minutes that end at 15:00, 15:30, ...; `prices` are open, high, low, close."""
    return [
        (
            "ES",
            "30m",
            day,
            dt.datetime.combine(day, dt.time(14, 30), dt.UTC) + dt.timedelta(minutes=30 * (at + 1)),
            *each,
        )
        for at, each in enumerate(prices)
    ]


def frame_of(rows):
    names = {"symbol": pl.String, "freq": pl.String, "session": pl.Date, "at": MOMENT}
    return pl.DataFrame(rows, schema=names | dict.fromkeys(("open", "high", "low", "close"), pl.Float64), orient="row")


def said_of(days, bars, calls, atrs, labels=("DOWN", "UP")):
    """Forecasts decided at the end of the second bar of each day."""
    rows = []
    for day, call, atr in zip(days, calls, atrs, strict=True):
        own = [each for each in bars.iter_rows(named=True) if each["session"] == day]
        at = own[1]["at"]
        last = own[-1]
        rows.append(
            {"symbol": "ES", "session": day, "as_of": at, "price": own[1]["close"], "atr": atr, "entry_at": at,
             "entry": own[2]["open"], "exit_at": last["at"], "exit": last["close"],
             "label": int(last["close"] > own[2]["open"]), "label_known_at": last["at"], "model": "m", "fold": 0,
             "p_down": 0.3, "p_up": 0.7, "confidence": 0.7, "call": call}
        )  # fmt: skip
    kinds = {name: MOMENT for name in ("as_of", "entry_at", "exit_at", "label_known_at")}
    return pl.DataFrame(rows, schema_overrides=kinds | {"call": pl.String, "atr": pl.Float64})


def simulated(forecasts, bars, bp, stop_atr, capital):
    """One day after another: a row of side, exit, reason, net return and equity for each."""
    told, equity = [], capital
    for row in forecasts.sort("session").iter_rows(named=True):
        side = 0 if row["call"] in (None, NO_CALL) else SIDE[row["call"]]
        if side and stop_atr and not (row["atr"] is not None and row["atr"] > 0):
            side = 0
        if not side:
            told.append((0, None, None, 0.0, equity))
            continue
        level, price, reason = row["entry"] - side * stop_atr * (row["atr"] or 0.0), row["exit"], "close"
        for bar in bars.sort("at").iter_rows(named=True):
            if not stop_atr or bar["session"] != row["session"] or not row["entry_at"] < bar["at"] <= row["exit_at"]:
                continue
            if (side > 0 and bar["low"] <= level) or (side < 0 and bar["high"] >= level):
                beyond = (bar["open"] - level) * side < 0
                price, reason = bar["open"] if beyond else level, "stop"
                break
        bought, sold = 1.0, price / row["entry"]
        net = side * (sold - bought) - bp / 1e4 * (bought + sold)
        equity *= 1.0 + net
        told.append((side, price, reason, net, equity))
    return told


@st.composite
def worlds(draw):
    days, rows, calls, atrs = days_of(draw(st.integers(2, 6))), [], [], []
    step = st.integers(-4, 4)
    for day in days:
        price, prices = draw(st.integers(90, 110)), []
        for _ in range(draw(st.integers(3, 6))):
            opened = price + draw(st.integers(-2, 2))
            closed = opened + draw(step)
            high, low = max(opened, closed) + draw(st.integers(0, 3)), min(opened, closed) - draw(st.integers(0, 3))
            prices.append((float(opened), float(high), float(low), float(closed)))
            price = closed
        rows += day_bars(day, prices)
        calls.append(draw(st.sampled_from(["UP", "DOWN", None, NO_CALL])))
        atrs.append(draw(st.sampled_from([1.0, 2.0, 4.0, None, 0.0])))
    bars = frame_of(rows)
    return (
        said_of(days, bars, calls, atrs),
        bars,
        draw(st.sampled_from([0.0, 1.0, 1.5])),
        draw(st.sampled_from([0, 3, 40])),
    )


@settings(max_examples=30, deadline=None)
@given(worlds())
def test_it_is_the_plain_account_of_one_day_after_another(world):
    """The oracle: a loop over days and bars. Every side, exit, reason, return and mark is the same."""
    forecasts, bars, stop_atr, bp = world
    found = backtest(forecasts, bars, commission_bp=bp, slippage_bp=0.0, stop_atr=stop_atr, capital_usd=1000.0,
                     replications=20)  # fmt: skip
    told = simulated(forecasts, bars, bp, stop_atr, 1000.0)
    assert found.daily["side"].to_list() == [each[0] for each in told]
    assert found.daily["return"].to_list() == pytest.approx([each[3] for each in told], abs=1e-13)
    assert found.daily["equity_usd"].to_list() == pytest.approx([each[4] for each in told], rel=1e-12)
    traded = [each for each in told if each[0]]
    assert found.trades["exit_price"].to_list() == pytest.approx([each[1] for each in traded])
    assert found.trades["reason"].to_list() == [each[2] for each in traded]
    assert found.equity[OURS].to_list() == pytest.approx([1000.0, *(each[4] for each in told)], rel=1e-12)
    assert found.trades["profit_usd"].sum() == pytest.approx(told[-1][4] - 1000.0, abs=1e-9)


def test_a_hand_worked_table():
    """Four days at 100: up and won, down and stopped by a gap, no call, up and stopped in the entry bar itself."""
    days = days_of(4)
    quiet = (100.0, 101.0, 99.0, 100.0)
    rows = [
        *day_bars(days[0], [quiet, quiet, (100.0, 103.0, 99.5, 102.0), (102.0, 105.0, 101.0, 104.0)]),
        *day_bars(
            days[1], [quiet, (100.0, 120.0, 99.0, 100.0), (100.0, 101.0, 99.0, 101.0), (103.0, 104.0, 90.0, 95.0)]
        ),
        *day_bars(days[2], [quiet, quiet, (100.0, 150.0, 99.0, 150.0)]),
        *day_bars(
            days[3], [quiet, (100.0, 101.0, 50.0, 100.0), (100.0, 106.0, 98.0, 105.0), (105.0, 110.0, 105.0, 110.0)]
        ),
    ]
    bars = frame_of(rows)
    forecasts = said_of(days, bars, ["UP", "DOWN", None, "UP"], [2.0, 2.0, 2.0, 2.0])
    found = backtest(forecasts, bars, commission_bp=10.0, slippage_bp=0.0, stop_atr=1.0, capital_usd=1000.0, **QUICK)
    # 104 is sold; 103 is the open beyond the stop of 102; 98 is the stop, touched in the bar of the entry.
    assert found.trades["exit_price"].to_list() == [104.0, 103.0, 98.0]
    assert found.trades["stop"].to_list() == [98.0, 102.0, 98.0]
    assert found.trades["reason"].to_list() == ["close", "stop", "stop"]
    net = [0.04 - 0.001 * 2.04, -0.03 - 0.001 * 2.03, 0.0, -0.02 - 0.001 * 1.98]
    assert found.daily["return"].to_list() == pytest.approx(net)
    assert found.daily["equity_usd"][-1] == pytest.approx(1000 * np.prod([1 + each for each in net]))
    assert found.trades["cost_usd"][0] == pytest.approx(2.04)
    assert found.calls == {"DOWN": 1, "UP": 2, "no call": 1}
    assert found.of_trades["win_rate"].value == pytest.approx(1 / 3)
    assert found.of_trades["profit_factor"].value == pytest.approx(net[0] / -(net[1] + net[3]))
    assert found.of_trades["exposure"].value == pytest.approx(0.75)
    long = [1.04, 0.95, 1.5, 1.1]
    assert found.equity["always_long"][-1] == pytest.approx(1000 * np.prod([m - 0.001 * (1 + m) for m in long]))
    short = [2 - m - 0.001 * (1 + m) for m in long]
    assert found.equity["always_short"][-1] == pytest.approx(1000 * np.prod(short))
    assert found.equity["without_costs"][-1] == pytest.approx(1000 * 1.04 * 0.97 * 0.98)
    # The first day knows no label; from then on UP (1), then a tie that DOWN (the first) takes, then UP again.
    assert found.equity["commonest"][-1] == pytest.approx(1000 * (0.95 - 0.00195) * short[2] * (1.1 - 0.0021))


# --- check 69 ---


def test_no_prediction_never_trades_and_a_number_is_no_call(forecasts, bars):
    """Check 69, trap 7: null and NO CALL are no position; -1 for "no prediction" would be a short and is refused."""
    for nothing in (None, NO_CALL):
        silent = forecasts.with_columns(pl.lit(nothing, dtype=pl.String).alias("call"))
        found = backtest(silent, bars, **QUICK)
        assert found.trades.is_empty()
        assert found.counts["no_call"] == forecasts.height
        assert found.daily["equity_usd"].unique().to_list() == [100_000.0]
        assert found.performance is None
        assert not found.earns
        assert found.verdict().startswith("Nothing was traded: none of 120 forecasts of `made`")
        assert json.loads(json.dumps(found.record, default=str))["total_return"] is None
    coded = forecasts.with_columns(pl.lit(-1, dtype=pl.Int8).alias("call"))
    with pytest.raises(BadInput, match=r"these are Int8.*-1 for `no prediction` would be traded as a short"):
        backtest(coded, bars, **QUICK)
    with pytest.raises(BadInput, match="`SIDEWAYS`"):
        backtest(forecasts.with_columns(pl.lit("SIDEWAYS").alias("call")), bars, **QUICK)


def test_class_0_is_down_and_down_is_short_not_flat():
    """Check 69: the code 0 must not be read as no position."""
    every = ["DOWN", "UP", "TREND_DOWN", "RANGE", "REVERSAL", "TREND_UP", None, NO_CALL]
    assert sides_of(pl.Series(every)).to_list() == [-1, 1, -1, 0, 0, 1, 0, 0]
    bars = frame_of(day_bars(days_of(1)[0], [(100.0, 100.0, 100.0, 100.0)] * 2 + [(100.0, 100.0, 90.0, 90.0)]))
    found = backtest(said_of(days_of(1), bars, ["DOWN"], [1.0]), bars, **FREE, **QUICK)
    assert found.daily["return"].to_list() == pytest.approx([0.1])


def test_ranges_and_reversals_are_called_and_not_traded(bars):
    given = made_forecasts(bars, label="archetype_by_structure")
    quiet = given.with_columns(pl.Series("call", (["RANGE", "REVERSAL"] * 60), dtype=pl.String))
    found = backtest(quiet, bars, **QUICK)
    assert found.trades.is_empty()
    assert found.counts["sideless"] == 120
    assert found.counts["no_call"] == 0
    assert found.calls == {"RANGE": 60, "REVERSAL": 60, "no call": 0}


def test_an_entry_before_the_decision_is_refused_by_time_and_by_price(bars):
    """Check 69: a forecast that knows the morning earns the morning if it is entered at the open of the day.

    The leak is planted twice: with the time of the open, and with the price of the open under the time of the cut-off.
    """
    opens = bars.group_by("session", maintain_order=True).agg(pl.col("open").first().alias("day_open"))
    told = made_forecasts(bars).join(opens, on="session", how="left", maintain_order="left")
    morning = (pl.col("price") > pl.col("day_open")).replace_strict({True: "UP", False: "DOWN"}, return_dtype=pl.String)
    knows = told.with_columns(morning.alias("call"))
    side = sides_of(knows["call"]).to_numpy()
    leaked = side * (knows["exit"] / knows["day_open"] - 1).to_numpy()
    honest = backtest(knows.drop("day_open"), bars, **FREE, **QUICK).daily["return"].to_numpy()
    gained = leaked - honest
    assert gained.mean() > 5 * gained.std() / len(gained) ** 0.5, "the plant must pay, or the check catches nothing"
    early = knows.with_columns(
        pl.col("day_open").alias("entry"), (pl.col("as_of") - pl.duration(minutes=45)).alias("entry_at")
    )
    words = r"120 of 120 positions are entered before .* 2023-01-02: `entry_at` 14:30 UTC, `as_of` 15:15 UTC"
    with pytest.raises(BadInput, match=words):
        backtest(early.drop("day_open"), bars, **QUICK)
    with pytest.raises(BadInput, match=r"120 of 120 entries are not at the open of the first bar after the cut-off"):
        backtest(knows.with_columns(pl.col("day_open").alias("entry")).drop("day_open"), bars, **QUICK)
    with pytest.raises(BadInput, match="are left before they are entered"):
        entry_checked(knows.with_columns((pl.col("entry_at") - pl.duration(minutes=1)).alias("exit_at")))
    assert entry_checked(knows, bars) is knows


# --- what is left out is said ---


def test_what_cannot_be_followed_is_counted_and_said(forecasts, bars):
    open_end = forecasts.with_columns(
        pl.when(pl.col("session") == pl.col("session").max()).then(None).otherwise("exit").alias("exit"),
        pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("atr").alias("atr"),
        pl.lit("UP").alias("call"),
    )
    found = backtest(open_end, bars, stop_atr=1.0, **QUICK)
    assert found.daily.height == 119
    assert found.counts["unfinished"] == 1
    assert found.counts["without_atr"] == 1
    assert found.trades.height == 118
    assert any(each.startswith("1 calls had no average true range") for each in found.notes)
    none = forecasts.with_columns(pl.lit(None, dtype=pl.Float64).alias("entry"))
    with pytest.raises(DataMissing, match="None of 120 forecasts of `made` has an entry and an exit price yet"):
        backtest(none, bars, **QUICK)


def test_what_is_asked_wrongly_is_refused(forecasts, bars):
    two = pl.concat([forecasts, forecasts.with_columns(pl.lit("other").alias("model"))])
    wrong = (
        (two, bars, {}, r"forecasts of one model; these are of 2: made, other"),
        (forecasts.with_columns(pl.Series("symbol", ["ES", "SPY"] * 60)), bars, {}, r"one product; these are of 2"),
        (pl.concat([forecasts, forecasts.tail(1)]), bars, {}, "has several"),
        (forecasts.drop("atr"), bars, {}, "these lack atr"),
        (forecasts, bars, {"stop_atr": -1.0}, "`stop_atr` must be 0"),
        (forecasts, None, {"stop_atr": 1.0}, "needs the bars it is looked for in"),
        (forecasts, bars, {"commission_bp": -1.0}, "`commission_bp` must be 0 or above"),
        (forecasts, bars, {"capital_usd": 0.0}, "`capital_usd` must be above 0"),
        (forecasts, bars.filter(pl.col("session") != dt.date(2023, 1, 3)), {}, "1 of 120 sessions have no bar between"),
        (forecasts, pl.concat([bars, bars.with_columns(pl.lit("1h").alias("freq"))]), {}, "of several frames"),
    )  # fmt: skip
    for given_forecasts, given_bars, more, words in wrong:
        with pytest.raises(BadInput, match=words):
            backtest(given_forecasts, given_bars, **more, **QUICK)


def test_without_bars_it_says_that_prices_were_not_checked(forecasts, bars, found):
    bare = backtest(forecasts, None, **QUICK)
    assert "not held against them" in bare.notes[-1]
    assert bare.daily["return"].to_list() == backtest(forecasts, bars, **QUICK).daily["return"].to_list()
    assert not any("not held against" in each for each in found.notes)


# --- measures, costs, company ---


def test_measures_are_what_their_names_say(found):
    r = found.daily["return"].to_numpy()
    assert found.performance.sharpe.value == pytest.approx(r.mean() / r.std(ddof=1) * np.sqrt(252))
    assert found.performance.intervals["sharpe"] == found.performance.sharpe
    assert found.performance.sharpe.low < found.performance.sharpe.value < found.performance.sharpe.high
    curve = np.concatenate([[1.0], np.cumprod(1 + r)])
    assert found.performance.max_drawdown == pytest.approx((curve / np.maximum.accumulate(curve) - 1).min())
    own = found.trades["return"].to_numpy()
    assert found.of_trades["win_rate"].value == pytest.approx((own > 0).mean())
    assert found.of_trades["win_rate"].n == len(own)
    assert found.of_trades["profit_factor"].value == pytest.approx(own[own > 0].sum() / -own[own < 0].sum())
    assert found.of_trades["mean_return"].value == pytest.approx(own.mean())
    assert found.of_trades["cost_annual"].value == pytest.approx(found.trades["cost"].sum() / len(r) * 252)
    assert found.of_trades["turnover_annual"].value == pytest.approx(found.trades["traded"].sum() / 2 / len(r) * 252)
    assert list(found.measures) == list(CURVES)
    assert found.equity.height == 121
    for name, table in found.groups.items():
        assert table["n"].sum() == found.trades.height, name
        assert table["profit_usd"].sum() == pytest.approx(found.trades["profit_usd"].sum()), name
    assert found.regimes["trades"].sum() == found.trades.height
    assert found.regimes["return_sum"].sum() == pytest.approx(r.sum())


def test_other_costs_are_what_a_new_back_test_would_find(forecasts, bars, found):
    """The slider of the lab: no bar is looked at again, and nothing but the costs changes."""
    trades, daily = with_costs(found.trades, found.daily, 9.0)
    anew = backtest(forecasts, bars, commission_bp=4.0, slippage_bp=5.0, stop_atr=0.5, **QUICK)
    assert trades.columns == found.trades.columns
    assert daily.columns == found.daily.columns
    for mine, theirs in ((trades, anew.trades), (daily, anew.daily)):
        for name in mine.columns:
            if mine.schema[name].is_float():
                assert np.allclose(mine[name].fill_null(0), theirs[name].fill_null(0), rtol=1e-9), name
    at = found.costs.filter(pl.col("multiple") == 3.0).row(0, named=True)
    assert at["bp"] == 9.0
    assert at["total_return"] == pytest.approx(anew.performance.total_return)
    assert at["sharpe"] == pytest.approx(anew.performance.sharpe.value)
    assert at["cost_usd"] == pytest.approx(anew.trades["cost_usd"].sum())
    assert found.costs["total_return"].is_sorted(descending=True)
    free = found.costs.row(0, named=True)
    assert free["total_return"] == pytest.approx(found.measures["without_costs"].total_return)
    with pytest.raises(BadInput, match="Costs must be 0 or above; were -1 bp"):
        with_costs(found.trades, found.daily, -1)


def test_the_commonest_class_is_that_of_the_labels_known_by_then(forecasts):
    """Nothing of the future and nothing of the day itself: with labels that are known late it looks at older ones."""
    labels = pl.Series("label", [1, 0, 0, 1, 1, 1], dtype=pl.Int8)
    some = forecasts.head(6).with_columns(labels)
    assert commonest_calls(some).to_list() == [None, "UP", "DOWN", "DOWN", "DOWN", "UP"]
    late = some.with_columns((pl.col("label_known_at") + pl.duration(days=30)).alias("label_known_at"))
    assert commonest_calls(late).to_list() == [None] * 6
    turned = some.with_columns(
        pl.when(pl.int_range(pl.len()) >= 3).then(0).otherwise("label").cast(pl.Int8).alias("label")
    )
    assert commonest_calls(turned).to_list()[:4] == commonest_calls(some).to_list()[:4]


def test_the_regime_of_a_session_is_of_the_days_before(forecasts, bars):
    closes = forecasts.select("session", pl.col("exit").alias("close"))
    day = closes["session"][100]
    jump = closes.with_columns(
        pl.when(pl.col("session") >= day).then(pl.col("close") * 3).otherwise("close").alias("close")
    )
    one, other = (backtest(forecasts, bars, closes=each, **QUICK).daily["regime"] for each in (closes, jump))
    assert one[:101].to_list() == other[:101].to_list(), "the session's own close changed its regime"
    assert one[:50].unique().to_list() == ["unknown"]
    assert one[101:].to_list() != other[101:].to_list()
    few = backtest(forecasts.head(30), bars, **QUICK)
    assert few.daily["regime"].unique().to_list() == ["unknown"]
    assert any(each.startswith("There are no regimes: ") for each in few.notes)


def test_an_account_that_is_lost_stays_lost():
    """A short position that triples the price takes more than all there is; nothing is traded after it."""
    days, quiet = days_of(3), (100.0, 100.0, 100.0, 100.0)
    rows = [each for day, last in zip(days, (110.0, 300.0, 200.0), strict=True)
            for each in day_bars(day, [quiet, quiet, (100.0, last, 100.0, last)])]  # fmt: skip
    bars = frame_of(rows)
    found = backtest(said_of(days, bars, ["UP", "DOWN", "UP"], [1.0] * 3), bars, **FREE, **QUICK)
    assert found.daily["equity_usd"].to_list() == pytest.approx([110_000.0, 0.0, 0.0])
    assert found.trades.height == 2
    assert found.performance is None
    assert found.verdict() == "The account lost everything by following `m`."
    assert "`calls` lost everything and has no measures." in found.notes


def test_more_tries_are_worth_less_and_the_same_input_is_the_same_record(forecasts, bars, found):
    many = backtest(forecasts, bars, stop_atr=0.5, tries=5000, **QUICK)
    assert many.luck < found.luck
    assert "After 5,000 tries" in many.verdict()
    again = backtest(forecasts, bars, stop_atr=0.5, tries=3, **QUICK)
    assert json.dumps(again.record, default=str, sort_keys=True) == json.dumps(
        found.record, default=str, sort_keys=True
    )
    shuffled = backtest(forecasts.reverse(), bars.reverse(), stop_atr=0.5, tries=3, **QUICK)
    assert shuffled.daily.equals(found.daily), "the order of the rows changed the account"


def test_a_stop_is_only_looked_for_between_entry_and_exit(forecasts, bars):
    """A bar that ended at the entry, or begins at the exit, is not of the position."""
    entry_at, exit_at = forecasts["entry_at"][0], forecasts["exit_at"][0]
    first = forecasts.head(1).with_columns(pl.lit("UP").alias("call"), pl.lit(1e-6).alias("atr"))
    crash = pl.col("at").is_in([entry_at, exit_at + dt.timedelta(minutes=30)])
    later = bars.head(1).with_columns(pl.lit(exit_at + dt.timedelta(minutes=30)).alias("at").cast(MOMENT))
    calm = pl.concat([bars.head(13), later]).with_columns(
        pl.when(crash).then(1.0).otherwise(pl.col("open") * 2).alias("low"), pl.col("open").alias("high")
    )
    assert followed(first, calm, stop_atr=1.0).counts["stopped"] == 0


@pytest.mark.parametrize(("call", "opened", "left"), [("UP", 95.0, 95.0), ("DOWN", 105.0, 105.0), ("UP", 99.0, 98.0)])
def test_a_bar_that_opens_beyond_the_stop_fills_at_its_open(call, opened, left):
    """Stops are at 98 and 102: a gap through one is worse than the stop, a fall within the bar is the stop itself."""
    quiet, day = (100.0, 101.0, 99.0, 100.0), days_of(1)
    bars = frame_of(day_bars(day[0], [quiet, quiet, quiet, (opened, 106.0, 94.0, 100.0), quiet]))
    found = followed(said_of(day, bars, [call], [2.0]), bars, stop_atr=1.0)
    assert found.trades["exit_price"].to_list() == [left]
