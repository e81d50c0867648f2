"""The gate: each rule finds its fault, real crashes pass, and nothing is judged by what came later."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.time import Sessions
from openbell.market.actions import derived_actions
from openbell.market.batch import bars_frame
from openbell.market.providers.files import files
from openbell.market.quality import RULES, check, gate
from openbell.market.quality.checking import counts

from .conftest import Memory, at, scaled, walk


def broken(rows: pl.DataFrame, calendar: Sessions, **known: object) -> dict[str, list[int]]:
    """Positions of the quarantined rows by rule."""
    judged = gate(rows, calendar, **known).rows.with_row_index("place").filter(pl.col("rule").is_not_null())
    told = judged.with_columns(pl.col("rule").str.split(",")).explode("rule")
    return {name: part["place"].to_list() for (name,), part in told.group_by("rule", maintain_order=True)}


def test_a_clean_stock_passes(calendar: Sessions) -> None:
    judgement = gate(walk(calendar), calendar)
    assert judgement.good.equals(walk(calendar))
    assert judgement.findings.is_empty()


def test_every_rule_is_declared_once_with_its_sentence() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert all(rule.sentence.endswith(".") and rule.action in ("quarantine", "note") for rule in RULES)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"close": 0.0}, "bad_price"),
        ({"open": -1.0}, "bad_price"),
        ({"close": float("inf")}, "bad_price"),
        ({"adj_close": 0.0}, "bad_price"),
        ({"close": None}, "missing_close"),
        ({"volume": -5.0}, "bad_volume"),
        ({"high": 1.0}, "ohlc_order"),
        ({"low": 999.0}, "ohlc_order"),
    ],
)
def test_single_rows(calendar: Sessions, values: dict[str, float | None], rule: str) -> None:
    assert broken(at(walk(calendar), [100], **values), calendar) == {rule: [100]}


def test_the_noise_of_single_precision_is_no_disorder(calendar: Sessions) -> None:
    rows = walk(calendar).with_columns(pl.col("high").alias("close"))
    assert broken(rows.with_columns(pl.col("high") * (1 - 5e-7)), calendar) == {}
    assert "ohlc_order" in broken(rows.with_columns(pl.col("high") * (1 - 5e-6)), calendar)


def test_missing_opens_highs_and_lows_are_no_fault(calendar: Sessions) -> None:
    bare = pl.lit(None, dtype=pl.Float64)
    rows = walk(calendar).with_columns(bare.alias("open"), bare.alias("high"), bare.alias("low"))
    assert broken(rows, calendar) == {}


def test_a_day_without_a_session(calendar: Sessions) -> None:
    rows = walk(calendar)
    saturday = rows[50].with_columns(pl.lit(dt.date(2015, 3, 14)).alias("session"))
    assert broken(pl.concat([rows, saturday]), calendar) == {"not_a_session": [300]}


def test_an_exact_repeat_is_kept_once_and_a_conflicting_one_not_at_all(calendar: Sessions) -> None:
    """Check 48."""
    rows = walk(calendar)
    other = at(rows[20], [0], volume=7.0)
    found = broken(pl.concat([rows, rows[10], other]), calendar)
    assert found == {"duplicate": [300], "conflicting_duplicate": [20, 301]}


def test_a_row_that_breaks_two_rules_is_told_by_both(calendar: Sessions) -> None:
    rows = walk(calendar)
    zero = at(rows[20], [0], open=0.0, high=0.0, low=0.0, close=0.0, volume=0.0)
    found = broken(pl.concat([rows, zero]), calendar)
    assert found == {"conflicting_duplicate": [20, 300], "bad_price": [300]}


def test_prices_are_stale_from_the_fifth_session_without_a_trade_on(calendar: Sessions) -> None:
    rows = at(walk(calendar), range(100, 112), open=50.0, high=50.0, low=50.0, close=50.0, volume=0.0)
    assert broken(rows, calendar) == {"stale": list(range(104, 112))}


def test_a_repeated_close_that_was_traded_is_not_stale(calendar: Sessions) -> None:
    rows = at(walk(calendar), range(100, 112), open=50.0, high=50.1, low=49.9, close=50.0)
    assert broken(rows, calendar) == {}


def test_placeholders_before_a_listing_and_after_an_end(calendar: Sessions) -> None:
    """Check 13."""
    rows = walk(calendar)
    for place in range(30):
        price = [0.002, 0.006, 0.011][place % 3]
        rows = at(rows, [place], open=price, high=price, low=price, close=price, volume=0.0)
    rows = at(rows, range(290, 294), open=0.004, high=0.004, low=0.004, close=0.004, volume=0.0)
    found = broken(rows, calendar)
    assert found["placeholder"] == [*range(30), *range(290, 294)]
    assert set(found) == {"placeholder"}, "the first real price is no jump from a placeholder"


def test_an_idle_first_row_at_any_price_is_a_placeholder_unless_it_had_traded_before(calendar: Sessions) -> None:
    rows = at(walk(calendar), range(3), open=50.0, high=50.0, low=50.0, close=50.0, volume=0.0)
    assert broken(rows, calendar) == {"placeholder": [0, 1, 2]}
    assert broken(rows, calendar, traded={"X"}) == {}
    bare = pl.lit(None, dtype=pl.Float64)
    assert broken(rows.with_columns(bare.alias("open"), bare.alias("high"), bare.alias("low")), calendar) == {}


@pytest.mark.parametrize("ratio", [1 / 2, 1 / 3, 2 / 3, 1 / 7, 1 / 20, 4.0, 10.0])
def test_an_unadjusted_split(calendar: Sessions, ratio: float) -> None:
    """The price jumps, the money traded does not: from there on another scale, for 21 sessions."""
    rows = scaled(walk(calendar), range(150, 300), ratio, volume=1 / ratio)
    assert broken(rows, calendar) == {"unadjusted_split": list(range(150, 171))}
    notes = gate(rows, calendar).findings.filter(pl.col("rule") == "new_level")
    assert notes["session"].to_list() == [rows["session"][171]]


@pytest.mark.parametrize(("ratio", "found"), [(2 / 3, False), (1 / 2, True), (1 / 7, True)])
def test_a_close_alone_tells_no_crash_from_a_small_split(calendar: Sessions, ratio: float, found: bool) -> None:
    """KEY 2008-09-29 and CCL 2020-03-12 fell by a third on little more than the volume of those weeks."""
    bare = pl.lit(None, dtype=pl.Float64)
    rows = scaled(walk(calendar), range(150, 300), ratio, volume=1 / ratio)
    rows = rows.with_columns(bare.alias("open"), bare.alias("high"), bare.alias("low"))
    assert ("unadjusted_split" in broken(rows, calendar)) is found


def test_an_action_explains_a_split(calendar: Sessions) -> None:
    rows = scaled(walk(calendar), range(150, 300), 0.5, volume=2.0)
    factor = pl.DataFrame({"symbol": ["X"], "session": [rows["session"][150]], "factor": [2.0]})
    assert broken(rows, calendar, factors=factor) == {}
    late = factor.with_columns(pl.lit(rows["session"][155]).alias("session"))
    assert broken(rows, calendar, factors=late) == {"unadjusted_split": list(range(150, 155))}


@pytest.mark.parametrize(
    ("ratio", "volume"), [(0.39, 16.0), (0.48, 11.0), (1.52, 16.0), (0.31, 30.0), (2.35, 7.0), (0.69, 3.8)]
)
def test_a_real_crash_or_leap_passes(calendar: Sessions, ratio: float, volume: float) -> None:
    """The sizes and volumes of AIG 2008, PCG 2019, AMD 2016, NKTR, GME 2021, NVDA 2008."""
    rows = scaled(walk(calendar), range(150, 300), ratio)
    assert broken(at(rows, [150], volume=volume * 1e6), calendar) == {}


def test_a_ticker_that_flips_to_another_instrument_and_back(calendar: Sessions) -> None:
    """Check 11: single sessions of another instrument, with its own volume, among those of ours."""
    rows = scaled(walk(calendar), [100, 120, 121, 140], 0.3, volume=0.01)
    assert broken(rows, calendar) == {"ticker_flip": [100, 120, 121, 140]}


def test_a_print_on_no_volume_is_doubted_at_a_smaller_jump(calendar: Sessions) -> None:
    assert broken(scaled(walk(calendar), range(100, 104), 1.4, volume=1e-4), calendar) == {
        "ticker_flip": [100, 101, 102, 103]
    }
    assert broken(scaled(walk(calendar), range(100, 104), 1.1, volume=1e-4), calendar) == {}


def test_a_decimal_slip_is_no_trading(calendar: Sessions) -> None:
    assert broken(scaled(walk(calendar), [100], 100.0), calendar) == {"ticker_flip": [100]}


def test_a_ticker_that_comes_back_at_another_level(calendar: Sessions) -> None:
    rows = scaled(walk(calendar), range(150, 300), 0.3, volume=20.0)
    gone = pl.concat([rows[:120], rows[150:]])
    assert broken(gone, calendar) == {"ticker_reuse": list(range(120, 141))}
    near = scaled(walk(calendar), range(150, 300), 1.2)
    assert broken(pl.concat([near[:120], near[150:]]), calendar) == {}


def test_an_index_is_neither_split_nor_idle(calendar: Sessions) -> None:
    rows = scaled(walk(calendar), range(150, 300), 2.0).with_columns(pl.lit(0.0).alias("volume"))
    assert broken(rows, calendar, indices={"X"}) == {}


def test_a_range_made_from_the_close(calendar: Sessions) -> None:
    """Check 12: the high a constant multiple of the close, rounded to cents or not."""
    made = walk(calendar).with_columns(
        (pl.col("close") * 1.01).round(2).alias("high"), (pl.col("close") * 0.98).alias("low")
    )
    made = made.with_columns(pl.col("close").alias("open"))
    assert broken(made, calendar) == {"fabricated_range": list(range(19, 300))}
    notes = gate(made.with_columns(pl.col("close").alias("high"), pl.col("close").alias("low")), calendar)
    assert notes.quarantined.is_empty()
    assert set(notes.findings["rule"]) == {"flat_range"}


def test_the_narrow_range_of_a_deal_stock_is_not_made_up(calendar: Sessions) -> None:
    rows = walk(calendar).with_columns(pl.lit(45.99).alias("close"), pl.lit(45.98).alias("open"))
    rows = rows.with_columns(pl.lit(46.00).alias("high"), pl.lit(45.97).alias("low"))
    assert broken(rows, calendar) == {}


def test_missing_sessions_are_noted_with_their_number(calendar: Sessions) -> None:
    rows = walk(calendar)
    judgement = gate(pl.concat([rows[:100], rows[107:]]), calendar)
    assert judgement.quarantined.is_empty()
    assert judgement.findings.select("rule", "session", "reason").rows() == [
        ("missing_sessions", rows["session"][107], f"7 after {rows['session'][99]}")
    ]


FAULTS = ("none", "zero", "split", "flip", "stale", "repeat", "hole", "placeholder", "made", "crash")


def faulty(calendar: Sessions, faults: list[tuple[str, int]], seed: int) -> pl.DataFrame:
    rows = pl.concat([walk(calendar, "X", 160, seed), walk(calendar, "Y", 160, seed + 1)])
    for name, place in faults:
        if name == "zero":
            rows = at(rows, [place], close=0.0)
        elif name == "split":
            rows = scaled(rows, range(place, 160 if place < 160 else 320), 0.5, volume=2.0)
        elif name == "flip":
            rows = scaled(rows, range(place, min(place + 3, 320)), 0.3, volume=0.001)
        elif name == "crash":
            rows = scaled(scaled(rows, range(place, 160 if place < 160 else 320), 0.4), [place], 1.0, volume=15.0)
        elif name == "stale":
            rows = at(rows, range(place, min(place + 9, 320)), open=40.0, high=40.0, low=40.0, close=40.0, volume=0.0)
        elif name == "placeholder":
            rows = at(rows, range(place, min(place + 2, 320)), open=0.01, high=0.01, low=0.01, close=0.01, volume=0.0)
        elif name == "made":
            span = range(place, min(place + 30, 320))
            hit = pl.int_range(pl.len()).is_in(pl.Series(list(span)).implode())
            rows = rows.with_columns(pl.when(hit).then(pl.col("close") * 1.02).otherwise(pl.col("high")).alias("high"))
        elif name == "repeat":
            rows = pl.concat([rows, at(rows[place], [0], volume=3.0)])
        elif name == "hole":
            rows = rows.filter(~pl.int_range(pl.len()).is_between(place, place + 25))
    return rows


@settings(max_examples=40, deadline=None)
@given(
    faults=st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(0, 280)), max_size=6),
    seed=st.integers(0, 50),
    cut=st.integers(0, 159),
)
def test_no_row_is_judged_by_a_later_one(
    calendar: Sessions, faults: list[tuple[str, int]], seed: int, cut: int
) -> None:
    """Burn the future: the judgement of the rows up to a session is bit-equal with and without those after it."""
    rows = faulty(calendar, faults, seed)
    last = calendar.dates[calendar.index(dt.date(2015, 1, 2)) + cut]
    whole, part = gate(rows, calendar), gate(rows.filter(pl.col("session") <= last), calendar)
    assert part.rows.equals(whole.rows.filter(pl.col("session") <= last))
    order = ["symbol", "session", "rule", "reason", "volume"]
    assert part.findings.sort(order).equals(whole.findings.filter(pl.col("session") <= last).sort(order))


def test_the_order_of_the_rows_does_not_matter(calendar: Sessions) -> None:
    rows = faulty(calendar, [("split", 40), ("zero", 200), ("stale", 260)], 3)
    mixed = rows.sample(fraction=1.0, shuffle=True, seed=1)
    key = ["symbol", "session"]
    assert gate(mixed, calendar).rows.sort(key).equals(gate(rows, calendar).rows.sort(key))


def test_counts_name_every_rule_and_give_examples(calendar: Sessions) -> None:
    told = counts(gate(at(walk(calendar), [100], close=0.0), calendar).findings)
    assert told["rule"].to_list() == [rule.name for rule in RULES]
    bad = told.filter(pl.col("rule") == "bad_price").row(0, named=True)
    assert (bad["rows"], bad["symbols"], bad["first"]) == (1, 1, walk(calendar)["session"][100])
    assert "close 0.0" in bad["examples"][0]
    assert told.filter(pl.col("rows") == 0)["examples"].list.len().sum() == 0


def test_check_of_nothing_is_no_error(memory: Memory, calendar: Sessions) -> None:
    assert check(memory, calendar)["rows"].sum() == 0


def read(path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    bars = files(path).bars
    sound = bars.filter((pl.col("close") > 0) & (pl.col("adj_close") > 0)).unique(["symbol", "session"], keep="first")
    return bars, derived_actions(sound)


def test_the_planted_faults_of_the_dirty_file(real_data: Path, calendar: Sessions) -> None:
    bars, actions = read(real_data / "stocks" / "dirty_sp500_daily_2015_2020.parquet")
    judgement = gate(bars, calendar, factors=actions)
    bad = judgement.quarantined
    listed = dt.date(2017, 7, 5)
    idle = bars.filter((pl.col("symbol") == "BHF") & (pl.col("session") < listed))
    held = bad.filter((pl.col("symbol") == "BHF") & (pl.col("session") < listed))
    assert held.height == idle.height == 108
    assert held["rule"].str.contains("placeholder").all()
    zero = bad.filter((pl.col("symbol") == "CBS") & (pl.col("close") == 0))
    assert zero["rule"].to_list() == ["conflicting_duplicate,bad_price"]
    flips = judgement.findings.filter(pl.col("rule") == "ticker_flip")
    col = bars.filter((pl.col("symbol") == "COL") & (pl.col("close") < 30))
    assert flips.filter(pl.col("symbol") == "COL")["session"].to_list() == col["session"].to_list()
    assert flips.filter(pl.col("symbol") == "CA")["session"].min() == dt.date(2018, 9, 24)
    pairs = judgement.findings.filter(pl.col("rule").str.contains("duplicate"))
    assert pairs.select("symbol", "session").unique().height == 3
    assert bad.height < 0.001 * bars.height
    for symbol, day in (("AMD", dt.date(2016, 4, 22)), ("PCG", dt.date(2019, 1, 14)), ("PCG", dt.date(2019, 1, 24))):
        assert bad.filter((pl.col("symbol") == symbol) & (pl.col("session") == day)).is_empty()


@pytest.mark.slow
def test_the_clean_file_keeps_999_of_1000_rows(real_data: Path, calendar: Sessions) -> None:
    bars, actions = read(real_data / "stocks" / "sp500_members_daily_2000_2021.parquet")
    judgement = gate(bars, calendar, factors=actions)
    assert judgement.quarantined.height < 0.001 * bars.height
    moves = [("AIG", dt.date(2008, 9, 15)), ("AMD", dt.date(2016, 4, 22)), ("PCG", dt.date(2019, 1, 14))]
    moves += [("GME", day) for day in (dt.date(2021, 1, 27), dt.date(2021, 1, 28), dt.date(2021, 2, 2))]
    moves += [("NVDA", dt.date(2008, 7, 3)), ("AAPL", dt.date(2000, 9, 29)), ("STT", dt.date(2009, 1, 20))]
    real = pl.DataFrame(moves, schema={"symbol": pl.String, "session": pl.Date}, orient="row")
    assert judgement.good.join(real, on=["symbol", "session"], how="semi").height == len(moves)


def test_a_file_that_missed_its_splits_is_found_out(real_data: Path) -> None:
    """The same SMH without its adjusted close: the split shows, and so does the other instrument of its first weeks."""
    bars = files(real_data / "macro" / "SMH_unadjusted_with_splits.csv").bars
    bare = bars_frame(bars.drop("adj_close"))
    starts = gate(bare, all_sessions(bars)).quarantined["session"]
    assert dt.date(2000, 6, 5) in starts.to_list()
    assert dt.date(2023, 5, 5) in starts.to_list()


def all_sessions(bars: pl.DataFrame) -> Sessions:
    from openbell.market.calendars import sessions

    return sessions(start=2000, end=bars["session"].max())


def test_the_generated_market_has_no_fault() -> None:
    from openbell.market.calendars import sessions
    from openbell.market.providers.generated import generated

    batch = generated(names=20, years=2, seed=5)
    judgement = gate(batch.bars, sessions())
    assert judgement.findings.is_empty()
    assert np.isfinite(batch.bars["close"].to_numpy()).all()
