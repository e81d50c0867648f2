"""Parameters of signals: chosen before the walk, on ranks of each inner fold, every trial counted."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from signal_worlds import FEATURES, FIRST, MODELS, decisions

from openbell.core.declare import Model
from openbell.core.errors import BadInput
from openbell.research.signal_tuning import fit_ranked, tuned_candidate
from openbell.research.signal_walk import session_folds
from openbell.research.tuning import TuningSettings

ROWS = decisions(sessions=130, symbols=3, skill=0.5)


class Book:
    """A ledger that keeps what was recorded, in order."""

    def __init__(self):
        self.trials, self.asked = [], []

    def record(self, tried, *, at):
        self.trials += tried
        return len(tried)

    def __contains__(self, fingerprint):
        self.asked.append(fingerprint)
        return fingerprint in {each.fingerprint for each in self.trials}


def shallow(*, max_depth: int = 1):
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=max_depth, random_state=0)


TREE = Model(
    name="tree", module=__name__, doc="A tree.", settings={"max_depth": 1}, build=shallow,
    search={"max_depth": {"low": 1, "high": 4}}, handles_missing=True, task="classification",
)  # fmt: skip


def tuned(rows=ROWS, name="tree", **more):
    given = {
        "ledger": Book(), "desk": "signals", "data": "d", "at": FIRST, "now": lambda: 0.0, "min_train_sessions": 60,
        "settings": TuningSettings(trials=3, folds=2), **more,
    }  # fmt: skip
    return tuned_candidate(name, rows, FEATURES, {**MODELS, "tree": TREE}, **given)


def test_it_is_named_after_its_model_and_counted():
    book = Book()
    found = tuned(ledger=book)
    assert found.candidate.name == "tree_tuned"
    assert found.candidate.members[0].parameters == found.found.parameters
    assert found.found.trials.height == 3
    assert {each.kind for each in book.trials} == {"tuning"}
    best, default = -found.found.value, -found.found.default_value
    assert found.gain == pytest.approx((default - best) / default)
    assert found.gain >= 0
    assert found.record["log_loss"] == best


def test_it_knows_nothing_of_the_walk():
    """Burn the future: rows after the first fit, and labels known after it, are other; the search finds the same."""
    at = session_folds(ROWS, 60, 1)[0].at
    later, told = pl.col("as_of") >= at, pl.col("label_known_at") > at
    burnt = ROWS.with_columns(
        *(pl.when(later).then(9.0).otherwise(pl.col(name)).cast(pl.Float32).alias(name) for name in FEATURES),
        pl.when(told).then(1).otherwise(pl.col("label")).cast(pl.Int8).alias("label"),
    )
    first, second = tuned(), tuned(burnt)
    assert first.fit_at == second.fit_at == at
    assert first.found.trials.equals(second.found.trials)
    assert first.rows == second.rows == ROWS.filter(pl.col("label_known_at") <= at).height


def test_a_model_is_ranked_by_its_own_rows_and_asked_raw():
    rng = np.random.default_rng(0)
    raw = pl.DataFrame({"a": rng.normal(size=80) * 1000}).cast(pl.Float32)
    book = Book()
    target = (raw["a"].to_numpy() > 0).astype(float)

    class All:
        def __contains__(self, _):
            return True

    made = fit_ranked(TREE, raw, target, {}, ledger=All())
    assert (made.predict_proba(raw).argmax(axis=1) == target).all()
    assert (made.predict_proba(raw.select(pl.col("a") * 50)).argmax(axis=1) == target).all()
    assert made.classes == (0.0, 1.0)
    assert not made.sequential
    assert book.trials == []


def test_what_cannot_be_tuned_is_refused():
    with pytest.raises(BadInput, match="is a vote of others: tune xgboost_classifier"):
        tuned(name="voting")
    with pytest.raises(BadInput, match="declares no search space"):
        tuned(name="base_rate")
    twice = pl.concat([ROWS, ROWS.with_columns(pl.col("as_of", "label_known_at") + dt.timedelta(hours=1))])
    with pytest.raises(BadInput, match="reads sequences and cannot be tuned"):
        tuned(twice, "lstm_classifier")
