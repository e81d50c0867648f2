"""The panel: what was known at each decision, what became known later, and who was in the universe."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.stats import rankdata

from openbell.core.declare import feature, label
from openbell.core.errors import BadInput
from openbell.core.types import Panel
from openbell.core.view import View
from openbell.features.momentum import momentum_12_1
from openbell.labels.forward import forward_rank, forward_return
from openbell.quant.expressions import close, high, low, open_
from openbell.research.panel import build_panel, centred_rank, ranked
from openbell.research.universe import decisions, is_survivorship_biased, members

sys.path.insert(0, str(Path(__file__).parent))
from market_of_weekdays import Memory, calendar, memory

CAL = calendar()
DAYS = CAL.dates
RANK_5 = next(each for each in forward_rank if each.horizon_sessions == 5)
RETURN_5 = next(each for each in forward_return if each.horizon_sessions == 5)


@feature(unit="fraction")
def one_day() -> pl.Expr:
    """Return of the last bar."""
    return close / close.shift(1) - 1


@feature(unit="fraction")
def day_range() -> pl.Expr:
    """Range of the last bar over its close."""
    return (high - low) / close


FEATURES = [*one_day, *day_range]
TABLES = memory(CAL)


def full_view(tables: Memory = TABLES, at: int = 459) -> View:
    return View(tables, CAL.open(DAYS[at]) - dt.timedelta(minutes=30), CAL)


def built(
    tables: Memory = TABLES, *, first: int = 320, last: int = 459, at: int = 459, labels=(RANK_5,), **more
) -> Panel:
    plain = {"universe": "small", "first": DAYS[first], "last": DAYS[last]}
    return build_panel(full_view(tables, at), FEATURES, labels, **{**plain, **more})


def test_a_row_holds_the_bar_before_its_decision():
    """Trap 11: the decision of session t sees t-1; kills a panel that joins on the same session."""
    row = built(labels=()).frame.filter(pl.col("symbol") == "S03", pl.col("session") == DAYS[400]).row(0, named=True)
    closes = TABLES.frames["bars"].filter(pl.col("symbol") == "S03").sort("session")["close"]
    assert row["one_day"] == pytest.approx(closes[399] / closes[398] - 1, rel=1e-6)
    assert row["as_of"] == CAL.open(DAYS[400]) - dt.timedelta(minutes=30)


def test_the_label_is_traded_at_opens_after_the_decision_and_ranked_within_the_day():
    """Hand-worked from the opens; the oracle of the rank is scipy; known when the last name's outcome is."""
    panel = built(labels=(RANK_5, RETURN_5))
    day = panel.frame.filter(pl.col("session") == DAYS[400]).sort("symbol")
    opens = TABLES.frames["bars"].filter(pl.col("symbol").is_in(day["symbol"].implode())).sort("symbol", "session")
    wide = opens.pivot(on="symbol", index="session", values="open").sort("session")
    expected = np.array([wide[name][405] / wide[name][400] - 1 for name in day["symbol"]])
    np.testing.assert_allclose(day[RETURN_5.name].to_numpy(), expected, rtol=1e-12)
    n = len(expected)
    np.testing.assert_allclose(day[RANK_5.name].to_numpy(), (rankdata(expected) - (n + 1) / 2) / n, atol=1e-12)
    assert day[f"{RANK_5.name}_known_at"].unique().to_list() == [CAL.close(DAYS[405])]


def test_a_rank_is_known_when_the_last_of_its_day_is():
    """One late bar makes the whole day's ranks late: they stand on it."""
    late = CAL.close(DAYS[409])
    table = TABLES.frames["bars"].with_columns(
        pl.when((pl.col("symbol") == "S02") & (pl.col("session") == DAYS[405]))
        .then(late)
        .otherwise("known_at")
        .alias("known_at")
    )
    panel = built(Memory({**TABLES.frames, "bars": table}))
    known = panel.frame.filter(pl.col("session") == DAYS[400])[f"{RANK_5.name}_known_at"]
    assert known.unique().to_list() == [late]


def test_a_label_that_is_not_known_yet_is_null():
    panel = built(last=459, at=450)
    assert panel.frame["session"].max() == DAYS[450]
    labelled = panel.frame.drop_nulls(RANK_5.name)
    assert labelled["session"].max() == DAYS[444]
    assert (labelled[f"{RANK_5.name}_known_at"] <= full_view(at=450).as_of).all()


def test_the_same_rows_from_a_later_view():
    """Burn the future: what a later view says of earlier decisions is bit-equal, features and resolved labels alike."""
    early, late = built(at=430, last=430), built(at=459, last=430)
    assert_frame_equal(
        early.frame.drop(RANK_5.name, f"{RANK_5.name}_known_at"),
        late.frame.drop(RANK_5.name, f"{RANK_5.name}_known_at"),
        check_exact=True,
    )
    resolved = early.frame.drop_nulls(RANK_5.name)
    assert_frame_equal(
        resolved, late.frame.join(resolved.select("session", "symbol"), on=["session", "symbol"]), check_exact=True
    )


def test_one_decision_is_what_the_batch_says():
    """Check 14: one function for training and serving."""
    batch = ranked(built(labels=())).frame.filter(pl.col("session") == DAYS[459])
    assert_frame_equal(ranked(built(labels=(), first=459)).frame, batch, check_exact=True)


def test_members_only_and_by_date():
    """Check 10, trap 13: S10 joins at session 350, S11 leaves at session 330."""
    frame = built(labels=()).frame
    assert frame.filter(pl.col("symbol") == "S10")["session"].min() == DAYS[350]
    assert frame.filter(pl.col("symbol") == "S11")["session"].max() == DAYS[329]
    assert "SPY" not in frame["symbol"]


def test_the_stride_counts_on_the_calendar():
    whole = built(labels=(), stride=5).frame["session"].unique().to_list()
    shifted = built(labels=(), stride=5, first=322).frame["session"].unique().to_list()
    assert [CAL.index(day) % 5 for day in whole] == [0] * len(whole)
    assert set(shifted) <= set(whole)
    mixed = built(labels=(), stride=5, every_session_from=DAYS[400]).frame["session"].unique().sort().to_list()
    assert mixed == [day for at, day in enumerate(DAYS) if 320 <= at <= 459 and (at >= 400 or at % 5 == 0)]


def test_a_vanished_name_is_counted():
    """Survivorship within the training set is said, with its size."""
    gone = TABLES.frames["bars"].filter(~((pl.col("symbol") == "S05") & (pl.col("session") >= DAYS[420])))
    notes = built(Memory({**TABLES.frames, "bars": gone})).notes
    assert any("6 of" in note and "because 1 names had no price" in note for note in notes)
    assert any("39 of" in note and "no bar the session before" in note for note in notes)
    assert built().notes == ()


def test_rows_known_after_their_decision_are_left_out_and_counted():
    table = TABLES.frames["bars"].with_columns(
        pl.when((pl.col("symbol") == "S02") & (pl.col("session") == DAYS[399]))
        .then(CAL.open(DAYS[400]))
        .otherwise("known_at")
        .alias("known_at")
    )
    panel = built(Memory({**TABLES.frames, "bars": table}), labels=())
    assert panel.frame.filter(pl.col("symbol") == "S02", pl.col("session") == DAYS[400]).is_empty()
    assert any("became known after the decision" in note for note in panel.notes)


def test_a_source_that_is_always_late_is_refused():
    table = TABLES.frames["bars"].with_columns(pl.col("known_at") + pl.duration(hours=70))
    with pytest.raises(BadInput, match="shorter delay"):
        built(Memory({**TABLES.frames, "bars": table}), labels=(), last=400)


def test_without_ranges_their_features_are_switched_off_and_said():
    """Data with closes and volumes alone: the label falls back to closes, range features have no column."""
    bare = TABLES.frames["bars"].with_columns(
        pl.lit(None, dtype=pl.Float64).alias(each) for each in ("open", "high", "low")
    )
    panel = built(Memory({**TABLES.frames, "bars": bare}))
    assert panel.features == ("one_day",)
    assert any("`day_range` is switched off" in note for note in panel.notes)
    day = panel.frame.filter(pl.col("session") == DAYS[400], pl.col("symbol") == "S01")
    assert day[RANK_5.name].item() is not None
    assert day[f"{RANK_5.name}_known_at"].item() == CAL.close(DAYS[405])


def test_the_recipe_names_the_data_and_the_declarations():
    """Trap 4: another feature, label, range or price is another recipe."""
    base = built(labels=())
    changed = TABLES.frames["bars"].with_columns(
        pl.when((pl.col("symbol") == "S02") & (pl.col("session") == DAYS[399]))
        .then(pl.col("close") * 1.001)
        .otherwise("close")
        .alias("close")
    )
    others = [
        built(Memory({**TABLES.frames, "bars": changed}), labels=()),
        built(),
        built(labels=(), first=321),
        build_panel(full_view(), [*one_day, *momentum_12_1], [], universe="small", first=DAYS[320], last=DAYS[459]),
    ]
    assert built(labels=()).recipe == base.recipe
    assert len({base.recipe, *(each.recipe for each in others)}) == 5


def test_an_order_of_features_is_kept():
    assert built(labels=()).features == ("one_day", "day_range")


@pytest.mark.parametrize("values", [[3.0, 1.0, 2.0], [1.0, 1.0, 5.0, None], [2.0, 2.0, 2.0], [None, 4.0], [None, None]])
def test_centred_rank_by_scipy(values):
    found = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)}).select(centred_rank(pl.col("x")))["x"]
    given = np.array([value for value in values if value is not None])
    expected = iter((rankdata(given) - (len(given) + 1) / 2) / max(len(given), 1))
    assert found.to_list() == [None if value is None else pytest.approx(next(expected)) for value in values]


def test_ranked_compares_only_rows_of_one_decision():
    """Trap 16: nothing is fitted over rows; removing other days changes nothing."""
    panel = built(labels=())
    alone = Panel(panel.frame.filter(pl.col("session") == DAYS[444]), panel.features, (), panel.recipe)
    assert_frame_equal(
        ranked(alone).frame, ranked(panel).frame.filter(pl.col("session") == DAYS[444]), check_exact=True
    )
    spread = (
        ranked(panel)
        .frame.group_by("session")
        .agg(pl.col("one_day").mean().abs().alias("m"), pl.col("one_day").max().alias("x"))
    )
    assert spread["m"].max() < 1e-6
    assert spread["x"].max() < 0.5
    assert ranked(panel).recipe != panel.recipe


def test_a_label_with_an_unknown_cross_section_is_refused():
    @label(unit="rank", name="odd_{horizon}", over={"horizon": [1]}, cross_section="zscore")
    def odd(horizon: int) -> pl.Expr:
        """A label of a kind that there is not."""
        return open_.shift(-(1 + horizon)) / open_.shift(-1) - 1

    with pytest.raises(BadInput, match="`zscore`; valid is `rank`"):
        built(labels=odd)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"universe": "smal"}, "no membership of a universe `smal`"),
        ({"stride": 0}, "`stride` must be at least 1"),
        ({"lead_minutes": -1}, "must not be negative"),
        ({"first": DAYS[459], "last": DAYS[450]}, "No decision"),
    ],
)
def test_bad_input(more, said):
    with pytest.raises(BadInput, match=said):
        build_panel(full_view(), FEATURES, [], **{"universe": "small", "first": DAYS[320], "last": DAYS[459], **more})


def test_all_is_every_stock_with_a_fresh_bar_and_says_that_it_is_biased():
    gone = TABLES.frames["bars"].filter(~((pl.col("symbol") == "S05") & (pl.col("session") >= DAYS[420])))
    view = full_view(Memory({**TABLES.frames, "bars": gone}))
    found = members(view, None, DAYS[400:440])
    assert is_survivorship_biased(None)
    assert is_survivorship_biased("all")
    assert not is_survivorship_biased("small")
    assert set(found["symbol"]) == {f"S{at:02d}" for at in range(12)}
    assert found.filter(pl.col("symbol") == "S05")["session"].max() == DAYS[424]
    assert "survivorship-biased" in built(universe=None, labels=()).notes[0]


def test_all_without_an_instrument_table_leaves_the_benchmark_out():
    view = full_view(Memory({"bars": TABLES.frames["bars"]}))
    assert "SPY" in members(view, "all", DAYS[400:401])["symbol"]
    assert "SPY" not in members(view, "all", DAYS[400:401], benchmark="SPY")["symbol"]


def test_a_bar_that_is_not_known_yet_makes_no_member():
    only = TABLES.frames["bars"].filter((pl.col("symbol") != "S05") | (pl.col("session") == DAYS[399]))
    late = only.with_columns(
        pl.when(pl.col("symbol") == "S05").then(CAL.close(DAYS[401])).otherwise("known_at").alias("known_at")
    )
    found = members(full_view(Memory({**TABLES.frames, "bars": late})), "all", DAYS[400:410])
    assert found.filter(pl.col("symbol") == "S05")["session"].to_list() == list(DAYS[402:405])


def test_membership_counts_from_when_it_was_known():
    """A late correction never changes earlier decisions, and an overtaken one never counts."""
    knew = CAL.close(DAYS[360])
    events = TABLES.frames["membership"].with_columns(
        pl.when(pl.col("symbol") == "S10").then(knew).otherwise("known_at").alias("known_at")
    )
    overtaken = events.filter(pl.col("symbol") == "S11", pl.col("member")).with_columns(
        session=pl.lit(DAYS[10]), known_at=pl.lit(CAL.close(DAYS[370])).cast(pl.Datetime("us", "UTC"))
    )
    tables = Memory({**TABLES.frames, "membership": pl.concat([events, overtaken])})
    found = members(full_view(tables), "small", DAYS[320:400])
    assert found.filter(pl.col("symbol") == "S10")["session"].min() == DAYS[361]
    assert found.filter(pl.col("symbol") == "S11")["session"].max() == DAYS[329]


@pytest.mark.parametrize("at", [300, 329, 330, 349, 350, 459])
def test_members_are_those_of_the_view(at):
    """Oracle: core's own `View.universe`, asked one session at a time."""
    found = members(full_view(), "small", [DAYS[at]])["symbol"].to_list()
    assert found == full_view().universe("small", DAYS[at])["symbol"].to_list()


def test_decisions_are_the_open_less_the_lead():
    table = decisions(CAL, [DAYS[5], DAYS[3]], 45)
    assert table["as_of"].to_list() == [CAL.open(DAYS[at]) - dt.timedelta(minutes=45) for at in (3, 5)]
    assert table["number"].to_list() == [3, 5]
    with pytest.raises(BadInput, match="is not a session"):
        decisions(CAL, [dt.date(2018, 1, 6)], 30)
