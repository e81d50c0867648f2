"""Weights of training rows: what reaches a fit where labels overlap, and that nothing does where they do not."""

import datetime as dt
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.core.types import Panel
from openbell.models.linear import ridge
from openbell.models.xgboost import xgboost
from openbell.research import candidates, entrants, walkforward
from openbell.research.folds import Fold
from openbell.research.walkforward import walk_forward
from openbell.research.weights import label_weights

HORIZON, DAYS, NAMES = 5, 40, ("A", "B", "C")
LABEL = "forward"
DECLARED = SimpleNamespace(name=LABEL, horizon_sessions=HORIZON)


class Everything:
    """A ledger that holds every configuration."""

    def __contains__(self, fingerprint: str) -> bool:
        return True


def day(at: int) -> dt.date:
    """Two of every seven days are no sessions: a number is no count of days."""
    return dt.date(2021, 1, 4) + dt.timedelta(days=at // 5 * 7 + at % 5)


def as_of(at: int) -> dt.datetime:
    return dt.datetime.combine(day(at), dt.time(14), dt.UTC)


def dated() -> pl.DataFrame:
    return pl.DataFrame({"session": map(day, range(DAYS)), "as_of": map(as_of, range(DAYS)), "number": range(DAYS)})


def panel(kept=lambda at, name: True) -> Panel:
    """Every name on every session, but those that `kept` leaves out; the label is known at the open after its end."""
    rng = np.random.default_rng(3)
    rows = [(at, name) for at in range(DAYS) for name in NAMES if kept(at, name)]
    frame = pl.DataFrame(
        {
            "session": [day(at) for at, _ in rows],
            "as_of": [as_of(at) for at, _ in rows],
            "symbol": [name for _, name in rows],
            "a": rng.normal(size=len(rows)).astype(np.float32),
            LABEL: rng.normal(size=len(rows)),
            f"{LABEL}_known_at": [as_of(at + HORIZON - 1) + dt.timedelta(hours=8) for at, _ in rows],
        }
    )
    return Panel(frame, ("a",), (LABEL,), recipe="weights")


def gaps(at: int, name: str) -> bool:
    """`B` is away for sessions 10 to 14, `C` begins with session 17."""
    return not (name == "B" and 10 <= at < 15) and not (name == "C" and at < 17)


def brute(numbers, symbols, horizon: int) -> np.ndarray:
    """The definition, one session of one label at a time."""
    held = list(zip(numbers, symbols, strict=True))
    found = []
    for first, name in held:
        counts = [
            sum(who == name and other <= session < other + horizon for other, who in held)
            for session in range(first, first + horizon)
        ]
        found.append(sum(1 / each for each in counts) / horizon)
    return np.array(found) * len(found) / sum(found)


@pytest.fixture
def handed(monkeypatch):
    """What reaches every fit: its weights, keys and number of rows."""
    seen = []

    def spied(module):
        real = module.fit

        def fit(model, frame, target, given, **more):
            seen.append((more.get("sample_weight"), more["keys"], frame.height))
            return real(model, frame, target, given, **more)

        monkeypatch.setattr(module, "fit", fit)

    spied(walkforward)
    spied(candidates)
    return seen


FOLDS = [Fold(1, as_of(20), day(20), day(29)), Fold(2, as_of(30), day(30), day(39), train_first=day(8))]


def walked(source: Panel, models=ridge, **more):
    numbers = dict(dated().select("session", "number").iter_rows())
    plain = {"ledger": Everything(), "numbers": numbers, "jobs": 1}
    return walk_forward(source, LABEL, FOLDS, [*models], **{**plain, **more})


def number_of(keys: pl.DataFrame) -> list[int]:
    return keys.join(dated(), on="session", how="left", maintain_order="left")["number"].to_list()


@pytest.mark.parametrize(("stride", "horizon"), [(1, 5), (2, 5), (1, 3)])
def test_overlapping_labels_weigh_their_uniqueness_among_the_rows_of_the_fold(handed, stride, horizon):
    """Kills weights counted over the whole panel, over test rows, in days, over names together, or off by a session."""
    walked(panel(gaps), stride=stride, horizon_sessions=horizon)
    assert len(handed) == len(FOLDS)
    for weight, keys, rows in handed:
        np.testing.assert_allclose(weight, brute(number_of(keys), keys["symbol"], horizon), rtol=1e-12)
        assert weight.shape == (rows,)
        assert weight.sum() == pytest.approx(rows)
        assert len(np.unique(weight.round(9))) > 2


@pytest.mark.parametrize(("stride", "horizon"), [(5, 5), (7, 5), (1, 1)])
def test_labels_that_only_touch_reach_the_fit_without_weights(handed, stride, horizon):
    """Bit-equal to before: nothing is handed on, not even ones."""
    with_horizon = walked(panel(gaps), stride=stride, horizon_sessions=horizon)
    assert [weight for weight, _, _ in handed] == [None, None]
    assert with_horizon.scores.equals(walked(panel(gaps), stride=stride).scores)


def test_a_thin_panel_is_not_weighed_whatever_the_stride_says(handed):
    """Rows that are five sessions apart do not overlap although the training takes every one there is."""
    walked(panel(lambda at, _: at % 5 == 0), stride=1, horizon_sessions=5)
    assert [weight for weight, _, _ in handed] == [None, None]


def test_the_weights_change_what_is_learnt():
    plain, weighed = (walked(panel(gaps), horizon_sessions=each).scores["ridge"] for each in (1, 5))
    assert not plain.equals(weighed)


def test_the_horizon_enters_the_cache(tmp_path):
    """Kills scores of unweighted fits that are read as those of weighted ones."""
    first = walked(panel(gaps), cache=tmp_path, horizon_sessions=1)
    second = walked(panel(gaps), cache=tmp_path, horizon_sessions=5)
    assert second.scores.equals(walked(panel(gaps), horizon_sessions=5).scores)
    assert not second.scores.equals(first.scores)


def test_what_orders_the_rows_reaches_every_fit(handed):
    """An early-stopped booster finds its inner fold: kills keys that only sequences and stacks are given."""
    small = {"xgboost": {"n_estimators": 8, "early_stopping_rounds": 2}}
    found = walked(panel(), models=xgboost[:1], parameters=small, horizon_sessions=5)
    assert found.abstained == {}
    assert found.scores["xgboost"].null_count() == 0
    assert all(keys.columns == ["session", "symbol", "known_at"] for _, keys, _ in handed)


@pytest.mark.parametrize("stride", [1, 5])
def test_the_final_fit_is_weighed_by_the_rows_it_has(handed, tmp_path, stride):
    (made,) = candidates.final_fits(
        panel(gaps),
        DECLARED,
        ridge[:1],
        as_of=as_of(33),
        dated=dated(),
        stride=stride,
        train_first=day(6),
        folder=tmp_path,
        plan={"desk": "stocks"},
        ledger=Everything(),
        parameters={},
        members={},
        left_out={},
        jobs=1,
        progress=None,
    )
    ((weight, keys, rows),) = handed
    manifest = "".join(path.read_text() for path in made.folder.glob("*.json"))
    assert ("uniqueness of the label" in manifest) == (stride == 1)
    numbers = number_of(keys)
    assert (min(numbers), max(numbers)) == ((6, 28) if stride == 1 else (10, 25))
    if stride == 5:
        assert weight is None
        return
    np.testing.assert_allclose(weight, brute(numbers, keys["symbol"], HORIZON), rtol=1e-12)
    assert weight.shape == (rows,)


@pytest.mark.parametrize("stride", [1, 5])
def test_tuning_has_the_weights_of_its_window(stride):
    place = SimpleNamespace(
        desk=SimpleNamespace(rebalance_sessions=stride), label=DECLARED, decisions=lambda: dated().sample(fraction=1.0)
    )
    source = panel(lambda at, name: gaps(at, name) and at % stride == 0)
    rows = entrants._training_rows(place, source, FOLDS[1])
    if stride == 5:
        assert rows.sample_weight is None
        return
    numbers = number_of(rows.keys.select("session", "symbol"))
    assert (min(numbers), max(numbers)) == (8, 25)
    np.testing.assert_allclose(rows.sample_weight, brute(numbers, rows.keys["symbol"], HORIZON), rtol=1e-12)


def test_impossible_horizons_and_unnumbered_rows_are_refused():
    rows = pl.DataFrame({"symbol": ["A", "A"], "number": [1, None]})
    with pytest.raises(BadInput, match="were 0 and 1"):
        label_weights(rows, 0)
    with pytest.raises(BadInput, match="were 5 and 0"):
        label_weights(rows, 5, stride=0)
    with pytest.raises(BadInput, match="1 training rows are of sessions without a number"):
        label_weights(rows, 5)
