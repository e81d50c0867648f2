"""Combinatorial purged cross-validation: no test label is known to the training, by brute force and by others."""

import datetime as dt
from itertools import combinations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from purgedcv import CombinatorialPurgedCV as Purgedcv
from skfolio.model_selection import CombinatorialPurgedCV as Skfolio

from openbell.core.errors import BadInput, FeatureUnavailable, LeakFound
from openbell.core.types import Panel
from openbell.research.cpcv import check_split, cpcv_scores, label_keys, paths, splits, spreads

OPEN, CLOSE = dt.timedelta(hours=13), dt.timedelta(hours=20)


def weekdays(count: int, first: dt.date = dt.date(2020, 1, 1)) -> list[dt.date]:
    days = (first + dt.timedelta(days=at) for at in range(2 * count + 10))
    return [day for day in days if day.weekday() < 5][:count]


def moment(day: dt.date, hour: dt.timedelta) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC) + hour


def keyed(days: list[dt.date], names: int = 1, horizon: int = 5) -> pl.DataFrame:
    """Labels from the open of a session to the close of the one `horizon - 1` later; null where that is not there."""
    ends = [moment(days[at + horizon - 1], CLOSE) if at + horizon <= len(days) else None for at in range(len(days))]
    rows = [(day, moment(day, OPEN), end) for day, end in zip(days, ends, strict=True) for _ in range(names)]
    schema = {"session": pl.Date, "as_of": pl.Datetime("us", "UTC"), "label_known_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, schema=schema, orient="row")


def labels(keys: pl.DataFrame) -> list[tuple]:
    return list(keys.select("as_of", "label_known_at").iter_rows())


def leaking(keys: pl.DataFrame, train, test) -> list[int]:
    """Training rows whose closed interval shares a moment with one of the test's, one pair at a time."""
    spans = labels(keys)
    return [row for row in train if any(spans[row][0] <= spans[at][1] and spans[at][0] <= spans[row][1] for at in test)]


def expected(keys: pl.DataFrame, groups: int, chosen: tuple[int, ...], embargo: int) -> tuple[list[int], list[int]]:
    """Training and test rows by the words of the docstring, one row at a time."""
    sessions = sorted(set(keys["session"]))
    parts = np.array_split(np.arange(len(sessions)), groups)
    group = {sessions[at]: number for number, part in enumerate(parts) for at in part}
    spans, session = labels(keys), keys["session"].to_list()
    rows = [row for row in range(keys.height) if spans[row][1] is not None]
    test = [row for row in rows if group[session[row]] in chosen]
    clean = set(rows) - set(test)
    clean -= set(leaking(keys, clean, test))
    for one in chosen:
        own = [row for row in test if group[session[row]] == one]
        if not own:
            continue
        last = max(spans[row][1] for row in own)
        after = [sessions.index(session[row]) for row in range(keys.height) if spans[row][0] > last]
        for row in list(clean):
            if spans[row][0] > last and sessions.index(session[row]) < min(after) + embargo:
                clean.discard(row)
    return sorted(clean), test


@settings(max_examples=40, deadline=None)
@given(
    st.data(),
    st.integers(12, 30),
    st.integers(3, 5),
    st.integers(0, 3),
)
def test_no_training_label_overlaps_a_test_label(data, count, groups, embargo):
    """Labels of any length, some missing, several names a session, rows in any order: what may be trained on."""
    days = weekdays(count)
    rows = []
    for at, day in enumerate(days):
        for _ in range(data.draw(st.integers(1, 2))):
            length = data.draw(st.one_of(st.none(), st.integers(0, 4)))
            end = None if length is None or at + length >= count else moment(days[at + length], CLOSE)
            rows.append((day, moment(day, OPEN), end))
    keys = pl.DataFrame(rows, schema=keyed(days[:1], horizon=1).schema, orient="row")
    keys = keys[np.random.default_rng(count).permutation(keys.height)]
    test_groups = data.draw(st.integers(1, groups - 1))
    wanted = [expected(keys, groups, chosen, embargo) for chosen in combinations(range(groups), test_groups)]
    if not all(train and test for train, test in wanted):
        with pytest.raises(BadInput, match="rows to train on"):
            splits(keys, groups=groups, test_groups=test_groups, embargo_sessions=embargo)
        return
    found = splits(keys, groups=groups, test_groups=test_groups, embargo_sessions=embargo)
    chosen = list(combinations(range(groups), test_groups))
    for split, one, (train, test) in zip(found, chosen, wanted, strict=True):
        assert split.test_groups == one
        assert split.train.tolist() == train
        assert split.test.tolist() == test
        labelled = keys["label_known_at"].is_not_null().sum()
        assert len(train) + len(test) + split.purged + split.embargoed == labelled
        check_split(keys, split)


def test_by_hand():
    """12 sessions in 4 groups, labels over 2 sessions, the second group tested, one session of embargo."""
    keys = keyed(weekdays(12), horizon=2)
    split = splits(keys, groups=4, test_groups=1, embargo_sessions=1)[1]
    assert split.test.tolist() == [3, 4, 5]
    # Row 2 ends in the first test session, row 6 begins in the last test label's; row 7 looks back; 11 has no label.
    assert split.train.tolist() == [0, 1, 8, 9, 10]
    assert (split.purged, split.embargoed) == (2, 1)
    assert splits(keys, groups=4, test_groups=1, embargo_sessions=0)[1].train.tolist() == [0, 1, 7, 8, 9, 10]


def test_a_decision_at_the_very_moment_a_label_is_known_counts_as_overlapping():
    keys = keyed(weekdays(12), horizon=1).with_columns(pl.col("as_of").shift(-1).alias("label_known_at"))
    split = splits(keys, groups=4, test_groups=1, embargo_sessions=0)[1]
    assert split.train.tolist() == [0, 1, 7, 8, 9, 10]


def test_the_embargo_counts_sessions_of_the_calendar():
    """Weekly rows: two sessions of embargo on the calendar are less than a week, two of the keys are two weeks."""
    days = weekdays(80)
    keys = keyed(days, horizon=3)[::5]
    calendar = {day: at for at, day in enumerate(days)}
    none, few, week, counted = (
        splits(keys, groups=4, test_groups=1, embargo_sessions=embargo, numbers=numbers)[0]
        for embargo, numbers in ((0, None), (2, calendar), (6, calendar), (2, None))
    )
    assert (none.embargoed, few.embargoed, week.embargoed, counted.embargoed) == (0, 1, 2, 2)
    assert counted.train.tolist() == week.train.tolist()
    with pytest.raises(BadInput, match="2020-01-08 has no number"):
        splits(keys, groups=4, test_groups=1, numbers={days[0]: 0})


@pytest.mark.parametrize("horizon", [1, 3, 6])
def test_purgedcv_leaves_out_the_same_rows(horizon):
    """Oracle: its purge by label intervals."""
    keys = keyed(weekdays(61 + horizon), horizon=horizon)[:61]
    times = [pd.Series(keys[name].to_list()) for name in ("as_of", "label_known_at")]
    theirs = Purgedcv(5, 2, prediction_times=times[0], evaluation_times=times[1], purge_horizon=pd.Timedelta(0)).split(
        np.zeros((61, 1))
    )
    ours = splits(keys, groups=5, test_groups=2, embargo_sessions=0)
    for split, (train, test) in zip(ours, theirs, strict=True):
        assert split.train.tolist() == train.tolist()
        assert split.test.tolist() == test.tolist()


def skfolio_splits(rows: int, purged: int) -> list[tuple[np.ndarray, np.ndarray]]:
    cv = Skfolio(n_folds=5, n_test_folds=2, purged_size=purged)
    return [(train, np.sort(np.concatenate(test))) for train, test in cv.split(np.zeros((rows, 1)))]


def test_skfolio_agrees_where_every_row_is_a_session_and_every_label_as_long():
    keys = keyed(weekdays(64), horizon=5)[:60]
    for split, (train, test) in zip(
        splits(keys, groups=5, test_groups=2, embargo_sessions=0), skfolio_splits(60, 4), strict=True
    ):
        assert split.train.tolist() == train.tolist()
        assert split.test.tolist() == test.tolist()


def test_skfolio_s_purge_leaks_on_calendar_windows_and_on_panels():
    """Why ours is here: it leaves out a number of rows (1.12.2), and a label is as long as its calendar makes it.

    A label over 10 days holds 7.1 sessions on average and 8 in the worst case; a panel has several rows a session.
    """
    days = weekdays(100)
    windows = keyed(days, horizon=1).with_columns(
        (pl.col("as_of") + pl.duration(days=10) - pl.duration(hours=1)).alias("label_known_at")
    )
    panel = keyed(weekdays(54), names=2, horizon=5)[:100]
    leaks = [sum(len(leaking(windows, *each)) for each in skfolio_splits(100, 6))]
    leaks.append(sum(len(leaking(panel, *each)) for each in skfolio_splits(100, 4)))
    assert min(leaks) > 0
    for keys in (windows, panel):
        for split in splits(keys, groups=5, test_groups=2, embargo_sessions=0):
            assert leaking(keys, split.train, split.test) == []
    odd = keyed(weekdays(39), names=3, horizon=5)[:105]
    halves = [
        set(odd["session"].gather(train)) & set(odd["session"].gather(test)) for train, test in skfolio_splits(104, 0)
    ]
    assert any(halves)


@pytest.mark.parametrize(("groups", "test_groups"), [(6, 2), (5, 1), (5, 3), (2, 1)])
def test_paths_use_each_score_once_and_cover_every_group(groups, test_groups):
    """Oracle: skfolio's path of each test fold of each split."""
    found = paths(groups, test_groups)
    every = list(combinations(range(groups), test_groups))
    used = [(int(split), group) for row in found for group, split in enumerate(row)]
    assert sorted(used) == sorted((at, group) for at, each in enumerate(every) for group in each)
    if test_groups > 1:
        ids = Skfolio(n_folds=groups, n_test_folds=test_groups).get_path_ids()
        for at, each in enumerate(every):
            assert [int(np.flatnonzero(found[:, group] == at)[0]) for group in each] == ids[at].tolist()


class Slope:
    """Least squares on one feature; remembers how many rows it saw."""

    def __init__(self, frame: pl.DataFrame, target: np.ndarray) -> None:
        x = frame["x"].to_numpy()
        self.slope = float(x @ target / (x @ x))
        self.rows = frame.height

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        return self.slope * frame["x"].to_numpy()


def study(edge: float, days: int = 120, names: int = 12, seed: int = 0) -> Panel:
    keys = keyed(weekdays(days), names=names, horizon=3)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(keys.height)
    frame = keys.rename({"label_known_at": "y_known_at"}).with_columns(
        pl.Series("symbol", [f"S{at % names}" for at in range(keys.height)]),
        pl.Series("x", x),
        pl.Series("y", edge * x + rng.standard_normal(keys.height)),
    )
    frame = frame.with_columns(pl.when(pl.col("y_known_at").is_not_null()).then("y").alias("y"))
    return Panel(frame, ("x",), ("y",), "recipe")


def test_each_path_scores_every_labelled_session_out_of_sample():
    panel = study(0.4)
    chosen = splits(label_keys(panel, "y"), groups=4, test_groups=2, embargo_sessions=2)
    fitted = []

    def fit(frame: pl.DataFrame, target: np.ndarray) -> Slope:
        assert np.isfinite(target).all()
        fitted.append(Slope(frame, target))
        return fitted[-1]

    told = []
    found = cpcv_scores(panel, "y", chosen, fit, progress=lambda *each: told.append(each))
    assert found.table["path"].to_list() == [0, 1, 2]
    assert found.table["dates"].to_list() == [118] * 3
    assert found.rank_ics.height == 3 * 118
    assert (found.table["rank_ic"] > 0.2).all()
    assert (found.table["sharpe"] > 1).all()
    assert (
        found.splits["train_rows"].to_list() == [each.rows for each in fitted] == [len(each.train) for each in chosen]
    )
    assert told[-1] == (6, 6, "groups 2, 3")
    # Two labels of three sessions never share one: every third date, and calendar years have 87 of those.
    assert found.table["periods"].to_list() == [40] * 3
    plain = found.spreads.filter(pl.col("path") == 0)["spread"]
    by_hand = plain.mean() / plain.std() * np.sqrt(365.25 / 7 * 5 / 3)
    assert found.table["sharpe"][0] == pytest.approx(by_hand, rel=0.02)


def test_a_row_without_a_label_is_in_no_split_whatever_its_moment():
    """A name that had no price when its label was due has a moment and no label: no target, and no guess of one."""
    panel = study(0.4)
    holed = panel.frame.with_columns(pl.when(pl.col("symbol") != "S3").then("y").alias("y"))
    holed = Panel(holed, ("x",), ("y",), "recipe")
    chosen = splits(label_keys(holed, "y"), groups=4, test_groups=2, embargo_sessions=0)
    assert all("S3" not in holed.frame["symbol"].gather(np.append(each.train, each.test)).to_list() for each in chosen)
    assert cpcv_scores(holed, "y", chosen, Slope).table["dates"].to_list() == [118] * 3
    with pytest.raises(LeakFound, match="not of these keys"):
        cpcv_scores(holed, "y", splits(label_keys(panel, "y"), groups=4, embargo_sessions=0), Slope)


def test_a_path_takes_each_group_from_the_split_that_path_names():
    """Kills scores of one split on every path: the predictors of different splits differ in sign."""
    panel = study(0.0)
    chosen = splits(label_keys(panel, "y"), groups=3, test_groups=2, embargo_sessions=0)
    made = iter([1.0, -1.0, 1.0])

    class Fixed:
        def __init__(self, sign: float) -> None:
            self.sign = sign

        def predict(self, frame: pl.DataFrame) -> np.ndarray:
            return self.sign * frame["x"].to_numpy()

    found = cpcv_scores(panel, "y", chosen, lambda frame, target: Fixed(next(made)))
    right = cpcv_scores(panel, "y", chosen, lambda frame, target: Fixed(1.0))
    session = np.array_split(panel.frame["session"].unique().sort().to_numpy(), 3)
    for path, signs in enumerate(([1, 1, -1], [-1, 1, 1])):
        for group, sign in enumerate(signs):
            ours, theirs = (
                each.rank_ics.filter((pl.col("path") == path) & pl.col("session").is_in(session[group].tolist()))[
                    "rank_ic"
                ]
                for each in (found, right)
            )
            np.testing.assert_allclose(ours.to_numpy(), sign * theirs.to_numpy(), atol=1e-12)


def test_noise_scores_nothing_and_a_model_that_lacks_its_feature_says_so():
    panel = study(0.0, days=400)
    chosen = splits(label_keys(panel, "y"), groups=4, test_groups=2, embargo_sessions=0)
    found = cpcv_scores(panel, "y", chosen, Slope)
    assert (found.table["rank_ic"].abs() < 0.08).all()

    def lacking(frame: pl.DataFrame, target: np.ndarray) -> Slope:
        raise FeatureUnavailable("The feature `z` is not there.")

    none = cpcv_scores(panel, "y", chosen, lacking)
    assert none.table["rank_ic"].null_count() == 3
    assert none.table["sharpe"].null_count() == 3
    assert none.splits["why"].to_list() == ["The feature `z` is not there."] * 6


def test_spreads_by_hand():
    """Ten names: the two best less the two worst; a missing score is left out; overlapping dates are skipped."""
    days = weekdays(4)
    frame = keyed(days, names=10, horizon=2)[:30].rename({"label_known_at": "known_at"})
    frame = frame.with_columns(
        pl.Series("score", np.tile(np.arange(10.0), 3)), pl.Series("outcome", np.tile(np.arange(10.0) ** 2, 3))
    )
    found = spreads(frame)
    assert found["session"].to_list() == [days[0], days[2]]
    assert found["spread"].to_list() == pytest.approx([(64 + 81) / 2 - (0 + 1) / 2] * 2)
    holed = frame.with_columns(pl.when(pl.col("score") == 9).then(None).otherwise(pl.col("score")).alias("score"))
    assert spreads(holed)["spread"][0] == pytest.approx((64 + 49) / 2 - (0 + 1) / 2)
    assert spreads(frame.filter(pl.col("score") < 4)).is_empty()


def test_a_split_that_leaks_is_refused_before_anything_is_fitted():
    panel = study(0.0)
    chosen = splits(label_keys(panel, "y"), groups=3, test_groups=1, embargo_sessions=0)
    one = chosen[1]

    def changed(train: np.ndarray) -> tuple:
        leaky = type(one)(one.number, one.test_groups, train, one.test, one.group_of_test, 0, 0)
        return chosen[0], leaky, chosen[2]

    def never(frame: pl.DataFrame, target: np.ndarray) -> Slope:
        raise AssertionError("fitted")

    before = np.append(one.train, one.test[0] - 1)
    with pytest.raises(LeakFound, match="1 training labels overlap"):
        cpcv_scores(panel, "y", changed(before), never)
    with pytest.raises(LeakFound, match="1 sessions stand in training and in test"):
        cpcv_scores(panel, "y", changed(one.test[:1]), never)
    with pytest.raises(BadInput, match="there were 2 splits"):
        cpcv_scores(panel, "y", splits(label_keys(panel, "y"), groups=3, test_groups=2)[:2], Slope)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"groups": 3, "test_groups": 3}, "were 3 of 3"),
        ({"groups": 30, "test_groups": 15}, "at most 1,000"),
        ({"embargo_sessions": -1}, "was -1"),
        ({"embargo_sessions": 500}, "0 rows to train on"),
        ({"groups": 41, "test_groups": 1}, "40 sessions cannot be cut into 41"),
    ],
)
def test_impossible_splits_are_refused(change, said):
    with pytest.raises(BadInput, match=said):
        splits(keyed(weekdays(40)), **{"groups": 4, "test_groups": 2, **change})


def test_keys_that_make_no_sense_are_refused():
    keys = keyed(weekdays(40))
    with pytest.raises(BadInput, match="`label_known_at`"):
        splits(keys.drop("label_known_at"))
    with pytest.raises(BadInput, match="needs its `session`"):
        splits(keys.with_columns(pl.lit(None, dtype=pl.Date).alias("session")))
    early = keys.with_columns((pl.col("as_of") - pl.duration(days=1)).alias("label_known_at"))
    with pytest.raises(BadInput, match="40 labels were known before their decision"):
        splits(early)
