"""The LSTM: which rows it reads, which it leaves alone, and what it needs."""

import datetime as dt
import importlib
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.models.inner_folds import latest_fold
from openbell.quant import recurrent
from openbell.store import artifacts

sys.path.insert(0, str(Path(__file__).parent))
from small_rows import DECLARED, NETWORK, SYMBOLS, fitted, keys, members_of, rows

LSTM, CLASSIFIER = DECLARED["lstm"], DECLARED["lstm_classifier"]


def remembering(dates: int = 60, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """A target that is the feature of the row before: only a memory can know it."""
    values = np.random.default_rng(seed).random((dates, len(SYMBOLS))).astype(np.float32) - 0.5
    before = np.vstack([np.zeros((1, len(SYMBOLS)), dtype=np.float32), values[:-1]])
    return pl.DataFrame({"x": values.ravel()}), before.ravel().astype(np.float64)


def test_the_request_is_the_preset():
    """S3.11: sequence 50, hidden 64, dropout .2, lr .001, batch 32, epochs 100."""
    wanted = {"sequence_length": 50, "hidden_size": 64, "dropout": 0.2, "learning_rate": 1e-3, "batch_size": 32}
    for model in (LSTM, CLASSIFIER):
        assert {**wanted, "epochs": 100}.items() <= dict(model.settings).items()


def test_it_remembers_the_rows_of_its_symbol():
    """Kills windows across symbols, and a network that reads the last row alone."""
    frame, target = remembering()
    more = {**NETWORK, "epochs": 25}
    fresh, truth = remembering(seed=1)
    scores = fitted(LSTM, frame, target, parameters=more).predict(fresh, keys(60))
    whole = np.isfinite(scores)
    assert np.corrcoef(scores[whole], truth[whole])[0, 1] > 0.8


def test_a_row_without_its_history_abstains():
    """Trap 7: exactly the first rows of each symbol have no score, also of one that joins late."""
    frame, target = rows()
    joined = keys().with_columns(late=(pl.col("symbol") == "S03") & (pl.col("session") < dt.date(2019, 5, 1)))
    kept = ~joined["late"]
    own = joined.filter(kept).select("session", "symbol")
    known = fitted(LSTM, frame.filter(kept), target[kept.to_numpy()], keys=own)
    scores = pl.Series(known.predict(frame.filter(kept), own))
    number = own.with_columns(said=scores.is_not_nan()).with_columns(at=pl.int_range(pl.len()).over("symbol"))
    assert (number["said"] == (number["at"] >= NETWORK["sequence_length"] - 1)).all()


def test_too_short_a_history_is_no_network():
    frame, target = rows(2)
    with pytest.raises(FeatureUnavailable, match="No symbol has the 3 rows"):
        fitted(LSTM, frame, target)
    frame, target = rows(4)
    with pytest.raises(FeatureUnavailable, match="2 moments are too few"):
        fitted(LSTM, frame, target, parameters={**NETWORK, "gap": 5})


def test_rows_of_later_dates_change_nothing_before_them():
    """Burn the future: what is said of a row does not depend on rows after it."""
    frame, target = rows()
    known = fitted(LSTM, frame, target)
    cut = 25 * len(SYMBOLS)
    burnt = pl.concat([frame[:cut], frame[cut:].select((pl.all() * -9).cast(pl.Float32))])
    np.testing.assert_allclose(known.predict(burnt, keys())[:cut], known.predict(frame, keys())[:cut], atol=1e-7)


def test_a_long_frame_is_not_cut_between_the_rows_of_a_sequence(monkeypatch: pytest.MonkeyPatch):
    frame, target = rows()
    known = fitted(LSTM, frame, target)
    whole = known.predict(frame, keys())
    monkeypatch.setattr(artifacts, "ROWS_AT_ONCE", 15)
    monkeypatch.setattr(recurrent, "WINDOWS_AT_ONCE", 7)
    np.testing.assert_allclose(known.predict(frame, keys()), whole, atol=1e-6)


def test_it_needs_to_be_told_the_order():
    frame, target = rows()
    with pytest.raises(BadInput, match="needs `keys`"):
        fitted(LSTM, frame, target, keys=None)
    known = fitted(LSTM, frame, target)
    with pytest.raises(BadInput, match="needs `keys`"):
        known.predict(frame)
    with pytest.raises(BadInput, match="missing: symbol"):
        known.predict(frame, keys().drop("symbol"))
    with pytest.raises(BadInput, match="399 rows, its features 400"):
        known.predict(frame, keys()[:-1])
    with pytest.raises(BadInput, match="a `symbol` on every row"):
        known.predict(frame, keys().with_columns(symbol=pl.when(pl.col("symbol") != "S01").then("symbol")))


def test_two_rows_of_one_session_are_refused():
    frame, target = rows()
    doubled = keys().with_columns(symbol=pl.col("symbol").replace({"S01": "S02"}))
    with pytest.raises(BadInput, match="two rows of one session"):
        fitted(LSTM, frame, target, keys=doubled)


def test_rows_at_another_distance_are_refused():
    """Trained on weeks and asked about days: the same 50 rows are another span, and the scores would mean nothing."""
    frame, target = rows()
    known = fitted(LSTM, frame, target)
    first = keys()["session"].min()
    daily = keys().with_columns(session=pl.lit(first) + (pl.col("session") - pl.lit(first)) / 7)
    with pytest.raises(BadInput, match="1 days apart; this network was trained on rows 7 days apart"):
        known.predict(frame, daily.with_columns(pl.col("session").cast(pl.Date)))


def test_what_was_not_known_does_not_train(monkeypatch: pytest.MonkeyPatch):
    """Kills inner folds that ignore `known_at`: where labels are known late, the earlier part ends earlier."""
    frame, target = rows()
    seen = []

    def spied(t, share, **more):
        seen.append(latest_fold(t, share, **more))
        return seen[-1]

    monkeypatch.setattr(importlib.import_module("openbell.models.lstm"), "latest_fold", spied)
    for days in (1, 70):
        late = keys().with_columns(known_at=pl.col("session").cast(pl.Datetime("us", "UTC")) + pl.duration(days=days))
        fitted(LSTM, frame, target, keys=late)
    (soon, test), (later, same) = seen
    assert len(soon) - len(later) == 9 * len(SYMBOLS)
    np.testing.assert_array_equal(test, same)
    with pytest.raises(BadInput, match="`known_at` on every row"):
        fitted(LSTM, frame, target, keys=late.with_columns(known_at=pl.lit(None, pl.Datetime("us", "UTC"))))


def test_fits_in_other_threads_change_nothing():
    """Kills chance from the process-wide generator, which threads share."""
    frame, target = rows()
    alone = fitted(LSTM, frame, target).predict(frame, keys())
    results: dict[int, np.ndarray] = {}

    def work(at: int) -> None:
        results[at] = fitted(LSTM, frame, target).predict(frame, keys())

    threads = [threading.Thread(target=work, args=(at,)) for at in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert all(results[at].tobytes() == alone.tobytes() for at in range(3))


def test_another_seed_is_another_network():
    frame, target = rows()
    one, two = (fitted(LSTM, frame, target, parameters={**NETWORK, "seed": seed}) for seed in (1, 2))
    assert one.predict(frame, keys()).tobytes() != two.predict(frame, keys()).tobytes()


def test_it_stops_early_and_keeps_the_best():
    """On noise the loss only rises later: kills a training that always runs to its end, or keeps its last weights."""
    frame, _ = rows()
    noise = np.random.default_rng(5).standard_normal(frame.height)
    estimator = LSTM.build(**{**NETWORK, "epochs": 60, "patience": 3})
    own = keys()
    where = {"t": own["session"].to_numpy(), "symbol": own["symbol"].to_numpy()}
    estimator.fit(frame.to_numpy(), noise, **where)
    assert estimator.n_iter_ < 57
    shorter = LSTM.build(**{**NETWORK, "epochs": estimator.n_iter_, "patience": 3}).fit(
        frame.to_numpy(), noise, **where
    )
    scores, same = (each.predict(frame.to_numpy(), **where) for each in (estimator, shorter))
    assert scores.tobytes() == same.tobytes()


def test_a_scale_of_the_target_is_learnt():
    """Kills a loss on raw returns of 0.001, on which the weights would hardly move."""
    frame, target = rows()
    small = fitted(LSTM, frame, 5.0 + target * 1e-4).predict(frame, keys())
    plain = fitted(LSTM, frame, target).predict(frame, keys())
    np.testing.assert_allclose((small - 5.0) * 1e4, plain, atol=0.02)


def test_a_loss_that_explodes_is_told():
    frame, target = rows()
    wild = frame.with_columns(pl.all() * 1e30)
    with pytest.raises(BadInput, match="loss became"):
        fitted(LSTM, wild, target, parameters={**NETWORK, "learning_rate": 1e30})


@pytest.mark.parametrize(("device", "said"), [("cuda", "finds none"), ("tpu", "must be cpu, cuda or auto")])
def test_a_device_that_is_not_there_is_refused(device, said, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recurrent.torch_library().cuda, "is_available", lambda: False)
    frame, target = rows()
    with pytest.raises(BadInput, match=said):
        fitted(LSTM, frame, target, parameters={**NETWORK, "device": device})


@pytest.mark.parametrize("name", ["lstm", "lstm_classifier", "voting"])
def test_without_torch_it_says_what_to_install(name, monkeypatch: pytest.MonkeyPatch):
    """A voting without its LSTM would be another model: it is refused too, and no member is dropped."""

    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(recurrent, "import_module", absent)
    frame, target = rows()
    model = DECLARED[name]
    classes = (target > 0).astype(int) if model.task == "classification" else target
    with pytest.raises(FeatureUnavailable, match=r"pip install openbell\[lstm\]"):
        fitted(model, frame, classes, members=members_of(model))
